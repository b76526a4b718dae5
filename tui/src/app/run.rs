//! One run on the screen: its tree, its history, its artifacts.

use std::collections::BTreeSet;

use cairn_store_layout::{
    RunId, StepId,
    event::Parent,
    view::{AttemptView, RunView, SlotState, SlotView, StepView},
};

use super::rows::Rows;
use crate::{Config, EventLine, RunDetail, detail};

/// The views of a run, in the order of the key that changes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RunTab {
    #[default]
    Tree,
    Waterfall,
    Events,
    Artifacts,
}

impl RunTab {
    pub(crate) const ALL: [Self; 4] = [Self::Tree, Self::Waterfall, Self::Events, Self::Artifacts];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Tree => "Tree",
            Self::Waterfall => "Waterfall",
            Self::Events => "Events",
            Self::Artifacts => "Artifacts",
        }
    }

    pub(crate) fn next(self) -> Self {
        let at = Self::ALL.iter().position(|t| *t == self).expect("every view is in the list");
        Self::ALL[(at + 1) % Self::ALL.len()]
    }
}

/// Names a row, whatever arrives above it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RunRow {
    /// The run whose step started this one.
    Parent,
    Step(StepId),
    Slot(StepId, String),
    Attempt(StepId, Option<String>, u32),
    Event(u64),
    /// The attempt, its place among all artifacts and files of the run.
    Artifact(u32),
}

/// A run that is open.
#[derive(Debug, Clone)]
pub(crate) struct OpenRun {
    pub(crate) detail: RunDetail,
    pub(crate) tab: RunTab,
    pub(crate) rows: Rows<RunRow>,
    /// The rows that are unfolded.
    pub(crate) open: BTreeSet<RunRow>,
    /// All payloads and files, in the order of the steps.
    pieces: Vec<Piece>,
}

/// A payload or file of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) step: StepId,
    pub(crate) iteration: Option<String>,
    pub(crate) attempt: u32,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) bytes: Option<u64>,
}

impl OpenRun {
    pub(crate) fn new(detail: RunDetail) -> Self {
        let mut run =
            Self { detail, tab: RunTab::Tree, rows: Rows::default(), open: BTreeSet::new(), pieces: Vec::new() };
        run.offer();
        // what wants attention first
        let wanted = run.detail.view.steps.iter().find(|s| {
            matches!(s.state(), SlotState::Waiting | SlotState::Running | SlotState::Retrying | SlotState::Failed)
        });
        if let Some(step) = wanted {
            run.rows.point_at(&RunRow::Step(step.id.clone()));
        }
        run
    }

    /// Takes news of the run. Rows only ever grow at the end or under their step, so none has to wait.
    pub(crate) fn update(&mut self, detail: RunDetail) {
        self.detail = detail;
        self.offer();
    }

    pub(crate) fn next_tab(&mut self) {
        self.tab = self.tab.next();
        let cursor = self.rows.cursor().cloned();
        self.rows = Rows::default();
        self.offer();
        if let Some(row) = cursor {
            self.rows.point_at(&row);
        }
    }

    /// Unfolds or folds the row under the cursor. Returns whether it has anything to unfold.
    pub(crate) fn toggle(&mut self) -> bool {
        let Some(row) = self.rows.cursor().cloned() else { return false };
        let has = match &row {
            RunRow::Step(id) => self.step(id).is_some_and(has_rows),
            RunRow::Slot(id, key) => self.slot(id, Some(key)).is_some_and(|s| !s.attempts.is_empty()),
            _ => false,
        };
        if has {
            if !self.open.remove(&row) {
                self.open.insert(row);
            }
            self.offer();
        }
        has
    }

    /// The run that the row under the cursor names, and the row of that run it belongs to.
    pub(crate) fn kin(&self) -> Option<(RunId, Option<RunRow>)> {
        match self.rows.cursor()? {
            RunRow::Parent => {
                let Parent { run, step, iteration, .. } = self.detail.view.parent.clone()?;
                let row = match iteration {
                    Some(key) => RunRow::Slot(step, key),
                    None => RunRow::Step(step),
                };
                Some((run, Some(row)))
            }
            RunRow::Step(id) => Some((self.slot(id, None)?.child()?.clone(), None)),
            RunRow::Slot(id, key) => Some((self.slot(id, Some(key))?.child()?.clone(), None)),
            RunRow::Attempt(id, key, n) => Some((self.attempt(id, key.as_deref(), *n)?.child.clone()?, None)),
            RunRow::Event(_) | RunRow::Artifact(_) => None,
        }
    }

    /// Puts the cursor on a row, unfolding what it lies in.
    pub(crate) fn aim(&mut self, row: &RunRow) {
        if let RunRow::Slot(id, _) | RunRow::Attempt(id, _, _) = row {
            self.open.insert(RunRow::Step(id.clone()));
        }
        if let RunRow::Attempt(id, Some(key), _) = row {
            self.open.insert(RunRow::Slot(id.clone(), key.clone()));
        }
        self.offer();
        self.rows.point_at(row);
    }

    pub(crate) fn step(&self, id: &StepId) -> Option<&StepView> {
        self.detail.view.step(id)
    }

    pub(crate) fn slot(&self, id: &StepId, iteration: Option<&str>) -> Option<&SlotView> {
        self.step(id)?.slots.iter().find(|s| s.iteration.as_deref() == iteration)
    }

    pub(crate) fn attempt(&self, id: &StepId, iteration: Option<&str>, n: u32) -> Option<&AttemptView> {
        self.slot(id, iteration)?.attempts.iter().find(|a| a.number == n)
    }

