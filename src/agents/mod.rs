//! Agents: capabilities that steps ask for. Four are local and need no key; one asks a model.
//!
//! An agent answers; it never acts. What it gives back is untrusted text until a schema, a gate or a
//! person has looked at it.

mod classify;
mod command;
mod extract;
mod llm;
mod template;

use cairn_store_layout::definition::{Agent, AgentKind};
use serde_json::Value;

use crate::effects::{Attempt, Done, Fault};

/// What a step asks of an agent.
pub(crate) struct Ask<'a> {
    /// The step's `with`, rendered.
    pub(crate) input: &'a Value,
    /// The prompt file of the definition.
    pub(crate) prompt: Option<&'a str>,
    /// The template file of the definition.
    pub(crate) template: Option<&'a str>,
}

/// Lets `agent` answer.
pub(crate) async fn answer(attempt: &Attempt<'_>, agent: &Agent, ask: &Ask<'_>) -> Result<Done, Fault> {
    match &agent.kind {
        AgentKind::Template => template::fill(attempt, ask),
        AgentKind::Extract(fields) => extract::find(fields, text_of(ask.input, "extract")?).map(Done::of),
        AgentKind::Classify(classes) => Ok(Done::of(classify::choose(classes, text_of(ask.input, "classify")?))),
        AgentKind::Command(command) => command::run(attempt, command, ask).await,
        AgentKind::Llm(model) => llm::ask(attempt, model, ask).await,
    }
}

fn text_of<'a>(input: &'a Value, kind: &str) -> Result<&'a str, Fault> {
    input.get("text").and_then(Value::as_str).ok_or_else(|| {
        Fault::hard("bad_input", format!("an agent of kind `{kind}` needs a text: with = {{ text = ... }}"))
    })
}

/// Fills a file of the definition with the step's values as top-level names.
fn render(attempt: &Attempt<'_>, file: &str, input: &Value) -> Result<String, Fault> {
    cairn_kernel::expr::render_text(attempt.job.file(file)?, input)
        .map_err(|why| Fault::hard("template", format!("{file}: {why}")))
}
