//! A service that loses replies: what is asked twice has one key, and what is lost is looked for.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use cairn::driver::{StopFlag, Until};
use cairn_store_layout::{
    RunId,
    view::{ItemKind, RunStatus},
};
use serde_json::json;

use crate::support::Bench;

/// What the service does with one request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    /// Charges and answers.
    Answers,
    /// Charges, and hangs up before it answers.
    Loses,
    /// Hangs up before it charges.
    Drops,
    /// Charges, and answers when nobody waits any more.
    Stalls,
}

/// `POST /charges` charges once a request; `GET /charges/KEY` says how often this key was charged.
#[derive(Clone, Default)]
struct Sink {
    plan: Arc<Mutex<VecDeque<Does>>>,
    charged: Arc<Mutex<Vec<String>>>,
    looked: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    fn start(plan: &[Does]) -> (Self, String) {
        let sink = Self { plan: Arc::new(Mutex::new(plan.iter().copied().collect())), ..Self::default() };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let service = sink.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let service = service.clone();
                std::thread::spawn(move || service.serve(stream));
            }
        });
        (sink, url)
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let (mut key, mut length) = (String::new(), 0_usize);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            match header.trim().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("idempotency-key") => key = value.to_owned(),
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().ok()?,
                Some(_) => {}
                None => break,
            }
        }
        reader.read_exact(&mut vec![0; length]).ok()?;
        let does = self.plan.lock().ok()?.pop_front().unwrap_or(Does::Answers);
        let asked = line.split(' ').nth(1)?.rsplit('/').next()?.to_owned();
        let reply = if line.starts_with("POST") {
            if does == Does::Drops {
                return None;
            }
            self.charged.lock().ok()?.push(key);
            json!({ "id": "ch_1" })
        } else {
            self.looked.lock().ok()?.push(asked.clone());
            json!({ "total": self.charged.lock().ok()?.iter().filter(|key| **key == asked).count() })
        };
        match does {
            Does::Loses | Does::Drops => return None,
            Does::Stalls => std::thread::sleep(Duration::from_secs(60)),
            Does::Answers => {}
        }
        let body = reply.to_string();
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).ok()
    }

    fn charged(&self) -> Vec<String> {
        self.charged.lock().expect("whole").clone()
    }

    fn looked(&self) -> usize {
        self.looked.lock().expect("whole").len()
    }
}

/// A store with a step that charges; `class` of the operation, and its further keys.
fn bench(url: &str, class: &str, keys: &str) -> Bench {
    let bench = Bench::with(
        "output = \"{{ steps.pay.output }}\"\n[[step]]\nid = \"pay\"\ncall = \"bank.charge\"\nwith = { amount = \"12.50\" }\n\
         retry = { attempts = 3, first = \"1ms\", max = \"1ms\" }\n",
    );
    bench.write(
        "connectors/bank.toml",
        &format!(
            "kind = \"http\"\nbase_url = \"{url}\"\n\
             [operation.charge]\nmethod = \"POST\"\npath = \"/charges\"\neffect = \"{class}\"\n\
             idempotency_header = \"Idempotency-Key\"\n{keys}\n\
             [operation.find]\nmethod = \"GET\"\npath = \"/charges/{{key}}\"\neffect = \"read\"\n"
        ),
    );
    bench
}

const PROBE: &str = "probe = { operation = \"find\", with = { key = \"{{ effect.key }}\" }, \
                     found = \"{{ output.total > 0 }}\", output = { found = \"{{ output.total }}\" } }";

fn to_rest(bench: &Bench, run: &RunId) {
    bench.try_serve(Until::AtRest(run.clone()), &StopFlag::new()).expect("served");
}

fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_lost_reply_is_looked_for_and_found_or_sent_again_under_its_key() {
    for (does, charges) in [(Does::Loses, 1), (Does::Drops, 1)] {
        let (sink, url) = Sink::start(&[does]);
        let bench = bench(&url, "once", PROBE);
        let run = bench.start("w", json!({}));
        to_rest(&bench, &run);
        assert_eq!(bench.status(&run), RunStatus::Succeeded, "{does:?} {:?}", bench.kinds(&run));
        assert_eq!((sink.charged().len(), sink.looked()), (charges, 1), "{does:?}");
        let kinds = bench.kinds(&run);
        assert!(kinds.iter().any(|k| k == "attempt.unknown") && kinds.iter().any(|k| k == "probe.started"));
        assert!(bench.open(&run).is_empty(), "nobody has to be asked");
        let output = if does == Does::Loses { json!({"found": 1}) } else { json!({"id": "ch_1"}) };
        assert_eq!(bench.view(&run).output, Some(output));
        let report = cairn::store::verify::verify(&bench.store);
        assert!(report.findings.is_empty(), "{:?}", report.findings);
    }
}

