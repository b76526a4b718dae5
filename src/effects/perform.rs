//! Carries one attempt out: deadline, output check, size limit, redaction.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cairn_store_layout::{
    canonical,
    event::Usage,
    learned::Learned,
    payload::{EffectClass, Request},
};
use futures::FutureExt;
use serde_json::Value;

use super::{Artifact, Doer, Done, Failed, Fault, Job, Schema, World, program, redact::Redactor};
use crate::{agents, connectors};

/// The largest output of one step, as canonical JSON. Bigger things belong in files.
pub const RESULT_BYTES_MAX: usize = 768 * 1024;

/// Does what `job` says, once.
///
/// Dropping the future stops the attempt: programs are killed with their group, connections closed.
///
/// # Errors
/// [`Fault::Failed`] when it was not done or its result is not usable; [`Fault::Unknown`] when an
/// effect that must leave at most once may have left.
pub async fn perform(world: &World, job: &Job) -> Result<Done, Fault> {
    let attempt = Attempt { world, job, state: Mutex::default() };
    // a panic in an agent is an answer and not the end of the kernel
    let work = AssertUnwindSafe(attempt.carry_out()).catch_unwind();
    let result = match tokio::time::timeout(job.timeout, work).await {
        Ok(Ok(result)) => result.and_then(|done| attempt.check(done)),
        Ok(Err(payload)) => Err(attempt.panicked(payload.as_ref())),
        Err(_) => Err(attempt.lost(
            "timeout",
            format!("{} took longer than its {} s", job.effect.request.name(), job.timeout.as_secs_f32()),
        )),
    };
    hide(world, attempt.settle(result))
}

/// One attempt under way.
pub(crate) struct Attempt<'a> {
    pub(crate) world: &'a World,
    pub(crate) job: &'a Job,
    state: Mutex<State>,
}

/// What must outlive the future of the attempt, should its time run out.
#[derive(Default)]
struct State {
    flight: Flight,
    usage: Usage,
    artifacts: Vec<Artifact>,
}

/// Where the bytes are that can take effect.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Flight {
    /// Not sent, or clearly refused.
    #[default]
    Home,
    /// On their way; no clear reply has come back.
    Away,
    /// The other side said that it was done.
    Landed,
}

