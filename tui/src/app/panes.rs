//! Moving about: cursor, scrolling, screens, and what has been read.

use super::{
    App, Confirm, Focus, InboxRow, Mode, RunRow, Screen, Seen, States, filter::Filter, mode::Purpose, run_lines,
};
use crate::{Intent, detail, draw::layout::Room};
use cairn_store_layout::{RunId, view::InboxItem};

impl App {
    /// Moves the cursor, or scrolls the pane that has the focus.
    pub(super) fn travel(&mut self, by: isize) {
        if self.focus == Focus::Detail {
            self.scroll = self.scroll.saturating_add_signed(by);
            return;
        }
        let moved = match self.screen {
            Screen::Inbox => self.inbox.step(by),
            Screen::Runs => self.runs.step(by),
            Screen::Run => self.run.as_mut().is_some_and(|r| r.rows.step(by)),
            Screen::Workflows => self.workflows.step(by),
        };
        if moved {
            self.evidence_open = None;
            self.scroll = 0;
        }
        self.changed = None;
    }

    pub(super) fn half_page(&self) -> isize {
        let regions = self.regions();
        let area = if self.focus == Focus::Detail { regions.detail } else { regions.list };
        isize::try_from(area.height / 2).unwrap_or(1).max(1)
    }

    pub(super) fn back(&mut self, intents: &mut Vec<Intent>) {
        if !self.filter().is_empty() {
            self.set_filter(String::new());
        } else if self.focus == Focus::Detail {
            self.focus = Focus::List;
        } else if let (Screen::Run, Some((run, aim))) = (self.screen, self.trail.pop()) {
            self.load_run(run, aim, intents);
        } else if self.screen == Screen::Run {
            self.back_to_list(intents);
        }
    }

    pub(super) fn back_to_list(&mut self, intents: &mut Vec<Intent>) {
        self.show(self.came_from, intents);
    }

    pub(super) fn show(&mut self, screen: Screen, intents: &mut Vec<Intent>) {
        if self.screen == Screen::Run && screen != Screen::Run {
            self.run = None;
            self.run_wanted = None;
            self.trail.clear();
            intents.push(Intent::CloseRun);
        }
        if self.screen != screen {
            self.focus = Focus::List;
            self.scroll = 0;
            self.changed = None;
        }
        self.screen = screen;
    }

    pub(super) fn open_run(&mut self, intents: &mut Vec<Intent>) {
        let Some(run) = self.selected_run().cloned() else { return };
        self.came_from = self.screen;
        self.show(Screen::Run, intents);
        self.load_run(run, None, intents);
    }

    fn load_run(&mut self, run: RunId, aim: Option<RunRow>, intents: &mut Vec<Intent>) {
        self.run = None;
        self.run_aim = aim;
        self.run_wanted = Some(run.clone());
        (self.focus, self.scroll) = (Focus::List, 0);
        intents.push(Intent::OpenRun(run));
    }

    /// Goes to the child run or the parent that the row names; Esc comes back.
    pub(super) fn go_to_kin(&mut self, intents: &mut Vec<Intent>) -> bool {
        let Some((run, aim)) = self.run.as_ref().and_then(super::OpenRun::kin) else { return false };
        // back the way one came, so that the trail does not grow by going to and fro
        if let Some((last, row)) = self.trail.pop_if(|(last, _)| *last == run) {
            self.load_run(last, row.or(aim), intents);
            return true;
        }
        let here = self.run.as_ref().map(|open| (open.detail.view.run.clone(), open.rows.cursor().cloned()));
        self.trail.extend(here);
        self.load_run(run, aim, intents);
        true
    }

    /// Goes from a run to its open request, that of the selected step before others.
    pub(super) fn go_to_request(&mut self, intents: &mut Vec<Intent>) {
        let Some(item) = self.request_of_run() else { return };
        let row = InboxRow::Item(item.id.clone());
        self.show(Screen::Inbox, intents);
        self.inbox.filter.clear();
        self.inbox_states = States::Open;
        self.inbox.point_at(&row);
    }

    pub(super) fn request_of_run(&self) -> Option<&InboxItem> {
        let run = self.run.as_ref()?;
        let mut open = self.items.values().filter(|i| i.run.as_ref() == Some(&run.detail.view.run) && i.is_open());
        let here = run.rows.cursor().and_then(|row| match row {
            super::RunRow::Step(s) | super::RunRow::Slot(s, _) | super::RunRow::Attempt(s, _, _) => Some(s),
            _ => None,
        });
        let exact = |i: &&InboxItem| {
            let slot = match run.rows.cursor() {
                Some(super::RunRow::Slot(_, key)) => Some(key),
                _ => None,
            };
            i.step.as_ref() == here && (slot.is_none() || i.iteration.as_ref() == slot)
        };
        open.clone().find(exact).or_else(|| open.next())
    }

