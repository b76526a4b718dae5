//! What approving and denying share: which request, which digest, who is asked, what became of it.

use std::io::{BufRead as _, Write as _};

use cairn_store_layout::{
    Digest,
    command::Verb,
    view::{InboxItem, ItemKind},
};
use clap::Args;
use serde_json::{Value, json};

use super::{Context, Failure, exit, show, still_open};
use crate::{
    cli::{
        asked::{self, Now},
        host::{self, Wait},
    },
    store::{inbox, reader::Reader},
};

/// Flags of every decision.
#[derive(Debug, Args)]
pub struct Choice {
    /// The requests: ids, or unique beginnings of at least 4 characters; `-` reads them from stdin
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    /// The digest that you saw, or a beginning of at least 4 characters; exact, and asks nothing
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<String>,
    /// Why; kept with the decision
    #[arg(short = 'm', long, value_name = "WHY")]
    pub reason: Option<String>,
    /// Whether to follow the run to rest.
    #[command(flatten)]
    pub wait: Wait,
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may happen.
    Approve,
    /// It will not happen.
    Deny,
}

impl Decision {
    fn verb(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }

    fn past(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Deny => "denied",
        }
    }
}

/// Decides on every request that is named, one after the other.
pub(super) fn decide(
    context: &mut Context,
    decision: Decision,
    choice: &Choice,
    confirm: &[String],
) -> Result<u8, Failure> {
    let ids = ids(choice)?;
    if choice.digest.is_some() && ids.len() > 1 {
        return Err(Failure::usage("--digest names one request's content; give one id with it"));
    }
    let mut reader = context.reader()?;
    if let [id] = ids.as_slice() {
        let done = one(context, &mut reader, decision, choice, confirm, id)?;
        let mut value = done.value;
        value["schema"] = json!("cairn.decision/1");
        context.screen.document(&value);
        return Ok(done.exit);
    }
    let (mut values, mut failed) = (Vec::new(), 0);
    for id in &ids {
        match one(context, &mut reader, decision, choice, confirm, id) {
            Ok(done) => values.push(done.value),
            Err(failure) => {
                failed += 1;
                context.screen.say(failure.text().trim_end());
                let mut value = failure.json();
                value["id"] = json!(id);
                values.push(value);
            }
        }
    }
    context.screen.list("cairn.decisions/1", &values, None);
    Ok(match failed {
        0 => exit::OK,
        all if all == ids.len() => exit::FAILED,
        _ => exit::PARTLY,
    })
}

struct Done {
    value: Value,
    exit: u8,
}

fn one(
    context: &mut Context,
    reader: &mut Reader,
    decision: Decision,
    choice: &Choice,
    confirm: &[String],
    id: &str,
) -> Result<Done, Failure> {
    let item = reader.resolve_request(id)?;
    still_open(&item, &context.screen)?;
    if !matches!(item.kind, ItemKind::Gate(_) | ItemKind::Learn) {
        let message = format!("{} is a question, not an approval", item.id.short());
        return Err(Failure::usage(message).fix(format!("cairn inbox answer {}", item.id.short())));
    }
    let digest = agreed(context, decision, choice, confirm, &item)?;
    let (gate, reason) = (item.id.clone(), choice.reason.clone().filter(|r| !r.trim().is_empty()));
    let Some(run) = item.run.clone() else { return proposal(context, reader, decision, choice, &item, digest) };
    let verb = match decision {
        Decision::Approve => Verb::GateApprove { run: run.clone(), gate, digest, reason },
        Decision::Deny => Verb::GateDeny { run: run.clone(), gate, digest, reason },
    };
    let owner = reader.view(&run)?.map(|v| v.machine);
    let owner = match owner {
        Some(owner) => owner,
        None => context.machine(reader.store())?,
    };
    let command = inbox::submit(reader.store(), &owner, verb, &context.by())?;
    let sent = host::follow(context, reader, &run, &command, &choice.wait)?;
    let status = sent.item.as_ref().map(|i| i.status.word());
    let commit = sent.item.as_ref().and_then(|i| i.commit.clone());
    context.screen.say(format!(
        "{} {} ({} {}): {}",
        decision.past(),
        item.id.short(),
        item.kind.word(),
        item.summary,
        sent.state.words()
    ));
    if choice.wait.is_set()
        && let (Some(status), Some(i)) = (status, &sent.item)
    {
        let note = if i.note.is_empty() { String::new() } else { format!(", {}", i.note) };
        context.screen.say(format!("run {} of {}: {status}{note}", run.short(), item.workflow));
    }
    Ok(Done {
        value: json!({
            "id": item.id, "run": run, "step": item.step, "digest": item.digest, "decision": decision.verb(),
            "command": command, "state": sent.state.word(), "status": status, "commit": commit,
        }),
        exit: if choice.wait.is_set() { sent.exit() } else { exit::OK },
    })
}

