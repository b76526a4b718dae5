//! A model behind a network address: one that speaks `/v1/embeddings`, or Ollama.
//!
//! Calls block: they run on a small runtime of their own, so that they may come from any thread. The
//! key is resolved for each question and goes nowhere but into its header; over a network it travels
//! only encrypted. No redirect is followed. What is soft (429, 5xx, no connection, a timeout) is tried
//! again a few times, as long apart as the server asks if that is bearable; anything else is said at
//! once, in words. The length of vectors is learnt from the first answer and held the model to.

use std::{
    sync::{OnceLock, mpsc},
    time::Duration,
};

use cairn_memory::{EmbedError, Embedder};
use cairn_store_layout::definition::{DIMS_MAX, RemoteEmbedder};
use futures::StreamExt;
use reqwest::StatusCode;
use tokio::runtime::Runtime;

use super::answer::Protocol;
use crate::effects::{Http, Secrets, chain, guard_key, retry_after};

/// How often one question is asked.
const ATTEMPTS: u32 = 4;
/// The first pause between two attempts; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(500);
/// A server that asks for a longer pause is left alone: whoever called tries again later.
const PAUSE_MAX: Duration = Duration::from_secs(20);
/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer: 256 vectors of 4,096 numbers, written out.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// How much of what a server said is repeated.
const SAID_CHARS_MAX: usize = 200;

/// An embedder behind a network address.
pub struct Remote {
    protocol: Protocol,
    settings: RemoteEmbedder,
    id: String,
    http: Http,
    secrets: Secrets,
    dims: OnceLock<usize>,
    runtime: OnceLock<Option<Background>>,
    pause: Duration,
}

impl Remote {
    /// A server that speaks `/v1/embeddings`; the address ends in `/v1`.
    #[must_use]
    pub fn openai(settings: RemoteEmbedder) -> Self {
        Self::new(Protocol::OpenAi, settings, Secrets::from_env())
    }

    /// An Ollama.
    #[must_use]
    pub fn ollama(settings: RemoteEmbedder) -> Self {
        Self::new(Protocol::Ollama, settings, Secrets::from_env())
    }

    /// The same with other secrets, and another pause before the second attempt.
    #[must_use]
    pub fn with(self, secrets: Secrets, pause: Duration) -> Self {
        Self { secrets, pause, ..self }
    }

    fn new(protocol: Protocol, settings: RemoteEmbedder, secrets: Secrets) -> Self {
        let host = reqwest::Url::parse(&settings.url).ok().map(|url| {
            let port = url.port().map_or(String::new(), |port| format!(":{port}"));
            format!("{}{port}", url.host_str().unwrap_or_default())
        });
        let dims = settings.dims.map_or(String::new(), |dims| format!("/{dims}"));
        let id = format!("{}:{}{dims}@{}", protocol.name(), settings.model, host.as_deref().unwrap_or(&settings.url));
        let known = settings.dims.map_or_else(OnceLock::new, OnceLock::from);
        Self {
            protocol,
            settings,
            id,
            http: Http::default(),
            secrets,
            dims: known,
            runtime: OnceLock::new(),
            pause: PAUSE,
        }
    }

    /// One question to its end, on the runtime.
    fn ask(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut pause = self.pause;
        for attempt in 1.. {
            match self.ask_once(texts) {
                Ok(vectors) => return Ok(vectors),
                Err(Failed { why, soft: false, .. }) => return Err(self.told(&why)),
                Err(Failed { why, after, .. }) => {
                    let wait = after.unwrap_or(pause).max(pause);
                    if attempt == ATTEMPTS {
                        return Err(self.told(&format!("{why} (asked {ATTEMPTS} times)")));
                    }
                    if wait > PAUSE_MAX {
                        return Err(self.told(&format!("{why}; it asks to wait {} s", wait.as_secs())));
                    }
                    tracing::info!(embedder = self.id, why, wait_ms = wait.as_millis() as u64, "asking again");
                    std::thread::sleep(wait);
                    pause *= 2;
                }
            }
        }
        unreachable!("the last attempt returns")
    }

