//! What reaches across runs: child runs, turns, probes, windows.

use cairn_store_layout::{
    catalog::Callee,
    definition::{Bundle, Probe, parse_workflow},
    event::{Body, FailureClass},
    payload::Purpose,
    time::Span,
};
use serde_json::{Value, json};

use super::{Bench, catalog, failed, nothing, succeeded};
use crate::{Command, Effect, End, Outcome, Outstanding, Perform, Plan, Refusal, outstanding, react};

const SLOW: &str = r#"
[[step]]
id = "send"
for_each = { in = "{{ ['a', 'b'] }}", key = "{{ item }}" }
call = "mail.send"
with = { to = "{{ item }}" }
approve = "always"
concurrency = { key = "crm-{{ input.region }}", max = 1 }
rate = { max = 2, per = "1m" }
[[input]]
name = "region"
"#;

fn probing(found: &str) -> String {
    format!(
        "[[step]]\nid = \"a\"\nrun = [\"pay\", \"7\"]\nretry = {{ attempts = 2, first = \"1ms\" }}\n\
         probe = {{ call = \"file.read\", with = {{ path = \"{{{{ effect.key }}}}/{{{{ request.argv[1] }}}}\" }}, \
         found = \"{found}\", output = {{ paid = \"{{{{ output.text }}}}\" }} }}\n"
    )
}

fn grant(bench: &mut Bench, iteration: &str) -> Result<Vec<cairn_store_layout::event::Event>, Refusal> {
    let step = Some(("send".parse().expect("a step"), Some(iteration.to_owned())));
    bench.ask(&Command::Grant { step })
}

fn approve(bench: &mut Bench, n: usize) -> Vec<cairn_store_layout::event::Event> {
    let opened = bench.history.iter().filter_map(|e| match &e.body {
        Body::GateOpened(g) => Some((g.gate.clone(), g.digest.clone())),
        _ => None,
    });
    let (gate, digest) = opened.collect::<Vec<_>>().remove(n);
    bench.ask(&Command::Approve { gate, digest, by: "ann".to_owned(), reason: None }).expect("approved")
}

/// The probe of an attempt at `a` comes back.
fn found_out(
    bench: &mut Bench,
    attempt: u32,
    outcome: Outcome,
) -> Result<Vec<cairn_store_layout::event::Event>, Refusal> {
    let (step, purpose) = ("a".parse().expect("a step"), Purpose::Probe);
    bench.ask(&Command::Report { step, iteration: None, attempt, purpose, outcome })
}

