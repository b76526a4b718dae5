//! Carries out what the interface asks for: every decision becomes a command in the inbox.

use std::sync::mpsc::{Sender, channel};

use cairn_store_layout::{CommandId, GateId, RunId, command::Verb, view::KernelHealth};
use cairn_tui::{
    Intent, Msg,
    terminal::{Host, Mailbox},
};

use super::feed::{self, Ask};
use crate::{
    cli::{
        failure::{Failure, chain},
        host::State,
    },
    store::{Store, identity, inbox, lock, reader::Reader},
};

/// The store behind the interface.
pub(super) struct StoreHost {
    store: Store,
    by: String,
    asks: Option<Sender<Ask>>,
}

impl StoreHost {
    pub(super) fn new(store: Store, by: String) -> Self {
        Self { store, by, asks: None }
    }

    fn ask(&self, ask: Ask) {
        if let Some(asks) = &self.asks {
            // the feed ends with the interface; nobody is left to be told
            let _ = asks.send(ask);
        }
    }

    /// Puts a command into the inbox of the machine that owns the run, else of this one.
    fn submit(&self, run: Option<RunId>, gate: Option<GateId>, verb: Verb, done: &str) -> Msg {
        match self.try_submit(run.as_ref(), verb) {
            Ok((command, state)) => {
                let text = match &state {
                    State::Sent => format!("{done}: sent"),
                    state => format!("{done}: {}", state.words()),
                };
                if state != State::Elsewhere {
                    self.ask(Ask::Follow(feed::Sent { command, run, gate: gate.clone() }));
                }
                Msg::Outcome { gate, ok: true, text }
            }
            Err(failure) => {
                let fix = failure.fix.map_or(String::new(), |f| format!("; {f}"));
                Msg::Outcome { gate, ok: false, text: format!("not saved: {}{fix}", failure.message) }
            }
        }
    }

    fn try_submit(&self, run: Option<&RunId>, verb: Verb) -> Result<(CommandId, State), Failure> {
        let here = identity::ensure(&self.store)?;
        let reader = Reader::new(self.store.clone());
        let view = run.map_or(Ok(None), |run| reader.view(run))?;
        let owner = view.map_or_else(|| Ok(here.clone()), |view| identity::addressee(&self.store, &view.machine))?;
        let command = inbox::submit(&self.store, &owner, verb, &self.by)?;
        let state = match lock::probe(self.store.root())? {
            _ if owner != here => State::Elsewhere,
            KernelHealth::Running { .. } => State::Sent,
            KernelHealth::Down => State::Saved,
        };
        Ok((command, state))
    }
}

impl Host for StoreHost {
    fn start(&mut self, mailbox: Mailbox) {
        let (sender, asks) = channel();
        match feed::spawn(self.store.clone(), mailbox.clone(), sender.clone(), asks) {
            Ok(()) => self.asks = Some(sender),
            Err(error) => {
                let why = format!("the store can not be watched: {}", chain(&error));
                mailbox.send(Msg::Stale { since: jiff::Timestamp::now(), why });
            }
        }
    }

    fn act(&mut self, intent: Intent) -> Vec<Msg> {
        let message = match intent {
            Intent::Approve { run, gate, digest, reason } => {
                let done = format!("approved {}", gate.short());
                let verb = match run.clone() {
                    Some(run) => Verb::GateApprove { run, gate: gate.clone(), digest, reason },
                    None => Verb::ProposalAccept { proposal: gate.clone(), digest, reason },
                };
                self.submit(run, Some(gate), verb, &done)
            }
            Intent::Deny { run, gate, digest, reason } => {
                let done = format!("denied {}", gate.short());
                let verb = match run.clone() {
                    Some(run) => Verb::GateDeny { run, gate: gate.clone(), digest, reason },
                    None => Verb::ProposalReject { proposal: gate.clone(), digest, reason },
                };
                self.submit(run, Some(gate), verb, &done)
            }
            Intent::Edit { run, gate, digest, input, reason } => {
                let done = format!("edited {}", gate.short());
                let verb = Verb::GateEdit { run: run.clone(), gate: gate.clone(), digest, input, reason };
                self.submit(Some(run), Some(gate), verb, &done)
            }
            Intent::Answer { run, gate, digest, answer } => {
                let done = format!("answered {}", gate.short());
                let verb = Verb::AskAnswer { run: run.clone(), gate: gate.clone(), digest, answer };
                self.submit(Some(run), Some(gate), verb, &done)
            }
            Intent::Cancel { run } => {
                let done = format!("cancel of run {}", run.short());
                let verb = Verb::RunCancel { run: run.clone(), reason: None, undo: false };
                self.submit(Some(run), None, verb, &done)
            }
            Intent::OpenRun(run) => {
                self.ask(Ask::Open(Some(run)));
                return Vec::new();
            }
            Intent::CloseRun => {
                self.ask(Ask::Open(None));
                return Vec::new();
            }
            // done by the runtime, never handed over
            Intent::OpenEditor { .. }
            | Intent::DropDraft { .. }
            | Intent::Copy(_)
            | Intent::Repaint
            | Intent::Suspend
            | Intent::Quit => return Vec::new(),
        };
        vec![message]
    }
}
