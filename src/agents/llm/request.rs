//! What is sent to the model: messages, limits, the wanted shape; and what it costs.

use cairn_store_layout::{definition::LlmAgent, money::Usd};
use serde_json::{Value, json};

use crate::effects::{Fault, Schema, is_loopback};

/// Dollars per million tokens.
#[derive(Clone, Copy)]
pub(super) struct Tariff {
    input: Usd,
    output: Usd,
}

impl Tariff {
    /// The agent's price. None is allowed only on this machine.
    pub(super) fn of(agent: &LlmAgent) -> Result<Option<Self>, Fault> {
        let Some(price) = &agent.price else {
            if is_loopback(&agent.base_url) {
                return Ok(None);
            }
            return Err(Fault::hard(
                "no_price",
                format!(
                    "{} at {} has no price, and an unknown price stops: add `price = {{ input_per_million = \"...\", output_per_million = \"...\" }}` to the agent's file",
                    agent.model, agent.base_url
                ),
            ));
        };
        let read = |key: &str, text: &str| {
            Usd::parse(text).filter(|p| p.0 >= 0).ok_or_else(|| {
                Fault::hard("no_price", format!("`{key}` is not an amount of dollars such as \"0.15\": `{text}`"))
            })
        };
        Ok(Some(Self {
            input: read("input_per_million", &price.input_per_million)?,
            output: read("output_per_million", &price.output_per_million)?,
        }))
    }

    pub(super) fn cost(self, tokens_in: u64, tokens_out: u64) -> Usd {
        Usd::of_tokens(tokens_in, self.input) + Usd::of_tokens(tokens_out, self.output)
    }
}

/// What has been said so far.
pub(super) struct Conversation<'a> {
    agent: &'a LlmAgent,
    messages: Vec<Value>,
    format: Option<Value>,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(agent: &'a LlmAgent, prompt: &str, schema: Option<&Schema>) -> Self {
        let mut messages = Vec::new();
        if let Some(system) = &agent.system {
            messages.push(json!({ "role": "system", "content": system }));
        }
        messages.push(json!({ "role": "user", "content": prompt }));
        let format = schema.map(|schema| {
            json!({ "type": "json_schema", "json_schema": { "name": plain_name(schema.name()), "schema": schema.source() } })
        });
        Self { agent, messages, format }
    }

    /// Tells the model what did not fit.
    pub(super) fn repair(&mut self, said: &str, why: &str) {
        self.messages.push(json!({ "role": "assistant", "content": said }));
        let told =
            format!("This answer can not be used: {why}. Answer again, with nothing but JSON that fits the schema.");
        self.messages.push(json!({ "role": "user", "content": told }));
    }

    /// The request body.
    pub(super) fn body(&self) -> Vec<u8> {
        let mut body = json!({
            "model": self.agent.model,
            "messages": self.messages,
            "max_tokens": self.agent.max_tokens,
        });
        if let Some(temperature) = self.agent.temperature {
            body["temperature"] = json!(temperature);
        }
        if let Some(format) = &self.format {
            body["response_format"] = format.clone();
        }
        if self.agent.stream {
            body["stream"] = json!(true);
            body["stream_options"] = json!({ "include_usage": true });
        }
        body.to_string().into_bytes()
    }
}

/// The schema's file name as the name the protocol wants: letters, digits, `_`, `-`, at most 64.
fn plain_name(file: &str) -> String {
    let stem = file.rsplit('/').next().unwrap_or(file);
    let stem = stem.split('.').next().unwrap_or(stem);
    stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(64).collect()
}
