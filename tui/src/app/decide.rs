//! The decision contract: what may be decided, what must be typed for it, and what it is bound to.
//!
//! Nothing here decides without a key that was aimed at the digest on the screen. Levels: 1 acts at once;
//! 2 asks for a digit that differs from item to item; 3 asks for the item's id. Lines that were not read
//! raise the level.

use cairn_store_layout::{
    Digest,
    payload::from_text,
    view::{InboxItem, ItemState},
};

use super::{
    App, Confirm, Focus, Form, Mode, Proof,
    mode::{Purpose, Target, digit},
    views::Sent,
};
use crate::{Edited, Intent, Millis, detail, draw::layout::Room, keymap::Action};

impl App {
    /// Why an action is not possible now, in words; `None` when it is.
    pub(crate) fn refusal(&self, action: Action) -> Option<String> {
        match action {
            Action::Approve | Action::Answer | Action::Deny | Action::Edit => {
                let item = self.selected()?;
                self.closed(item).or_else(|| match action {
                    Action::Approve | Action::Edit if !shown_is_signed(item) => Some(format!(
                        "{} cannot be shown as it would go out: x denies it, cairn verify says what is damaged",
                        item.id.short()
                    )),
                    Action::Edit if item.learns.is_some() => {
                        Some("a proposal can not be edited; reject it and add what is right".to_owned())
                    }
                    Action::Edit if editable(item).is_none() => {
                        Some("a command line can not be edited here; deny it and change the workflow".to_owned())
                    }
                    _ => None,
                })
            }
            Action::Why => match self.selected() {
                Some(item) if item.evidence.is_some() => None,
                _ => Some("no evidence was given".to_owned()),
            },
            Action::CancelRun => {
                let Some(run) = self.selected_run() else { return Some("no run is selected".to_owned()) };
                let status = match &self.run {
                    Some(open) => Some(open.detail.view.status()),
                    None => self.run_items.get(run).map(|r| r.status),
                };
                status.filter(|s| s.is_final()).map(|s| format!("the run has already ended: {}", s.word()))
            }
            Action::OpenRun | Action::OpenRunOfItem if self.selected_run().is_none() => {
                let on_workflows = self.screen == super::Screen::Workflows;
                Some(if on_workflows { "it has started no run yet" } else { "no run is selected" }.to_owned())
            }
            Action::ToRequest if self.request_of_run().is_none() => {
                Some("nothing of this run waits for you".to_owned())
            }
            _ => None,
        }
    }

    fn closed(&self, item: &InboxItem) -> Option<String> {
        let id = item.id.short();
        if let Some((gate, _, _)) = &self.changed
            && *gate == item.id
        {
            return Some(format!("{id} changed while you looked at it: read it again, then Tab or move"));
        }
        if let Some(sent) = self.sent.get(&item.id) {
            return Some(format!("{id}: your {} is on its way to the kernel", sent.word));
        }
        match &item.state {
            ItemState::Waiting => None,
            state => Some(format!("{id} is {}", detail::state_words(state, &self.config))),
        }
    }

    /// The level of the selected request, raised when lines of it were not read.
    pub(crate) fn effective_level(&self, item: &InboxItem) -> u8 {
        if self.unseen() > 0 { (item.level() + 1).min(3) } else { item.level() }
    }

    pub(super) fn approve(&mut self, at: Millis, intents: &mut Vec<Intent>) {
        if self.read_first() {
            return;
        }
        let Some(item) = self.selected() else { return };
        let target = target_of(item);
        let unread = match self.unseen() {
            0 => String::new(),
            n => format!("{n} lines unread. "),
        };
        let reaches = detail::target(item).map_or(String::new(), |to| format!(" to {to}"));
        let stakes = detail::stakes(item.kind);
        let (class, meaning) = stakes.split_once(": ").unwrap_or((stakes, "approve it?"));
        let words = format!("{}: {unread}{class}{reaches}: {meaning}", item.id.short());
        let proof = match self.effective_level(item) {
            1 => {
                self.sent.insert(target.gate.clone(), Sent::new("approval"));
                intents.push(approve_intent(target));
                return;
            }
            2 => Proof::Digit(digit(&item.digest)),
            _ => Proof::Id(item.id.short().to_owned()),
        };
        let verb = "approves";
        self.enter(
            Mode::Confirm(Confirm { purpose: Purpose::Approve(target), proof, typed: String::new(), words, verb }),
            at,
        );
    }

    pub(super) fn deny(&mut self, at: Millis) {
        if self.read_first() {
            return;
        }
        let Some(item) = self.selected() else { return };
        let target = target_of(item);
        self.enter(Mode::Reason { target, typed: String::new() }, at);
    }

    pub(super) fn answer(&mut self, at: Millis) {
        if self.read_first() {
            return;
        }
        let Some(item) = self.selected() else { return };
        let Some(ask) = &item.ask else { return };
        let typed = ask.form.iter().map(|f| f.default.as_ref().map_or(String::new(), detail::short)).collect();
        let form = Form { target: target_of(item), fields: ask.form.clone(), typed, at: 0, wrong: None };
        self.enter(Mode::Form(form), at);
    }

