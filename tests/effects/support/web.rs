//! A server on this machine that replays replies, also broken ones, and remembers what it was sent.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How one request is answered.
#[derive(Clone)]
pub(crate) struct Script {
    head: Vec<u8>,
    body: Vec<u8>,
    /// Wait before the head.
    pause: Duration,
    /// Send the body in pieces of so many bytes.
    piece: usize,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: String,
    pub(crate) body: Value,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|l| {
            let (key, value) = l.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Script {
    pub(crate) fn new(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let mut head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        Self { head: head.into_bytes(), body, pause: Duration::ZERO, piece: usize::MAX }
    }

    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::new(status, &[("content-type", "application/json")], body.to_string())
    }

    /// Reads the request and hangs up.
    pub(crate) fn hang_up() -> Self {
        Self { head: vec![], body: vec![], pause: Duration::ZERO, piece: usize::MAX }
    }

    pub(crate) fn slow(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    pub(crate) fn in_pieces(mut self, piece: usize) -> Self {
        self.piece = piece;
        self
    }

    /// Hangs up after the first half of the body.
    pub(crate) fn cut(mut self) -> Self {
        self.body.truncate(self.body.len() / 2);
        self
    }

    /// A recorded reply of `fixtures/providers`.
    pub(crate) fn fixture(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/providers").join(name);
        let bytes = std::fs::read(&path).unwrap();
        if name.ends_with(".sse") {
            return Self::new(200, &[("content-type", "text/event-stream")], bytes);
        }
        let reply: Value = serde_json::from_slice(&bytes).unwrap();
        let headers: Vec<(&str, &str)> =
            reply["headers"].as_object().unwrap().iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap())).collect();
        let body = reply["body"].as_str().map_or_else(|| reply["body"].to_string(), str::to_owned);
        Self::new(u16::try_from(reply["status"].as_u64().unwrap()).unwrap(), &headers, body)
    }
}

/// The server; it answers each request with the next script and hangs up when there is none left.
pub(crate) struct Web {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Web {
    pub(crate) async fn start(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        tokio::spawn(async move {
            let mut scripts = scripts.into_iter();
            while let Ok((stream, _)) = listener.accept().await {
                let script = scripts.next().unwrap_or_else(Script::hang_up);
                tokio::spawn(answer(stream, script, log.clone()));
            }
        });
        Self { url, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(mut stream: TcpStream, script: Script, seen: Arc<Mutex<Vec<Seen>>>) {
    let Some(request) = read(&mut stream).await else { return };
    seen.lock().unwrap().push(request);
    tokio::time::sleep(script.pause).await;
    // a client that has gone away is part of some tests
    let _ = stream.write_all(&script.head).await;
    for piece in script.body.chunks(script.piece) {
        let _ = stream.write_all(piece).await;
        let _ = stream.flush().await;
        if script.piece != usize::MAX {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let n = stream.read(&mut part).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&part[..n]);
        if !bytes[0].is_ascii_uppercase() {
            return None; // somebody tries to speak TLS
        }
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let (line, headers) = head.split_once("\r\n").unwrap_or((&head, ""));
        let mut seen = Seen { line: line.to_owned(), headers: headers.to_owned(), body: Value::Null };
        let length: usize = seen.header("content-length").map_or(0, |v| v.parse().unwrap());
        while bytes.len() < end + 4 + length {
            let n = stream.read(&mut part).await.ok().filter(|n| *n > 0)?;
            bytes.extend_from_slice(&part[..n]);
        }
        seen.body = serde_json::from_slice(&bytes[end + 4..]).unwrap_or(Value::Null);
        return Some(seen);
    }
}