    pub(super) fn take_in(&mut self) {
        match self.screen {
            Screen::Inbox => self.inbox.take_in(),
            Screen::Runs => self.runs.take_in(),
            Screen::Run => {}
            Screen::Workflows => self.workflows.take_in(),
        }
    }

    pub(super) fn next_states(&mut self) {
        let next = |s| match s {
            States::Open => States::Closed,
            States::Closed => States::All,
            States::All => States::Open,
        };
        match self.screen {
            Screen::Inbox => self.inbox_states = next(self.inbox_states),
            Screen::Runs => self.run_states = next(self.run_states),
            Screen::Run | Screen::Workflows => {}
        }
        self.aim();
        let words = match (self.screen, self.states()) {
            (Screen::Inbox, States::Open) => "shown: what waits for you",
            (Screen::Inbox, States::Closed) => "shown: what is decided",
            (_, States::Open) => "shown: all runs",
            (_, States::Closed) => "shown: runs that have not ended",
            (Screen::Inbox, States::All) => "shown: everything",
            (_, States::All) => "shown: runs that ended",
        };
        self.say(true, words);
    }

    pub(crate) fn states(&self) -> States {
        if self.screen == Screen::Inbox { self.inbox_states } else { self.run_states }
    }

    pub(crate) fn filter(&self) -> &str {
        match self.screen {
            Screen::Inbox => &self.inbox.filter,
            Screen::Runs => &self.runs.filter,
            Screen::Run => self.run.as_ref().map_or("", |r| &r.rows.filter),
            Screen::Workflows => &self.workflows.filter,
        }
    }

    pub(super) fn set_filter(&mut self, typed: String) {
        match self.screen {
            Screen::Inbox => self.inbox.filter = typed,
            Screen::Runs => self.runs.filter = typed,
            Screen::Run => {
                if let Some(run) = &mut self.run {
                    run.rows.filter = typed;
                }
            }
            Screen::Workflows => self.workflows.filter = typed,
        }
        self.aim();
    }

    /// The lines of the reading pane, and whether the evidence in them is unfolded.
    pub(crate) fn pane_lines(&self, width: u16, height: u16) -> (Vec<detail::Line>, bool) {
        let width = usize::from(width);
        if let Mode::Confirm(Confirm { purpose: Purpose::Edit { before, after, .. }, .. }) = &self.mode {
            return (detail::edit_lines(before, after, &self.config, width), false);
        }
        match self.screen {
            Screen::Inbox => match self.inbox.cursor() {
                Some(InboxRow::Item(gate)) => self.items.get(gate).map_or((Vec::new(), false), |item| {
                    let all = detail::item_lines(item, &self.config, width, true);
                    if self.evidence_open.unwrap_or(all.len() <= usize::from(height)) {
                        (all, true)
                    } else {
                        (detail::item_lines(item, &self.config, width, false), false)
                    }
                }),
                Some(InboxRow::Problem(key)) => {
                    let problem = self.snapshot.iter().flat_map(|s| &s.problems).find(|p| p.to_string() == *key);
                    (problem.map_or(Vec::new(), |p| detail::problem_lines(p, &self.config, width)), false)
                }
                Some(InboxRow::Unreadable(what)) => (detail::unreadable_lines(what, &self.config, width), false),
                None => (Vec::new(), false),
            },
            Screen::Runs => {
                let Some(item) = self.runs.cursor().and_then(|r| self.run_items.get(r)) else {
                    return (Vec::new(), false);
                };
                let mut pane = detail::Pane::new(&self.config, width);
                // in the order of the Inbox
                let waits: Vec<String> = self
                    .snapshot
                    .iter()
                    .flat_map(|s| &s.inbox)
                    .filter(|i| i.run.as_ref() == Some(&item.run) && i.is_open())
                    .map(|i| format!("{} {} {}", i.id.short(), i.kind.word(), i.summary))
                    .collect();
                run_lines::run(&mut pane, item, &waits, &self.config);
                (pane.lines, false)
            }
            Screen::Run => (self.run.as_ref().map_or(Vec::new(), |r| r.lines(&self.config, width)), false),
            Screen::Workflows => (self.workflow_lines(width), false),
        }
    }

    /// Lines of the selected request that were not on the screen yet.
    pub(crate) fn unseen(&self) -> usize {
        let Some(item) = self.selected() else { return 0 };
        let area = self.regions().detail;
        let (lines, unfolded) = self.pane_lines(area.width, area.height);
        let read = self.seen.as_ref().filter(|s| {
            s.gate == item.id && s.digest == item.digest && s.width == area.width && s.unfolded == unfolded
        });
        lines.len().saturating_sub(read.map_or(0, |s| s.lines))
    }

