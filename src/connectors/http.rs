//! `http` connectors: the operations that a file declares, and no others.
//!
//! The input fills the path, then the query, and what is left is the JSON body. Every request of an
//! effect carries the same idempotency key where the operation names a header for it.

use std::collections::BTreeSet;

use cairn_store_layout::definition::{HttpConnector, HttpOperation};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::no_operation;
use crate::effects::{Attempt, Done, Fault, Reply, Schema, guard_key, is_reference, send};

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub(super) async fn call(
    attempt: &Attempt<'_>,
    connector: &HttpConnector,
    operation: &str,
    input: &Value,
) -> Result<Done, Fault> {
    let Some(declared) = connector.operations.get(operation) else {
        let known: Vec<&str> = connector.operations.keys().map(String::as_str).collect();
        return Err(no_operation(&connector.base_url, operation, &known));
    };
    let whom = format!("{} {}", declared.method, connector.base_url);
    if let Some(schema) = &declared.input {
        let schema = Schema::of("the operation's input schema", schema.clone())?;
        schema.check(input).map_err(|why| Fault::hard("bad_input", format!("the input of `{operation}`: {why}")))?;
    }
    let output_schema =
        declared.output.as_ref().map(|s| Schema::of("the operation's output schema", s.clone())).transpose()?;
    let request = request(attempt, connector, declared, input)?;
    let reply = async {
        let response = send(attempt, &whom, request).await?;
        Reply::read(attempt, &whom, response).await
    };
    let reply = match declared.timeout {
        None => reply.await?,
        Some(most) => tokio::time::timeout(most.std(), reply)
            .await
            .map_err(|_| attempt.lost("timeout", format!("{whom} took longer than {most}")))??,
    };
    let output = accept(attempt, declared, &whom, &reply)?;
    if let Some(schema) = output_schema {
        schema.check(&output).map_err(|why| {
            attempt.keep("reply", reply.body.clone());
            attempt.unusable("schema", format!("the reply of {whom} does not fit the declared output: {why}"))
        })?;
    }
    Ok(Done::of(output))
}

/// What the status and the body mean.
fn accept(attempt: &Attempt<'_>, declared: &HttpOperation, whom: &str, reply: &Reply) -> Result<Value, Fault> {
    let status = reply.status.as_u16();
    if reply.status.is_success() {
        if reply.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        return serde_json::from_slice(&reply.body).map_err(|e| {
            attempt.keep("reply", reply.body.clone());
            let said = attempt.brief(&String::from_utf8_lossy(&reply.body));
            attempt.unusable("not_json", format!("{whom} answered {status}, but not with JSON ({e}): {said}"))
        });
    }
    attempt.keep("reply", reply.body.clone());
    if declared.business.contains(&status) {
        attempt.refused();
        let said = attempt.brief(&String::from_utf8_lossy(&reply.body));
        return Err(Fault::business(format!("http_{status}"), format!("{whom} says no ({}): {said}", reply.status)));
    }
    let fault = reply.fault(attempt, whom);
    if reply.status.is_server_error() {
        // it may have failed after the change was made
        return Err(match attempt.lost(&format!("http_{status}"), fault.message().to_owned()) {
            Fault::Failed(_) => fault,
            unknown => unknown,
        });
    }
    Err(fault)
}

fn request(
    attempt: &Attempt<'_>,
    connector: &HttpConnector,
    declared: &HttpOperation,
    input: &Value,
) -> Result<RequestBuilder, Fault> {
    let mut left = match input {
        Value::Object(map) => map.clone(),
        Value::Null => Map::new(),
        _ => return Err(Fault::hard("bad_input", "the input of an http operation must be an object")),
    };
    let mut used = BTreeSet::new();
    let path = fill_path(&declared.path, &left, &mut used)?;
    let mut pairs = Vec::new();
    for name in &declared.query {
        used.insert(name.clone());
        match left.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) => {
                for item in items {
                    pairs.push(format!("{name}={}", encoded(name, item)?));
                }
            }
            Some(value) => pairs.push(format!("{name}={}", encoded(name, value)?)),
        }
    }
    left.retain(|name, _| !used.contains(name));

    let mut url = format!("{}/{}", connector.base_url.trim_end_matches('/'), path.trim_start_matches('/'));
    if !pairs.is_empty() {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&pairs.join("&"));
    }
    let method = Method::from_bytes(declared.method.as_bytes())
        .map_err(|_| Fault::hard("bad_request", format!("there is no method `{}`", declared.method)))?;
    let mut request = attempt.world.http.get()?.request(method.clone(), &url);
    if matches!(method, Method::POST | Method::PUT | Method::PATCH) {
        request = request.json(&left);
    } else if let Some(name) = left.keys().next() {
        let message = format!("the field `{name}` has no place: {} takes only path and query fields", declared.method);
        return Err(Fault::hard("bad_input", message));
    }
    if let Some(header) = &declared.idempotency_header {
        request = request.header(header, attempt.job.key.as_str());
    }
    authorize(attempt, connector, &url, request)
}

