//! The threads on which tables are read and written.
//!
//! A runtime of our own, so that a blocking call works from any thread, inside another runtime or
//! outside, and so that a process that opens no table starts no thread.

use std::{future::Future, sync::mpsc};

use super::told;
use crate::part::PartError;

/// Runs the futures of the table library to their end.
pub(super) struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    pub(super) fn start() -> Result<Self, PartError> {
        // Two threads: one waits for files while the other computes. A third gains nothing here.
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("cairn-memory")
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
            .map_err(|e| PartError(format!("could not start threads: {e}")))
    }

    /// Waits for `work`. A panic inside it (a damaged file can cause one) is an error like others.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = lance::Result<T>> + Send + 'static,
    ) -> Result<T, PartError> {
        let (send, receive) = mpsc::sync_channel(1);
        let runtime = self.0.as_ref().expect("taken only when dropped");
        runtime.spawn(async move {
            // The receiver below lives until it has an answer.
            let _ = send.send(work.await);
        });
        match receive.recv() {
            Ok(done) => done.map_err(|e| told(&e)),
            Err(_) => Err(PartError("reading or writing the table panicked".to_owned())),
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Dropping a runtime waits, which is forbidden inside another one; this does not wait.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