    fn ask_once(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Failed> {
        let url = format!("{}{}", self.settings.url, self.protocol.path());
        let http = self.http.get().map_err(|fault| Failed::hard(fault.message().to_owned()))?;
        let question = self.protocol.question(&self.settings.model, self.settings.dims, texts);
        let mut request = http.post(&url).timeout(TIMEOUT).json(&question);
        if let Some(reference) = &self.settings.key {
            guard_key(&url).map_err(|fault| Failed::hard(fault.message().to_owned()))?;
            let key = self.secrets.resolve(reference).map_err(|fault| Failed::hard(fault.message().to_owned()))?;
            request = request.bearer_auth(secrecy::ExposeSecret::expose_secret(key));
        }
        let runtime = self.runtime.get_or_init(Background::start).as_ref();
        let runtime = runtime.ok_or_else(|| Failed::hard("no thread could be started for it".to_owned()))?;
        let (status, body) = runtime.wait(read(request))?;
        if !status.0.is_success() {
            let soft = matches!(status.0.as_u16(), 408 | 425 | 429 | 500 | 502..=599);
            let said = said(&body);
            let colon = if said.is_empty() { "" } else { ": " };
            return Err(Failed { why: format!("it answered {}{colon}{said}", status.0), soft, after: status.1 });
        }
        let vectors = self.protocol.vectors(&body, texts.len()).map_err(Failed::hard)?;
        for vector in &vectors {
            if vector.is_empty() || vector.len() > DIMS_MAX {
                return Err(Failed::hard(format!("a vector of {} numbers; 1 to {DIMS_MAX} are allowed", vector.len())));
            }
            let dims = *self.dims.get_or_init(|| vector.len());
            if vector.len() != dims {
                return Err(Failed::hard(format!("a vector of {} numbers, where {dims} are expected", vector.len())));
            }
        }
        Ok(vectors)
    }

    fn told(&self, why: &str) -> EmbedError {
        EmbedError(self.secrets.redact(&format!("{} at {}: {why}", self.settings.model, self.settings.url)))
    }
}

impl Embedder for Remote {
    fn id(&self) -> &str {
        &self.id
    }

    fn dims(&self) -> usize {
        self.dims.get().copied().unwrap_or(0)
    }

    fn floor(&self) -> f32 {
        self.settings.floor
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut out = Vec::with_capacity(texts.len());
        for batch in texts.chunks(self.settings.batch.max(1)) {
            out.extend(self.ask(batch)?);
        }
        Ok(out)
    }

    fn costs(&self) -> bool {
        true
    }

    fn at_hand(&self, texts: &[&str]) -> Result<Vec<Option<Vec<f32>>>, EmbedError> {
        Ok(vec![None; texts.len()])
    }
}

/// Why one attempt gave nothing.
struct Failed {
    why: String,
    /// Trying again may do.
    soft: bool,
    /// How long the server asks to wait.
    after: Option<Duration>,
}

impl Failed {
    fn hard(why: String) -> Self {
        Self { why, soft: false, after: None }
    }

    fn soft(why: String) -> Self {
        Self { why, soft: true, after: None }
    }
}

type Read = ((StatusCode, Option<Duration>), Vec<u8>);

async fn read(request: reqwest::RequestBuilder) -> Result<Read, Failed> {
    let response = request.send().await.map_err(|error| match error {
        error if error.is_builder() => Failed::hard(format!("the question can not be asked: {}", chain(&error))),
        error if error.is_connect() => Failed::soft(format!("it can not be reached: {}", chain(&error))),
        error => Failed::soft(format!("it gave no answer: {}", chain(&error))),
    })?;
    let head = (response.status(), retry_after(&response));
    let mut body = Vec::new();
    let mut parts = response.bytes_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| Failed::soft(format!("its answer broke off: {}", chain(&error))))?;
        if body.len() + part.len() > ANSWER_BYTES_MAX {
            return Err(Failed::hard(format!("its answer is longer than {ANSWER_BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&part);
    }
    Ok((head, body))
}

/// The beginning of what a server said, on one line.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SAID_CHARS_MAX * 4)]);
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ").chars().take(SAID_CHARS_MAX).collect()
}

/// A thread on which questions are asked, whoever waits for them.
struct Background(Option<Runtime>);

impl Background {
    fn start() -> Option<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("embedder").enable_all().build();
        runtime.map_err(|why| tracing::warn!(%why, "no thread for an embedder")).ok().map(|runtime| Self(Some(runtime)))
    }

    fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failed>> + Send + 'static,
    ) -> Result<T, Failed> {
        let (send, receive) = mpsc::sync_channel(1);
        let runtime = self.0.as_ref().expect("taken only when dropped");
        runtime.spawn(async move {
            // whoever asked waits below for as long as it takes
            let _ = send.send(work.await);
        });
        receive.recv().unwrap_or_else(|_| Err(Failed::soft("the question was dropped".to_owned())))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // dropping a runtime waits, which is forbidden inside another one; this does not wait
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
