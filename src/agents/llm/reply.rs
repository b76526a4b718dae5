//! What a model's reply means.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::effects::{Attempt, Fault};

/// A complete answer, however it arrived.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) content: String,
    pub(super) refusal: Option<String>,
    pub(super) finish: Option<String>,
    pub(super) model: Option<String>,
    /// Tokens read and written, when the reply says so.
    pub(super) tokens: Option<(u64, u64)>,
}

#[derive(Deserialize)]
pub(super) struct Body {
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) choices: Vec<Choice>,
    pub(super) usage: Option<Tokens>,
    pub(super) error: Option<Value>,
}

#[derive(Deserialize)]
pub(super) struct Choice {
    #[serde(alias = "delta")]
    pub(super) message: Option<Message>,
    pub(super) finish_reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Message {
    pub(super) content: Option<String>,
    pub(super) refusal: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Tokens {
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl Answer {
    /// Reads the body of a plain reply.
    pub(super) fn parse(attempt: &Attempt<'_>, whom: &str, body: &[u8]) -> Result<Self, Fault> {
        let mut answer = Self::default();
        let body = Body::parse(attempt, whom, &String::from_utf8_lossy(body))?;
        if body.choices.is_empty() {
            return Err(Fault::soft("bad_reply", format!("{whom} sent a reply without an answer in it")));
        }
        answer.add(body);
        Ok(answer)
    }

    /// Adds a reply, or the next piece of one.
    pub(super) fn add(&mut self, body: Body) {
        self.model = body.model.or(self.model.take());
        if let Some(usage) = body.usage {
            self.tokens = Some((usage.prompt_tokens, usage.completion_tokens));
        }
        let Some(choice) = body.choices.into_iter().next() else { return };
        self.finish = choice.finish_reason.or(self.finish.take());
        let Some(message) = choice.message else { return };
        self.content.push_str(message.content.as_deref().unwrap_or(""));
        if let Some(refusal) = message.refusal {
            self.refusal.get_or_insert_default().push_str(&refusal);
        }
    }

    /// What the model said, if it said all of it.
    pub(super) fn text(self, attempt: &Attempt<'_>, whom: &str, max_tokens: u32) -> Result<String, Fault> {
        if let Some(refusal) = self.refusal.filter(|r| !r.is_empty()) {
            return Err(Fault::business("refused", format!("{whom} refuses to answer: {}", attempt.brief(&refusal))));
        }
        match self.finish.as_deref() {
            Some("length") => Err(Fault::hard(
                "cut_off",
                format!("the answer of {whom} was cut off at {max_tokens} tokens; raise `max_tokens` or ask for less"),
            )),
            Some("content_filter") => {
                Err(Fault::business("refused", format!("{whom} withheld its answer (content filter)")))
            }
            _ if self.content.trim().is_empty() => {
                Err(Fault::soft("bad_reply", format!("{whom} sent an empty answer")))
            }
            _ => Ok(self.content),
        }
    }

    /// The answer as it is kept.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "model": self.model,
            "content": self.content,
            "refusal": self.refusal,
            "finish_reason": self.finish,
            "tokens": self.tokens.map(|(read, written)| json!({ "in": read, "out": written })),
        })
    }
}

impl Body {
    pub(super) fn parse(attempt: &Attempt<'_>, whom: &str, text: &str) -> Result<Self, Fault> {
        // a page instead of JSON comes from something in between and may be gone next time
        let body: Self = serde_json::from_str(text).map_err(|e| {
            Fault::soft("bad_reply", format!("{whom} sent something unreadable ({e}): {}", attempt.brief(text)))
        })?;
        match body.error {
            Some(error) => {
                Err(Fault::soft("provider", format!("{whom} reports: {}", attempt.brief(&error.to_string()))))
            }
            None => Ok(body),
        }
    }
}