    pub(super) fn edit(&mut self, intents: &mut Vec<Intent>) {
        let Some(item) = self.selected() else { return };
        let Some(input) = editable(item) else { return };
        let text = cairn_store_layout::payload::to_text(input);
        intents.push(Intent::OpenEditor { gate: item.id.clone(), digest: item.digest.clone(), text });
    }

    /// Looks at what came back from the editor: nothing is decided before the operator saw the difference.
    pub(super) fn take_edit(&mut self, edited: Edited, intents: &mut Vec<Intent>) {
        let Edited { gate, digest, text, resumed } = edited;
        let id = gate.short().to_owned();
        let drop = Intent::DropDraft { gate: gate.clone(), digest: digest.clone() };
        let text = match text {
            Ok(text) => text,
            Err(why) => return self.say(false, format!("{id} was not edited: {why}")),
        };
        let Some(item) = self.items.get(&gate).filter(|i| i.digest == digest && i.is_open()) else {
            return self
                .say(false, format!("{id} changed or was decided meanwhile: your draft is kept, nothing was sent"));
        };
        let Some(before) = editable(item).cloned() else { return };
        if text.trim().is_empty() {
            intents.push(drop);
            return self.say(true, format!("{id}: an empty text is no decision; nothing changed"));
        }
        let after = match from_text(&before, &text) {
            Ok(after) if after == before => {
                intents.push(drop);
                return self.say(true, format!("{id}: the text is as it was; nothing changed"));
            }
            Ok(after) => after,
            Err(why) => return self.say(false, format!("{id}: {why}. Your draft is kept: e resumes")),
        };
        let mut effect = item.effect.clone().expect("what is editable has an effect");
        if let Some(input) = effect.request.input_mut() {
            *input = after.clone();
        }
        let after_digest = effect.digest();
        let proof = Proof::Digit(digit(&after_digest));
        let from = if resumed { " (begun from your unfinished draft)" } else { "" };
        let words = format!("{id}: replace the text by yours{from}; it then waits for approval anew.");
        let purpose = Purpose::Edit { target: target_of(item), before, after, after_digest };
        self.scroll = 0;
        // no guard: the editor took the keys until now, and the runtime threw away what was typed meanwhile
        let confirm = Confirm { purpose, proof, typed: String::new(), words, verb: "saves the edit" };
        self.enter(Mode::Confirm(confirm), Millis::default());
    }

    pub(super) fn cancel_run(&mut self, at: Millis) {
        let Some(run) = self.selected_run().cloned() else { return };
        let digest = Digest::of(run.as_str().as_bytes());
        let words = format!("End run {} before its time. What it did stays done.", run.short());
        let proof = Proof::Digit(digit(&digest));
        let confirm =
            Confirm { purpose: Purpose::Cancel(run), proof, typed: String::new(), words, verb: "ends the run" };
        self.enter(Mode::Confirm(confirm), at);
    }

    /// Carries out what was confirmed.
    pub(super) fn confirmed(&mut self, purpose: Purpose, intents: &mut Vec<Intent>) {
        match purpose {
            Purpose::Approve(target) => {
                self.sent.insert(target.gate.clone(), Sent::new("approval"));
                intents.push(approve_intent(target));
            }
            Purpose::Edit { target, after, after_digest, .. } => {
                self.own_edits.insert(target.gate.clone(), after_digest);
                self.sent.insert(target.gate.clone(), Sent::new("edit"));
                intents.push(Intent::DropDraft { gate: target.gate.clone(), digest: target.digest.clone() });
                let Target { run, gate, digest } = target;
                // only what a run asks for has a text to edit
                let Some(run) = run else { return };
                intents.push(Intent::Edit { run, gate, digest, input: after, reason: None });
            }
            Purpose::Cancel(run) => intents.push(Intent::Cancel { run }),
        }
    }

    pub(super) fn denied(&mut self, target: Target, reason: Option<String>, intents: &mut Vec<Intent>) {
        self.sent.insert(target.gate.clone(), Sent::new("denial"));
        let Target { run, gate, digest } = target;
        intents.push(Intent::Deny { run, gate, digest, reason });
    }

    /// Where the request's text is not on the screen, shows it instead of deciding.
    fn read_first(&mut self) -> bool {
        if self.pane_visible() {
            return false;
        }
        if self.room() != Room::Line {
            self.focus = Focus::Detail;
            self.say(true, "read it first; then press the key again");
        }
        true
    }
}

fn target_of(item: &InboxItem) -> Target {
    Target { run: item.run.clone(), gate: item.id.clone(), digest: item.digest.clone() }
}

fn approve_intent(target: Target) -> Intent {
    let Target { run, gate, digest } = target;
    Intent::Approve { run, gate, digest, reason: None }
}

/// Tells whether what is on the screen is what an approval would sign.
///
/// The views come from the store, which checks this too; but here is the last place where a text and a
/// digest that do not belong together can be told from each other before a person says yes.
fn shown_is_signed(item: &InboxItem) -> bool {
    match &item.learns {
        Some(learns) => learns.digest() == item.digest,
        None => item.effect.as_ref().is_some_and(|effect| effect.digest() == item.digest),
    }
}

fn editable(item: &InboxItem) -> Option<&serde_json::Value> {
    item.effect.as_ref()?.request.input()
}
