//! Views of a made-up store, for tests and the demo. Ids, times and digests never change.

use cairn_store_layout::{
    Digest, GateId, MachineId, RunId, StepId,
    definition::{Field, FieldType, Position, Problem},
    event::{
        AskOpened, AttemptFailed, AttemptStarted, AttemptSucceeded, Body, Event, FailureClass, FileWritten, GateClass,
        GateEdited, GateOpened, Item, PlannedStep, RunStarted, StepExpanded, StepSucceeded, Usage,
    },
    ids::ulid_from,
    payload::{EffectClass, EffectContent, Request},
    record::Record,
    view::{Firing, Health, InboxItem, KernelHealth, RunView, Snapshot, TriggerItem, describe, kind_word},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{EventLine, RunDetail};

/// Noon of the day on which everything happens.
#[must_use]
pub fn noon() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().expect("a moment")
}

fn at(seconds: i64) -> Timestamp {
    noon() + SignedDuration::from_secs(seconds)
}

fn step(id: &str) -> StepId {
    StepId::new(id).expect("a step id")
}

fn run_id(n: u64) -> RunId {
    let millis = u64::try_from(noon().as_millisecond()).expect("after the epoch");
    RunId::new(ulid_from(millis + n * 1000, u128::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c) >> 3))
        .expect("a ulid")
}

fn machine() -> MachineId {
    MachineId::new("mdesk00001").expect("a machine id")
}

/// A history that is folded as the real ones are.
struct History {
    view: RunView,
    events: Vec<EventLine>,
}

impl History {
    fn begin(n: u64, workflow: &str, seconds: i64, steps: &[(&str, &str, Option<&str>)]) -> Self {
        let steps = steps
            .iter()
            .enumerate()
            .map(|(i, (id, does, what))| PlannedStep {
                id: step(id),
                does: (*does).to_owned(),
                what: what.map(str::to_owned),
                needs: if i == 0 { Vec::new() } else { vec![step(steps[i - 1].0)] },
                finally: false,
            })
            .collect();
        let body = RunStarted {
            run: run_id(n),
            workflow: workflow.to_owned(),
            definition: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".to_owned(),
            pins: std::collections::BTreeMap::new(),
            input: json!({"as_of": "2026-11-22"}),
            trigger: "manual".to_owned(),
            by: "operator".to_owned(),
            machine: machine(),
            steps,
            parent: None,
            origin: None,
            fired: None,
        };
        let record = Record { n: 0, event: event(at(seconds), None, None, None, body.into()) };
        let view = RunView::begin(&record).expect("it begins with its start");
        let mut history = Self { view, events: Vec::new() };
        history.note(&record);
        history
    }

    fn add(&mut self, seconds: i64, id: &str, iteration: Option<&str>, attempt: Option<u32>, body: impl Into<Body>) {
        let id = (!id.is_empty()).then(|| step(id));
        let event = event(at(seconds), id, iteration, attempt, body.into());
        let record = Record { n: self.view.records, event };
        self.view.apply(&record);
        self.note(&record);
    }

    fn done(&mut self, seconds: i64, id: &str, iteration: Option<&str>, effect: &EffectContent, output: Value) {
        let start = AttemptStarted { key: effect.key(), digest: effect.digest(), effect: effect.clone() };
        self.add(seconds, id, iteration, Some(1), start);
        let receipt = AttemptSucceeded {
            output,
            usage: Usage::default(),
            artifacts: Vec::new(),
            files: Vec::new(),
            settled_by: None,
            cached_from: None,
        };
        self.add(seconds + 1, id, iteration, Some(1), receipt);
    }

    fn note(&mut self, record: &Record) {
        let e = &record.event;
        self.events.push(EventLine {
            n: record.n,
            at: e.at,
            step: e.step.clone(),
            iteration: e.iteration.clone(),
            kind: kind_word(e),
            text: describe(e),
        });
    }
}

fn event(at: Timestamp, step: Option<StepId>, iteration: Option<&str>, attempt: Option<u32>, body: Body) -> Event {
    Event { at, step, iteration: iteration.map(str::to_owned), attempt, cause: None, body }
}

fn call(run: u64, id: &str, iteration: Option<&str>, class: EffectClass, name: &str, input: Value) -> EffectContent {
    let (connector, operation) = name.split_once('.').expect("connector.operation");
    EffectContent {
        run: run_id(run),
        step: step(id),
        iteration: iteration.map(str::to_owned),
        definition: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".to_owned(),
        pin: None,
        ordinal: 0,
        purpose: cairn_store_layout::payload::Purpose::Step,
        class,
        request: Request::Call {
            connector: connector.to_owned(),
            operation: operation.to_owned(),
            input,
            schema: None,
        },
    }
}