    /// Brings everything that follows from the state up to date, after each message.
    pub(super) fn settle(&mut self) {
        self.refresh();
        let regions = self.regions();
        let list = usize::from(regions.list.height).saturating_sub(1).max(1);
        self.inbox.scroll_to_cursor(list);
        self.runs.scroll_to_cursor(list);
        self.workflows.scroll_to_cursor(list);
        if let Some(run) = &mut self.run {
            run.rows.scroll_to_cursor(list.saturating_sub(1).max(1));
        }
        let area = regions.detail;
        let (lines, unfolded) = self.pane_lines(area.width, area.height);
        let height = text_rows(area.height, lines.len());
        self.scroll = self.scroll.min(lines.len().saturating_sub(height));
        if height > 0 {
            self.note_seen(area.width, height, lines.len(), unfolded);
        }
    }

    /// Notes what stands on the screen. Lines count as read only without a gap from the top.
    fn note_seen(&mut self, width: u16, height: usize, total: usize, unfolded: bool) {
        if matches!(self.mode, Mode::Confirm(Confirm { purpose: Purpose::Edit { .. }, .. }) | Mode::Help { .. }) {
            return;
        }
        let Some(item) = self.selected() else { return };
        let (gate, digest) = (item.id.clone(), item.digest.clone());
        let before = match &self.seen {
            Some(s) if s.gate == gate && s.digest == digest && s.width == width && s.unfolded == unfolded => s.lines,
            _ => 0,
        };
        let lines = if self.scroll <= before { before.max((self.scroll + height).min(total)) } else { before };
        self.seen = Some(Seen { gate, digest, width, unfolded, lines });
    }

    fn refresh(&mut self) {
        let mut inbox = std::mem::take(&mut self.inbox);
        let filter = Filter::new(&inbox.filter);
        inbox.refresh(|row| self.inbox_passes(row, &filter));
        self.inbox = inbox;
        let mut runs = std::mem::take(&mut self.runs);
        let filter = Filter::new(&runs.filter);
        runs.refresh(|row| self.run_passes(row, &filter));
        self.runs = runs;
        let mut workflows = std::mem::take(&mut self.workflows);
        let filter = Filter::new(&workflows.filter);
        workflows.refresh(|row| filter.passes(|| self.workflow_words(row)));
        self.workflows = workflows;
        if let Some(run) = &mut self.run {
            let mut rows = std::mem::take(&mut run.rows);
            let filter = Filter::new(&rows.filter);
            rows.refresh(|row| filter.passes(|| run.haystack(row, &self.config)));
            run.rows = rows;
        }
    }

    /// As `refresh`, after the operator changed a filter of this screen.
    pub(super) fn aim(&mut self) {
        match self.screen {
            Screen::Inbox => {
                let mut rows = std::mem::take(&mut self.inbox);
                let filter = Filter::new(&rows.filter);
                rows.aim(|row| self.inbox_passes(row, &filter));
                self.inbox = rows;
            }
            Screen::Runs => {
                let mut rows = std::mem::take(&mut self.runs);
                let filter = Filter::new(&rows.filter);
                rows.aim(|row| self.run_passes(row, &filter));
                self.runs = rows;
            }
            Screen::Run => {
                if let Some(run) = &mut self.run {
                    let mut rows = std::mem::take(&mut run.rows);
                    let filter = Filter::new(&rows.filter);
                    rows.aim(|row| filter.passes(|| run.haystack(row, &self.config)));
                    run.rows = rows;
                }
            }
            Screen::Workflows => {
                let mut rows = std::mem::take(&mut self.workflows);
                let filter = Filter::new(&rows.filter);
                rows.aim(|row| filter.passes(|| self.workflow_words(row)));
                self.workflows = rows;
            }
        }
        self.scroll = 0;
    }

    fn inbox_passes(&self, row: &InboxRow, filter: &Filter) -> bool {
        match row {
            InboxRow::Item(gate) => {
                let Some(item) = self.items.get(gate) else { return false };
                let state = match self.inbox_states {
                    States::Open => item.is_open(),
                    States::Closed => !item.is_open(),
                    States::All => true,
                };
                state && filter.passes(|| format!("{gate} {} {} {}", item.kind.word(), item.workflow, item.summary))
            }
            InboxRow::Problem(text) | InboxRow::Unreadable(text) => {
                self.inbox_states != States::Closed && filter.passes(|| text.clone())
            }
        }
    }

    fn run_passes(&self, row: &RunId, filter: &Filter) -> bool {
        let Some(item) = self.run_items.get(row) else { return false };
        let state = match self.run_states {
            States::Open => true,
            States::Closed => !item.status.is_final(),
            States::All => item.status.is_final(),
        };
        state && filter.passes(|| format!("{row} {} {} {}", item.status.word(), item.workflow, item.note))
    }

    /// Tells whether the reading pane of a request is on the screen.
    pub(super) fn pane_visible(&self) -> bool {
        match self.room() {
            Room::Line => false,
            Room::One => self.focus == Focus::Detail,
            Room::Stacked | Room::Beside => true,
        }
    }
}

/// Rows of a pane of `height` that hold text: its last one counts what is below, when something is.
pub(crate) fn text_rows(height: u16, lines: usize) -> usize {
    let height = usize::from(height);
    if lines > height { height.saturating_sub(1) } else { height }
}
