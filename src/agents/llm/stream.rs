//! A reply that arrives as server-sent events.

use futures::StreamExt;
use reqwest::{Response, header};

use super::reply::{Answer, Body};
use crate::effects::{Attempt, BODY_BYTES_MAX, Fault};

/// Whether the server really streams; some send plain JSON although asked for a stream.
pub(super) fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    kind.starts_with("text/event-stream")
}

/// Reads events to the end. A stream that stops before the model has finished is a soft failure.
pub(super) async fn read(attempt: &Attempt<'_>, whom: &str, response: Response) -> Result<Answer, Fault> {
    let mut answer = Answer::default();
    let mut pending = Vec::new();
    let mut total = 0;
    let mut parts = response.bytes_stream();
    while let Some(part) = parts.next().await {
        let Ok(part) = part else { break };
        total += part.len();
        if total > BODY_BYTES_MAX {
            return Err(Fault::hard(
                "too_large",
                format!("the stream of {whom} is longer than {BODY_BYTES_MAX} bytes"),
            ));
        }
        pending.extend_from_slice(&part);
        while let Some(end) = pending.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            if event(attempt, whom, &line, &mut answer)? {
                attempt.landed();
                return Ok(answer);
            }
        }
    }
    // not every server says [DONE]; one that gave the reason for stopping has said all
    if answer.finish.is_some() {
        attempt.landed();
        return Ok(answer);
    }
    attempt.keep("reply", answer.to_json().to_string());
    let got = answer.content.chars().count();
    Err(attempt.lost("broken_stream", format!("the stream of {whom} broke off after {got} characters")))
}

/// Takes one line; true at the end of the stream.
fn event(attempt: &Attempt<'_>, whom: &str, line: &[u8], answer: &mut Answer) -> Result<bool, Fault> {
    let line = String::from_utf8_lossy(line);
    // comments, event names and the empty lines between events carry nothing we need
    let Some(data) = line.trim_end().strip_prefix("data:") else { return Ok(false) };
    let data = data.trim_start();
    if data == "[DONE]" {
        return Ok(true);
    }
    answer.add(Body::parse(attempt, whom, data)?);
    Ok(false)
}
