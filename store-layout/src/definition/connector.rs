//! `connectors/<name>.toml`: a bridge to something outside.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{
    Probe, Problem,
    toml_text::{read, to_json},
};
use crate::{event::GateClass, payload::EffectClass, time::Span};

/// One connector.
#[derive(Debug, Clone, PartialEq)]
pub struct Connector {
    /// What it is for.
    pub description: String,
    /// How it works.
    pub kind: ConnectorKind,
}

/// How a connector works.
#[derive(Debug, Clone, PartialEq)]
pub enum ConnectorKind {
    /// Reads and changes entities. Present without a file.
    Entity,
    /// Records and lists episodes. Present without a file.
    Episode,
    /// Emits events to runs and triggers. Present without a file.
    Event,
    /// Reads and writes below `files/`. Present without a file.
    File,
    /// Remembers and recalls passages. Present without a file.
    Memory,
    /// Sends letters.
    Mail(MailConnector),
    /// Calls an HTTP service.
    Http(HttpConnector),
}

/// Sends letters: into a folder, or by SMTP when that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailConnector {
    /// The sender, `Name <address>`.
    pub from: String,
    /// The folder below `files/` that keeps every letter.
    pub outbox: String,
    /// The server, when letters really leave.
    pub smtp: Option<Smtp>,
}

/// An SMTP server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// Host name.
    pub host: String,
    /// Port; default 465 for `tls`, 587 for `starttls`, 25 for `none`.
    pub port: Option<u16>,
    /// User name, if the server wants one.
    pub user: Option<String>,
    /// A reference to the password: `secret://name`.
    pub password: Option<String>,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: SmtpTls,
}

/// How an SMTP connection is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// From the first byte.
    #[default]
    Tls,
    /// After a STARTTLS command, required.
    StartTls,
    /// Not at all: for servers on this machine.
    None,
}

/// An HTTP service.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpConnector {
    /// Such as `https://api.example.com`.
    pub base_url: String,
    /// Headers sent with every call.
    pub headers: BTreeMap<String, String>,
    /// How we show who we are.
    pub auth: Option<Auth>,
    /// Its operations by name.
    pub operations: BTreeMap<String, HttpOperation>,
}

/// How an HTTP service knows us. Values are references: `secret://name`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Sent as `Authorization: Bearer ...`.
    pub bearer: Option<String>,
    /// Sent in the header of this name.
    pub header: Option<String>,
    /// The value for `header`.
    pub value: Option<String>,
}

/// One operation of an HTTP service.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpOperation {
    /// GET, POST, PUT, PATCH or DELETE.
    pub method: String,
    /// Path below the base URL; `{name}` takes a field of the input, percent-encoded.
    pub path: String,
    /// Fields of the input that become query parameters.
    pub query: Vec<String>,
    /// How it may be repeated.
    pub effect: EffectClass,
    /// The word of its gate.
    pub class: GateClass,
    /// The header that carries our idempotency key.
    pub idempotency_header: Option<String>,
    /// JSON Schema of the input.
    pub input: Option<Value>,
    /// JSON Schema of the output.
    pub output: Option<Value>,
    /// How long one call may take.
    pub timeout: Option<Span>,
    /// Status codes that are an answer of the business, not a fault: class `business`.
    pub business: Vec<u16>,
    /// How to find out whether a call happened whose reply was lost.
    pub probe: Option<OperationProbe>,
    /// For how long the service remembers an idempotency key.
    pub dedupe_window: Option<Span>,
}

/// `probe` of an operation: another operation of the same connector that only looks.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationProbe {
    /// The operation that looks.
    pub operation: String,
    /// What it is given; `request` is what the lost call was given, `effect.key` its idempotency key.
    pub with: Value,
    /// True when the call did happen; `output` is what the probe gave.
    pub found: String,
    /// What the call gave then; absent: what the probe gave.
    pub output: Option<Value>,
}

