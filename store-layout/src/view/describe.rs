//! Events in words, for histories on a screen.

use crate::{
    entity::{Change, EntityChange},
    event::{Body, Event, FailureDecision, Then},
    proposal::{Decision, Proposed},
};

/// The short name of what happened, for a column.
#[must_use]
pub fn kind_word(event: &Event) -> String {
    event.body.kind().0.to_owned()
}

/// What happened, in a sentence without its time and step.
#[must_use]
pub fn describe(event: &Event) -> String {
    let why = |reason: &Option<String>| reason.as_deref().map_or(String::new(), |r| format!(": {r}"));
    match &event.body {
        Body::RunStarted(e) => format!("{} started by {} ({})", e.workflow, e.by, e.trigger),
        Body::RunSucceeded(_) => "the run succeeded".to_owned(),
        Body::RunFailed(e) => format!("the run failed: {}", e.message),
        Body::RunCanceled(e) => format!("canceled by {}{}", e.by, why(&e.reason)),
        Body::StepExpanded(e) => format!("{} to do", plural(e.items.len(), "iteration")),
        Body::StepSucceeded(_) => "done".to_owned(),
        Body::StepFailed(e) => format!("failed ({}): {}", e.code, e.message),
        Body::StepSkipped(e) => format!("skipped: {}", e.reason),
        Body::AttemptStarted(e) => format!("attempt {}: {}", event.attempt.unwrap_or(1), e.effect.request.name()),
        Body::AttemptSucceeded(e) => {
            let mut text = "done".to_owned();
            if let Some(cost) = &e.usage.cost_usd {
                text.push_str(&format!(", ${cost}"));
            }
            for file in &e.files {
                text.push_str(&format!(", wrote {}", file.path));
            }
            if let Some(by) = &e.settled_by {
                text.push_str(&format!(" (settled by {by})"));
            }
            text
        }
        Body::AttemptFailed(e) => {
            let next = e.retry_at.map_or(String::new(), |at| format!("; next attempt {}", crate::time::short(at)));
            let then = match &e.then {
                Some(Then::Skip) => "; skipped".to_owned(),
                Some(Then::Ask(gate)) => format!("; what now? {}", gate.short()),
                None => String::new(),
            };
            format!("failed ({}): {}{next}{then}", e.code, e.message)
        }
        Body::AttemptUnknown(e) => format!("outcome unknown: {}", e.message),
        Body::GateOpened(e) => {
            format!("{} waits for approval: {} (digest {})", e.class.word(), e.summary, e.digest.short())
        }
        Body::GateEdited(e) => {
            format!("edited by {}{} (digest {} -> {})", e.by, why(&e.reason), e.before.short(), e.digest.short())
        }
        Body::GateApproved(e) => format!("approved by {}{} (digest {})", e.by, why(&e.reason), e.digest.short()),
        Body::GateDenied(e) => format!("denied by {}{}", e.by, why(&e.reason)),
        Body::GateExpired(_) => "nobody decided in time".to_owned(),
        Body::RequestWithdrawn(e) => format!("no longer asked: {}", e.reason),
        Body::AskOpened(e) => format!("asks: {}", e.prompt.lines().next().unwrap_or_default()),
        Body::AskAnswered(e) => format!("answered by {}", e.by),
        Body::TimerSet(e) => format!("waits until {}", crate::time::short(e.until)),
        Body::TimerFired(_) => "the time has come".to_owned(),
        Body::PassageRemembered(e) => format!("remembered: {}", first_words(&e.passage.text)),
        Body::PassageForgotten(e) => {
            format!("forgot passage {}: {}", brief_id(&e.forgotten.forgets), e.forgotten.reason)
        }
        Body::EntityChanged(e) => change_words(&e.change),
        Body::EpisodeRecorded(e) => format!("{}: {}", e.episode.kind, first_words(&e.episode.text)),
        Body::ProposalMade(e) => format!("proposes {}: {}", proposed_words(&e.proposal.proposed), e.proposal.why),
        Body::ProposalDecided(e) => {
            let word = match e.decided.decision {
                Decision::Accepted => "accepted",
                Decision::Rejected => "rejected",
            };
            format!("proposal {} {word} by {}", e.decided.proposal.short(), e.decided.by)
        }
        Body::MemoryUsed(e) => {
            format!("was given {} passages and {} rules", e.used.passages.len(), e.used.knowledge.len())
        }
        Body::RunStopping(e) => {
            format!("stops: {}{}", e.message, if e.undo { "; what was done is taken back" } else { "" })
        }
        Body::RunMigrated(e) => {
            format!("moved by {} to definition {}", e.by, crate::text::brief(&e.definition, 12))
        }
        Body::SignalReceived(e) => format!("event {} from {}", e.name, e.by),
        Body::SignalTaken(_) => "the event has come".to_owned(),
        Body::WaitOpened(e) => {
            let until = e.until.map_or(String::new(), |at| format!(", until {}", crate::time::short(at)));
            format!("waits for event {}{until}", e.event)
        }
        Body::StepRepeated(e) => format!("round {}", e.round),
        Body::AttemptReused(e) => format!("taken over from run {}", e.from.short()),
        Body::FailureDecided(e) => {
            let what = match e.decision {
                FailureDecision::Retry => "another attempt",
                FailureDecision::Skip => "skipped",
                FailureDecision::Output => "output supplied",
                FailureDecision::Fail => "failed",
            };
            format!("{} decided: {what}{}", e.by, why(&e.comment))
        }
        Body::LeaseAsked(e) => {
            let key = e.concurrency.as_ref().map(|s| &s.key).or(e.rate.as_ref().map(|r| &r.key));
            format!("waits for its turn ({})", key.map_or("", String::as_str))
        }
        Body::LeaseGranted(_) => "its turn has come".to_owned(),
        Body::ProbeStarted(e) => format!("asks whether it happened: {}", e.effect.request.name()),
        Body::ProbeFailed(e) => format!("could not find out whether it happened: {}", e.message),
        Body::UndoStarted(e) => {
            format!("takes it back, attempt {}: {}", event.attempt.unwrap_or(1), e.effect.request.name())
        }
        Body::UndoSucceeded(_) => "taken back".to_owned(),
        Body::UndoFailed(e) => {
            let next = e.retry_at.map_or(String::new(), |at| format!("; next attempt {}", crate::time::short(at)));
            format!("not taken back ({}): {}{next}", e.code, e.message)
        }
        Body::UndoUnknown(e) => format!("unknown whether it was taken back: {}", e.message),
        Body::EventReceived(e) => format!("event {} from {}", e.name, e.by),
        Body::TriggerFired(e) => {
            let what = match (&e.run, &e.left_out) {
                (Some(run), _) => format!("started run {}", run.short()),
                (None, Some(why)) => format!("left out: {why}"),
                (None, None) => "waits for an earlier run to end".to_owned(),
            };
            let for_what = match (&e.due, &e.saw) {
                (Some(due), _) => format!(" ({})", crate::time::short(*due)),
                (None, Some(saw)) => format!(" ({saw})"),
                (None, None) => String::new(),
            };
            format!("{} trigger {}{for_what}: {what}", e.workflow, e.trigger)
        }
        Body::CommandRefused(e) => format!("{} by {} refused ({}): {}", e.verb, e.by, e.code, e.message),
        Body::PassageAdded(e) => format!("remembered: {}", first_words(&e.passage.text)),
        Body::JournalRepaired(e) => match e.restored {
            Some(entries) => format!(
                "{entries} damaged entries of {} at offset {} were restored byte for byte; the segment as it was found is {}",
                e.segment, e.offset, e.kept
            ),
            None => {
                format!("{} bytes at the end of {} were never acknowledged; kept in {}", e.bytes, e.segment, e.kept)
            }
        },
        Body::RunFollowed(e) => format!("run {} is followed again, asked by {}", e.run.short(), e.by),
        Body::RunParked(e) => format!("run {} is parked: {}", e.run.short(), e.message),
        Body::BranchRestored(e) => {
            let lost = e.lost.as_ref().map_or(String::new(), |c| format!("; commit {c} can not be read any more"));
            format!("{} was damaged ({}) and names {} again{lost}", e.branch, e.found, e.commit)
        }
        Body::MachineRetired(e) => format!("machine {} is retired: {}", e.was, e.message),
        Body::RunAdopted(e) => {
            let again = if e.asks_again { "; what waits for approval is asked again" } else { "" };
            format!("adopted from machine {} by {}; it belongs to {} now{again}", e.from, e.by, e.machine)
        }
        Body::Unknown { kind, v, .. } => format!("unknown kind `{kind}` v{v}, kept as it is"),
    }
}

