//! Running again: what is taken over, what is done anew, and what a replay tells.

use std::sync::Arc;

use cairn_store_layout::{
    Digest, GateId, RunId,
    event::{Body, Event, FailureClass, Origin, RunStarted},
    record::Record,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Bench, compile_with, failed, nothing, succeeded};
use crate::{
    Collector, Command, Context, Difference, Move, Outstanding, Plan, Refusal, Replayed, Results, State, Verdict,
    compare, handle, migrate, outstanding, replay,
};

const CHAIN: &str = r#"
[[step]]
id = "read"
run = ["cat", "x"]
effect = "read"
[[step]]
id = "draft"
needs = ["read"]
agent = "writer"
template = "t.txt"
with = { about = "{{ steps.read.output }}" }
[[step]]
id = "send"
needs = ["draft"]
call = "mail.send"
with = { to = "x@x.example", body = "{{ steps.draft.output }}" }
approve = "always"
[[step]]
id = "note"
needs = ["send"]
set = "{{ steps.send.output }} sent"
"#;

fn bench(text: &str, earlier: Option<(Origin, Results)>) -> Bench {
    Bench::with_files(text, &[("t.txt", "{{ about }}")], nothing(), earlier)
}

/// Does what stands outstanding and approves what is asked, until nothing is left.
fn carry_on(bench: &mut Bench) {
    loop {
        if let Some((gate, digest)) = gate_of(bench) {
            bench.bid(&Command::Approve { gate, digest, by: "jo".to_owned(), reason: None }).expect("it waits");
        }
        let Some(Outstanding::Again(p) | Outstanding::Lost(p)) = outstanding(&bench.state).into_iter().next() else {
            return;
        };
        let output = json!(format!("{} did", p.step));
        bench.report(p.step.as_str(), p.iteration.as_deref(), p.attempt, succeeded(output)).expect("in flight");
    }
}

fn gate_of(bench: &Bench) -> Option<(GateId, Digest)> {
    super::replay::open_gates(bench).into_iter().next()
}

fn collected(bench: &Bench) -> Collector {
    let mut collector = Collector::new(bench.state.run().clone(), bench.plan.clone());
    bench.history[1..].iter().for_each(|event| collector.take(event));
    collector
}

fn start_of(bench: &Bench) -> RunStarted {
    let Body::RunStarted(start) = &bench.history[0].body else { panic!("a start") };
    start.clone()
}

fn origin(bench: &Bench, from: Option<&str>) -> Option<(Origin, Results)> {
    let origin = Origin {
        run: RunId::new("01kaxw0000000000000000000a").expect("a run id"),
        records: bench.history.len() as u64,
        from: from.map(|from| from.parse().expect("a step id")),
        as_of: None,
    };
    Some((origin, collected(bench).results()))
}

fn finished() -> Bench {
    let mut first = bench(CHAIN, None);
    carry_on(&mut first);
    assert!(first.told().ends_with("run run.succeeded: the run succeeded\n"), "{}", first.told());
    first
}

fn check_replay(bench: &Bench) -> Replayed {
    replayed(bench, &bench.history)
}

pub(super) fn replayed(bench: &Bench, history: &[Event]) -> Replayed {
    let start = start_of(bench);
    let mut state = State::begin(bench.plan.clone(), &start, history[0].at);
    if let (Some(origin), Some(results)) = (&start.origin, &bench.results) {
        state = state.with_results(Arc::new(results.clone()), origin);
    }
    replay(state, 1, &history[1..], &mut |_, _, _| None)
}

#[test]
fn a_rerun_takes_everything_over_and_nothing_leaves_again() {
    let first = finished();
    let again = bench(CHAIN, origin(&first, None));
    let told = again.told();
    assert_eq!(
        told,
        "read attempt.reused: taken over from run 000000\ndraft attempt.reused: taken over from run 000000\n\
         send attempt.reused: taken over from run 000000\nnote step.succeeded: done\nrun run.succeeded: the run succeeded\n"
    );
    assert_eq!(again.performs(), 0);
    assert_eq!(check_replay(&again).difference, None);
    // a rerun of the rerun still knows who did it
    let third = bench(CHAIN, origin(&again, None));
    assert_eq!(third.told(), told);
}

