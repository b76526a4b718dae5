//! `llm` agents: one question to a model behind an OpenAI-compatible endpoint, one structured answer.
//!
//! With a schema the answer is checked, and the model is told once what does not fit. If it fails
//! again the step fails hard: the same prompt has missed the same schema twice, and every further try
//! costs money without a reason to end differently; the prompt or the schema needs a person.
//! Without a known price nothing is sent to another machine.

mod reply;
mod request;
mod stream;

use cairn_store_layout::{definition::LlmAgent, event::Usage, money::Usd};
use serde_json::{Value, json};

use self::{
    reply::Answer,
    request::{Conversation, Tariff},
};
use super::{Ask, render};
use crate::effects::{Attempt, Done, Fault, Reply, Schema, guard_key, send};

pub(super) async fn ask(attempt: &Attempt<'_>, agent: &LlmAgent, ask: &Ask<'_>) -> Result<Done, Fault> {
    let tariff = Tariff::of(agent)?;
    let file = ask.prompt.ok_or_else(|| {
        Fault::hard("no_prompt", "the step names no prompt; an agent of kind `llm` needs `prompt = \"...\"`")
    })?;
    let prompt = render(attempt, file, ask.input)?;
    let schema = attempt.schema()?;
    let mut talk = Conversation::new(agent, &prompt, schema.as_ref());
    let mut spent = Spent { agent, tariff, before: Usd::default(), tokens_in: 0, tokens_out: 0 };

    let first = turn(attempt, agent, &talk, &mut spent, 1).await?;
    let Some(schema) = schema else {
        return Ok(Done::of(json!({ "body": first })));
    };
    let why = match structured(&schema, &first) {
        Ok(value) => return Ok(Done::of(value)),
        Err(why) => why,
    };
    talk.repair(&first, &why);
    let second = turn(attempt, agent, &talk, &mut spent, 2).await?;
    structured(&schema, &second).map(Done::of).map_err(|why| {
        let said = attempt.brief(&second);
        Fault::hard(
            "schema",
            format!(
                "the answer of {} does not fit {}, also after a correction: {why}. It was: {said}",
                agent.model,
                schema.name()
            ),
        )
    })
}

/// One request and its reply; keeps both, counts the cost.
async fn turn(
    attempt: &Attempt<'_>,
    agent: &LlmAgent,
    talk: &Conversation<'_>,
    spent: &mut Spent<'_>,
    number: u32,
) -> Result<String, Fault> {
    let name = |what: &str| if number == 1 { what.to_owned() } else { format!("{what}-{number}") };
    let body = talk.body();
    attempt.keep(&name("request"), body.clone());
    let whom = format!("{} at {}", agent.model, agent.base_url);
    let url = format!("{}/chat/completions", agent.base_url.trim_end_matches('/'));
    let mut request = attempt.world.http.get()?.post(&url).header("content-type", "application/json");
    if let Some(reference) = &agent.api_key {
        guard_key(&url)?;
        let key = attempt.world.secrets.resolve(reference)?;
        request = request.bearer_auth(secrecy::ExposeSecret::expose_secret(key));
    }
    let bytes = body.len();
    // once the model may work for us and until it says how much, the most it can be is counted
    attempt.spent(spent.at_most(bytes));
    let response = match send(attempt, &whom, request.body(body)).await {
        Ok(response) => response,
        Err(fault) => {
            if !attempt.is_under_way() {
                attempt.spent(spent.so_far());
            }
            return Err(fault);
        }
    };
    if !response.status().is_success() {
        attempt.spent(spent.so_far());
        let reply = Reply::read(attempt, &whom, response).await?;
        attempt.keep(&name("reply"), reply.body.clone());
        return Err(reply.fault(attempt, &whom));
    }
    let streams = stream::is_stream(&response);
    let answer = if streams {
        stream::read(attempt, &whom, response).await
    } else {
        let reply = Reply::read(attempt, &whom, response).await?;
        attempt.keep(&name("reply"), reply.body.clone());
        Answer::parse(attempt, &whom, &reply.body)
    }?;
    if streams {
        // the assembled answer, not the raw events: a secret split over two events could not be hidden
        attempt.keep(&name("reply"), answer.to_json().to_string());
    }
    attempt.spent(spent.settle(&answer, bytes));
    answer.text(attempt, &whom, agent.max_tokens)
}

fn structured(schema: &Schema, text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(unfenced(text)).map_err(|e| format!("it is not JSON: {e}"))?;
    schema.check(&value).map(|()| value)
}

/// Takes off the Markdown fence that many models put around JSON.
fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix("```json").or_else(|| text.strip_prefix("```")).and_then(|t| t.strip_suffix("```"));
    inner.unwrap_or(text)
}

/// The running account of one attempt.
struct Spent<'a> {
    agent: &'a LlmAgent,
    tariff: Option<Tariff>,
    before: Usd,
    tokens_in: u64,
    tokens_out: u64,
}

impl Spent<'_> {
    /// What the turns before this one cost.
    fn so_far(&self) -> Usage {
        let any = self.before > Usd::default();
        self.usage(any.then_some(self.before), &self.agent.model)
    }

    /// The most that a request of so many bytes can cost: a token is at least one byte.
    fn at_most(&self, bytes: usize) -> Usage {
        let this = self.tariff.map(|t| t.cost(bytes as u64, u64::from(self.agent.max_tokens)));
        self.usage(this.map(|cost| self.before + cost), &self.agent.model)
    }

    /// Adds what the reply says; a reply that says nothing is counted at the most it can be.
    fn settle(&mut self, answer: &Answer, bytes: usize) -> Usage {
        let (tokens_in, tokens_out) = answer.tokens.unwrap_or((bytes as u64, u64::from(self.agent.max_tokens)));
        if answer.tokens.is_some() {
            self.tokens_in += tokens_in;
            self.tokens_out += tokens_out;
        }
        if let Some(tariff) = self.tariff {
            self.before = self.before + tariff.cost(tokens_in, tokens_out);
        }
        self.usage(self.tariff.map(|_| self.before), answer.model.as_deref().unwrap_or(&self.agent.model))
    }

    fn usage(&self, cost: Option<Usd>, model: &str) -> Usage {
        let some = |n: u64| (n > 0).then_some(n);
        Usage {
            cost_usd: cost.map(|c| c.to_string()),
            model: Some(model.to_owned()),
            tokens_in: some(self.tokens_in),
            tokens_out: some(self.tokens_out),
        }
    }
}
