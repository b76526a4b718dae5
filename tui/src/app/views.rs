//! Taking in news: snapshots, runs, outcomes. The cursor never moves here.

use std::collections::BTreeMap;

use cairn_store_layout::{
    GateId,
    view::{InboxItem, Snapshot},
};

use super::{App, InboxRow, Mode, OpenRun, WorkflowRow};
use crate::{RunDetail, detail};

/// A decision that was handed over and is not yet seen in the views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    /// `approval`, `denial`, `edit`, `answer`.
    pub(crate) word: &'static str,
    /// Snapshots since then in which the kernel had nothing more to read and the request still waited.
    idle: u8,
}

impl Sent {
    pub(crate) fn new(word: &'static str) -> Self {
        Self { word, idle: 0 }
    }
}

impl App {
    pub(super) fn take_views(&mut self, snapshot: Box<Snapshot>) {
        self.stale = None;
        let mut items: BTreeMap<GateId, InboxItem> = snapshot.inbox.iter().map(|i| (i.id.clone(), i.clone())).collect();
        let under_cursor = match self.inbox.cursor() {
            Some(InboxRow::Item(gate)) => self.items.remove(gate),
            _ => None,
        };
        if let Some(old) = under_cursor {
            match items.get(&old.id) {
                // what is gone from the views stays readable while the cursor is on it
                None => drop(items.insert(old.id.clone(), old)),
                Some(new) => self.compare(&old, new),
            }
        }
        for (gate, item) in &items {
            self.own_edits.retain(|g, d| g != gate || item.is_open() && *d != item.digest);
        }
        let idle = snapshot.health.commands_waiting == 0;
        let mut lost = None;
        let mut applied = None;
        self.sent.retain(|gate, sent| {
            let Some(item) = items.get(gate) else { return false };
            if !item.is_open() {
                let state = detail::state_words(&item.state, &self.config);
                applied = Some(format!("{} {state}", gate.short()));
                return false;
            }
            if sent.word == "edit" && item.proposed.is_some() {
                return false;
            }
            sent.idle += u8::from(idle);
            if sent.idle > 2 {
                lost = Some((gate.clone(), sent.word));
            }
            sent.idle <= 2
        });
        if let Some(text) = applied {
            // in place of `sent` or `saved`, which would be old news
            self.say(true, text);
        }
        if let Some((gate, word)) = lost {
            self.say(
                false,
                format!("{} still waits: the kernel did not apply your {word}; decide again", gate.short()),
            );
        }
        self.drop_outdated_question(&items);

        let mut rows: Vec<InboxRow> = snapshot.inbox.iter().map(|i| InboxRow::Item(i.id.clone())).collect();
        rows.extend(snapshot.problems.iter().map(|p| InboxRow::Problem(p.to_string())));
        rows.extend(snapshot.health.unreadable.iter().map(|u| InboxRow::Unreadable(u.clone())));
        self.items = items;
        self.run_items = snapshot.runs.iter().map(|r| (r.run.clone(), r.clone())).collect();
        self.inbox.offer(rows);
        self.runs.offer(snapshot.runs.iter().map(|r| r.run.clone()).collect());
        self.workflows.offer(WorkflowRow::all(&snapshot));
        self.snapshot = Some(snapshot);
    }

    /// Notes that what the operator looks at is no longer what is asked.
    fn compare(&mut self, old: &InboxItem, new: &InboxItem) {
        if old.digest == new.digest || !new.is_open() {
            return;
        }
        self.scroll = 0;
        if self.own_edits.get(&new.id) == Some(&new.digest) {
            self.say(true, format!("{} now has your text; it waits for approval", new.id.short()));
            return;
        }
        let first = match self.changed.take() {
            Some((gate, first, _)) if gate == new.id => first,
            _ => old.digest.clone(),
        };
        self.changed = Some((new.id.clone(), first, new.digest.clone()));
    }

    /// A question about something that changed or was decided elsewhere is no longer a question.
    fn drop_outdated_question(&mut self, items: &BTreeMap<GateId, InboxItem>) {
        let Some(target) = self.mode.target() else { return };
        let why = match items.get(&target.gate) {
            Some(item) if !item.is_open() => detail::state_words(&item.state, &self.config),
            Some(item) if item.digest != target.digest => "it changed meanwhile, read it again".to_owned(),
            Some(_) => return,
            None => "it is no longer asked".to_owned(),
        };
        let text = format!("{}: {why}; nothing was sent", target.gate.short());
        self.mode = Mode::Normal;
        self.say(false, text);
    }

    pub(super) fn take_detail(&mut self, detail: RunDetail) {
        let run = &detail.view.run;
        match &mut self.run {
            Some(open) if open.detail.view.run == *run => open.update(detail),
            _ if self.run_wanted.as_ref() == Some(run) => {
                let mut run = OpenRun::new(detail);
                if let Some(row) = self.run_aim.take() {
                    run.aim(&row);
                }
                self.run = Some(run);
            }
            // news of a run that was closed meanwhile
            _ => {}
        }
    }

    pub(super) fn take_outcome(&mut self, gate: Option<GateId>, ok: bool, text: String) {
        if let (false, Some(gate)) = (ok, gate) {
            self.sent.remove(&gate);
            self.own_edits.remove(&gate);
        }
        self.say(ok, text);
    }
}