/// Decides about a proposal to memory, for which no run waits.
fn proposal(
    context: &mut Context,
    reader: &Reader,
    decision: Decision,
    choice: &Choice,
    item: &InboxItem,
    digest: Digest,
) -> Result<Done, Failure> {
    let (id, reason) = (item.id.clone(), choice.reason.clone().filter(|r| !r.trim().is_empty()));
    let verb = match decision {
        Decision::Approve => Verb::ProposalAccept { proposal: id, digest, reason },
        Decision::Deny => Verb::ProposalReject { proposal: id, digest, reason },
    };
    let (command, state) = asked::ask(context, reader.store(), verb, Now { wait: choice.wait.is_set() })?;
    let (word, short) = (decision.past(), item.id.short());
    context.screen.say(format!("{word} {short} ({} {}): {}", item.kind.word(), item.summary, state.words()));
    Ok(Done {
        value: json!({
            "id": item.id, "digest": item.digest, "decision": decision.verb(), "command": command, "state": state.word(),
        }),
        exit: exit::OK,
    })
}

/// The digest that the operator agreed to.
fn agreed(
    context: &mut Context,
    decision: Decision,
    choice: &Choice,
    confirm: &[String],
    item: &InboxItem,
) -> Result<Digest, Failure> {
    let short = item.id.short();
    let confirmed = confirm.iter().any(|c| c == short || c == item.id.as_str());
    let guarded = decision == Decision::Approve && item.level() >= 3;
    let needs_confirm = || {
        Failure::usage(format!("{short} is level 3: it needs your confirmation by name"))
            .why("it changes a rule or what every later run is told, or its text holds characters that can not be seen")
            .fix(format!("cairn inbox show {short}, then add --confirm {short}"))
    };
    if let Some(given) = &choice.digest {
        let given = given.to_ascii_lowercase();
        if given.len() < 4 || !item.digest.as_str().starts_with(&given) {
            let now = &item.digest.as_str()[..12];
            return Err(Failure::new(
                "stale_digest",
                exit::STALE,
                format!("{short} is not what you saw (digest {given} -> {now})"),
            )
            .why(match &item.proposed {
                Some(_) => "its text was edited since it was proposed",
                None => "the digest given does not name its text",
            })
            .fix(format!("cairn inbox show {short}, then cairn inbox {} {short} --digest {now}", decision.verb())));
        }
        if guarded && !confirmed {
            return Err(needs_confirm());
        }
        return Ok(item.digest.clone());
    }
    // a denial needs no proof that the text was read: nothing happens
    if decision == Decision::Deny {
        return Ok(item.digest.clone());
    }
    if context.common.yes || confirmed {
        show::show(&mut context.screen, item);
        if guarded && !confirmed {
            return Err(needs_confirm());
        }
        return Ok(item.digest.clone());
    }
    if !context.may_ask() {
        return Err(Failure::usage(format!("approving {short} needs the digest of what you saw"))
            .why("there is no terminal to show it on and ask")
            .fix(format!(
                "cairn inbox show {short}, then cairn inbox approve {short} --digest {}",
                &item.digest.as_str()[..12]
            )));
    }
    ask(context, item)
}

/// Shows the request and asks. The answer depends on the item, so that no habit can give it.
fn ask(context: &mut Context, item: &InboxItem) -> Result<Digest, Failure> {
    show::show(&mut context.screen, item);
    let flushed = context.screen.flush();
    flushed.map_err(|e| Failure::failed("no_output", format!("cannot write to the terminal: {e}")))?;
    let short = item.id.short();
    let (answer, what) = match item.level() {
        1 => ("y".to_owned(), "y to approve"),
        2 => (digit(&item.digest), "this digit to approve"),
        _ => (short.to_owned(), "this id to approve"),
    };
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "\n{} {}: type {answer} ({what}), anything else leaves it: ", item.kind.word(), short);
    let _ = stderr.flush();
    drop(stderr);
    let mut typed = String::new();
    let read = std::io::stdin().lock().read_line(&mut typed);
    read.map_err(|e| Failure::failed("no_input", format!("cannot read the answer: {e}")))?;
    if typed.trim() == answer {
        Ok(item.digest.clone())
    } else {
        Err(Failure::failed("not_approved", format!("{short} was not approved; it still waits")))
    }
}

/// A digit that differs from item to item: the first one in the digest, else 7.
fn digit(digest: &Digest) -> String {
    digest.as_str().chars().find(char::is_ascii_digit).unwrap_or('7').to_string()
}

fn ids(choice: &Choice) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    for id in &choice.ids {
        if id == "-" {
            let text = crate::cli::context::read_text(std::path::Path::new("-"))?;
            ids.extend(text.split_whitespace().map(str::to_owned));
        } else {
            ids.push(id.clone());
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    ids.retain(|id| seen.insert(id.clone()));
    if ids.is_empty() { Err(Failure::usage("no request is named").fix("cairn inbox ls")) } else { Ok(ids) }
}
