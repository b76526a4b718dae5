//! The built-in `file` connector: reads and writes below the store's `files/` folder, nowhere else.
//!
//! What a file holds is somebody's doing: a table without a column or a mail that is none is a failure
//! of class `business`, told with file and line, because only a person can mend it.

mod csv;
mod eml;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{beneath::Files, blocking, no_operation};
use crate::effects::{Attempt, Done, Fault, typed};

/// The largest file that is read, in bytes. Its content goes into the history, which has limits.
pub(super) const READ_BYTES_MAX: usize = 512 * 1024;
/// The largest mail that is read, attachments included; only its text is kept.
const MAIL_BYTES_MAX: usize = 32 * 1024 * 1024;

const OPERATIONS: [&str; 5] = ["list", "read", "read_csv", "read_mail", "write"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadInput {
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadCsvInput {
    path: String,
    #[serde(default)]
    columns: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListInput {
    #[serde(default)]
    path: String,
    #[serde(default)]
    suffix: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteInput {
    path: String,
    text: String,
}

pub(super) async fn call(attempt: &Attempt<'_>, operation: &str, input: &Value) -> Result<Done, Fault> {
    let root = attempt.world.root.clone();
    match operation {
        "read" => {
            let ReadInput { path } = typed("file.read", input)?;
            blocking(move || {
                let text = text(&path, Files::open(&root)?.read(&path, READ_BYTES_MAX)?)?;
                Ok(Done::of(json!({ "path": path, "text": text })))
            })
            .await
        }
        "read_csv" => {
            let ReadCsvInput { path, columns } = typed("file.read_csv", input)?;
            blocking(move || {
                let text = text(&path, Files::open(&root)?.read(&path, READ_BYTES_MAX)?)?;
                csv::table(&path, &text, &columns).map(Done::of)
            })
            .await
        }
        "read_mail" => {
            let ReadInput { path } = typed("file.read_mail", input)?;
            blocking(move || eml::letter(&path, &Files::open(&root)?.read(&path, MAIL_BYTES_MAX)?).map(Done::of)).await
        }
        "list" => {
            let ListInput { path, suffix } = typed("file.list", input)?;
            blocking(move || {
                let folder = match path.strip_suffix('/') {
                    Some(folder) if !folder.is_empty() => folder,
                    _ if path == "." => "",
                    _ => path.as_str(),
                };
                let names = Files::open(&root)?.list(folder)?.into_iter().filter(|name| name.ends_with(&suffix));
                let files: Vec<String> =
                    names.map(|name| if folder.is_empty() { name } else { format!("{folder}/{name}") }).collect();
                Ok(Done::of(json!({ "files": files })))
            })
            .await
        }
        "write" => {
            let WriteInput { path, text } = typed("file.write", input)?;
            let key = attempt.job.key.clone();
            blocking(move || {
                let written = Files::open(&root)?.stage(&path, text.as_bytes(), &key)?.commit()?;
                let output = json!({ "path": path, "bytes": text.len() });
                Ok(Done { files: vec![written], ..Done::of(output) })
            })
            .await
        }
        other => Err(no_operation("the file connector", other, &OPERATIONS)),
    }
}

fn text(path: &str, bytes: Vec<u8>) -> Result<String, Fault> {
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|b| **b == b'\n').count() + 1;
        let hint = "save the file as UTF-8";
        Fault::business("not_utf8", format!("files/{path}:{line}: the text is not UTF-8 (byte {good}); {hint}"))
    })
}
