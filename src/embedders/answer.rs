//! The two protocols: what is asked, and what an answer means.

use serde::Deserialize;
use serde_json::{Value, json};

/// A protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    OpenAi,
    Ollama,
}

#[derive(Deserialize)]
struct OpenAi {
    data: Vec<OpenAiItem>,
}

#[derive(Deserialize)]
struct OpenAiItem {
    /// Some servers leave it out and answer in order.
    index: Option<usize>,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Ollama {
    embeddings: Vec<Vec<f32>>,
}

impl Protocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Ollama => "ollama",
        }
    }

    /// What follows the base address.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "/embeddings",
            Self::Ollama => "/api/embed",
        }
    }

    pub(super) fn question(self, model: &str, dims: Option<usize>, texts: &[&str]) -> Value {
        let mut body = json!({ "model": model, "input": texts });
        if self == Self::OpenAi {
            body["encoding_format"] = "float".into();
        }
        if let Some(dims) = dims {
            body["dimensions"] = dims.into();
        }
        body
    }

    /// The vectors of an answer, in the order of the `asked` texts.
    pub(super) fn vectors(self, body: &[u8], asked: usize) -> Result<Vec<Vec<f32>>, String> {
        let not_json = |e: serde_json::Error| format!("the answer is no list of vectors: {e}");
        let vectors = match self {
            Self::Ollama => serde_json::from_slice::<Ollama>(body).map_err(not_json)?.embeddings,
            Self::OpenAi => {
                let mut items = serde_json::from_slice::<OpenAi>(body).map_err(not_json)?.data;
                if items.iter().any(|item| item.index.is_some()) {
                    items.sort_by_key(|item| item.index);
                    let in_order = items.iter().enumerate().all(|(n, item)| item.index == Some(n));
                    if !in_order && items.len() == asked {
                        return Err("the answer numbers its vectors twice, or not from 0".to_owned());
                    }
                }
                items.into_iter().map(|item| item.embedding).collect()
            }
        };
        if vectors.len() == asked { Ok(vectors) } else { Err(format!("{} vectors for {asked} texts", vectors.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_in_the_order_of_the_texts() {
        let read = |text: &str, asked| Protocol::OpenAi.vectors(text.as_bytes(), asked);
        let swapped = r#"{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}]}"#;
        assert_eq!(read(swapped, 2).unwrap(), [[1.0], [2.0]]);
        let unnumbered = r#"{"data":[{"embedding":[1]},{"embedding":[2]}]}"#;
        assert_eq!(read(unnumbered, 2).unwrap(), [[1.0], [2.0]]);
        let twice = r#"{"data":[{"index":0,"embedding":[2]},{"index":0,"embedding":[1]}]}"#;
        assert!(read(twice, 2).unwrap_err().contains("numbers its vectors twice"));
        assert_eq!(read(swapped, 3).unwrap_err(), "2 vectors for 3 texts");
        assert!(read("<html>", 1).unwrap_err().contains("no list of vectors"));
    }
}
