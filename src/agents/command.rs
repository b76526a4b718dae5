//! `command` agents: a program that reads `{"input": ...}` and writes one JSON value.

use cairn_store_layout::definition::CommandAgent;
use serde_json::json;

use super::Ask;
use crate::effects::{Attempt, Done, Fault, Program, finish};

pub(super) async fn run(attempt: &Attempt<'_>, agent: &CommandAgent, ask: &Ask<'_>) -> Result<Done, Fault> {
    let mut given = json!({ "input": ask.input });
    for (name, file) in [("prompt", ask.prompt), ("template", ask.template)] {
        if let Some(file) = file {
            given[name] = json!(attempt.job.file(file)?);
        }
    }
    let stdin = given.to_string();
    let program = Program { argv: &agent.argv, stdin: stdin.as_bytes(), files: &attempt.job.files };
    let ended = finish(attempt, &program).await?;
    match serde_json::from_slice(&ended.stdout) {
        Ok(output) => Ok(Done::of(output)),
        Err(error) => {
            let said = String::from_utf8_lossy(&ended.stdout);
            let message =
                format!("`{}` did not write one JSON value ({error}): {}", agent.argv[0], attempt.brief(&said));
            attempt.keep("stdout", ended.stdout);
            Err(attempt.unusable("not_json", message))
        }
    }
}