#[test]
fn from_a_step_on_everything_is_done_anew() {
    let first = finished();
    let again = bench(CHAIN, origin(&first, Some("draft")));
    assert_eq!(
        again.told(),
        "read attempt.reused: taken over from run 000000\ndraft attempt.started: attempt 1: agent writer\n"
    );
}

#[test]
fn an_edited_prompt_is_an_edited_question_and_an_edited_step_is_not_sent_again() {
    let first = finished();
    // the template is another: the draft is made anew; the letter would be the same if the draft is
    let mut again = Bench::with_files(CHAIN, &[("t.txt", "About: {{ about }}")], nothing(), origin(&first, None));
    assert!(again.told().ends_with("draft attempt.started: attempt 1: agent writer\n"), "{}", again.told());
    carry_on(&mut again);
    assert!(again.told().contains("send attempt.reused"), "the same letter is not sent twice: {}", again.told());
}

#[test]
fn an_edited_effect_is_matched_by_what_was_proposed() {
    let mut first = bench(CHAIN, None);
    for step in ["read", "draft"] {
        first.done(step, None, json!(format!("{step} did")));
    }
    let (gate, digest) = gate_of(&first).expect("a gate");
    let input = json!({"to": "other@x.example", "body": "shorter", "from": "us@x.example"});
    first.ask(&Command::Edit { gate, digest, input, by: "jo".to_owned(), reason: None }).expect("it may be edited");
    carry_on(&mut first);
    let again = bench(CHAIN, origin(&first, None));
    assert!(again.told().contains("send attempt.reused"), "{}", again.told());
}

#[test]
fn a_failure_and_a_denial_are_no_results() {
    let mut first = bench(CHAIN, None);
    first.done("read", None, json!("text"));
    first.report("draft", None, 1, failed(FailureClass::Hard, "no")).expect("in flight");
    let again = bench(CHAIN, origin(&first, None));
    assert_eq!(
        again.told(),
        "read attempt.reused: taken over from run 000000\ndraft attempt.started: attempt 1: agent writer\n"
    );
}

#[test]
fn a_fork_recalls_what_was_known_then() {
    let text = "[[step]]\nid = \"recall\"\ncall = \"memory.recall\"\nwith = { query = \"late\" }\n";
    let as_of = "2026-11-01T00:00:00Z".parse().expect("a moment");
    let origin =
        Origin { run: RunId::new("01kaxw0000000000000000000a").unwrap(), records: 1, from: None, as_of: Some(as_of) };
    let fork = Bench::after(text, nothing(), Some((origin, Results::default())));
    let Body::AttemptStarted(start) = &fork.history[1].body else { panic!("an attempt") };
    assert_eq!(start.effect.request.input(), Some(&json!({"query": "late", "as_of": "2026-11-01T00:00:00.000000Z"})));
}

const PAUSES: &str = r#"
[[step]]
id = "a"
for_each = { in = "{{ range(3) }}" }
run = ["x", "{{ item }}"]
retry = { attempts = 2, first = "1h" }
[[step]]
id = "b"
needs = ["a"]
set = 1
"#;

#[test]
fn a_pause_is_ended_by_resume_and_a_failure_by_retry() {
    let mut bench = Bench::new(PAUSES, nothing());
    bench.tick();
    assert!(matches!(bench.bid(&Command::Resume), Err(Refusal::NothingToDo(_))));
    bench.report("a", Some("0"), 1, failed(FailureClass::Soft, "busy")).expect("in flight");
    bench.tick();
    bench.report("a", Some("1"), 1, failed(FailureClass::Hard, "no")).expect("in flight");
    bench.tick();
    let told = |events: Vec<Event>| events.iter().map(|e| (e.iteration.clone(), e.attempt)).collect::<Vec<_>>();
    assert_eq!(told(bench.bid(&Command::Resume).expect("one pauses")), [(Some("0".to_owned()), Some(2))]);
    // one iteration is still under way, so the failure of another can be taken back
    let retry = |step: &str, iteration: Option<&str>| Command::Retry {
        step: Some(step.parse().expect("a step id")),
        iteration: iteration.map(str::to_owned),
    };
    assert!(matches!(bench.bid(&retry("a", Some("2"))), Err(Refusal::NothingToDo(_))), "it is under way");
    assert!(matches!(bench.bid(&retry("zzz", None)), Err(Refusal::NothingToDo(why)) if why.contains("no step")));
    assert_eq!(told(bench.bid(&retry("a", None)).expect("one failed")), [(Some("1".to_owned()), Some(2))]);
    for key in ["0", "1"] {
        bench.tick();
        bench.report("a", Some(key), 2, succeeded(json!(1))).expect("in flight");
    }
    bench.tick();
    bench.report("a", Some("2"), 1, failed(FailureClass::Hard, "no")).expect("in flight");
    assert!(matches!(bench.bid(&retry("a", None)), Err(Refusal::RunOver(_))));
    assert_eq!(check_replay(&bench).difference, None);
}

