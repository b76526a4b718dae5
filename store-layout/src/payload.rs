//! What an effect is: the content that is shown, approved, hashed and sent.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Digest, RunId, StepId, canonical};

/// How an effect may be repeated. Declared by the connector's operation or the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EffectClass {
    /// Pure computation.
    None,
    /// Looks, changes nothing.
    Read,
    /// The other side knows our key: sending twice does it once.
    Idempotent,
    /// Must leave at most once; a lost reply is `unknown`.
    Once,
}

/// What is asked of the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Request {
    /// Ask an agent.
    Agent {
        /// Name of the agent.
        agent: String,
        /// What it is given; prompt and template are files of the definition.
        input: Value,
        /// The prompt file, for agents that take one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prompt: Option<String>,
        /// The template file, for agents that fill one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        template: Option<String>,
        /// The JSON Schema file that its output must satisfy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<String>,
    },
    /// Call an operation of a connector.
    Call {
        /// Name of the connector.
        connector: String,
        /// Name of its operation.
        operation: String,
        /// What it is given.
        input: Value,
        /// The JSON Schema file that its output must satisfy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<String>,
    },
    /// Run a program; its arguments are never seen by a shell.
    Run {
        /// Program and arguments.
        argv: Vec<String>,
        /// What it reads from standard input.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stdin: Option<String>,
        /// The JSON Schema file that its output must satisfy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<String>,
    },
    /// Start a run of another workflow and wait for its end.
    Workflow {
        /// Its name; the version is pinned by the run that starts it.
        workflow: String,
        /// Its input.
        input: Value,
    },
}

impl Request {
    /// The input, as far as it has one.
    #[must_use]
    pub fn input(&self) -> Option<&Value> {
        match self {
            Self::Agent { input, .. } | Self::Call { input, .. } | Self::Workflow { input, .. } => Some(input),
            Self::Run { .. } => None,
        }
    }

    /// The input, to be replaced by an edit.
    pub fn input_mut(&mut self) -> Option<&mut Value> {
        match self {
            Self::Agent { input, .. } | Self::Call { input, .. } | Self::Workflow { input, .. } => Some(input),
            Self::Run { .. } => None,
        }
    }

    /// The digest of the request alone: equal for equal questions of different steps and runs.
    #[must_use]
    pub fn digest(&self) -> Digest {
        canonical::digest(&serde_json::to_value(self).expect("a request holds only JSON types"))
    }

    /// What it asks for in a word or two: `mail.send`, `agent writer`, `run python3`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Agent { agent, .. } => format!("agent {agent}"),
            Self::Call { connector, operation, .. } => format!("{connector}.{operation}"),
            Self::Run { argv, .. } => format!("run {}", argv.first().map_or("", String::as_str)),
            Self::Workflow { workflow, .. } => format!("workflow {workflow}"),
        }
    }

    /// The output schema, if one is asked for.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        match self {
            Self::Agent { schema, .. } | Self::Call { schema, .. } | Self::Run { schema, .. } => schema.as_deref(),
            Self::Workflow { .. } => None,
        }
    }
}

/// Everything that an approval signs: the request and where it stands.
///
/// Its canonical bytes are what a gate shows, what the digest names and what is carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EffectContent {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
    /// The iteration of a `for_each` step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iteration: Option<String>,
    /// Which of the step's effects it is, counted from 0: each round of `repeat` and each retry that a person
    /// asked for with a comment is an effect of its own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ordinal: u32,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Purpose::is_step")]
    pub purpose: Purpose,
    /// Git tree id of the definition.
    pub definition: String,
    /// Git blob id of the agent's or connector's file, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// How it may be repeated.
    pub class: EffectClass,
    /// What is asked for.
    pub request: Request,
}

/// What an effect is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// It is what the step does.
    #[default]
    Step,
    /// It takes back what the step did.
    Undo,
    /// It finds out whether a lost effect of the step happened.
    Probe,
}

impl Purpose {
    /// Tells whether it is what the step does.
    #[must_use]
    pub fn is_step(&self) -> bool {
        *self == Self::Step
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde decides the signature")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl EffectContent {
    /// The digest of the canonical bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        canonical::digest(&self.to_value())
    }

    /// What is asked for as a person reads it: the input, or the command line.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.request {
            Request::Agent { input, .. } | Request::Call { input, .. } | Request::Workflow { input, .. } => {
                to_text(input)
            }
            Request::Run { argv, stdin, .. } => {
                let mut text = argv.iter().map(|a| format!("{a:?}\n")).collect::<String>();
                if let Some(stdin) = stdin {
                    text.push_str(&format!("\nstandard input:\n{stdin}\n"));
                }
                text
            }
        }
    }

    /// The content as a JSON value.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("effect content holds only JSON types")
    }

    /// The idempotency key: one per effect of a step, whatever the attempt, time or machine.
    #[must_use]
    pub fn key(&self) -> Digest {
        let iteration = self.iteration.as_deref().unwrap_or("");
        let ordinal = self.ordinal;
        let what = match self.purpose {
            Purpose::Step => "",
            Purpose::Undo => "\nundo",
            Purpose::Probe => "\nprobe",
        };
        Digest::of(format!("effect\n{}\n{}\n{iteration}\n{ordinal}{what}", self.run, self.step).as_bytes())
    }
}