fn plural(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn brief_id(id: &str) -> &str {
    id.get(..6).unwrap_or(id)
}

fn change_words(change: &EntityChange) -> String {
    let entity = &change.entity;
    match &change.change {
        Change::Fields { set, add, remove } => {
            let taken = set.iter().filter(|(_, value)| value.is_null()).map(|(field, _)| format!("no {field}"));
            let given = set.iter().filter(|(_, value)| !value.is_null()).map(|(field, _)| field.clone());
            let joined = add.keys().map(|field| format!("more {field}"));
            let left = remove.keys().map(|field| format!("less {field}"));
            let all: Vec<String> = given.chain(taken).chain(joined).chain(left).collect();
            format!("{entity}: {}", all.join(", "))
        }
        Change::Merged { into } => format!("{entity} is {into}"),
        Change::Split { merge } => format!("{entity} is itself again (merge {} undone)", brief_id(merge)),
    }
}

fn proposed_words(proposed: &Proposed) -> String {
    match proposed {
        Proposed::Passage(passage) => format!("to remember {}", first_words(&passage.text)),
        Proposed::Forgotten(forgotten) => format!("to forget passage {}", brief_id(&forgotten.forgets)),
        Proposed::Entity(change) => change_words(change),
        Proposed::Episode(episode) => format!("{} {}", episode.kind, first_words(&episode.text)),
        Proposed::Knowledge { path, .. } => format!("knowledge/{path}"),
    }
}

fn first_words(text: &str) -> String {
    crate::text::brief(&text.split_whitespace().collect::<Vec<_>>().join(" "), 60)
}
