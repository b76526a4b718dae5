//! What attempts do to the world, seen from outside: servers, folders and processes of the tests' own.

#![expect(clippy::unwrap_used, reason = "clippy spares test functions but not the helpers beside them")]
#![expect(clippy::needless_pass_by_value, reason = "helpers take `json!(...)` as it is written")]

mod support;

mod context;
mod embedders;
mod files;
mod http;
mod llm;
mod local;
mod mail;
mod programs;
mod secrets;