/// Writes an input the way a person reads and edits it.
///
/// An object with a text field `body` (a letter) or `text` (a file) is headers (`to: ...`), then an empty
/// line, then that text. Everything else is indented JSON.
#[must_use]
pub fn to_text(input: &Value) -> String {
    if let Some((head, _, body)) = letter(input) {
        let mut text = String::new();
        // the fields a reader looks for first, then the rest in order
        let rank =
            |k: &str| ["from", "to", "cc", "reply_to", "subject", "path"].iter().position(|n| *n == k).unwrap_or(9);
        let mut keys: Vec<&String> = head.keys().collect();
        keys.sort_by_key(|k| (rank(k), k.as_str().to_owned()));
        for key in keys {
            match &head[key] {
                Value::String(s) => text.push_str(&format!("{key}: {s}\n")),
                other => text.push_str(&format!("{key}: {other}\n")),
            }
        }
        text.push('\n');
        text.push_str(body);
        if !body.ends_with('\n') {
            text.push('\n');
        }
        return text;
    }
    let mut text = serde_json::to_string_pretty(input).expect("a JSON value always has a JSON form");
    text.push('\n');
    text
}

/// The headers, the name of the text's field, and the text.
fn letter(input: &Value) -> Option<(Map<String, Value>, &'static str, &str)> {
    let map = input.as_object()?;
    let field = ["body", "text"].into_iter().find(|field| map.get(*field).is_some_and(Value::is_string))?;
    let body = map.get(field)?.as_str()?;
    let mut head = map.clone();
    head.remove(field);
    // a header is one line; a text with a line break inside would not survive the way back
    let plain = |v: &Value| !v.is_object() && v.as_str().is_none_or(|s| !s.contains('\n'));
    (head.values().all(plain) && head.keys().all(|k| !k.contains([':', '\n']))).then_some((head, field, body))
}

/// Reads back what [`to_text`] wrote and a person edited. `before` tells the shape and the types.
///
/// # Errors
/// A sentence for the person, with the line, when the text can not be read.
pub fn from_text(before: &Value, text: &str) -> Result<Value, String> {
    let Some((head, field, body_before)) = letter(before) else {
        return serde_json::from_str(text).map_err(|e| format!("line {}, column {}: {e}", e.line(), e.column()));
    };
    let mut out = Map::new();
    let mut lines = text.split_inclusive('\n');
    for (number, line) in lines.by_ref().enumerate() {
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() {
            break;
        }
        let Some((key, value)) = line.split_once(':') else {
            return Err(format!("line {}: expected `name: value`, or an empty line before the text", number + 1));
        };
        let (key, value) = (key.trim(), value.trim());
        if !head.contains_key(key) {
            let known: Vec<&str> = head.keys().map(String::as_str).collect();
            return Err(format!("line {}: there is no field `{key}` here; fields: {}", number + 1, known.join(", ")));
        }
        let value = match &head[key] {
            Value::String(_) => Value::String(value.to_owned()),
            _ => serde_json::from_str(value).map_err(|e| format!("line {}: {e}", number + 1))?,
        };
        out.insert(key.to_owned(), value);
    }
    for key in head.keys() {
        if !out.contains_key(key) {
            return Err(format!("the field `{key}` is missing; leave it empty rather than removing it"));
        }
    }
    let mut body: String = lines.collect();
    if !body_before.ends_with('\n') && body.ends_with('\n') {
        body.pop();
    }
    out.insert(field.to_owned(), Value::String(body));
    Ok(Value::Object(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_letter_survives_the_editor() {
        let input = json!({"to": "ap@brandt.example", "subject": "Invoice: 2043", "body": "Hello,\n\nbye", "count": 2});
        let text = to_text(&input);
        assert_eq!(text, "to: ap@brandt.example\nsubject: Invoice: 2043\ncount: 2\n\nHello,\n\nbye\n");
        assert_eq!(from_text(&input, &text), Ok(input));
    }

    #[test]
    fn a_file_is_read_as_its_path_and_its_lines() {
        let input = json!({"path": "site/a.md", "text": "# One\n\ntwo\n"});
        let text = to_text(&input);
        assert_eq!(text, "path: site/a.md\n\n# One\n\ntwo\n");
        assert_eq!(
            from_text(&input, &text.replace("two", "three")),
            Ok(json!({"path": "site/a.md", "text": "# One\n\nthree\n"}))
        );
    }

    #[test]
    fn an_edit_that_breaks_the_form_is_told_where() {
        let input = json!({"to": "a@b.example", "body": "x"});
        assert_eq!(
            from_text(&input, "to a@b.example\n\nx").unwrap_err(),
            "line 1: expected `name: value`, or an empty line before the text"
        );
        assert!(from_text(&input, "cc: a\n\nx").unwrap_err().contains("there is no field `cc`"));
        assert!(from_text(&input, "\nx").unwrap_err().contains("`to` is missing"));
        assert!(from_text(&json!({"n": 1}), "{\"n\": }").unwrap_err().starts_with("line 1, column 7"));
    }
}
