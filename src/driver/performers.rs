//! Attempts under way: started here, carried out on a small runtime, reported back as wakes.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use cairn_kernel::{Outcome, Perform};
use cairn_memory::Memory;
use cairn_store_layout::{
    MachineId, RunId, StepId, canonical,
    event::ArtifactRef,
    payload::{Purpose, Request},
};
use jiff::SignedDuration;
use tokio::{runtime::Runtime, sync::Semaphore, task::AbortHandle};

use super::{
    DriverError,
    recall::StoreMemory,
    wake::{Report, Wake, Wakes},
    world::Dispatcher,
};
use crate::{
    effects::{self, Artifact, Doer, Done, Fault, Job, Launcher, Secrets, World},
    store::{
        Store,
        artifacts::{self, Keep},
        definitions::Pinned,
    },
};

type Place = (RunId, StepId, Option<String>, Purpose);

/// Attempts under way.
pub(super) struct Performers {
    runtime: Option<Runtime>,
    world: Arc<World>,
    /// How many may be under way at once.
    slots: Arc<Semaphore>,
    timeout: Duration,
    wakes: Wakes,
    under_way: BTreeMap<Place, (u32, AbortHandle)>,
}

impl Performers {
    pub(super) fn new(
        store: &Store,
        machine: MachineId,
        memory: Arc<Memory>,
        wakes: Wakes,
    ) -> Result<Self, DriverError> {
        let system = |what| move |source| DriverError::System { what, source };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("attempt")
            .enable_all()
            .build()
            .map_err(system("start the runtime"))?;
        let world = World {
            root: store.root().to_owned(),
            machine,
            http: effects::Http::default(),
            secrets: Secrets::from_env(),
            memory: Arc::new(StoreMemory(memory)),
            launcher: Launcher::current().map_err(system("find our own program"))?,
        };
        let defaults = &store.card().defaults;
        Ok(Self {
            runtime: Some(runtime),
            world: Arc::new(world),
            slots: Arc::new(Semaphore::new(defaults.max_parallel.max(1) as usize)),
            timeout: defaults.timeout.std(),
            wakes,
            under_way: BTreeMap::new(),
        })
    }
}

impl Dispatcher for Performers {
    fn in_flight(&self) -> usize {
        self.under_way.len()
    }

    fn reported(&mut self, report: &Report) {
        let place = (report.run.clone(), report.step.clone(), report.iteration.clone(), report.purpose);
        if self.under_way.get(&place).is_some_and(|(attempt, _)| *attempt == report.attempt) {
            self.under_way.remove(&place);
        }
    }

    fn start(&mut self, perform: Perform, pinned: &Arc<Pinned>) {
        let Some(runtime) = &self.runtime else { return };
        let purpose = perform.effect.purpose;
        let place = (perform.run.clone(), perform.step.clone(), perform.iteration.clone(), purpose);
        let attempt = perform.attempt;
        let timeout = perform.timeout.unwrap_or(self.timeout);
        let (world, slots, wakes, pinned) =
            (self.world.clone(), self.slots.clone(), self.wakes.clone(), pinned.clone());
        let task = runtime.spawn(async move {
            let (run, step, iteration) = (perform.run.clone(), perform.step.clone(), perform.iteration.clone());
            // the semaphore is never closed while the runtime lives
            let _slot = slots.acquire().await;
            let outcome = carry_out(&world, perform, &pinned, timeout).await;
            wakes.send(Wake::Report(Box::new(Report { run, step, iteration, attempt, purpose, outcome })));
        });
        self.under_way.insert(place, (attempt, task.abort_handle()));
    }

    fn abort(&mut self, run: &RunId) {
        self.under_way.retain(|(of, ..), (_, handle)| {
            if of == run {
                handle.abort();
            }
            of != run
        });
    }

    fn shut_down(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_millis(200));
        }
    }
}

