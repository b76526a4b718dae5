//! `mail` connectors: write letters. Each ends up as a file in the outbox folder; with a server
//! configured it is handed over first.
//!
//! The letter's bytes follow from the input, the idempotency key and the moment of the intent, so that
//! a repeat after a crash writes the same file once.

mod letter;
mod smtp;

use cairn_store_layout::{definition::MailConnector, paths};
use serde::Deserialize;
use serde_json::{Value, json};

use self::letter::Letter;
use super::{beneath::Files, blocking, no_operation};
use crate::effects::{Attempt, Done, Fault, typed};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SendInput {
    /// Added by the kernel from the connector's file, so that the operator sees and approves it.
    #[serde(default)]
    from: Option<String>,
    to: Addresses,
    #[serde(default)]
    cc: Option<Addresses>,
    subject: String,
    body: String,
    #[serde(default)]
    reply_to: Option<String>,
    #[serde(default)]
    in_reply_to: Option<String>,
}

/// One text, with commas between several, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Addresses {
    Line(String),
    List(Vec<String>),
}

impl Addresses {
    fn line(&self) -> String {
        match self {
            Self::Line(line) => line.clone(),
            Self::List(list) => list.join(", "),
        }
    }
}

pub(super) async fn call(
    attempt: &Attempt<'_>,
    mail: &MailConnector,
    operation: &str,
    input: &Value,
) -> Result<Done, Fault> {
    if operation != "send" {
        return Err(no_operation("the mail connector", operation, &["send"]));
    }
    let input = typed::<SendInput>("mail.send", input)?;
    if let Some(other) = input.from.as_ref().filter(|from| **from != mail.from) {
        let message =
            format!("`from` is `{other}`, but this connector sends as `{}`; change connectors/mail.toml", mail.from);
        return Err(Fault::hard("bad_address", message));
    }
    let letter = Letter::write(&mail.from, &input, attempt.job)?;
    let path = format!("{}/{}", mail.outbox.trim_end_matches('/'), letter.file_name);
    if !paths::is_inside(&path) {
        let message = format!("`outbox` of the mail connector must be a folder below files/, not `{}`", mail.outbox);
        return Err(Fault::hard("bad_path", message));
    }

    // On disk before it leaves: with a full disk nothing is sent that could not be kept.
    let (root, bytes, key, target) =
        (attempt.world.root.clone(), letter.bytes.clone(), attempt.job.key.clone(), path.clone());
    let staged = blocking(move || Files::open(&root)?.stage(&target, &bytes, &key)).await?;
    if let Some(server) = &mail.smtp {
        smtp::deliver(attempt, server, &letter).await?;
    }
    match blocking(move || staged.commit()).await {
        Ok(written) => {
            let output = json!({ "message_id": letter.message_id, "file": path });
            Ok(Done { files: vec![written], ..Done::of(output) })
        }
        // it has left; failing now would make somebody send it again
        Err(fault) if mail.smtp.is_some() => {
            let note = format!("the letter was sent, but no copy could be kept: {}", fault.message());
            Ok(Done::of(json!({ "message_id": letter.message_id, "file": null, "note": note })))
        }
        Err(fault) => Err(fault),
    }
}
