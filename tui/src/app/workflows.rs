//! The workflows and what starts them by itself: a row for each trigger, and for each workflow without one.

use cairn_store_layout::{
    RunId,
    view::{Snapshot, TriggerItem},
};

use super::App;
use crate::detail::{Line, Pane, Tone};

/// Names a row of the workflows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WorkflowRow {
    pub(crate) workflow: String,
    pub(crate) trigger: Option<String>,
}

impl WorkflowRow {
    /// The rows of a snapshot: workflows by name, their triggers in the order of the definition.
    pub(super) fn all(snapshot: &Snapshot) -> Vec<Self> {
        // a definition that can not be used now may have triggers of its last commit
        let triggered = snapshot.triggers.iter().map(|t| &t.workflow);
        let names: std::collections::BTreeSet<&String> = snapshot.workflows.iter().chain(triggered).collect();
        let mut rows = Vec::new();
        for name in names {
            let row = |trigger| Self { workflow: name.clone(), trigger };
            let before = rows.len();
            let own = snapshot.triggers.iter().filter(|t| t.workflow == *name);
            rows.extend(own.map(|t| row(Some(t.trigger.clone()))));
            if rows.len() == before {
                rows.push(row(None));
            }
        }
        rows
    }

    /// What it is called.
    pub(crate) fn name(&self) -> String {
        match &self.trigger {
            Some(trigger) => format!("{}  {trigger}", self.workflow),
            None => self.workflow.clone(),
        }
    }

    /// What starts a run of it from a shell.
    pub(super) fn command(&self) -> String {
        match &self.trigger {
            Some(trigger) => format!("cairn trigger fire {} {trigger}", self.workflow),
            None => format!("cairn run start {}", self.workflow),
        }
    }
}

impl App {
    pub(crate) fn trigger(&self, row: &WorkflowRow) -> Option<&TriggerItem> {
        let triggers = self.snapshot.iter().flat_map(|s| &s.triggers);
        triggers.into_iter().find(|t| t.workflow == row.workflow && Some(&t.trigger) == row.trigger.as_ref())
    }

    /// The run that the selected trigger started last.
    pub(super) fn started_last(&self) -> Option<&RunId> {
        self.trigger(self.workflows.cursor()?)?.last.as_ref()?.run.as_ref()
    }

    /// The words of a row, for the filter.
    pub(super) fn workflow_words(&self, row: &WorkflowRow) -> String {
        let trigger = self.trigger(row);
        let (by, state) = trigger.map_or(("", ""), |t| (t.by.as_str(), trust(t)));
        format!("{} {} {by} {state}", row.workflow, row.trigger.as_deref().unwrap_or(""))
    }

    pub(super) fn workflow_lines(&self, width: usize) -> Vec<Line> {
        let mut pane = Pane::new(&self.config, width);
        let Some(row) = self.workflows.cursor() else { return pane.lines };
        let Some(trigger) = self.trigger(row) else {
            pane.part("START", "by you alone: it has no trigger", Tone::Plain);
            pane.part("", &row.command(), Tone::Plain);
            return pane.lines;
        };
        pane.part("BY", &trigger.by, Tone::Plain);
        if trigger.on {
            pane.part("STATE", "on: this version is trusted on this machine", Tone::Plain);
        } else {
            pane.part("STATE", "OFF: this version is not trusted on this machine", Tone::Warn);
            pane.part("", &format!("read it, then: cairn workflow trust {}", row.workflow), Tone::Plain);
        }
        let next = trigger.next.map_or_else(|| "by time: none".to_owned(), |at| self.config.day(at));
        pane.part("NEXT", &next, Tone::Plain);
        if trigger.missed > 0 {
            let text = format!("{} due times passed with no kernel; the next one decides", trigger.missed);
            pane.part("", &text, Tone::Warn);
        }
        if trigger.waits {
            pane.part("", "a start waits for an earlier run to end", Tone::Plain);
        }
        match &trigger.last {
            None => pane.part("LAST", "nothing, as far as the latest logs tell", Tone::Plain),
            Some(last) => {
                let what = match (&last.run, &last.left_out) {
                    (Some(run), _) => {
                        let item = self.run_items.get(run);
                        let how = item.map_or("", |item| item.status.word());
                        format!("started run {} {how}", run.short()).trim_end().to_owned()
                    }
                    (None, Some(why)) => format!("left out: {why}"),
                    (None, None) => "waits for an earlier run".to_owned(),
                };
                pane.part("LAST", &format!("{}: {what}", self.config.day(last.at)), Tone::Plain);
            }
        }
        pane.part("", &row.command(), Tone::Plain);
        pane.lines
    }
}

/// Whether it may start runs here, as a word for lists.
pub(crate) fn trust(trigger: &TriggerItem) -> &'static str {
    if trigger.on { "on" } else { "OFF" }
}