/// The one attempt under way that may be repeated.
fn again(bench: &Bench) -> Perform {
    match outstanding(&bench.state).as_slice() {
        [Outstanding::Again(perform)] => perform.clone(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn replays(bench: &Bench) {
    assert_eq!(format!("{:?}", bench.replayed().steps), format!("{:?}", bench.state.steps));
    assert_eq!(bench.replayed().leases(), bench.state.leases());
}

#[test]
fn a_step_asks_for_its_turn_after_its_gate_and_keeps_it_through_retries() {
    let mut bench = Bench::new(SLOW, json!({"region": "eu"}));
    let events = approve(&mut bench, 0);
    let asked: Vec<Effect> = events.iter().flat_map(|e| react(&bench.state, e)).collect();
    let [Effect::Acquire(holder, lease)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(holder.step.as_ref().map(|(s, i)| (s.as_str(), i.as_deref())), Some(("send", Some("a"))));
    let (shared, rate) = (lease.asked.concurrency.as_ref().unwrap(), lease.asked.rate.as_ref().unwrap());
    assert_eq!((shared.key.as_str(), shared.max, rate.key.as_str(), rate.max), ("crm-eu", 1, "demo/send", 2));
    assert!(bench.state.is_at_rest(bench.now) && bench.state.is_queued());
    assert!(outstanding(&bench.state).is_empty(), "nothing left before its turn");
    replays(&bench);

    let events = grant(&mut bench, "a").expect("its turn");
    assert!(matches!(events[1].body, Body::AttemptStarted(_)), "{events:?}");
    assert_eq!(grant(&mut bench, "a"), Err(Refusal::NotQueued), "a turn comes once");
    assert_eq!(grant(&mut bench, "b"), Err(Refusal::NotQueued), "nobody asked there");
    let events = bench.report("send", Some("a"), 1, failed(FailureClass::Soft, "busy")).expect("in flight");
    assert!(events.iter().all(|e| react(&bench.state, e).is_empty()), "held during the pause");
    assert_eq!(bench.state.leases().len(), 1);
    assert!(bench.later(10).iter().any(|e| matches!(e.body, Body::AttemptStarted(_))), "without asking again");
    let events = bench.report("send", Some("a"), 2, succeeded(json!(1))).expect("in flight");
    assert!(events.iter().flat_map(|e| react(&bench.state, e)).any(|e| matches!(e, Effect::Release(_))));
    assert!(bench.state.leases().is_empty());
    replays(&bench);
}

#[test]
fn a_run_of_a_workflow_with_concurrency_begins_nothing_before_its_turn() {
    let text = "concurrency = { key = \"{{ input.client }}\", max = 1 }\n[[input]]\nname = \"client\"\n[[step]]\nid = \"a\"\nset = 1\n";
    let mut bench = Bench::new(text, json!({"client": "brandt"}));
    assert_eq!(bench.told(), "run lease.asked: waits for its turn (brandt)\n");
    assert!(bench.later(5).is_empty() && bench.state.is_at_rest(bench.now) && bench.state.is_queued());
    replays(&bench);
    bench.ask(&Command::Grant { step: None }).expect("its turn");
    assert_eq!(bench.ask(&Command::Grant { step: None }), Err(Refusal::RunOver("succeeded")));
    assert!(bench.told().contains("run lease.granted") && bench.state.end() == Some(End::Succeeded));
    let bench = Bench::new(text, json!({"client": ""}));
    assert!(bench.told().contains("run.failed: the run failed: concurrency: `` can not be a key"), "{}", bench.told());
}

#[test]
fn iterations_in_the_queue_take_the_places_of_max_parallel() {
    let text = "[[step]]\nid = \"send\"\nfor_each = { in = \"{{ range(5) }}\", max_parallel = 2 }\nrun = [\"x\"]\nconcurrency = { max = 9 }\n";
    let mut bench = Bench::new(text, nothing());
    assert_eq!(bench.state.leases().len(), 2);
    grant(&mut bench, "1").expect("asked");
    assert_eq!((bench.state.leases().len(), outstanding(&bench.state).len()), (2, 1));
    bench.done("send", Some("1"), json!(1));
    assert_eq!(bench.state.leases().len(), 2, "the next one asks");
}

#[test]
fn a_child_run_has_one_id_for_each_attempt_and_its_end_is_the_outcome() {
    let text = "[[step]]\nid = \"a\"\nworkflow = \"onboard\"\nwith = { client = \"brandt\" }\n";
    let mut bench = Bench::new(text, nothing());
    let child = |bench: &Bench| match outstanding(&bench.state).as_slice() {
        [Outstanding::Child(child)] => child.clone(),
        other => panic!("{other:?}"),
    };
    let first = child(&bench);
    assert_eq!((first.workflow.as_str(), &first.input), ("onboard", &json!({"client": "brandt"})));
    let effects: Vec<Effect> = bench.history.iter().flat_map(|e| react(&bench.state, e)).collect();
    assert_eq!(effects, [Effect::Child(first.clone())], "the child, and nothing for the dispatcher");
    assert!(bench.state.is_at_rest(bench.now), "it waits only for its child");
    bench.now += jiff::SignedDuration::from_secs(60);
    assert_eq!(child(&bench).run, first.run, "found again, not started again");
    replays(&bench);
    bench.done("a", None, json!({"id": 7}));
    assert_eq!(bench.state.end(), Some(End::Succeeded));
}

#[test]
fn a_canceled_run_leaves_its_child_to_be_canceled_and_no_riddle() {
    let mut bench = Bench::new("[[step]]\nid = \"a\"\nworkflow = \"onboard\"\n", nothing());
    let parent = cairn_store_layout::event::Parent {
        run: bench.state.run().clone(),
        step: "a".parse().unwrap(),
        iteration: None,
        attempt: 1,
        depth: 1,
    };
    assert!(bench.state.awaits(&parent));
    bench.ask(&Command::Cancel { by: "ann".to_owned(), reason: None, undo: false }).expect("canceled");
    assert!(!bench.state.awaits(&parent) && !bench.told().contains("attempt.unknown"), "{}", bench.told());
}

#[test]
fn a_stopping_run_waits_for_its_child_before_it_takes_back_what_was_done_earlier() {
    let text = "[[step]]\nid = \"book\"\nrun = [\"x\"]\nundo = { run = [\"unx\"] }\n\
                [[step]]\nid = \"a\"\nneeds = [\"book\"]\nworkflow = \"onboard\"\ntimeout = \"1h\"\nKEYS\n";
    let parent = |bench: &Bench| cairn_store_layout::event::Parent {
        run: bench.state.run().clone(),
        step: "a".parse().unwrap(),
        iteration: None,
        attempt: 1,
        depth: 1,
    };
    let cancel = Command::Cancel { by: "ann".to_owned(), reason: None, undo: true };
    let stopped = |keys: &str| {
        let mut bench = Bench::new(&text.replace("KEYS", keys), nothing());
        bench.done("book", None, json!(1));
        assert_eq!(bench.state.gives_up(&parent(&bench)), None);
        bench.bid(&cancel).expect("it goes on");
        assert_eq!(bench.state.gives_up(&parent(&bench)), Some(true));
        assert!(!bench.told().contains("undo.started"), "the child was begun last: {}", bench.told());
        let [Outstanding::Child(_)] = outstanding(&bench.state).as_slice() else { panic!("followed after a restart") };
        bench
    };
    let undone = "book undo.started: takes it back, attempt 1: run unx\n";

    let mut bench = stopped("on_hard = \"ask\"");
    bench.report("a", None, 1, failed(FailureClass::Hard, "canceled")).expect("still waited for");
    assert!(bench.told().ends_with(undone), "and nobody is asked what its end means: {}", bench.told());
    bench.redecided();

    // one that went well just then is done, and taken back first if the step says how
    let mut bench = stopped("undo = { run = [\"off\"] }");
    bench.done("a", None, json!(1));
    assert!(bench.told().ends_with("a undo.started: takes it back, attempt 1: run off\n"), "{}", bench.told());

    let mut bench = stopped("");
    let due = bench.state.next_deadline().expect("the step's own bound");
    bench.now = due;
    bench.later(0);
    assert!(bench.told().ends_with(undone) && !bench.state.awaits(&parent(&bench)), "{}", bench.told());
}

#[test]
fn a_stopping_list_does_not_wake_for_what_it_will_not_do() {
    let text = "[[step]]\nid = \"a\"\nfor_each = { in = \"{{ range(2) }}\" }\nworkflow = \"onboard\"\n\
                retry = { attempts = 2, first = \"1m\", jitter = false }\non_hard = \"retry\"\n\
                [[finally]]\nid = \"f\"\nset = 1\n";
    let mut bench = Bench::new(text, nothing());
    bench.report("a", Some("0"), 1, failed(FailureClass::Hard, "no")).expect("in flight");
    assert!(bench.state.next_deadline().is_some(), "it is tried again");
    bench.ask(&Command::Cancel { by: "ann".to_owned(), reason: None, undo: false }).expect("it goes on");
    assert_eq!(bench.state.next_deadline(), None, "{}", bench.told());
    assert!(bench.later(3_600).is_empty());
    bench.report("a", Some("1"), 1, failed(FailureClass::Hard, "canceled")).expect("waited for");
    assert_eq!(bench.state.end(), Some(End::Canceled), "{}", bench.told());
}

#[test]
fn a_probe_settles_what_was_lost() {
    let lost = || Outcome::Unknown { message: "no reply".to_owned() };
    for (there, kind) in [(true, "done (settled by probe)"), (false, "did not happen; next attempt")] {
        let mut bench = Bench::new(&probing("{{ output.text == 'yes' }}"), nothing());
        bench.report("a", None, 1, lost()).expect("in flight");
        let probe = again(&bench);
        assert_eq!((probe.effect.purpose, probe.attempt), (Purpose::Probe, 1));
        let main = bench.state.slot(0, None).unwrap().effect.as_ref().unwrap().key();
        assert_eq!(probe.effect.request.input(), Some(&json!({"path": format!("{main}/7")})));
        assert!(!bench.state.is_at_rest(bench.now));
        replays(&bench);
        found_out(&mut bench, 1, succeeded(json!({"text": if there { "yes" } else { "no" }}))).expect("probing");
        assert!(bench.told().contains(kind), "{}", bench.told());
        assert!(found_out(&mut bench, 1, succeeded(json!(1))).is_err(), "a doubled answer");
        if there {
            assert_eq!(bench.state.end(), Some(End::Succeeded));
            let output = bench.state.slot(0, None).unwrap().output.clone().unwrap();
            assert_eq!(crate::expr::to_json(&output), Ok(json!({"paid": "yes"})));
        } else {
            bench.later(1);
            bench.report("a", None, 2, lost()).expect("the second attempt is in flight");
            found_out(&mut bench, 2, succeeded(json!({"text": "no"}))).expect("it is probed too");
            assert_eq!(bench.state.end(), Some(End::Failed), "no more attempts than allowed");
        }
        replays(&bench);
    }
}

#[test]
fn a_probe_without_an_answer_leaves_it_to_the_operator_who_may_be_first() {
    let answers: [(&str, Outcome); 3] = [
        ("{{ output.text == 'yes' }}", failed(FailureClass::Soft, "down")),
        ("{{ output.text }}", succeeded(json!({"text": "yes"}))),
        ("{{ output.nothing }}", succeeded(json!({"text": "yes"}))),
    ];
    for (found, outcome) in answers {
        let mut bench = Bench::new(&probing(found), nothing());
        bench.report("a", None, 1, Outcome::Unknown { message: "no reply".to_owned() }).expect("in flight");
        found_out(&mut bench, 1, outcome).expect("probing");
        assert!(bench.told().contains("a probe.failed: could not find out"), "{}", bench.told());
        assert!(bench.later(9).is_empty() && bench.state.is_at_rest(bench.now), "asked once an attempt");
        replays(&bench);
    }
    let mut bench = Bench::new(&probing("{{ true }}"), nothing());
    bench.report("a", None, 1, Outcome::Unknown { message: "no reply".to_owned() }).expect("in flight");
    let slot = bench.state.slot(0, None).unwrap();
    let crate::state::Phase::Unknown { gate, .. } = slot.phase.clone() else { panic!("unknown") };
    let digest = slot.effect.as_ref().unwrap().digest();
    let answer = Command::Answer { gate, digest, answer: json!({"outcome": "done"}), by: "ann".to_owned() };
    bench.ask(&answer).expect("settled while the probe is under way");
    assert_eq!(found_out(&mut bench, 1, succeeded(json!(1))), Err(Refusal::RunOver("succeeded")));
}

/// A plan whose `mail.send` is idempotent for an hour.
fn windowed(text: &str) -> Bench {
    let mut catalog = catalog();
    let send = catalog.connectors.get_mut("mail").unwrap().get_mut("send").unwrap();
    send.effect = cairn_store_layout::payload::EffectClass::Idempotent;
    send.dedupe_window = Some(Span::seconds(3_600));
    send.probe = Some(Probe {
        connector: "file".to_owned(),
        operation: "read".to_owned(),
        with: json!({"path": "{{ request.to }}"}),
        found: "{{ true }}".to_owned(),
        output: None,
    });
    let workflow = parse_workflow("demo", "workflows/demo/workflow.toml", text).expect("a workflow");
    let bundle = Bundle { workflow, files: std::collections::BTreeMap::new() };
    Bench::following(Plan::compile(&bundle, &catalog, "workflows/demo/workflow.toml").expect("a plan"), nothing(), None)
}

#[test]
fn what_is_known_not_to_have_happened_is_sent_again_however_old_its_key_is() {
    let text = "[[step]]\nid = \"a\"\ncall = \"mail.send\"\nwith = { to = \"x\" }\nretry = { attempts = 2, first = \"50m\", max = \"50m\", jitter = false }\n";
    let mut bench = windowed(text);
    let key = again(&bench).key;
    bench.report("a", None, 1, failed(FailureClass::Soft, "busy")).expect("in flight");
    bench.now += jiff::SignedDuration::from_mins(61);
    bench.later(0);
    assert!(bench.told().contains("attempt.unknown: outcome unknown: its idempotency key"), "{}", bench.told());
    let (gate, digest) = bench
        .state
        .slots()
        .find_map(|(_, slot)| match &slot.phase {
            crate::state::Phase::Unknown { gate, .. } => Some((gate.clone(), slot.effect.as_ref()?.digest())),
            _ => None,
        })
        .expect("a question");
    let answer = json!({"outcome": "not_done"});
    let events = bench.bid(&Command::Answer { gate, digest, answer, by: "ann".to_owned() }).expect("it is asked");
    let begun = bench.now - jiff::SignedDuration::from_micros(1);
    let sent = again(&bench);
    assert_eq!((sent.key, sent.until), (key, Some(begun + jiff::SignedDuration::from_hours(1))), "{events:?}");
    replays(&bench);
}

#[test]
fn a_key_that_the_other_side_may_have_forgotten_is_not_sent_again() {
    let text = "[[step]]\nid = \"a\"\ncall = \"mail.send\"\nwith = { to = \"x\" }\nretry = { first = \"50m\", max = \"50m\", jitter = false }\n";
    let mut bench = windowed(text);
    let first = again(&bench);
    assert_eq!(first.until, Some(bench.now + jiff::SignedDuration::from_hours(1)));
    bench.report("a", None, 1, failed(FailureClass::Soft, "busy")).expect("in flight");
    bench.now += jiff::SignedDuration::from_mins(61);
    let events = bench.later(0);
    assert!(events.iter().flat_map(|e| react(&bench.state, e)).all(|e| match e {
        Effect::Perform(p) => p.effect.purpose == Purpose::Probe,
        _ => false,
    }));
    let told = bench.told();
    assert!(
        told.contains("a attempt.started: attempt 2")
            && told.contains("attempt.unknown: outcome unknown: its idempotency key"),
        "{told}"
    );
    found_out(&mut bench, 2, succeeded(Value::Null)).expect("the operation's own probe");
    assert_eq!(bench.state.end(), Some(End::Succeeded));
    replays(&bench);
}

#[test]
fn an_answer_from_before_is_told_with_its_run() {
    let mut bench = Bench::new("[[step]]\nid = \"a\"\nrun = [\"x\"]\neffect = \"read\"\ncache = \"7d\"\n", nothing());
    let perform = again(&bench);
    assert_eq!(perform.cache, Some(std::time::Duration::from_secs(7 * 86_400)));
    let from: cairn_store_layout::RunId = "01kaxw00000000000000000001".parse().unwrap();
    bench.report("a", None, 1, Outcome::Cached { output: json!(4), from: from.clone() }).expect("in flight");
    let found = bench.history.iter().find_map(|e| match &e.body {
        Body::AttemptSucceeded(done) => Some((done.output.clone(), done.cached_from.clone())),
        _ => None,
    });
    assert_eq!(found, Some((json!(4), Some(from))));
}

#[track_caller]
fn wrong(text: &str, want: &str) {
    let mut catalog = catalog();
    let field = |text: &str| serde_json::from_value(serde_json::from_str(text).unwrap()).unwrap();
    let callee = |input: Vec<cairn_store_layout::definition::Field>, calls: &[&str]| Callee {
        input,
        calls: calls.iter().map(|c| (*c).to_owned()).collect(),
    };
    let mut known = std::collections::BTreeMap::new();
    let (client, note) = (field(r#"{"name":"client"}"#), field(r#"{"name":"note","optional":true}"#));
    known.insert("onboard".to_owned(), callee(vec![client, note], &[]));
    known.insert("again".to_owned(), callee(vec![], &["demo"]));
    for n in 0..12 {
        known.insert(format!("deep{n}"), callee(vec![], &[&format!("deep{}", n + 1)]));
    }
    known.insert("deep12".to_owned(), callee(vec![], &[]));
    catalog.workflows = Some(known);
    let workflow = parse_workflow("demo", "workflows/demo/workflow.toml", text).expect("it can be read");
    let bundle = Bundle { workflow, files: std::collections::BTreeMap::new() };
    let problems = Plan::compile(&bundle, &catalog, "workflows/demo/workflow.toml").expect_err("it is wrong");
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(all.iter().any(|p| p.contains(want)), "{want} not in {all:#?}");
}

#[test]
fn a_check_tells_what_a_step_asks_of_others_in_vain() {
    let step = |rest: &str| format!("[[step]]\nid = \"a\"\n{rest}\n");
    wrong(&step("workflow = \"onbord\""), "did you mean `onboard`?");
    wrong(&step("workflow = \"onboard\""), "workflow `onboard` needs `client`");
    wrong(&step("workflow = \"onboard\"\nwith = { client = 1, not = 2 }"), "has no input `not`");
    wrong(&step("workflow = \"again\""), "in a circle: demo -> again -> demo");
    wrong(&step("workflow = \"deep0\""), "more than 8 deep");
    wrong(&step("run = [\"x\"]\ncache = \"1d\""), "`cache` is for effects of class none and read");
    wrong(&step("run = [\"x\"]\nprobe = { call = \"mail.send\", found = \"{{ true }}\" }"), "does not only look");
    wrong(&step("run = [\"x\"]\nprobe = { call = \"mail.look\", found = \"{{ true }}\" }"), "does not exist");
    wrong(
        &step(
            "run = [\"x\"]\nprobe = { call = \"file.read\", with = { path = \"{{ output }}\" }, found = \"{{ true }}\" }",
        ),
        "only once it has come back",
    );
    wrong(
        &step("run = [\"x\"]\nprobe = { call = \"file.read\", found = \"{{ outptu }}\" }"),
        "the name `outptu` is unknown",
    );
}
