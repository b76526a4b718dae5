//! Definitions: what people write in `workflows/`, `agents/`, `connectors/`, `policies/` and `knowledge/`.
//!
//! Reading is strict: an unknown key is an error with its line, its column and the nearest name.
//! What a definition *means* (order of steps, expressions) is the kernel's to compile.

mod agent;
mod connector;
mod field;
pub mod knowledge;
mod memory_policy;
mod parse;
mod problem;
mod raw;
mod schema;
mod step;
mod toml_text;
mod trigger;
mod workflow;

pub use agent::{Agent, AgentKind, Classify, CommandAgent, Extract, ExtractField, LlmAgent, Price};
pub use connector::{
    Auth, Connector, ConnectorKind, HttpConnector, HttpOperation, MailConnector, OperationProbe, Smtp, SmtpTls,
};
pub use field::{Field, FieldType, fill};
pub use knowledge::Knowledge;
pub use memory_policy::{
    AcceptRule, BATCH_MAX, DIMS_MAX, EmbedderPolicy, Filter, ForgetRule, KEEP_LABEL, MEMORY_POLICY, MemoryPolicy,
    RemoteEmbedder, SUMMARY, SummariseRule, Tidy, matches,
};
pub use parse::parse as parse_workflow;
pub use problem::{Position, Problem, nearest};
pub use schema::{SCHEMA_ID, workflow_schema};
pub use trigger::{Misfire, Overlap, Trigger, TriggerSource};
pub use workflow::{
    AfterFailure, Approve, ApproveWhen, Backoff, Bundle, Concurrency, ForEach, Join, OnClass, OnFailure, Probe, Rate,
    Repeat, Retry, Step, StepKind, Undo, Wait, Workflow,
};
