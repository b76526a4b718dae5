//! A world for one test, and jobs in it.

pub(crate) mod smtp;
pub(crate) mod web;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use cairn::effects::{
    self, Doer, Done, Failed, Fault, Job, Launcher, RecallHit, RecallQuery, Recaller, Secrets, World,
};
use cairn_store_layout::{
    definition::{Agent, Connector, ConnectorKind},
    payload::{EffectClass, EffectContent, Request},
};
use futures::future::BoxFuture;
use serde_json::Value;

/// The key that the fixtures and the tests know.
pub(crate) const KEY: &str = "sk-fixture-0123456789abcdef";

/// A store folder of its own and what an attempt may use.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) world: World,
}

struct OneHit;

impl Recaller for OneHit {
    fn recall(&self, query: RecallQuery) -> BoxFuture<'_, Result<Vec<RecallHit>, String>> {
        Box::pin(async move {
            assert_ne!(query.query, "panic", "as the test wants it");
            if query.query == "broken" {
                return Err("the index is being rebuilt".to_owned());
            }
            Ok(vec![RecallHit {
                id: "0".repeat(26),
                text: "Brandt pays late in November".to_owned(),
                kind: query.kind.unwrap_or_else(|| "note".to_owned()),
                entity: query.entity,
                labels: BTreeMap::new(),
                recorded_at: "2026-10-01T00:00:00Z".to_owned(),
                source: "anna".to_owned(),
                why: format!("words: {}", query.query),
            }])
        })
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_secrets(&[("CAIRN_SECRET_MODEL_KEY", KEY)])
    }

    pub(crate) fn with_secrets(vars: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("store");
        std::fs::create_dir_all(root.join("files")).unwrap();
        let world = World {
            root,
            machine: "mabcdefghi".parse().unwrap(),
            http: effects::client().unwrap().into(),
            secrets: Secrets::from_vars(vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))),
            memory: Arc::new(OneHit),
            launcher: Launcher { program: PathBuf::from(env!("CARGO_BIN_EXE_cairn")), scratch: std::env::temp_dir() },
        };
        Self { dir, world }
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.world.root.join("files")
    }

    pub(crate) fn put(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.files().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) async fn perform(&self, job: &Job) -> Result<Done, Fault> {
        effects::perform(&self.world, job).await
    }

    pub(crate) async fn file(&self, operation: &str, input: Value) -> Result<Done, Fault> {
        let connector = Connector { description: String::new(), kind: ConnectorKind::File };
        let class = if operation == "write" { EffectClass::Idempotent } else { EffectClass::Read };
        self.perform(&call(connector, operation, input, class)).await
    }
}

/// The names below a folder, hidden ones too, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn job(doer: Doer, request: Request, class: EffectClass) -> Job {
    let effect = EffectContent {
        run: "01kar3v8qz0000000000000000".parse().unwrap(),
        step: "do_it".parse().unwrap(),
        iteration: Some("INV-2043".to_owned()),
        definition: "0".repeat(40),
        ordinal: 0,
        purpose: cairn_store_layout::payload::Purpose::Step,
        pin: None,
        class,
        request,
    };
    Job {
        key: effect.key(),
        effect,
        workflow: "chase".to_owned(),
        doer,
        files: Arc::default(),
        timeout: Duration::from_secs(10),
        at: "2026-11-22T09:15:00Z".parse().unwrap(),
    }
}

pub(crate) fn with_files(mut job: Job, files: &[(&str, &str)]) -> Job {
    job.files = Arc::new(files.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>());
    job
}

pub(crate) fn call(connector: Connector, operation: &str, input: Value, class: EffectClass) -> Job {
    let request = Request::Call { connector: "it".to_owned(), operation: operation.to_owned(), input, schema: None };
    job(Doer::Connector(connector), request, class)
}

pub(crate) fn ask(agent: Agent, input: Value) -> Job {
    let request = Request::Agent {
        agent: "it".to_owned(),
        input,
        prompt: Some("prompts/p.md".to_owned()),
        template: Some("templates/t.txt".to_owned()),
        schema: None,
    };
    job(Doer::Agent(agent), request, EffectClass::Read)
}

pub(crate) fn set_schema(job: &mut Job, file: &str) {
    match &mut job.effect.request {
        Request::Agent { schema, .. } | Request::Call { schema, .. } | Request::Run { schema, .. } => {
            *schema = Some(file.to_owned());
        }
        Request::Workflow { .. } => panic!("a child run has no schema"),
    }
}

#[track_caller]
pub(crate) fn failed(result: Result<Done, Fault>) -> Failed {
    match result {
        Err(Fault::Failed(failed)) => *failed,
        other => panic!("expected a failure, got {other:?}"),
    }
}

#[track_caller]
pub(crate) fn unknown(result: Result<Done, Fault>) -> String {
    match result {
        Err(Fault::Unknown { message }) => message,
        other => panic!("expected unknown, got {other:?}"),
    }
}