async fn carry_out(world: &Arc<World>, perform: Perform, pinned: &Pinned, timeout: Duration) -> Outcome {
    let doer = match &perform.effect.request {
        Request::Agent { agent, .. } => pinned.agents.get(agent).cloned().map(Doer::Agent),
        Request::Call { connector, .. } => pinned.connectors.get(connector).cloned().map(Doer::Connector),
        Request::Run { .. } => Some(Doer::Program),
        // a child run is followed by the driver itself; nothing of it is carried out here
        Request::Workflow { .. } => None,
    };
    let Some(doer) = doer else {
        return failed("no_doer", &format!("{} is not among what the run is pinned to", perform.effect.request.name()));
    };
    let job = Job {
        effect: perform.effect,
        workflow: pinned.plan.workflow().to_owned(),
        key: perform.key,
        doer,
        files: pinned.files.clone(),
        timeout,
        at: perform.at,
    };
    // in this very task: dropping it, when the run is canceled, kills the program and closes the connection
    let result = effects::perform(world, &job).await;
    keep(world.root.clone(), result).await
}

/// Stores the payloads durably, before the outcome that names them is recorded.
async fn keep(root: PathBuf, result: Result<Done, Fault>) -> Outcome {
    let stored = tokio::task::spawn_blocking(move || outcome(&root, result)).await;
    stored.unwrap_or_else(|error| failed("panic", &format!("the attempt broke off: {error}")))
}

fn outcome(root: &std::path::Path, result: Result<Done, Fault>) -> Outcome {
    match result {
        Ok(done) if canonical::is_too_deep(&done.output) => {
            let levels = canonical::DEPTH_MAX;
            failed("too_deep", &format!("it was done, but its output is nested more than {levels} levels deep"))
        }
        Ok(done) => match store(root, &done.artifacts) {
            Ok(artifacts) => Outcome::Succeeded {
                output: done.output,
                usage: done.usage,
                artifacts,
                files: done.files,
                learned: done.learned,
            },
            // the effect happened; losing a copy of its reply does not undo it
            Err(error) => {
                tracing::warn!(%error, "a payload could not be kept");
                let (output, usage) = (done.output, done.usage);
                Outcome::Succeeded { output, usage, artifacts: Vec::new(), files: done.files, learned: done.learned }
            }
        },
        Err(Fault::Unknown { message }) => Outcome::Unknown { message },
        Err(Fault::Failed(failed)) => Outcome::Failed {
            class: failed.class,
            code: failed.code,
            message: failed.message,
            usage: failed.usage,
            artifacts: store(root, &failed.artifacts).unwrap_or_default(),
            retry_after: failed.retry_after.and_then(|d| SignedDuration::try_from(d).ok()),
        },
    }
}

fn store(root: &std::path::Path, payloads: &[Artifact]) -> Result<Vec<ArtifactRef>, crate::store::fsutil::FsError> {
    let keep = |artifact: &Artifact| {
        let digest = artifacts::put(root, &artifact.bytes, Keep::Durable)?;
        Ok(ArtifactRef { name: artifact.name.clone(), digest, bytes: artifact.bytes.len() as u64 })
    };
    payloads.iter().map(keep).collect()
}

fn failed(code: &str, message: &str) -> Outcome {
    Outcome::Failed {
        class: cairn_store_layout::event::FailureClass::Hard,
        code: code.to_owned(),
        message: message.to_owned(),
        usage: cairn_store_layout::event::Usage::default(),
        artifacts: Vec::new(),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_could_not_be_read_back_is_a_failure_that_says_so() {
        let deep = (0..100).fold(serde_json::Value::Null, |inner, _| serde_json::json!([inner]));
        let dir = tempfile::tempdir().unwrap();
        let Outcome::Failed { code, message, .. } = outcome(dir.path(), Ok(Done::of(deep))) else {
            panic!("a failure")
        };
        assert!(code == "too_deep" && message.starts_with("it was done"), "{code}: {message}");
    }
}
