//! Connectors: bridges from a step to files, letters, HTTP services and the memory.
//!
//! Each maps its errors to the three failure classes. None of them retries.

mod beneath;
mod entity;
mod episode;
mod event;
mod file;
mod http;
mod mail;
mod memory;

use cairn_store_layout::definition::{Connector, ConnectorKind};
use serde_json::Value;

use crate::effects::{Attempt, Done, Fault};

/// Calls one operation.
pub(crate) async fn call(
    attempt: &Attempt<'_>,
    connector: &Connector,
    operation: &str,
    input: &Value,
) -> Result<Done, Fault> {
    match &connector.kind {
        ConnectorKind::Entity => entity::call(attempt, operation, input).await,
        ConnectorKind::Episode => episode::call(attempt, operation, input).await,
        ConnectorKind::Event => event::call(attempt, operation, input).await,
        ConnectorKind::File => file::call(attempt, operation, input).await,
        ConnectorKind::Memory => memory::call(attempt, operation, input).await,
        ConnectorKind::Mail(mail) => mail::call(attempt, mail, operation, input).await,
        ConnectorKind::Http(http) => http::call(attempt, http, operation, input).await,
    }
}

fn no_operation(connector: &str, operation: &str, known: &[&str]) -> Fault {
    let known = known.join(", ");
    Fault::hard("no_operation", format!("{connector} has no operation `{operation}`; operations: {known}"))
}

/// Runs work that waits for the disk where it holds nobody up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Fault::soft("io", "the work was stopped before it was done")))
}
