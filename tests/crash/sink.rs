//! The other side, outside the crash: a server with a ledger of its own that loses replies.
//!
//! `POST /charge` knows idempotency keys: a second request with a known key gets the first one's answer.
//! `POST /notify` knows none: every request that it takes counts.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::bench::Random;

/// What the server did.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Body of the first charge under each key.
    pub(crate) charges: BTreeMap<String, String>,
    /// How often each body was notified.
    pub(crate) notified: BTreeMap<String, usize>,
    /// Requests whose reply was lost after they were carried out.
    pub(crate) replies_lost: usize,
    /// Keys that came again, answered from the ledger.
    pub(crate) repeats: usize,
    /// What no client may do: one key with two contents.
    pub(crate) faults: Vec<String>,
}

/// The server, until the test ends.
pub(crate) struct Sink {
    /// `http://127.0.0.1:<port>`.
    pub(crate) url: String,
    ledger: Arc<Mutex<Ledger>>,
    under_way: Arc<AtomicUsize>,
}

impl Sink {
    /// Starts the server; what it loses comes from `seed`.
    pub(crate) fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let sink = Self { url, ledger: Arc::default(), under_way: Arc::default() };
        let (ledger, under_way) = (sink.ledger.clone(), sink.under_way.clone());
        std::thread::spawn(move || {
            let mut random = Random(seed);
            for stream in listener.incoming().flatten() {
                let (ledger, under_way, fate) = (ledger.clone(), under_way.clone(), random.below(u64::MAX));
                under_way.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    // a client that is killed in the middle of its request is no fault of the server
                    let _ = serve(stream, &ledger, fate);
                    under_way.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        sink
    }

    /// What it did, once nothing is under way any more: a request may be carried out after its client died.
    pub(crate) fn at_rest<T>(&self, read: impl FnOnce(&Ledger) -> T) -> T {
        // a connection that waits to be accepted is not counted yet
        std::thread::sleep(Duration::from_millis(20));
        while self.under_way.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        read(&self.ledger.lock().expect("no holder panics"))
    }
}

fn serve(mut stream: TcpStream, ledger: &Mutex<Ledger>, fate: u64) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    whole(reader.read_line(&mut line)?)?;
    let (mut key, mut length) = (String::new(), 0);
    loop {
        let mut header = String::new();
        whole(reader.read_line(&mut header)?)?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "idempotency-key" => value.trim().clone_into(&mut key),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    // refused before anything was done: the one failure that is no loss
    if fate.is_multiple_of(8) {
        return write!(stream, "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
    std::thread::sleep(Duration::from_millis(fate / 8 % 25));
    let lost = (fate / 256).is_multiple_of(4);
    carry_out(&mut ledger.lock().expect("no holder panics"), line.contains("/charge"), key, body, lost);
    if lost {
        return Ok(());
    }
    std::thread::sleep(Duration::from_millis(fate / 1024 % 15));
    let answer = "{\"ok\": true}";
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
        answer.len()
    )
}

/// A request that its client did not finish, because it was killed, is none.
fn whole(read: usize) -> std::io::Result<()> {
    if read == 0 { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

fn carry_out(ledger: &mut Ledger, charge: bool, key: String, body: String, lost: bool) {
    ledger.replies_lost += usize::from(lost);
    if !charge {
        *ledger.notified.entry(body).or_default() += 1;
        return;
    }
    match ledger.charges.get(&key) {
        None if key.is_empty() => ledger.faults.push(format!("a charge without a key: {body}")),
        None => drop(ledger.charges.insert(key, body)),
        Some(first) if *first == body => ledger.repeats += 1,
        Some(first) => ledger.faults.push(format!("key {key} with {first} and then with {body}")),
    }
}