impl OperationProbe {
    /// The probe as a step would declare it.
    #[must_use]
    pub fn of(&self, connector: &str) -> Probe {
        let Self { operation, with, found, output } = self.clone();
        Probe { connector: connector.to_owned(), operation, with, found, output }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    kind: toml::Spanned<String>,
    #[serde(default)]
    description: String,
    from: Option<String>,
    outbox: Option<String>,
    smtp: Option<Smtp>,
    base_url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    auth: Option<Auth>,
    #[serde(default)]
    operation: BTreeMap<String, RawOperation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOperation {
    method: String,
    path: String,
    #[serde(default)]
    query: Vec<String>,
    effect: EffectClass,
    class: Option<GateClass>,
    idempotency_header: Option<String>,
    input: Option<toml::Value>,
    output: Option<toml::Value>,
    timeout: Option<Span>,
    #[serde(default)]
    business: Vec<u16>,
    probe: Option<RawProbe>,
    dedupe_window: Option<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProbe {
    operation: String,
    #[serde(default)]
    with: toml::Table,
    found: String,
    output: Option<toml::Value>,
}

impl Connector {
    /// Reads a connector from the text of `file`.
    ///
    /// # Errors
    /// The first problem, with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problem> {
        let raw: Raw = read(file, text)?;
        let at = Some(super::Position::of(text, raw.kind.span().start));
        let missing =
            |key: &str| Problem::new(file, at, format!("a connector of kind `{}` needs `{key}`", raw.kind.as_ref()));
        let keys: [(&str, bool, &[&str]); 7] = [
            ("from", raw.from.is_some(), &["mail"]),
            ("outbox", raw.outbox.is_some(), &["mail"]),
            ("smtp", raw.smtp.is_some(), &["mail"]),
            ("base_url", raw.base_url.is_some(), &["http"]),
            ("headers", !raw.headers.is_empty(), &["http"]),
            ("auth", raw.auth.is_some(), &["http"]),
            ("operation", !raw.operation.is_empty(), &["http"]),
        ];
        let misplaced = Problem::misplaced(file, at, raw.kind.as_ref(), &keys);
        probes_look(file, at, &raw.operation)?;
        let kind = match raw.kind.as_ref().as_str() {
            "entity" => ConnectorKind::Entity,
            "episode" => ConnectorKind::Episode,
            "event" => ConnectorKind::Event,
            "file" => ConnectorKind::File,
            "memory" => ConnectorKind::Memory,
            "mail" => ConnectorKind::Mail(MailConnector {
                from: raw.from.clone().ok_or_else(|| missing("from"))?,
                outbox: raw.outbox.clone().unwrap_or_else(|| "outbox".to_owned()),
                smtp: raw.smtp.clone(),
            }),
            "http" => ConnectorKind::Http(HttpConnector {
                base_url: raw.base_url.clone().ok_or_else(|| missing("base_url"))?,
                headers: raw.headers.clone(),
                auth: raw.auth.clone(),
                operations: raw
                    .operation
                    .into_iter()
                    .map(|(name, op)| operation(file, at, &name, op).map(|op| (name, op)))
                    .collect::<Result<_, _>>()?,
            }),
            other => {
                return Err(Problem::unknown(
                    file,
                    at,
                    "connector kind",
                    other,
                    &["entity", "episode", "event", "file", "memory", "mail", "http"],
                ));
            }
        };
        match misplaced {
            Some(problem) => Err(problem),
            None => Ok(Self { description: raw.description, kind }),
        }
    }
}

/// A probe names an operation of the same file that changes nothing.
fn probes_look(
    file: &str,
    at: Option<super::Position>,
    operations: &BTreeMap<String, RawOperation>,
) -> Result<(), Problem> {
    for (name, operation) in operations {
        let Some(probe) = &operation.probe else { continue };
        let known: Vec<&str> = operations.keys().map(String::as_str).collect();
        match operations.get(&probe.operation).map(|looks| looks.effect) {
            None => {
                let what = format!("operation for the probe of `{name}`:");
                return Err(Problem::unknown(file, at, &what, &probe.operation, &known));
            }
            Some(EffectClass::None | EffectClass::Read) => {}
            Some(EffectClass::Idempotent | EffectClass::Once) => {
                let message = format!("the probe of `{name}` calls `{}`, which does not only look", probe.operation);
                return Err(Problem::new(file, at, message).hint("a probe calls an operation with effect = \"read\""));
            }
        }
    }
    Ok(())
}

fn operation(file: &str, at: Option<super::Position>, name: &str, raw: RawOperation) -> Result<HttpOperation, Problem> {
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    if !methods.contains(&raw.method.as_str()) {
        return Err(Problem::unknown(file, at, &format!("method for operation `{name}`:"), &raw.method, &methods));
    }
    if raw.effect == EffectClass::Idempotent
        && raw.idempotency_header.is_none()
        && !matches!(raw.method.as_str(), "PUT" | "DELETE")
    {
        return Err(Problem::new(
            file,
            at,
            format!("operation `{name}` is called idempotent but sends no idempotency key"),
        )
        .hint("set `idempotency_header`, or effect = \"once\""));
    }
    if raw.dedupe_window.is_some() && raw.effect != EffectClass::Idempotent {
        let message = format!("operation `{name}` has a `dedupe_window` but is not idempotent");
        return Err(Problem::new(file, at, message).hint("it says how long the service remembers our idempotency key"));
    }
    Ok(HttpOperation {
        method: raw.method,
        path: raw.path,
        query: raw.query,
        effect: raw.effect,
        class: raw.class.unwrap_or(GateClass::Send),
        idempotency_header: raw.idempotency_header,
        input: raw.input.as_ref().map(to_json),
        output: raw.output.as_ref().map(to_json),
        timeout: raw.timeout,
        business: raw.business,
        probe: raw.probe.map(|p| OperationProbe {
            operation: p.operation,
            with: to_json(&toml::Value::Table(p.with)),
            found: p.found,
            output: p.output.as_ref().map(to_json),
        }),
        dedupe_window: raw.dedupe_window,
    })
}