#[test]
fn without_a_probe_a_lost_reply_is_a_question_and_nothing_is_sent_again() {
    let (sink, url) = Sink::start(&[Does::Loses]);
    let bench = bench(&url, "once", "");
    let run = bench.start("w", json!({}));
    to_rest(&bench, &run);
    assert_eq!((bench.open_of(&run).kind, sink.charged().len()), (ItemKind::Settle, 1));
    bench.answer(&bench.open_of(&run), json!({"outcome": "done"}));
    to_rest(&bench, &run);
    assert_eq!((bench.status(&run), sink.charged().len()), (RunStatus::Succeeded, 1));
}

#[test]
fn a_probe_that_fails_leaves_the_question_with_what_it_found() {
    let (sink, url) = Sink::start(&[Does::Loses, Does::Drops]);
    let bench = bench(&url, "once", &PROBE.replace("output.total > 0", "output.many > 0"));
    let run = bench.start("w", json!({}));
    to_rest(&bench, &run);
    let item = bench.open_of(&run);
    let told = item.evidence.as_ref().map(ToString::to_string).unwrap_or_default();
    assert!(told.contains("could not find out whether it happened"), "{told}");
    assert_eq!(sink.charged().len(), 1);
    bench.answer(&item, json!({"outcome": "done"}));
    to_rest(&bench, &run);
    assert_eq!(bench.status(&run), RunStatus::Succeeded);
}

#[test]
fn a_kill_between_the_charge_and_its_reply_is_made_good_by_the_probe_and_one_of_the_probe_too() {
    let (sink, url) = Sink::start(&[Does::Stalls, Does::Stalls]);
    let bench = bench(&url, "once", PROBE);
    let run = bench.start("w", json!({}));
    let mut kernel = bench.program_until(&run, "attempt.started");
    until("a charge", || sink.charged().len() == 1);
    kernel.kill().and_then(|()| kernel.wait()).expect("gone");
    let mut kernel = bench.program_until(&run, "probe.started");
    until("a look", || sink.looked() == 1);
    kernel.kill().and_then(|()| kernel.wait()).expect("gone");
    to_rest(&bench, &run);
    assert_eq!(bench.status(&run), RunStatus::Succeeded, "{:?}", bench.kinds(&run));
    assert_eq!((sink.charged().len(), sink.looked()), (1, 2), "charged once, looked for again");
}

#[test]
fn an_effect_keeps_its_key_over_kills_and_attempts() {
    let (sink, url) = Sink::start(&[Does::Stalls, Does::Loses]);
    let bench = bench(&url, "idempotent", "");
    let run = bench.start("w", json!({}));
    let mut kernel = bench.program_until(&run, "attempt.started");
    until("a charge", || sink.charged().len() == 1);
    kernel.kill().and_then(|()| kernel.wait()).expect("gone");
    to_rest(&bench, &run);
    assert_eq!(bench.status(&run), RunStatus::Succeeded, "{:?}", bench.kinds(&run));
    let keys = sink.charged();
    assert_eq!(keys.len(), 3, "sent, sent again after the kill, and again after the lost reply");
    assert!(keys.iter().all(|key| key.len() == 64 && *key == keys[0]), "{keys:?}");
}

#[test]
fn a_key_that_is_too_old_is_not_sent_again_after_a_restart() {
    let (sink, url) = Sink::start(&[Does::Stalls]);
    let bench = bench(&url, "idempotent", &format!("dedupe_window = \"3s\"\n{PROBE}"));
    let run = bench.start("w", json!({}));
    let mut kernel = bench.program_until(&run, "attempt.started");
    until("a charge", || sink.charged().len() == 1);
    kernel.kill().and_then(|()| kernel.wait()).expect("gone");
    // the service has forgotten it by then, for all we know
    std::thread::sleep(Duration::from_secs(3));
    to_rest(&bench, &run);
    assert_eq!((bench.status(&run), sink.charged().len()), (RunStatus::Succeeded, 1), "{:?}", bench.kinds(&run));
    assert!(bench.kinds(&run).iter().any(|kind| kind == "attempt.unknown"));
}
