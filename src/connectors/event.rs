//! The built-in `event` connector: tells runs and triggers of this machine that something happened.
//!
//! An event goes the way of every command, through the inbox. Its id derives from the effect's key, so that
//! an attempt that is repeated after a crash emits the same event again, which counts once.

use cairn_store_layout::{
    CommandId, RunId,
    command::{COMMAND_BYTES_MAX, Command, SCHEMA, Verb, is_event_name},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{blocking, no_operation};
use crate::{
    effects::{Attempt, Done, Fault, typed},
    store::inbox,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmitInput {
    name: String,
    #[serde(default)]
    data: Value,
    #[serde(default)]
    run: Option<RunId>,
}

pub(super) async fn call(attempt: &Attempt<'_>, operation: &str, input: &Value) -> Result<Done, Fault> {
    if operation != "emit" {
        return Err(no_operation("the event connector", operation, &["emit"]));
    }
    let EmitInput { name, data, run } = typed("event.emit", input)?;
    if !is_event_name(&name) {
        let message = format!("`{name}` can not name an event: use a letter, then letters, digits, `.`, `-` or `_`");
        return Err(Fault::hard("bad_input", message));
    }
    // the file holds the data and little else
    let bytes = data.to_string().len();
    if bytes > COMMAND_BYTES_MAX / 2 {
        let message = format!("the data of an event has {bytes} bytes; at most {} are taken", COMMAND_BYTES_MAX / 2);
        return Err(Fault::hard("too_large", message));
    }
    let job = attempt.job;
    let id = CommandId::of_effect(&job.key, job.at);
    let by = format!("run {} step {}", job.effect.run, job.effect.step);
    let verb = Verb::EventEmit { name, data, run };
    let command = Command { schema: SCHEMA.to_owned(), id: id.clone(), at: job.at, by, verb };
    let (root, machine) = (attempt.world.root.clone(), attempt.world.machine.clone());
    blocking(move || {
        inbox::put(&root, &machine, &command).map_err(|e| Fault::soft("io", format!("the event was not put: {e}")))?;
        Ok(Done::of(json!({ "event": id })))
    })
    .await
}
