//! Tells the interface what changed in the store: watched through the file system, looked at now and
//! then in case the watching missed something. Says nothing while nothing changes.

use std::{
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use cairn_store_layout::{
    CommandId, GateId, RunId, paths,
    view::{KernelHealth, Snapshot, TriggerItem, describe, kind_word},
};
use cairn_tui::{EventLine, Msg, RunDetail, terminal::Mailbox};
use jiff::Timestamp;
use notify::{RecursiveMode, Watcher as _};

use crate::{
    cli::{
        failure::Failure,
        host::{self, State},
    },
    store::{
        Store,
        definitions::WorkTree,
        fsutil::At as _,
        identity, lock,
        reader::{Reader, Surroundings},
        triggers,
    },
};

/// Events that arrive together are one change.
const GATHER: Duration = Duration::from_millis(100);
/// How often it is asked whether a kernel runs: the lock makes no event. Also how long after a
/// change the store is read once more, because a folder that was just made may have lost events.
const LOOK: Duration = Duration::from_secs(2);
/// How often commands on their way are looked after.
const FOLLOW: Duration = Duration::from_millis(200);
/// Triggers are not read again sooner; the look after a change is later than this.
const TRIGGERS: Duration = Duration::from_millis(400);
/// How often everything is read even though nothing was heard.
const SURE: Duration = Duration::from_secs(30);

/// What the feed is asked.
#[derive(Debug)]
pub(super) enum Ask {
    /// Something below the store changed.
    Changed,
    /// Send the detail of this run from now on, or of none.
    Open(Option<RunId>),
    /// Tell what becomes of this command.
    Follow(Sent),
}

/// A command on its way.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) command: CommandId,
    pub(super) run: Option<RunId>,
    pub(super) gate: Option<GateId>,
}

/// Starts the feed in a thread of its own; it ends when nobody listens any more.
///
/// # Errors
/// When the thread can not be started. Without a watcher it looks instead.
pub(super) fn spawn(store: Store, mailbox: Mailbox, sender: Sender<Ask>, asks: Receiver<Ask>) -> std::io::Result<()> {
    let feed = Feed {
        reader: Reader::new(store),
        mailbox,
        open: None,
        sent: Vec::new(),
        last: None,
        shown: None,
        kernel: KernelHealth::Down,
        stale: None,
        triggers: None,
    };
    thread::Builder::new().name("feed".to_owned()).spawn(move || feed.run(sender, &asks))?;
    Ok(())
}

struct Feed {
    reader: Reader,
    mailbox: Mailbox,
    open: Option<RunId>,
    sent: Vec<Sent>,
    /// The snapshot that was sent last, its moment aside.
    last: Option<Snapshot>,
    /// The run and the number of records that were sent last.
    shown: Option<(RunId, u64, Option<String>)>,
    kernel: KernelHealth,
    stale: Option<Timestamp>,
    /// What starts runs by itself, and when that was read.
    triggers: Option<(Instant, Vec<TriggerItem>)>,
}