#[test]
fn a_failure_that_others_have_taken_into_account_stays_one() {
    let text = format!("{PAUSES}[[step]]\nid = \"c\"\nwait = \"1h\"\n");
    let mut bench = Bench::new(&text, nothing());
    for key in ["0", "1", "2"] {
        bench.report("a", Some(key), 1, failed(FailureClass::Hard, "no")).expect("in flight");
    }
    let refused = bench.bid(&Command::Retry { step: None, iteration: None });
    assert!(matches!(&refused, Err(Refusal::NothingToDo(why)) if why.contains("rerun it from there")), "{refused:?}");
}

fn move_to(plan: &Arc<Plan>) -> Move {
    Move { definition: "tree2".to_owned(), pins: Default::default(), plan: plan.clone(), by: "jo".to_owned() }
}

/// Moves the run and lets it go on.
fn moved(bench: Bench, plan: &Arc<Plan>) -> Result<Bench, Refusal> {
    let ctx = Context { now: bench.now, entropy: 0, cause: None };
    let events = migrate(&bench.state, &move_to(plan), &ctx)?;
    let mut before = collected(&bench);
    let start = start_of(&bench);
    let Bench { state, mut history, now, results, .. } = bench;
    history.extend(events.clone());
    let Some(Body::RunMigrated(event)) = events.last().map(|e| e.body.clone()) else { panic!("a move") };
    let mut bench = Bench {
        state: state.moved(&start, &event, plan.clone(), &mut before),
        history,
        now,
        results,
        plan: plan.clone(),
    };
    bench.later(1);
    Ok(bench)
}