fn gate(effect: EffectContent, class: GateClass, summary: &str, why: &str, evidence: Option<Value>) -> GateOpened {
    GateOpened {
        gate: GateId::derive(&effect.run, &effect.step, effect.iteration.as_deref(), 0),
        digest: effect.digest(),
        class,
        effect,
        summary: summary.to_owned(),
        why: Some(why.to_owned()),
        evidence,
        expires: Some(at(7 * 86400)),
    }
}

/// The letter of the first gate.
const LETTER: &str = "Hello Ms Brandt,\n\nour invoice 2043 of 12 October over EUR 1,240.00 is still open; it was due on \
13 November. Could you tell me when we may expect the payment? The invoice is attached once more.\n\nIf you have paid in \
the last days, please take this letter as done.\n\nKind regards\nJo Marsh\nMarsh & Daughters";

fn chase() -> History {
    let steps = [
        ("ledger", "call", Some("file.read_csv")),
        ("overdue", "set", None),
        ("known", "call", Some("memory.recall")),
        ("letter", "agent", Some("writer")),
        ("send", "call", Some("mail.send")),
        ("note", "call", Some("memory.remember")),
    ];
    let mut h = History::begin(1, "invoice-chase", -120, &steps);
    let read = call(1, "ledger", None, EffectClass::Read, "file.read_csv", json!({"path": "ledger.csv"}));
    h.done(-119, "ledger", None, &read, json!({"rows": 40}));
    h.add(-117, "overdue", None, None, StepSucceeded { output: Some(json!(["2043", "2051"])) });
    let recall = call(1, "known", None, EffectClass::Read, "memory.recall", json!({"query": "late payment"}));
    h.done(-116, "known", None, &recall, json!({"hits": 2}));
    let items = ["2043", "2051"].map(|k| Item { key: k.to_owned(), item: json!({"invoice": k}) }).to_vec();
    h.add(-114, "letter", None, None, StepExpanded { items: items.clone() });
    for key in ["2043", "2051"] {
        let write = EffectContent {
            request: Request::Agent {
                agent: "writer".to_owned(),
                input: json!({"invoice": key}),
                prompt: None,
                template: Some("templates/reminder.txt".to_owned()),
                schema: None,
            },
            ..call(1, "letter", Some(key), EffectClass::None, "file.read", Value::Null)
        };
        if key == "2043" {
            let start = AttemptStarted { key: write.key(), digest: write.digest(), effect: write.clone() };
            h.add(-113, "letter", Some(key), Some(1), start);
            let failed = AttemptFailed {
                class: FailureClass::Soft,
                code: "timeout".to_owned(),
                message: "no answer within 4s".to_owned(),
                retry_at: Some(at(-108)),
                usage: Usage::default(),
                artifacts: Vec::new(),
                settled_by: None,
                then: None,
            };
            h.add(-109, "letter", Some(key), Some(1), failed);
            let start = AttemptStarted { key: write.key(), digest: write.digest(), effect: write };
            h.add(-108, "letter", Some(key), Some(2), start);
            let done = AttemptSucceeded {
                output: json!({"subject": "Invoice 2043, second reminder", "body": LETTER}),
                usage: Usage {
                    cost_usd: Some("0.031".to_owned()),
                    model: Some("model-a".to_owned()),
                    tokens_in: Some(3100),
                    tokens_out: Some(400),
                },
                artifacts: Vec::new(),
                files: vec![FileWritten { path: "files/letters/2043.txt".to_owned(), digest: Digest::of(b"l") }],
                settled_by: None,
                cached_from: None,
            };
            h.add(-100, "letter", Some(key), Some(2), done);
        } else {
            h.done(-113, "letter", Some(key), &write, json!({"body": "short"}));
        }
    }
    h.add(-99, "letter", None, None, StepSucceeded { output: None });
    h.add(-98, "send", None, None, StepExpanded { items });
    let mail = call(
        1,
        "send",
        Some("2043"),
        EffectClass::Idempotent,
        "mail.send",
        json!({"to": "ap@brandt.example", "subject": "Invoice 2043, second reminder", "body": LETTER}),
    );
    let evidence = json!({"hits": [
        {"id": "01", "text": "Brandt GmbH pays after the second reminder, never after the first.", "kind": "fact",
         "entity": "client/brandt-gmbh", "recorded_at": "2026-11-03T09:00:00Z", "source": {"run": run_id(0), "step": "note"},
         "why": "words: brandt; meaning rank 2"},
        {"id": "02", "text": "Prefers e-mail to ap@, never phone.", "kind": "note", "entity": "client/brandt-gmbh",
         "recorded_at": "2026-09-09T09:00:00Z", "source": {"person": "operator"}, "why": "entity"},
    ]});
    let why = "Invoice 2043 is 9 days late and was reminded once, on 3 November.";
    h.add(
        -90,
        "send",
        Some("2043"),
        None,
        gate(mail, GateClass::Send, "Reminder 2 to Brandt GmbH, EUR 1,240.00, 9 days late", why, Some(evidence)),
    );
    let mail = call(
        1,
        "send",
        Some("2051"),
        EffectClass::Idempotent,
        "mail.send",
        json!({"to": "office@ortiz.example", "subject": "Invoice 2051", "body": "Hello,\n\nplease pay.\n"}),
    );
    let why = "Invoice 2051 is 3 days late.";
    h.add(
        -89,
        "send",
        Some("2051"),
        None,
        gate(mail, GateClass::Send, "Reminder 1 to Ortiz & Co, EUR 310.00, 3 days late", why, None),
    );
    h
}