impl Attempt<'_> {
    /// To be called right before the first byte that can take effect.
    pub(crate) fn depart(&self) {
        self.state().flight = Flight::Away;
    }

    /// To be called when it is clear that nothing took effect.
    pub(crate) fn refused(&self) {
        self.state().flight = Flight::Home;
    }

    /// To be called when it is clear that it took effect.
    pub(crate) fn landed(&self) {
        self.state().flight = Flight::Landed;
    }

    /// Whether something has departed that was not answered.
    pub(crate) fn is_under_way(&self) -> bool {
        self.state().flight == Flight::Away
    }

    /// Says what has been used up so far, the most it can be while a reply is outstanding.
    pub(crate) fn spent(&self, usage: Usage) {
        self.state().usage = usage;
    }

    /// Keeps a payload, however the attempt ends.
    pub(crate) fn keep(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.state().artifacts.push(Artifact { name: name.to_owned(), bytes: bytes.into() });
    }

    /// No usable reply came: `unknown` if the effect has or may have left and must not leave twice,
    /// else soft.
    pub(crate) fn lost(&self, code: &str, message: String) -> Fault {
        self.in_doubt(&message).unwrap_or_else(|| Fault::soft(code, message))
    }

    /// As [`Self::lost`], but what went wrong will go wrong again: else hard.
    pub(crate) fn died(&self, code: &str, message: String) -> Fault {
        self.in_doubt(&message).unwrap_or_else(|| Fault::hard(code, message))
    }

    fn in_doubt(&self, message: &str) -> Option<Fault> {
        let why = match (self.job.effect.class, self.state().flight) {
            (EffectClass::Once, Flight::Away) => "it may have taken effect",
            (EffectClass::Once, Flight::Landed) => "but it was accepted before that",
            _ => return None,
        };
        Some(Fault::Unknown { message: format!("{message}; {why}, so it is not sent again by itself") })
    }

    fn panicked(&self, payload: &(dyn Any + Send)) -> Fault {
        let said =
            payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let said = self.brief(said.unwrap_or("no message"));
        self.died("panic", format!("{} broke off, which is a mistake in Cairn: {said}", self.job.effect.request.name()))
    }

    /// Adds what was used up and kept.
    fn settle(&self, result: Result<Done, Fault>) -> Result<Done, Fault> {
        let State { usage, artifacts, .. } = std::mem::take(&mut *self.state());
        match result {
            Ok(done) => Ok(Done { usage, artifacts, ..done }),
            Err(Fault::Failed(failed)) => Err(Fault::Failed(Box::new(Failed { usage, artifacts, ..*failed }))),
            Err(unknown) => Err(unknown),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // nothing that holds the lock can panic half way through a change
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn carry_out(&self) -> Result<Done, Fault> {
        match (&self.job.doer, &self.job.effect.request) {
            (Doer::Agent(agent), Request::Agent { input, prompt, template, .. }) => {
                let ask = agents::Ask { input, prompt: prompt.as_deref(), template: template.as_deref() };
                agents::answer(self, agent, &ask).await
            }
            (Doer::Connector(connector), Request::Call { operation, input, .. }) => {
                connectors::call(self, connector, operation, input).await
            }
            (Doer::Program, Request::Run { argv, stdin, .. }) => program::run(self, argv, stdin.as_deref()).await,
            (_, request) => {
                Err(Fault::hard("mismatch", format!("`{}` was given to the wrong kind of doer", request.name())))
            }
        }
    }

    /// The schema that the step's output must satisfy, if it names one.
    pub(crate) fn schema(&self) -> Result<Option<Schema>, Fault> {
        self.job.effect.request.schema().map(|file| Schema::parse(file, self.job.file(file)?)).transpose()
    }

    fn check(&self, done: Done) -> Result<Done, Fault> {
        if let Some(schema) = self.schema()?
            && let Err(why) = schema.check(&done.output)
        {
            return Err(self.unusable("schema", format!("the output does not fit {}: {why}", schema.name())));
        }
        let bytes = canonical::bytes(&done.output).len();
        if bytes > RESULT_BYTES_MAX {
            let message = format!("the output has {bytes} bytes; at most {RESULT_BYTES_MAX} are kept");
            return Err(self.unusable("too_large", message));
        }
        Ok(done)
    }

    /// Shortens text of unknown size for a message. Secrets are hidden before it is cut: half of one
    /// could not be recognised any more.
    pub(crate) fn brief(&self, text: &str) -> String {
        const CHARS_MAX: usize = 300;
        cairn_store_layout::text::brief(&self.world.secrets.redact(text.trim()), CHARS_MAX)
    }

    /// It was done, but what came back can not be used. A person must know both.
    pub(crate) fn unusable(&self, code: &str, message: String) -> Fault {
        match self.job.effect.class {
            EffectClass::None | EffectClass::Read => Fault::hard(code, message),
            EffectClass::Idempotent | EffectClass::Once => {
                Fault::hard(code, format!("{message}; the effect itself was carried out"))
            }
        }
    }
}

fn hide(world: &World, result: Result<Done, Fault>) -> Result<Done, Fault> {
    let redactor = world.secrets.redactor();
    if redactor.is_idle() {
        return result;
    }
    match result {
        Ok(mut done) => {
            done.output = redactor.value(done.output);
            for artifact in &mut done.artifacts {
                artifact.bytes = redactor.bytes(&artifact.bytes);
            }
            done.learned = done.learned.iter().map(|learned| hidden(redactor, learned)).collect::<Result<_, _>>()?;
            done.usage.model = done.usage.model.map(|m| redactor.text(&m));
            Ok(done)
        }
        Err(Fault::Unknown { message }) => Err(Fault::Unknown { message: redactor.text(&message) }),
        Err(Fault::Failed(failed)) => {
            let Failed { class, code, message, mut usage, mut artifacts, retry_after } = *failed;
            for artifact in &mut artifacts {
                artifact.bytes = redactor.bytes(&artifact.bytes);
            }
            usage.model = usage.model.map(|m| redactor.text(&m));
            let (code, message) = (redactor.text(&code), redactor.text(&message));
            Err(Fault::Failed(Box::new(Failed { class, code, message, usage, artifacts, retry_after })))
        }
    }
}

/// The same without secrets. Ids are made before and stay: they say nothing.
fn hidden(redactor: &Redactor, learned: &Learned) -> Result<Learned, Fault> {
    let value = serde_json::to_value(learned).expect("what is learned has text keys and finite numbers only");
    serde_json::from_value(redactor.value(value)).map_err(|_| {
        Fault::hard(
            "secret_in_id",
            "what is to be learned has a secret in a name that can not be hidden; nothing was learned",
        )
    })
}

/// Reads `input` as the typed input of a built-in operation.
pub(crate) fn typed<T: serde::de::DeserializeOwned>(operation: &str, input: &Value) -> Result<T, Fault> {
    serde_json::from_value(input.clone())
        .map_err(|e| Fault::hard("bad_input", format!("`{operation}` can not use its input: {e}")))
}
