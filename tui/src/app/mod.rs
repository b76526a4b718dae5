//! The state of the interface, and the only place where it changes.

mod decide;
mod filter;
mod mode;
mod panes;
mod prompts;
mod rows;
mod run;
mod run_lines;
mod stray;
mod views;
mod workflows;

use std::collections::BTreeMap;

use cairn_store_layout::{
    Digest, GateId, RunId,
    view::{InboxItem, KernelHealth, RunItem, Snapshot},
};
use jiff::Timestamp;

pub(crate) use self::{
    mode::{Confirm, Form, Mode, Proof, Purpose, REASONS},
    panes::text_rows,
    rows::Rows,
    run::{OpenRun, RunRow, RunTab, has_rows},
    run_lines::{iterations, span},
    workflows::{WorkflowRow, trust},
};
use self::{stray::Stray, views::Sent};
use crate::{
    Config, Intent, Key, Millis, Msg,
    draw::layout::{self, Regions, Room, Wish},
    keymap::{self, Action, Scope},
};

/// How long keys are dropped after a question appears: they were typed before it could be read.
const GUARD_MS: u64 = 150;

/// The screens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Screen {
    #[default]
    Inbox,
    Runs,
    Run,
    Workflows,
}

/// The two panes of a screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Focus {
    #[default]
    List,
    Detail,
}

/// Names a row of the Inbox.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum InboxRow {
    Item(GateId),
    /// A definition that can not be used: its place in the snapshot's words.
    Problem(String),
    /// A history that can not be read.
    Unreadable(String),
}

/// Which requests the Inbox shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum States {
    #[default]
    Open,
    Closed,
    All,
}

/// One line for the operator; it stays until the next key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) ok: bool,
    pub(crate) text: String,
}

/// How much of a request the operator had on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    gate: GateId,
    digest: Digest,
    width: u16,
    unfolded: bool,
    /// Lines from the top, without a gap.
    lines: usize,
}

/// The interface as a value.
#[derive(Debug, Clone)]
pub struct App {
    pub(crate) config: Config,
    pub(crate) columns: u16,
    pub(crate) height: u16,
    pub(crate) snapshot: Option<Box<Snapshot>>,
    pub(crate) stale: Option<(Timestamp, String)>,
    pub(crate) items: BTreeMap<GateId, InboxItem>,
    pub(crate) run_items: BTreeMap<RunId, RunItem>,
    pub(crate) screen: Screen,
    /// Where Esc leads from a run.
    came_from: Screen,
    pub(crate) focus: Focus,
    pub(crate) inbox: Rows<InboxRow>,
    pub(crate) inbox_states: States,
    pub(crate) runs: Rows<RunId>,
    pub(crate) run_states: States,
    pub(crate) workflows: Rows<WorkflowRow>,
    pub(crate) run: Option<OpenRun>,
    /// The run that was asked for and has not come yet.
    pub(crate) run_wanted: Option<RunId>,
    /// Where its cursor is to stand.
    run_aim: Option<RunRow>,
    /// The runs that led here, from parent to child or back, with their cursors.
    trail: Vec<(RunId, Option<RunRow>)>,
    pub(crate) mode: Mode,
    mode_since: Millis,
    pub(crate) note: Option<Note>,
    /// Decisions that were sent and not yet seen in the views.
    pub(crate) sent: BTreeMap<GateId, Sent>,
    /// The item under the cursor when its digest changed there: before and after.
    pub(crate) changed: Option<(GateId, Digest, Digest)>,
    /// Edits of our own, whose new digest is no surprise.
    own_edits: BTreeMap<GateId, Digest>,
    /// Whether the evidence is unfolded; `None` until the operator says: then it is where it fits.
    evidence_open: Option<bool>,
    pub(crate) scroll: usize,
    seen: Option<Seen>,
    stray: Stray,
}