fn onboarding() -> History {
    let steps = [("brief", "ask", None), ("folder", "call", Some("file.write")), ("crm", "run", Some("python3"))];
    let mut h = History::begin(2, "client-onboarding", -600, &steps);
    let field = |name: &str, kind, choices: &[&str], about: &str| Field {
        name: name.to_owned(),
        kind,
        description: (!about.is_empty()).then(|| about.to_owned()),
        default: None,
        optional: false,
        choices: choices.iter().map(|c| (*c).to_owned()).collect(),
    };
    let ask = AskOpened {
        gate: GateId::derive(&run_id(2), &step("brief"), None, 0),
        digest: Digest::of(b"ask"),
        prompt: "Which package did Nordlicht AG choose?\nThe contract names none.".to_owned(),
        form: vec![
            field("package", FieldType::Text, &["basic", "full"], ""),
            field("from", FieldType::Date, &[], "first day of the service"),
            field("seats", FieldType::Number, &[], "how many people"),
        ],
    };
    h.add(-595, "brief", None, None, ask);
    let write = call(
        2,
        "folder",
        None,
        EffectClass::Idempotent,
        "file.write",
        json!({"path": "clients/nordlicht-ag/welcome.md", "text": "# Nordlicht AG\n"}),
    );
    let why = "A new client gets a folder with a welcome page.";
    h.add(-590, "folder", None, None, gate(write, GateClass::File, "1 file for Nordlicht AG", why, None));
    let mut run = call(2, "crm", None, EffectClass::Once, "x.y", Value::Null);
    run.request = Request::Run {
        argv: vec!["python3".to_owned(), "tools/crm_sync.py".to_owned(), "--client=nordlicht-ag".to_owned()],
        stdin: None,
        schema: None,
    };
    h.add(
        -580,
        "crm",
        None,
        None,
        gate(run, GateClass::Run, "Run crm_sync for Nordlicht AG", "The CRM must know.", None),
    );
    h
}

fn content() -> History {
    let steps = [("draft", "agent", Some("writer")), ("publish", "call", Some("site.post"))];
    let mut h = History::begin(3, "content-production", -1800, &steps);
    let effect =
        |text: &str| call(3, "publish", None, EffectClass::Once, "site.post", json!({"title": "Autumn", "body": text}));
    let before = effect("Leaves fall.\nWe are open until six.\nCome in!");
    let opened =
        gate(before.clone(), GateClass::Send, "Publish \"Autumn\" on the site", "The calendar says today.", None);
    let id = opened.gate.clone();
    h.add(-1700, "publish", None, None, opened);
    let after = effect("Leaves fall.\nWe are open until seven.\nCome in!");
    let edit = GateEdited {
        gate: id,
        before: before.digest(),
        digest: after.digest(),
        effect: after,
        by: "operator".to_owned(),
        reason: Some("wrong fact".to_owned()),
    };
    h.add(-1650, "publish", None, None, edit);
    h
}

fn failed() -> History {
    let mut h = History::begin(4, "crm-sync", -5400, &[("fetch", "call", Some("crm.list"))]);
    let effect = call(4, "fetch", None, EffectClass::Read, "crm.list", json!({"since": "2026-11-21"}));
    let start = AttemptStarted { key: effect.key(), digest: effect.digest(), effect };
    h.add(-5399, "fetch", None, Some(1), start);
    let failure = AttemptFailed {
        class: FailureClass::Hard,
        code: "http_403".to_owned(),
        message: "the server refused the key".to_owned(),
        retry_at: None,
        usage: Usage::default(),
        artifacts: Vec::new(),
        settled_by: None,
        then: None,
    };
    h.add(-5390, "fetch", None, Some(1), failure);
    h.add(
        -5389,
        "",
        None,
        None,
        cairn_store_layout::event::RunFailed {
            steps: vec![step("fetch")],
            message: "fetch: http_403: the server refused the key".to_owned(),
        },
    );
    h
}