/// Adds the headers of the connector; values that are references are resolved here and nowhere else.
fn authorize(
    attempt: &Attempt<'_>,
    connector: &HttpConnector,
    url: &str,
    mut request: RequestBuilder,
) -> Result<RequestBuilder, Fault> {
    let secret = |reference: &str| {
        guard_key(url)?;
        Ok::<_, Fault>(attempt.world.secrets.resolve(reference)?.expose_secret())
    };
    for (name, value) in &connector.headers {
        request = if is_reference(value) {
            request.header(name, sensitive(name, secret(value)?)?)
        } else {
            request.header(name, value)
        };
    }
    let Some(auth) = &connector.auth else { return Ok(request) };
    if let Some(reference) = &auth.bearer {
        request = request.bearer_auth(secret(reference)?);
    }
    match (&auth.header, &auth.value) {
        (Some(name), Some(reference)) => Ok(request.header(name, sensitive(name, secret(reference)?)?)),
        (None, None) => Ok(request),
        _ => Err(Fault::hard("bad_auth", "`auth` needs `header` and `value` together")),
    }
}

fn sensitive(name: &str, value: &str) -> Result<reqwest::header::HeaderValue, Fault> {
    let mut header = reqwest::header::HeaderValue::from_str(value).map_err(|_| {
        Fault::hard("bad_auth", format!("the secret for the header `{name}` holds a line break or the like"))
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// Puts fields into `{name}` places. A value can not change which resource is meant: separators are
/// encoded, and `.` and `..` are refused because servers resolve them even when encoded.
fn fill_path(template: &str, input: &Map<String, Value>, used: &mut BTreeSet<String>) -> Result<String, Fault> {
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after
            .split_once('}')
            .ok_or_else(|| Fault::hard("bad_request", format!("the path `{template}` has a `{{` without its `}}`")))?;
        let value = input.get(name).unwrap_or(&Value::Null);
        let text = encoded(name, value)?;
        if matches!(text.as_str(), "" | "." | "..") {
            return Err(Fault::hard("bad_input", format!("the path field `{name}` may not be {value}")));
        }
        path.push_str(before);
        path.push_str(&text);
        used.insert(name.to_owned());
        rest = after;
    }
    path.push_str(rest);
    Ok(path)
}

fn encoded(name: &str, value: &Value) -> Result<String, Fault> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => {
            let message = format!("the field `{name}` goes into the address and must be a text or number, not {value}");
            return Err(Fault::hard("bad_input", message));
        }
    };
    Ok(utf8_percent_encode(&text, UNRESERVED).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(template: &str, input: &Value, want: Result<&str, &str>) {
        let got = fill_path(template, input.as_object().unwrap(), &mut BTreeSet::new());
        match want {
            Ok(want) => assert_eq!(got.unwrap(), want),
            Err(part) => assert!(got.clone().unwrap_err().message().contains(part), "{got:?}"),
        }
    }

    #[test]
    fn a_path_field_stays_one_part() {
        check("/c/{id}/x", &json!({"id": "a/b?c#d e"}), Ok("/c/a%2Fb%3Fc%23d%20e/x"));
        check("/c/{id}", &json!({"id": 7}), Ok("/c/7"));
        check("/c/{id}", &json!({"id": "..%2f"}), Ok("/c/..%252f"));
        check("/c/{id}", &json!({"id": ".."}), Err("`id` may not be"));
        check("/c/{id}", &json!({"id": ""}), Err("`id` may not be"));
        check("/c/{id}", &json!({}), Err("`id` goes into the address"));
        check("/c/{id", &json!({}), Err("without its `}`"));
    }
}