impl App {
    /// An interface that has seen nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            columns: 80,
            height: 24,
            snapshot: None,
            stale: None,
            items: BTreeMap::new(),
            run_items: BTreeMap::new(),
            screen: Screen::default(),
            came_from: Screen::default(),
            focus: Focus::default(),
            inbox: Rows::default(),
            inbox_states: States::default(),
            runs: Rows::default(),
            run_states: States::default(),
            workflows: Rows::default(),
            run: None,
            run_wanted: None,
            run_aim: None,
            trail: Vec::new(),
            mode: Mode::default(),
            mode_since: Millis::default(),
            note: None,
            sent: BTreeMap::new(),
            changed: None,
            own_edits: BTreeMap::new(),
            evidence_open: None,
            scroll: 0,
            seen: None,
            stray: Stray::default(),
        }
    }

    /// Takes in what happened; returns what is to be done about it.
    ///
    /// The only place where the interface changes. A decision names the digest that was on the screen
    /// when its key was pressed: hand over views only when the next frame is drawn.
    pub fn update(&mut self, msg: Msg) -> Vec<Intent> {
        let mut intents = Vec::new();
        match msg {
            Msg::Keys(keys, at) => self.keys(&keys, at, &mut intents),
            Msg::Paste(text) => self.paste(&text),
            Msg::Resize(columns, rows) => (self.columns, self.height) = (columns, rows),
            Msg::Views(snapshot) => self.take_views(snapshot),
            Msg::Detail(detail) => self.take_detail(*detail),
            Msg::Stale { since, why } => self.stale = Some((since, why)),
            Msg::Outcome { gate, ok, text } => self.take_outcome(gate, ok, text),
            Msg::EditorReturned(edited) => self.take_edit(edited, &mut intents),
        }
        self.settle();
        intents
    }

    /// The config it was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn regions(&self) -> Regions {
        // of a request the text matters most, of a run its steps
        let (rows, percent, percent_over) = match self.screen {
            Screen::Inbox => (self.inbox.visible().len() + 1, 48, 30),
            Screen::Runs => (self.runs.visible().len() + 1, 62, 40),
            Screen::Run => (self.run.as_ref().map_or(0, |r| r.rows.visible().len()) + 2, 52, 60),
            Screen::Workflows => (self.workflows.visible().len() + 1, 62, 40),
        };
        let detail_first = self.focus == Focus::Detail;
        let wish = Wish { rows, percent, percent_over, prompt: self.prompt_rows(), detail_first };
        layout::regions(self.columns, self.height, wish)
    }

    pub(crate) fn room(&self) -> Room {
        layout::room(self.columns, self.height)
    }

    /// Where keys are looked up, the narrowest first.
    pub(crate) fn scopes(&self) -> Vec<Scope> {
        let mut scopes = Vec::new();
        match self.screen {
            Screen::Inbox => {
                if let Some(item) = self.selected() {
                    scopes.push(if item.ask.is_some() { Scope::Ask } else { Scope::Gate });
                }
                scopes.push(Scope::Inbox);
            }
            Screen::Runs => scopes.push(Scope::Runs),
            Screen::Run => scopes.push(Scope::Run),
            Screen::Workflows => scopes.push(Scope::Workflows),
        }
        scopes.push(Scope::Anywhere);
        scopes
    }

    /// The request under the cursor of the Inbox.
    pub(crate) fn selected(&self) -> Option<&InboxItem> {
        match (self.screen, self.inbox.cursor()) {
            (Screen::Inbox, Some(InboxRow::Item(gate))) => self.items.get(gate),
            _ => None,
        }
    }

    /// The run under the cursor, or the one that is open.
    pub(crate) fn selected_run(&self) -> Option<&RunId> {
        match self.screen {
            Screen::Inbox => self.selected().and_then(|i| i.run.as_ref()),
            Screen::Runs => self.runs.cursor(),
            Screen::Run => self.run.as_ref().map(|r| &r.detail.view.run).or(self.run_wanted.as_ref()),
            Screen::Workflows => self.started_last(),
        }
    }

    /// Whether no kernel runs; `false` while nothing is known.
    pub(crate) fn kernel_down(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|s| s.health.kernel == KernelHealth::Down)
    }

    pub(crate) fn say(&mut self, ok: bool, text: impl Into<String>) {
        self.note = Some(Note { ok, text: text.into() });
    }

    fn enter(&mut self, mode: Mode, at: Millis) {
        self.mode = mode;
        self.mode_since = at;
    }

    fn keys(&mut self, keys: &[Key], at: Millis, intents: &mut Vec<Intent>) {
        let scopes = self.scopes();
        let harmless = |k: Key| keymap::lookup(&scopes, k).is_some_and(|b| b.action.only_moves());
        if Stray::is_paste(keys, harmless) && !keys.contains(&Key::Ctrl('c')) {
            if !self.mode.takes_text() {
                return self.ignore_paste();
            }
            if self.mode.decides() {
                // text is welcome here, but neither its Enter nor its first digit may send anything
                let text: String =
                    keys.iter().filter_map(|k| if let Key::Char(c) = k { Some(*c) } else { None }).collect();
                return self.paste(&text);
            }
        }
        for key in keys {
            self.key(*key, at, intents);
        }
    }

    fn key(&mut self, key: Key, at: Millis, intents: &mut Vec<Intent>) {
        if key == Key::Ctrl('c') {
            intents.push(Intent::Quit);
            return;
        }
        if self.mode.decides() && at.since(self.mode_since) < GUARD_MS {
            return;
        }
        let bound = keymap::lookup(&self.scopes(), key).map(|b| b.action);
        if !self.mode.takes_text() {
            let normal = self.mode == Mode::Normal;
            let harmless = normal && bound.is_some_and(Action::only_moves);
            if self.stray.note(key, at, harmless) {
                self.ignore_paste();
                return;
            }
        }
        self.note = None;
        match (&self.mode, bound) {
            (Mode::Normal, Some(action)) => self.act(action, key, at, intents),
            (Mode::Normal, None) => {}
            _ => self.prompt_key(key, at, intents),
        }
    }

    fn ignore_paste(&mut self) {
        if matches!(self.mode, Mode::Confirm(_) | Mode::Copy(_)) {
            self.mode = Mode::Normal;
        }
        self.say(false, "that looked like a paste, not like keys: ignored");
    }

    fn paste(&mut self, text: &str) {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        match &mut self.mode {
            mode if !mode.takes_text() => self.ignore_paste(),
            _ => self.type_text(&text),
        }
    }

    pub(crate) fn act(&mut self, action: Action, key: Key, at: Millis, intents: &mut Vec<Intent>) {
        if self.room() == Room::Line && !matches!(action, Action::Leave | Action::Quit | Action::Suspend) {
            return;
        }
        if let Some(why) = self.refusal(action) {
            self.say(false, why);
            return;
        }
        match action {
            Action::Approve => self.approve(at, intents),
            Action::Answer => self.answer(at),
            Action::Deny => self.deny(at),
            Action::Edit => self.edit(intents),
            Action::CancelRun => self.cancel_run(at),
            Action::Copy => self.copy_menu(at),
            Action::Why => {
                let area = self.regions().detail;
                self.evidence_open = Some(!self.pane_lines(area.width, area.height).1);
                self.scroll = 0;
            }
            Action::States => self.next_states(),
            Action::OpenRunOfItem | Action::OpenRun => self.open_run(intents),
            Action::ToRequest => self.go_to_request(intents),
            Action::Expand if self.go_to_kin(intents) => {}
            Action::Expand => {
                if let Some(run) = &mut self.run
                    && !run.toggle()
                {
                    self.focus = Focus::Detail;
                }
            }
            Action::NextView => {
                if let Some(run) = &mut self.run {
                    run.next_tab();
                }
            }
            Action::Down => self.travel(1),
            Action::Up => self.travel(-1),
            Action::PageDown => self.travel(self.half_page()),
            Action::PageUp => self.travel(-self.half_page()),
            Action::Top => self.travel(isize::MIN / 2),
            Action::Bottom => self.travel(isize::MAX / 2),
            Action::NextPane => {
                self.focus = if self.focus == Focus::List { Focus::Detail } else { Focus::List };
                self.changed = None;
            }
            Action::Back => self.back(intents),
            Action::Find => self.enter(Mode::Find, at),
            Action::TakeIn => self.take_in(),
            Action::ShowInbox => self.show(Screen::Inbox, intents),
            Action::ShowRuns => self.show(Screen::Runs, intents),
            Action::ShowWorkflows => self.show(Screen::Workflows, intents),
            Action::Help => self.enter(Mode::Help { typed: String::new(), at: 0 }, at),
            Action::Repaint => intents.push(Intent::Repaint),
            Action::Suspend => intents.push(Intent::Suspend),
            Action::Leave if key == Key::Char('q') && self.screen == Screen::Run => self.back_to_list(intents),
            Action::Leave | Action::Quit => intents.push(Intent::Quit),
        }
    }
}

impl Default for App {
    fn default() -> Self {
        Self::new(Config::default())
    }
}
