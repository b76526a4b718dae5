//! The HTTP client and the reading of replies: no redirects, no proxy variables, bounded bodies.

use std::{sync::OnceLock, time::Duration};

use cairn_store_layout::event::FailureClass;
use futures::StreamExt;
use reqwest::{RequestBuilder, Response, StatusCode, header};

use super::{Attempt, Fault};

/// The longest body of a reply, in bytes.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a connection may take to be made.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the client for all connectors and agents.
///
/// A redirect is answered like any unexpected status: following it could carry a key to another host.
///
/// Certificates are checked against the system's; a machine that has none, such as a bare container,
/// gets those built into this program, because without them not even local work could start.
///
/// # Errors
/// When neither can be used.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    // fails only when a provider is installed already, which is as good
    let _ = rustls::crypto::ring::default_provider().install_default();
    builder().build().or_else(|error| {
        tracing::warn!(%error, "the system has no usable certificates; using the built-in ones");
        let roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        builder().tls_backend_preconfigured(config).build()
    })
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("cairn/", env!("CARGO_PKG_VERSION")))
}

/// The client of a process, made when it is first used: reading the system's certificates costs more
/// than the rest of a kernel's start.
#[derive(Debug, Default)]
pub struct Http(OnceLock<reqwest::Client>);

impl Http {
    /// The client.
    ///
    /// # Errors
    /// A soft [`Fault`] when TLS can not be set up: nothing was sent.
    pub(crate) fn get(&self) -> Result<&reqwest::Client, Fault> {
        if let Some(client) = self.0.get() {
            return Ok(client);
        }
        let made = client().map_err(|e| Fault::soft("no_http", format!("HTTP can not be set up: {e}")))?;
        Ok(self.0.get_or_init(|| made))
    }
}

impl From<reqwest::Client> for Http {
    fn from(client: reqwest::Client) -> Self {
        Self(OnceLock::from(client))
    }
}

/// A reply, read to its end.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The failure that this status stands for.
    pub(crate) fn fault(&self, attempt: &Attempt<'_>, whom: &str) -> Fault {
        let class = match self.status.as_u16() {
            408 | 425 | 429 => FailureClass::Soft,
            500..=599 if self.status != StatusCode::NOT_IMPLEMENTED => FailureClass::Soft,
            _ => FailureClass::Hard,
        };
        let mut message = format!("{whom} answered {}", self.status);
        if let Some(pause) = self.retry_after {
            message.push_str(&format!(" (asks to wait {} s)", pause.as_secs()));
        }
        let said = attempt.brief(&String::from_utf8_lossy(&self.body));
        if !said.is_empty() {
            message.push_str(&format!(": {said}"));
        }
        Fault::failed(class, format!("http_{}", self.status.as_u16()), message).after(self.retry_after)
    }
}

/// Sends a request and gives back the head of the reply.
///
/// The request counts as departed unless the connection was never made.
pub(crate) async fn send(attempt: &Attempt<'_>, whom: &str, request: RequestBuilder) -> Result<Response, Fault> {
    attempt.depart();
    match request.send().await {
        Ok(response) => Ok(response),
        Err(error) if error.is_builder() => {
            attempt.refused();
            Err(Fault::hard("bad_request", format!("{whom}: the request can not be made: {}", chain(&error))))
        }
        Err(error) if error.is_connect() => {
            attempt.refused();
            Err(Fault::soft("connect", format!("{whom} can not be reached: {}", chain(&error))))
        }
        Err(error) => Err(attempt.lost("network", format!("{whom} gave no reply: {}", chain(&error)))),
    }
}

impl Reply {
    /// Reads the body of a reply, at most [`BODY_BYTES_MAX`] bytes.
    pub(crate) async fn read(attempt: &Attempt<'_>, whom: &str, response: Response) -> Result<Self, Fault> {
        let (status, retry_after) = (response.status(), retry_after(&response));
        settle(attempt, status);
        let mut body = Vec::new();
        let mut parts = response.bytes_stream();
        while let Some(part) = parts.next().await {
            match part {
                Ok(part) if body.len() + part.len() <= BODY_BYTES_MAX => body.extend_from_slice(&part),
                Ok(_) => {
                    let message = format!("the reply of {whom} ({status}) is longer than {BODY_BYTES_MAX} bytes");
                    return Err(Fault::hard("too_large", message));
                }
                Err(error) => {
                    let message = format!("the reply of {whom} ({status}) broke off: {}", chain(&error));
                    return Err(attempt.lost("network", message));
                }
            }
        }
        Ok(Self { status, retry_after, body })
    }
}

/// The first line of a reply says what became of the request, even if the rest is lost. Errors of the
/// server, and of what stands before it, leave that open.
fn settle(attempt: &Attempt<'_>, status: StatusCode) {
    if status.is_success() {
        attempt.landed();
    } else if !status.is_server_error() {
        attempt.refused();
    }
}

/// The pause that `Retry-After` asks for, in seconds or as a date, at most a day.
pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    const PAUSE_MAX: Duration = Duration::from_secs(24 * 3600);
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        // counted from the server's own date, so that our clock does not matter
        Err(_) => {
            let then = jiff::fmt::rfc2822::parse(text).ok()?;
            let now = response.headers().get(header::DATE)?.to_str().ok()?;
            let now = jiff::fmt::rfc2822::parse(now).ok()?;
            Duration::try_from(then.timestamp().duration_since(now.timestamp())).ok()?
        }
    };
    Some(pause.min(PAUSE_MAX))
}

/// Whether a URL stays on this machine.
pub(crate) fn is_loopback(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or("");
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Refuses to send a key in clear text over a network.
pub(crate) fn guard_key(url: &str) -> Result<(), Fault> {
    if url.starts_with("https://") || is_loopback(url) {
        return Ok(());
    }
    let message = "the key would travel in clear text; use https, or a server on this machine without TLS";
    Err(Fault::hard("plain_http", format!("{url}: {message}")))
}

/// An error with its causes, without the URL: a key has been seen in query strings before.
pub(crate) fn chain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "timed out".to_owned() } else { String::new() };
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    if text.is_empty() { "the connection failed".to_owned() } else { text }
}
