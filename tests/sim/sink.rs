//! The world outside: what arrives there, what it answers, and when.
//!
//! It lies outside every crash: its ledger remembers each idempotency key for ever. It answers at
//! once, late, twice, in any order, or not at all; what a dead kernel sent may still arrive.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cairn::driver::Report;
use cairn_kernel::{Outcome, Perform};
use cairn_store_layout::{
    Digest,
    event::{FailureClass, Usage},
    payload::{EffectClass, EffectContent, Purpose, Request},
};
use serde_json::{Value, json};

use crate::{shared::random::Random, workload::WINDOW};

/// How often the world misbehaves, in percent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    pub(crate) soft: usize,
    pub(crate) hard: usize,
    pub(crate) business: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    pub(crate) slow: usize,
    pub(crate) large: usize,
}

/// What the world knows of one key.
#[derive(Debug)]
struct Known {
    digest: Digest,
    content: EffectContent,
    /// Which attempts were sent, each at most once in the life of a kernel.
    sent: BTreeSet<(u32, u32)>,
    /// What it gave: the same for each repeat.
    output: Option<Value>,
    /// When the first attempt arrived of which nobody has said that it did nothing.
    first: Option<Duration>,
    /// How often the world became another one.
    happened: u32,
    /// The operator said that it did not happen, and it did.
    denied: bool,
}

/// A reply on its way to the kernel that asked.
#[derive(Debug)]
pub(crate) struct Reply {
    /// When it arrives, by the time the machines have been up.
    pub(crate) at: Duration,
    pub(crate) machine: usize,
    /// The life of the kernel it goes to.
    pub(crate) life: u32,
    pub(crate) report: Report,
}

/// Where an attempt comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sender {
    pub(crate) machine: usize,
    pub(crate) life: u32,
}

pub(crate) struct Sink {
    chance: Random,
    manners: Manners,
    known: BTreeMap<Digest, Known>,
    /// By what an effect is for: a second key for it is a second effect.
    keys: BTreeMap<String, Digest>,
    pub(crate) replies: Vec<Reply>,
    /// What is still on its way to the world, whatever becomes of the kernel that sent it.
    late: Vec<(Duration, Digest, Value)>,
    /// The operator looks before they say what became of something.
    pub(crate) is_looked_at: bool,
    pub(crate) wrongs: Vec<String>,
    pub(crate) arrived: u64,
}

impl Sink {
    pub(crate) fn new(seed: u64, manners: Manners) -> Self {
        Self {
            chance: Random::new(seed ^ 0x51_4E),
            manners,
            known: BTreeMap::new(),
            keys: BTreeMap::new(),
            replies: Vec::new(),
            late: Vec::new(),
            is_looked_at: false,
            wrongs: Vec::new(),
            arrived: 0,
        }
    }

    pub(crate) fn behave(&mut self, manners: Manners) {
        self.manners = manners;
    }

    /// An attempt leaves the machine. `steady`: nobody has set a clock.
    pub(crate) fn take(&mut self, from: Sender, perform: &Perform, now: Duration, steady: bool) {
        self.arrived += 1;
        self.arrive(now);
        self.check(from, perform);
        if steady {
            self.check_window(perform, now);
        }
        let attempt = perform.attempt;
        let outcome =
            if perform.effect.purpose == Purpose::Probe { self.found(perform) } else { self.outcome(perform, now) };
        let late = self.delay();
        let report = |outcome| Report {
            run: perform.run.clone(),
            step: perform.step.clone(),
            iteration: perform.iteration.clone(),
            attempt,
            purpose: perform.effect.purpose,
            outcome,
        };
        let reply = |at, outcome| Reply { at, machine: from.machine, life: from.life, report: report(outcome) };
        if self.percent(self.manners.doubled) {
            let later = late + self.delay();
            self.replies.push(reply(now + later, outcome.clone()));
        }
        self.replies.push(reply(now + late, outcome));
    }

    /// The next reply to a kernel that lives, by time and then in the order they were sent.
    pub(crate) fn next(&self, alive: impl Fn(usize, u32) -> bool) -> Option<usize> {
        let live = self.replies.iter().enumerate().filter(|(_, r)| alive(r.machine, r.life));
        live.min_by_key(|(n, r)| (r.at, *n)).map(|(n, _)| n)
    }

    /// What the world answered to the effect of `key`, if it was done.
    pub(crate) fn gave(&self, key: &Digest) -> Option<&Value> {
        self.known.get(key)?.output.as_ref()
    }

    /// E5: key and content are one to one for ever. E1: one life sends an attempt once.
    fn check(&mut self, from: Sender, perform: &Perform) {
        let (key, digest) = (&perform.key, perform.effect.digest());
        let content = &perform.effect;
        let what = format!(
            "{}/{}/{:?}/{}/{:?}",
            content.run, content.step, content.iteration, content.ordinal, content.purpose
        );
        let first = self.keys.entry(what.clone()).or_insert_with(|| key.clone());
        if first != key {
            self.wrongs.push(format!("E5: {what} left under the key {} and then under {}", first.short(), key.short()));
        }
        let known = self.known.entry(key.clone()).or_insert_with(|| Known {
            digest: digest.clone(),
            content: content.clone(),
            sent: BTreeSet::new(),
            output: None,
            first: None,
            happened: 0,
            denied: false,
        });
        if known.digest != digest || known.content != *content {
            self.wrongs.push(format!("E5: the key {} of {what} left with other content", key.short()));
        }
        let life = u32::try_from(from.machine).expect("few machines") * 10_000 + from.life;
        if !known.sent.insert((life, perform.attempt)) {
            self.wrongs.push(format!("E1: one kernel sent attempt {} of {what} twice", perform.attempt));
        }
        if content.class == EffectClass::Once && known.sent.iter().any(|(l, a)| *a == perform.attempt && *l != life) {
            self.wrongs.push(format!("E6: attempt {} of {what}, class once, was sent again", perform.attempt));
        }
    }