impl Feed {
    fn run(mut self, sender: Sender<Ask>, asks: &Receiver<Ask>) {
        let _watcher = watch(self.reader.store().root(), sender);
        // what the first look leaves out comes a moment later
        let (mut read, mut again) = (Instant::now(), Some(Instant::now() + LOOK / 4));
        let mut listens = self.read();
        while listens {
            // without a kernel nothing becomes of a command until one starts, which a look sees
            let follows = !self.sent.is_empty() && self.kernel != KernelHealth::Down;
            let wait = if follows { FOLLOW } else { LOOK };
            match asks.recv_timeout(wait) {
                Ok(first) => {
                    let mut changed = self.take(first);
                    // gather what comes together; an opened run is shown at once
                    let end = Instant::now() + GATHER;
                    while changed && let Ok(next) = asks.recv_timeout(end.saturating_duration_since(Instant::now())) {
                        changed = self.take(next);
                    }
                    again = Some(Instant::now() + LOOK / 4);
                    read = Instant::now();
                    listens = self.read();
                }
                Err(RecvTimeoutError::Timeout) => {
                    let due = again.is_some_and(|at| Instant::now() >= at) || read.elapsed() >= SURE;
                    let kernel = lock::probe(self.reader.store().root()).unwrap_or(KernelHealth::Down);
                    if due || kernel != self.kernel || follows {
                        again = again.filter(|_| !due);
                        read = Instant::now();
                        listens = self.read();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Takes in what is asked; `false` when it should be answered without waiting for more.
    fn take(&mut self, ask: Ask) -> bool {
        match ask {
            Ask::Changed => return true,
            Ask::Open(run) => {
                self.open = run;
                self.shown = None;
            }
            Ask::Follow(sent) => self.sent.push(sent),
        }
        false
    }

    /// Reads the store and sends what is new; `false` when nobody listens.
    fn read(&mut self) -> bool {
        let snapshot = match self.snapshot() {
            Ok(snapshot) => snapshot,
            Err(failure) => {
                let since = *self.stale.get_or_insert_with(Timestamp::now);
                let why = format!("{}; {}", failure.message, failure.fix.unwrap_or_default());
                return self.mailbox.send(Msg::Stale { since, why });
            }
        };
        self.kernel = snapshot.health.kernel.clone();
        let news = self.stale.take().is_some() || self.last.as_ref().is_none_or(|last| !same(last, &snapshot));
        if news {
            self.last = Some(snapshot.clone());
            if !self.mailbox.send(Msg::Views(Box::new(snapshot))) {
                return false;
            }
        }
        self.detail() && self.follow()
    }

    fn snapshot(&mut self) -> Result<Snapshot, Failure> {
        let root = self.reader.store().root().to_owned();
        let tree = WorkTree::read(&root).at("read the definitions in", &root)?;
        let triggers = self.triggers();
        let around =
            Surroundings { problems: tree.problems(), workflows: tree.workflows.into_keys().collect(), triggers };
        Ok(self.reader.snapshot(Timestamp::now(), around)?)
    }

    /// What starts runs by itself; read from git and the logs, so not at every change, and not before the first
    /// frame has something to show.
    fn triggers(&mut self) -> Vec<TriggerItem> {
        if self.last.is_none() {
            return Vec::new();
        }
        if self.triggers.as_ref().is_none_or(|(at, _)| at.elapsed() >= TRIGGERS) {
            let store = self.reader.store();
            let here = identity::known(store).ok().flatten();
            // what keeps them from being read is told by the screens that are about it
            let listed = triggers::list(store, here.as_ref(), Timestamp::now()).unwrap_or_default();
            self.triggers = Some((Instant::now(), listed.into_iter().map(TriggerItem::from).collect()));
        }
        self.triggers.as_ref().map(|(_, triggers)| triggers.clone()).unwrap_or_default()
    }

    /// Sends the opened run if it has news.
    fn detail(&mut self) -> bool {
        let Some(run) = self.open.clone() else { return true };
        let Some(detail) = detail(&self.reader, &run) else { return true };
        let now = (run, detail.view.records, detail.trouble.clone());
        if self.shown.as_ref() == Some(&now) {
            return true;
        }
        self.shown = Some(now);
        self.mailbox.send(Msg::Detail(Box::new(detail)))
    }

    /// Tells which commands the kernel did not follow. Those it did show up as views.
    fn follow(&mut self) -> bool {
        let store = self.reader.store().clone();
        let Ok(Some(here)) = identity::known(&store) else { return true };
        let mut left = Vec::new();
        for sent in std::mem::take(&mut self.sent) {
            match host::became(&store, &here, &self.reader, sent.run.as_ref(), &sent.command) {
                Ok(Some(State::Refused(refusal))) => {
                    let text = format!("REFUSED: {}", refusal.message);
                    if !self.mailbox.send(Msg::Outcome { gate: sent.gate, ok: false, text }) {
                        return false;
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => left.push(sent),
            }
        }
        self.sent = left;
        true
    }
}

/// The run with its history in words; of a damaged one the part before the damage.
fn detail(reader: &Reader, run: &RunId) -> Option<RunDetail> {
    let (history, trouble) = match reader.history(run) {
        Ok(history) => (history?, None),
        Err(why) => (reader.history_prefix(run)?, Some(format!("{why}; shown up to there; see cairn verify"))),
    };
    let view = history.fold(&paths::run(run)).ok()?;
    let line = |record: &cairn_store_layout::record::Record| EventLine {
        n: record.n,
        at: record.event.at,
        step: record.event.step.clone(),
        iteration: record.event.iteration.clone(),
        kind: kind_word(&record.event),
        text: describe(&record.event),
    };
    Some(RunDetail { view, events: history.records.iter().map(line).collect(), trouble })
}

/// Tells whether two snapshots show the same.
fn same(a: &Snapshot, b: &Snapshot) -> bool {
    Snapshot { as_of: b.as_of, ..a.clone() } == *b
}

/// Watches what the interface shows. What can not be watched is looked at now and then.
fn watch(root: &Path, sender: Sender<Ask>) -> Option<notify::RecommendedWatcher> {
    let report = move |event: notify::Result<notify::Event>| {
        // our own reading makes access events
        if event.is_ok_and(|e| !e.kind.is_access()) {
            let _ = sender.send(Ask::Changed);
        }
    };
    let mut watcher = notify::recommended_watcher(report).ok()?;
    for folder in ["runs", "inbox", "log", "memory/proposals", "workflows", "agents", "connectors"] {
        let _ = watcher.watch(&root.join(folder), RecursiveMode::Recursive);
    }
    Some(watcher)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_store_layout::view::Health;

    #[test]
    fn a_snapshot_is_news_only_when_something_shown_differs() {
        let at: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let snapshot = Snapshot {
            store: "shop".to_owned(),
            machine: None,
            as_of: at,
            health: Health { kernel: KernelHealth::Down, paused: None, commands_waiting: 0, unreadable: Vec::new() },
            inbox: Vec::new(),
            runs: Vec::new(),
            problems: Vec::new(),
            workflows: Vec::new(),
            triggers: Vec::new(),
        };
        let later = Snapshot { as_of: at + Duration::from_secs(9), ..snapshot.clone() };
        assert!(same(&snapshot, &later));
        let other = Snapshot { workflows: vec!["chase".to_owned()], ..snapshot.clone() };
        assert!(!same(&snapshot, &other));
    }
}