#[test]
fn a_run_moves_and_keeps_what_it_did() {
    let mut first = bench(CHAIN, None);
    let changed = CHAIN.replace("to = \"x@x.example\"", "to = \"y@x.example\"");
    let plan = Arc::new(compile_with(&changed, &[("t.txt", "{{ about }}")]).expect("it compiles"));
    let ctx = Context { now: first.now, entropy: 0, cause: None };
    assert!(
        matches!(migrate(&first.state, &move_to(&plan), &ctx), Err(Refusal::CannotMove(why)) if why.contains("under way"))
    );
    for step in ["read", "draft"] {
        first.done(step, None, json!(format!("{step} did")));
    }
    let (old_gate, _) = gate_of(&first).expect("a gate");
    let diff = compare(plan.clone(), &start_of(&first), first.history[0].at, &collected(&first));
    let verdicts: Vec<_> = diff.steps.iter().map(|s| (s.step.as_str(), s.verdict)).collect();
    assert_eq!(
        verdicts,
        [("read", Verdict::Same), ("draft", Verdict::Same), ("send", Verdict::Redone), ("note", Verdict::Open)]
    );
    let mut moved = moved(first, &plan).expect("nothing is under way");
    let told = moved.told();
    assert!(
        told.contains(
            "send request.withdrawn: no longer asked: the run moves to another definition\n\
             run run.migrated: moved by jo to definition tree2\n\
             read attempt.reused: taken over from run 000000\ndraft attempt.reused: taken over from run 000000\n\
             send gate.opened"
        ),
        "{told}"
    );
    let (gate, _) = gate_of(&moved).expect("a gate");
    assert_ne!(gate, old_gate, "another request, another name");
    carry_on(&mut moved);
    let keys: Vec<_> = moved
        .history
        .iter()
        .filter_map(|e| match &e.body {
            Body::AttemptStarted(start) => Some((start.key.clone(), start.effect.definition.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(keys.len(), 3, "{}", moved.told());
    assert_eq!(keys[2].1, "tree2");
    assert!(moved.state.end().is_some());
}

#[test]
fn what_the_old_definition_sent_is_never_sent_under_its_key_again() {
    let mut first = bench(CHAIN, None);
    for step in ["read", "draft"] {
        first.done(step, None, json!(format!("{step} did")));
    }
    let Body::AttemptStarted(read) = &first.history[1].body else { panic!("an attempt") };
    let key = read.key.clone();
    let changed = CHAIN.replace("\"cat\"", "\"tac\"");
    let plan = Arc::new(compile_with(&changed, &[("t.txt", "{{ about }}")]).expect("it compiles"));
    let moved = moved(first, &plan).expect("nothing is under way");
    let Some(Body::AttemptStarted(again)) = moved.history.last().map(|e| e.body.clone()) else {
        panic!("{}", moved.told())
    };
    assert_eq!((again.effect.step.as_str(), again.effect.ordinal), ("read", 1));
    assert_ne!(again.key, key);
}

#[test]
fn a_comparison_tells_what_is_new_gone_and_unknown() {
    let first = finished();
    let with = |text: &str| Arc::new(compile_with(text, &[("t.txt", "{{ about }}")]).expect("it compiles"));
    let tell = |plan: Arc<Plan>| {
        let diff = compare(plan, &start_of(&first), first.history[0].at, &collected(&first));
        let lines: Vec<_> = diff.steps.iter().map(|s| format!("{} {}", s.step, s.verdict.word())).collect();
        (lines.join(", "), diff)
    };
    let (same, diff) = tell(with(CHAIN));
    assert_eq!(same, "read same, draft same, send same, note same");
    assert_eq!(diff.output, Some(Value::Null));
    let more = CHAIN.replace(
        "id = \"note\"\nneeds = [\"send\"]",
        "id = \"check\"\nneeds = [\"send\"]\nrun = [\"x\"]\n[[step]]\nid = \"note\"\nneeds = [\"check\"]",
    );
    assert_eq!(tell(with(&more)).0, "read same, draft same, send same, check new, note open");
    let less = &CHAIN[..CHAIN.find("[[step]]\nid = \"note\"").expect("a step")];
    assert_eq!(tell(with(less)).0, "read same, draft same, send same, note gone");
    let other = CHAIN.replace("cat", "tac");
    let (other, diff) = tell(with(&other));
    assert_eq!(other, "read redone, draft same, send same, note same");
    assert!(diff.steps[0].assumed && diff.end.is_some());
}

#[test]
fn a_comparison_waits_for_no_other_run() {
    let text = "[concurrency]\nkey = \"w\"\nmax = 1\n[[step]]\nid = \"a\"\nrun = [\"x\"]\nconcurrency = { key = \"k\", max = 1 }\n";
    let first = Bench::new(text, nothing());
    let plan = Arc::new(compile_with(text, &[]).expect("it compiles"));
    let mut before = Collector::new(first.state.run().clone(), plan.clone());
    first.history[1..].iter().for_each(|event| before.take(event));
    let diff = compare(plan, &start_of(&first), first.history[0].at, &before);
    assert_eq!(diff.steps[0].verdict, Verdict::New, "it is reached: {:?}", diff.steps[0]);
}

fn line(event: &Event, n: usize) -> String {
    Record { n: n as u64, event: event.clone() }.encode().expect("a line").0
}

/// A history of random replies, decisions and times.
fn random(moves: Vec<(u8, u16)>) -> Bench {
    let mut bench = Bench::new(super::replay::TEXT, json!({}));
    for (what, pick) in moves {
        // every turn of a driver has a moment of its own
        bench.now += jiff::SignedDuration::from_micros(1);
        let waiting = outstanding(&bench.state);
        match (what, gate_of(&bench)) {
            (0..=3, _) if !waiting.is_empty() => {
                let (Outstanding::Again(p) | Outstanding::Lost(p)) = waiting[usize::from(pick) % waiting.len()].clone()
                else {
                    continue;
                };
                let outcome = match pick % 5 {
                    0 => failed(FailureClass::Soft, "soft"),
                    1 => failed(FailureClass::Hard, "hard"),
                    2 => crate::Outcome::Unknown { message: "lost".to_owned() },
                    _ => succeeded(json!(pick)),
                };
                bench.report(p.step.as_str(), p.iteration.as_deref(), p.attempt, outcome).expect("in flight");
            }
            (4, Some((gate, digest))) => {
                bench.bid(&Command::Deny { gate, digest, by: "p".to_owned(), reason: None }).expect("it waits");
            }
            (5..=6, Some((gate, digest))) => {
                bench.bid(&Command::Approve { gate, digest, by: "p".to_owned(), reason: None }).expect("it waits");
            }
            (7, _) => drop(bench.later(i64::from(pick % 20))),
            (8, _) => drop(bench.bid(&Command::Resume)),
            (9, _) if pick % 40 == 0 => {
                drop(bench.bid(&Command::Cancel { by: "p".to_owned(), reason: None, undo: false }));
            }
            _ => {}
        }
    }
    bench
}

/// Whether the replay could know better: what came from outside is taken as it is.
fn follows(history: &[Event], n: usize) -> bool {
    let event = &history[n];
    let leads = n == 1 || history[n - 1].at != event.at;
    let outside = matches!(
        event.body,
        Body::AttemptSucceeded(_)
            | Body::AttemptFailed(_)
            | Body::AttemptUnknown(_)
            | Body::GateApproved(_)
            | Body::GateDenied(_)
            | Body::RunCanceled(_)
    );
    let withdrawn = leads && matches!(event.body, Body::RequestWithdrawn(_));
    !(outside || withdrawn)
}

/// Changes one text or number among the fields of a line's own.
fn tampered(event: &Event, n: usize, pick: usize) -> Option<Event> {
    let mut value: Value = serde_json::from_str(&line(event, n)).expect("JSON");
    let mut leaves = Vec::new();
    fn walk<'a>(value: &'a mut Value, out: &mut Vec<&'a mut Value>) {
        match value {
            Value::Object(map) => map.values_mut().for_each(|v| walk(v, out)),
            Value::Array(items) => items.iter_mut().for_each(|v| walk(v, out)),
            leaf @ (Value::String(_) | Value::Number(_)) => out.push(leaf),
            _ => {}
        }
    }
    for (name, field) in value.as_object_mut()? {
        if !["n", "at", "kind", "v", "step", "iteration", "attempt", "cause"].contains(&name.as_str()) {
            walk(field, &mut leaves);
        }
    }
    let count = leaves.len();
    match leaves.get_mut(pick % count.max(1))? {
        leaf @ Value::Number(_) => **leaf = json!(leaf.as_u64().unwrap_or(0) + 1),
        Value::String(text) => {
            // one character, so that digests and ids stay what they look like
            let at = pick % text.chars().count().max(1);
            let changed = |c: char| if c == '1' { '2' } else { '1' };
            *text = text.chars().enumerate().map(|(i, c)| if i == at { changed(c) } else { c }).collect();
        }
        _ => return None,
    }
    let read = Record::decode(&value.to_string(), &mut |_| None).ok()?;
    (read.event != *event).then_some(read.event)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever happened, and wherever a crash cut it: the history is what the kernel gives again.
    #[test]
    fn any_history_replays_clean(moves in prop::collection::vec((0..10u8, any::<u16>()), 0..60), cut in any::<u16>()) {
        let bench = random(moves);
        let all = replayed(&bench, &bench.history);
        prop_assert_eq!(all.difference.map(|d| d.words()), None);
        prop_assert_eq!(all.same, bench.history.len() - 1);
        let cut = 1 + usize::from(cut) % bench.history.len();
        prop_assert_eq!(replayed(&bench, &bench.history[..cut]).difference.map(|d| d.words()), None);
    }

    /// A crash cuts an answer anywhere; what the next kernel goes on with replays too.
    #[test]
    fn a_history_that_went_on_after_a_cut_replays_clean(
        moves in prop::collection::vec((0..10u8, any::<u16>()), 0..40), cut in any::<u16>(),
    ) {
        let mut bench = random(moves);
        let cut = 1 + usize::from(cut) % bench.history.len();
        bench.history.truncate(cut);
        bench.state = bench.replayed();
        bench.later(3_600);
        for lost in outstanding(&bench.state) {
            let (Outstanding::Again(p) | Outstanding::Lost(p)) = lost else { continue };
            bench.now += jiff::SignedDuration::from_micros(1);
            bench.report(p.step.as_str(), p.iteration.as_deref(), p.attempt, succeeded(json!(1))).expect("in flight");
        }
        prop_assert_eq!(check_replay(&bench).difference.map(|d| d.words()), None);
    }

    /// One changed character in anything the kernel decided is found, where it stands or before.
    #[test]
    fn a_changed_decision_is_found(
        moves in prop::collection::vec((0..10u8, any::<u16>()), 10..60), which in any::<u16>(), pick in any::<u16>(),
    ) {
        let bench = random(moves);
        let decided: Vec<usize> = (1..bench.history.len()).filter(|n| follows(&bench.history, *n)).collect();
        prop_assume!(!decided.is_empty());
        let n = decided[usize::from(which) % decided.len()];
        let Some(changed) = tampered(&bench.history[n], n, usize::from(pick)) else { return Ok(()) };
        let mut history = bench.history.clone();
        history[n] = changed;
        let found = replayed(&bench, &history).difference;
        prop_assert!(found.as_ref().is_some_and(|d: &Difference| d.n <= n), "{:?}", history[n]);
    }
}

#[test]
fn a_kernel_that_decides_otherwise_is_told_with_both_sides() {
    let first = finished();
    // as if a later build read the definition another way
    let other = CHAIN.replace("\"cat\"", "\"tac\"");
    let plan = Arc::new(compile_with(&other, &[("t.txt", "{{ about }}")]).expect("it compiles"));
    let state = State::begin(plan, &start_of(&first), first.history[0].at);
    let difference = replay(state, 1, &first.history[1..], &mut |_, _, _| None).difference.expect("they differ");
    assert_eq!(difference.n, 1);
    assert_eq!(difference.words(), "record 1 is `attempt.started`, but this build gives another `attempt.started`");
    let given = line(difference.given.as_ref().expect("an event"), 1);
    assert!(given.contains("\"tac\"") && line(&difference.recorded, 1).contains("\"cat\""), "{given}");
}

#[test]
fn a_missing_and_a_doubled_record_are_found() {
    let first = finished();
    for n in 1..first.history.len() - 1 {
        let mut without = first.history.clone();
        let gone = without.remove(n);
        assert!(replayed(&first, &without).difference.is_some(), "{:?} is not missed", gone.body.kind());
        let mut doubled = first.history.clone();
        doubled.insert(n, doubled[n].clone());
        assert!(replayed(&first, &doubled).difference.is_some(), "{:?} may stand twice", gone.body.kind());
    }
    let mut state = first.replayed();
    assert_eq!(handle(&mut state, &Command::Advance, &Context { now: first.now, entropy: 0, cause: None }), Ok(vec![]));
}

/// Pauses are drawn: whatever else is answered at the moment at which a child run takes too long, the pause
/// that was drawn for it is taken as it stands.
#[test]
fn a_pause_that_was_drawn_beside_another_answer_is_no_difference() {
    let child = |id: &str, attempts| {
        format!(
            "[[step]]\nid = \"{id}\"\nworkflow = \"c\"\ntimeout = \"1h\"\nretry = {{ attempts = {attempts}, first = \"200ms\", backoff = \"linear\" }}\n"
        )
    };
    let gate = "[[step]]\nid = \"g\"\ncall = \"mail.send\"\nwith = { to = \"a\" }\napprove = \"always\"\n";
    let text = format!("{}{}{gate}", child("a", 3), child("b", 2));
    let mut bench = Bench::new(&text, nothing());
    bench.now += jiff::SignedDuration::from_hours(1);
    let (gate, digest) = gate_of(&bench).expect("a gate");
    let events = bench.bid(&Command::Approve { gate, digest, by: "ann".to_owned(), reason: None }).unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.body.kind().0).collect();
    assert_eq!(kinds, ["gate.approved", "attempt.failed", "attempt.failed", "attempt.started"]);
    bench.later(1);
    bench.later(3_600);
    assert_eq!(check_replay(&bench).difference, None);

    // one that nobody can have drawn is
    let mut history = bench.history.clone();
    let failed = history.iter_mut().find_map(|event| match &mut event.body {
        Body::AttemptFailed(failed) => failed.retry_at.as_mut(),
        _ => None,
    });
    *failed.expect("a retry") += jiff::SignedDuration::from_secs(2);
    assert!(!replayed(&bench, &history).is_same());
}
