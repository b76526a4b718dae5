//! `run` steps: a program with arguments, its exit code and what it wrote.

use serde_json::{Value, json};

use super::{Attempt, Done, Ended, Fault, Program, child};

/// Runs `argv` in a folder that holds the definition's files.
pub(super) async fn run(attempt: &Attempt<'_>, argv: &[String], stdin: Option<&str>) -> Result<Done, Fault> {
    let program = Program { argv, stdin: stdin.unwrap_or("").as_bytes(), files: &attempt.job.files };
    let ended = finish(attempt, &program).await?;
    let stdout = String::from_utf8_lossy(&ended.stdout);
    let mut output = json!({ "code": 0, "stdout": stdout, "stderr": String::from_utf8_lossy(&ended.stderr) });
    if let Ok(parsed) = serde_json::from_str::<Value>(&stdout) {
        output["json"] = parsed;
    }
    Ok(Done::of(output))
}

/// Runs a program and turns every ending but exit code 0 into a fault with its output as artifacts.
pub(crate) async fn finish(attempt: &Attempt<'_>, program: &Program<'_>) -> Result<Ended, Fault> {
    attempt.depart();
    let ended = attempt.world.launcher.run(&attempt.world.root, program).await?;
    let name = program.argv.first().map_or("", String::as_str);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    if ended.code != Some(0) {
        let streams = [("stdout", &ended.stdout), ("stderr", &ended.stderr)];
        for (name, bytes) in streams.into_iter().filter(|(_, bytes)| !bytes.is_empty()) {
            attempt.keep(name, bytes.clone());
        }
    }
    Err(if ended.flooded {
        attempt.died("too_large", format!("`{name}` wrote more than {} bytes and was killed", super::OUTPUT_BYTES_MAX))
    } else {
        match (ended.code, ended.signal) {
            (Some(0), _) => {
                attempt.landed();
                return Ok(ended);
            }
            (Some(code), _) => {
                let never_began = [child::EXIT_NOT_FOUND, child::EXIT_NOT_STARTED].map(i32::from).contains(&code);
                let what = if never_began { "did not start" } else { "failed" };
                Fault::hard(
                    format!("exit_{code}"),
                    ending(format!("`{name}` {what}, exit code {code}"), attempt, &said),
                )
            }
            (None, signal) => {
                let signal = signal.unwrap_or(0);
                attempt.died(
                    &format!("signal_{signal}"),
                    ending(format!("`{name}` was ended by signal {signal}"), attempt, &said),
                )
            }
        }
    })
}

/// How a program ended, with its last words if it had any.
fn ending(how: String, attempt: &Attempt<'_>, said: &str) -> String {
    match attempt.brief(said) {
        said if said.is_empty() => how,
        said => format!("{how}: {said}"),
    }
}