    pub(crate) fn piece(&self, n: u32) -> Option<&Piece> {
        self.pieces.get(n as usize)
    }

    pub(crate) fn event(&self, n: u64) -> Option<&EventLine> {
        let at = self.detail.events.binary_search_by_key(&n, |e| e.n).ok()?;
        self.detail.events.get(at)
    }

    /// The words of a row, for the filter.
    pub(crate) fn haystack(&self, row: &RunRow, config: &Config) -> String {
        match row {
            RunRow::Parent => self.detail.view.parent.as_ref().map_or(String::new(), |p| format!("parent {}", p.run)),
            RunRow::Step(id) => {
                self.step(id).map_or(String::new(), |s| format!("{id} {} {}", s.does, s.state().word()))
            }
            RunRow::Slot(id, key) => {
                let word = self.slot(id, Some(key)).map_or("", |s| s.state.word());
                format!("{id} {key} {word}")
            }
            RunRow::Attempt(id, key, n) => format!("{id} {} attempt {n}", key.as_deref().unwrap_or("")),
            RunRow::Event(n) => self.event(*n).map_or(String::new(), |e| {
                let step = e.step.as_ref().map_or("", StepId::as_str);
                format!(
                    "{} {step} {} {} {}",
                    config.seconds(e.at),
                    e.iteration.as_deref().unwrap_or(""),
                    e.kind,
                    e.text
                )
            }),
            RunRow::Artifact(n) => pieces(&self.detail.view)
                .get(*n as usize)
                .map_or(String::new(), |p| format!("{} {} {}", p.step, p.name, p.path)),
        }
    }

    /// The lines of the pane for the row under the cursor.
    pub(crate) fn lines(&self, config: &Config, width: usize) -> Vec<detail::Line> {
        let mut pane = detail::Pane::new(config, width);
        match self.rows.cursor() {
            Some(RunRow::Parent) => {
                if let Some(parent) = &self.detail.view.parent {
                    super::run_lines::parent(&mut pane, parent);
                }
            }
            Some(RunRow::Step(id)) => {
                if let Some(step) = self.step(id) {
                    super::run_lines::step(&mut pane, step, config);
                }
            }
            Some(RunRow::Slot(id, key)) => {
                if let Some(slot) = self.slot(id, Some(key)) {
                    super::run_lines::slot(&mut pane, slot, config);
                }
            }
            Some(RunRow::Attempt(id, key, n)) => {
                if let Some(attempt) = self.attempt(id, key.as_deref(), *n) {
                    super::run_lines::attempt(&mut pane, attempt, config);
                }
            }
            Some(RunRow::Event(n)) => {
                if let Some(event) = self.event(*n) {
                    super::run_lines::event(&mut pane, event, config);
                }
            }
            Some(RunRow::Artifact(n)) => {
                if let Some(piece) = self.piece(*n) {
                    super::run_lines::piece(&mut pane, piece);
                }
            }
            None => {}
        }
        pane.lines
    }

    fn offer(&mut self) {
        self.pieces = pieces(&self.detail.view);
        let rows = match self.tab {
            RunTab::Tree | RunTab::Waterfall => self.tree(),
            RunTab::Events => self.detail.events.iter().map(|e| RunRow::Event(e.n)).collect(),
            RunTab::Artifacts => {
                (0..self.pieces.len()).map(|n| RunRow::Artifact(u32::try_from(n).unwrap_or(u32::MAX))).collect()
            }
        };
        self.rows.offer(rows);
        self.rows.take_in();
    }

    fn tree(&self) -> Vec<RunRow> {
        let mut rows: Vec<RunRow> = self.detail.view.parent.iter().map(|_| RunRow::Parent).collect();
        for step in &self.detail.view.steps {
            let row = RunRow::Step(step.id.clone());
            let open = self.open.contains(&row);
            rows.push(row);
            for slot in &step.slots {
                let iteration = slot.iteration.clone();
                let mut unfolded = open;
                if let Some(key) = &iteration {
                    if !open {
                        continue;
                    }
                    let row = RunRow::Slot(step.id.clone(), key.clone());
                    unfolded = self.open.contains(&row);
                    rows.push(row);
                }
                // failures stay in sight: their first line is the answer to most questions
                let attempts = slot.attempts.iter().filter(|a| unfolded || a.failure.is_some());
                rows.extend(attempts.map(|a| RunRow::Attempt(step.id.clone(), iteration.clone(), a.number)));
            }
        }
        rows
    }
}

/// Tells whether a step has rows of its own to unfold.
pub(crate) fn has_rows(step: &StepView) -> bool {
    step.expanded || step.slots.iter().any(|s| !s.attempts.is_empty())
}

/// All payloads and files of a run, in the order of its steps.
fn pieces(view: &RunView) -> Vec<Piece> {
    let mut out = Vec::new();
    for step in &view.steps {
        for slot in &step.slots {
            for attempt in &slot.attempts {
                let piece = |name: &str, path: String, bytes| Piece {
                    step: step.id.clone(),
                    iteration: slot.iteration.clone(),
                    attempt: attempt.number,
                    name: name.to_owned(),
                    path,
                    bytes,
                };
                out.extend(attempt.files.iter().map(|f| piece("file", f.path.clone(), None)));
                out.extend(attempt.artifacts.iter().map(|a| {
                    let path = format!("artifacts/{}/{}", &a.digest.as_str()[..2], a.digest);
                    piece(&a.name, path, Some(a.bytes))
                }));
            }
        }
    }
    out
}