    fn outcome(&mut self, perform: &Perform, now: Duration) -> Outcome {
        let manners = self.manners;
        let class = perform.effect.class;
        let known_output = self.known.get(&perform.key).and_then(|k| k.output.clone());
        let lost = self.percent(manners.lost);
        let failed = |class, code: &str| Outcome::Failed {
            class,
            code: code.to_owned(),
            message: format!("the world said {code}"),
            usage: Usage::default(),
            artifacts: Vec::new(),
            retry_after: None,
        };
        // what was done once under a key is answered the same for ever
        let done = known_output.is_some() && class == EffectClass::Idempotent;
        if !done {
            if self.percent(manners.soft) {
                return failed(FailureClass::Soft, "http_429");
            }
            if self.percent(manners.hard) {
                return failed(FailureClass::Hard, "http_400");
            }
            if self.percent(manners.business) {
                return failed(FailureClass::Business, "no_funds");
            }
        }
        let happens = done || !lost || self.chance.coin();
        let output = known_output.unwrap_or_else(|| self.output(perform));
        if happens && let Some(known) = self.known.get_mut(&perform.key) {
            known.output = Some(output.clone());
            known.happened += u32::from(!done);
            if class == EffectClass::Once && known.happened > 1 && !known.denied {
                self.wrongs.push(format!("E6: {}, class once, happened twice", perform.key.short()));
            }
        }
        if self.is_looked_at && !happens && class == EffectClass::Idempotent {
            // the other side knows the key: what arrives after a repeat is no second effect
            let at = now + self.delay();
            self.late.push((at, perform.key.clone(), output.clone()));
        }
        match (lost, class) {
            (true, EffectClass::Once) => Outcome::Unknown { message: "no reply came".to_owned() },
            (true, _) => failed(FailureClass::Soft, "timeout"),
            _ => succeeded(output),
        }
    }

    /// What was on its way arrives, unless a repeat was first.
    fn arrive(&mut self, now: Duration) {
        for (_, key, output) in self.late.extract_if(.., |(at, _, _)| *at <= now) {
            if let Some(known) = self.known.get_mut(&key).filter(|known| known.output.is_none()) {
                known.output = Some(output);
            }
        }
    }

    /// E5: once the other side may have forgotten a key, nothing is sent under it.
    fn check_window(&mut self, perform: &Perform, now: Duration) {
        let forgets = matches!(&perform.effect.request, Request::Call { operation, .. } if operation == "keep");
        let Some(known) = self.known.get_mut(&perform.key) else { return };
        let first = *known.first.get_or_insert(now);
        if forgets && now - first > Duration::from_secs(WINDOW) {
            self.wrongs.push(format!("E5: {} left {:?} after it did first", perform.key.short(), now - first));
        }
    }

    /// Whether something happened: it only looks, and may fail to see.
    fn found(&mut self, perform: &Perform) -> Outcome {
        let key = perform.effect.request.input().and_then(|input| input["key"].as_str());
        let found = key.and_then(|key| Digest::new(key).ok()).is_some_and(|key| self.gave(&key).is_some());
        if self.percent(self.manners.lost / 2) {
            return Outcome::Unknown { message: "no answer came".to_owned() };
        }
        succeeded(json!({ "found": found }))
    }

    /// Whether the effect of this digest happened, for a person who looks.
    pub(crate) fn happened(&self, digest: &Digest) -> bool {
        self.known.values().any(|known| known.digest == *digest && known.output.is_some())
    }

    /// A person says that it did not happen.
    pub(crate) fn deny(&mut self, digest: &Digest) {
        for known in self.known.values_mut().filter(|known| known.digest == *digest) {
            known.denied |= known.output.is_some();
            known.first = None;
        }
    }

    /// Tells whether the world ever gave this to such a request.
    pub(crate) fn gave_like(&self, request: &Value, output: &Value) -> bool {
        // what is too long stands elsewhere
        let spilled = |value: &Value| value.is_null() || value.to_string().contains("$artifact");
        let same = |known: &Known| {
            spilled(request) || serde_json::to_value(&known.content.request).ok().as_ref() == Some(request)
        };
        let gave = |known: &Known| spilled(output) || known.output.as_ref() == Some(output);
        self.known.values().any(|known| same(known) && gave(known))
    }

    fn output(&mut self, perform: &Perform) -> Value {
        let n = self.chance.below(10);
        if self.percent(self.manners.large) {
            // too large for a line: it becomes an artifact
            return json!({"n": n, "key": perform.key.short(), "text": perform.key.as_str().repeat(70)});
        }
        json!({"n": n, "key": perform.key.short()})
    }

    fn delay(&mut self) -> Duration {
        if !self.percent(self.manners.slow) {
            return Duration::ZERO;
        }
        let most = [20, 2_000, 100_000, 10_000_000][self.chance.below(4)];
        Duration::from_millis(self.chance.next() % most)
    }

    fn percent(&mut self, of: usize) -> bool {
        self.chance.below(100) < of
    }
}

fn succeeded(output: Value) -> Outcome {
    Outcome::Succeeded {
        output,
        usage: Usage::default(),
        artifacts: Vec::new(),
        files: Vec::new(),
        learned: Vec::new(),
    }
}