/// A request whose text tries everything that text can try on a terminal.
#[must_use]
pub fn hostile() -> InboxItem {
    let mut h = History::begin(6, "mail\u{1b}[2J-triage", -60, &[("reply", "call", Some("mail.send"))]);
    let body = "Dear \u{202e}reversed\u{202c} friend,\n\u{1b}[31mred\u{1b}[0m \u{1b}]52;c;cm0gLXJm\u{7}\nzero\u{200b}width, tag\u{e0041}, \
bell\u{7}, c1\u{9b}2J\nWHY   looks like ours\n+ so does this\n漢字 and e\u{301} and \u{1f469}\u{200d}\u{1f4bb}\u{fe0f} stay\n";
    let effect = call(
        6,
        "reply",
        None,
        EffectClass::Once,
        "mail.send",
        json!({"to": "a\u{202e}moc.live@b", "subject": "\u{1b}[8mhidden", "body": body}),
    );
    let evidence =
        json!({"hits": [{"text": "+ To: boss@example\n\u{1b}[1;1HDIFF", "source": "\u{9b}1m", "why": "\u{7}"}]});
    let opened = gate(
        effect,
        GateClass::File,
        "Reply \u{1b}[1;1Hto \u{202e}nobody\u{0}",
        "because\u{8}\u{8}\u{8} of \u{1b}c",
        Some(evidence),
    );
    h.add(-50, "reply", None, None, opened);
    h.view.requests.remove(0)
}

/// A store with something of everything: letters, a file, a program, a question, an edited text, a
/// broken definition, and runs in most states.
#[must_use]
pub fn snapshot() -> Snapshot {
    let histories = [chase(), onboarding(), content(), failed()];
    let inbox = histories.iter().flat_map(|h| h.view.requests.clone()).collect();
    let commit = |h: &History| h.view.end.map(|_| "9fceb02d0ae598e95dc970b74767f19372d61af8".to_owned());
    Snapshot {
        store: "marsh".to_owned(),
        machine: Some(machine()),
        as_of: noon(),
        health: Health {
            kernel: KernelHealth::Running { pid: Some(4711) },
            paused: None,
            commands_waiting: 0,
            unreadable: Vec::new(),
        },
        inbox,
        runs: histories.iter().map(|h| h.view.item(commit(h))).collect(),
        problems: vec![
            Problem::new(
                "workflows/ads-weekly/workflow.toml",
                Some(Position { line: 14, column: 1 }),
                "unknown key `aproove` in a step",
            )
            .hint("did you mean `approve`?"),
        ],
        workflows: ["client-onboarding", "content-production", "invoice-chase"].map(str::to_owned).to_vec(),
        triggers: triggers(&histories[3].view.run),
    }
}

/// A trigger that did its work, one that left a start out, and one that nobody trusted yet.
fn triggers(started: &RunId) -> Vec<TriggerItem> {
    let by = |workflow: &str, trigger: &str, by: &str| TriggerItem {
        workflow: workflow.to_owned(),
        trigger: trigger.to_owned(),
        by: by.to_owned(),
        on: true,
        next: None,
        missed: 0,
        waits: false,
        last: None,
    };
    let last = |seconds, run: Option<&RunId>, why: Option<&str>| {
        Some(Firing { at: at(seconds), run: run.cloned(), left_out: why.map(str::to_owned) })
    };
    vec![
        TriggerItem { on: false, ..by("client-onboarding", "signed", "event contract.signed") },
        TriggerItem {
            next: Some(at(72_000)),
            last: last(-14_400, Some(started), None),
            ..by("invoice-chase", "weekdays", "cron 0 8 * * 1-5")
        },
        TriggerItem {
            waits: true,
            missed: 2,
            last: last(-3_600, None, Some("an earlier run is not over")),
            ..by("invoice-chase", "mails", "files mails/*.eml")
        },
    ]
}

/// A store in which nothing happened yet.
#[must_use]
pub fn empty() -> Snapshot {
    Snapshot { inbox: Vec::new(), runs: Vec::new(), problems: Vec::new(), ..snapshot() }
}

/// The detail of the run of `invoice-chase`.
#[must_use]
pub fn detail() -> RunDetail {
    let h = chase();
    RunDetail { view: h.view, events: h.events, trouble: None }
}

/// The detail of any run of [`snapshot`].
#[must_use]
pub fn detail_of(run: &RunId) -> Option<RunDetail> {
    let all = [chase(), onboarding(), content(), failed()];
    let h = all.into_iter().find(|h| h.view.run == *run)?;
    Some(RunDetail { view: h.view, events: h.events, trouble: None })
}

/// The text a letter of [`snapshot`] holds, for tests that edit it.
#[must_use]
pub fn letter() -> &'static str {
    LETTER
}
