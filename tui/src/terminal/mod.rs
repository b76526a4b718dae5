//! The runtime: the only part that touches the terminal, the clock and the outside.
//!
//! One loop sleeps on one channel. Keys, pastes, signals, the host's news and the end of an editor all
//! arrive there, so there is one order of things. While nothing arrives, nothing runs and not a byte is
//! sent. Keys are echoed at once; news of the store waits for its turn, at most a few frames a second,
//! and is never taken in between a frame and the key that was aimed at it.

mod clipboard;
mod decode;
mod editor;
mod guard;
mod input;
mod screen;
mod signals;

use std::{
    collections::VecDeque,
    io,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::ExitStatus,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use cairn_store_layout::{Digest, GateId};
use rustix::process::{Pid, Signal, kill_current_process_group, kill_process};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGWINCH};

pub use self::{editor::editor_command, screen::Stats};
use self::{
    editor::{Draft, drop_draft},
    guard::Guard,
    input::Reader,
    screen::{Screen, Tty},
    signals::Listener,
};
use crate::{App, Edited, Intent, Key, Millis, Msg};

/// How long a stop by ctrl-z is waited for; an orphaned process group never stops.
const SUSPEND_PATIENCE: Duration = Duration::from_millis(300);

/// What wakes the loop.
#[derive(Debug)]
enum Wake {
    Keys(Vec<Key>),
    Paste(String),
    HungUp,
    Signal(i32),
    News(Msg),
    EditorEnded(ExitStatus),
}

/// Where the host puts its news. Cheap to clone, safe to send to a thread.
#[derive(Debug, Clone)]
pub struct Mailbox(Sender<Wake>);

impl Mailbox {
    /// Hands over news. Returns whether anybody still listens.
    pub fn send(&self, msg: Msg) -> bool {
        self.0.send(Wake::News(msg)).is_ok()
    }
}

/// Whoever runs the interface: hands over views and carries out intents.
pub trait Host {
    /// Called once, before the first frame. Views go to the mailbox from then on, whenever they change.
    fn start(&mut self, mailbox: Mailbox);

    /// Carries out an intent; what is returned is shown at once. Never called with the intents that the
    /// runtime does itself ([`Intent::OpenEditor`], [`Intent::DropDraft`], [`Intent::Copy`],
    /// [`Intent::Repaint`], [`Intent::Suspend`], [`Intent::Quit`]).
    fn act(&mut self, intent: Intent) -> Vec<Msg>;
}

/// What the runtime is told when it starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a lone Esc waits for the rest of an escape sequence; up to 300 ms on slow lines.
    pub escape: Duration,
    /// How many frames a second the store's news may cause, 1 to 10.
    pub frames_per_second: u32,
    /// The editor's command line, see [`editor_command`].
    pub editor: String,
    /// The folder of unfinished edits, outside the store and private.
    pub drafts: PathBuf,
}

impl Options {
    /// The usual options with drafts in `drafts`.
    #[must_use]
    pub fn new(drafts: PathBuf) -> Self {
        Self { escape: Duration::from_millis(50), frames_per_second: 2, editor: editor_command(), drafts }
    }
}

/// Why the interface ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The operator quit.
    Quit,
    /// A signal asked for it.
    Signal(i32),
    /// The terminal is gone.
    HungUp,
}

/// How the interface ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Why.
    pub reason: Reason,
    /// What was sent to the terminal.
    pub stats: Stats,
}

impl Exit {
    /// The exit code: 0, or 128 and the signal; a terminal that is gone counts as SIGHUP.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self.reason {
            Reason::Quit => 0,
            Reason::Signal(n) => 128u8.saturating_add(u8::try_from(n).unwrap_or(0)),
            Reason::HungUp => 129,
        }
    }
}

/// Shows the interface on the terminal of standard input and output, until it ends.
///
/// The terminal is restored whatever way this returns, and on a panic as well.
///
/// # Errors
/// When standard input or output is no terminal, or it refuses to be set up. A terminal that goes away
/// later is no error but [`Reason::HungUp`].
pub fn run(app: &mut App, host: &mut dyn Host, options: &Options) -> io::Result<Exit> {
    if !rustix::termios::isatty(io::stdin()) || !rustix::termios::isatty(io::stdout()) {
        return Err(io::Error::other("standard input and output must be a terminal"));
    }
    let (sender, wakes) = channel();
    let listener = Listener::start(sender.clone())?;
    let guard = Guard::enter()?;
    let reader = Reader::start(sender.clone(), options.escape)?;
    host.start(Mailbox(sender.clone()));
    let mut runtime = Runtime {
        app,
        host,
        options,
        screen: Screen::new(Tty::default()),
        guard: &guard,
        reader: &reader,
        wakes,
        sender,
        kept: VecDeque::new(),
        news: News::default(),
        size: (0, 0),
        started: Instant::now(),
    };
    let reason = runtime.until_the_end();
    let stats = Stats { frames: runtime.screen.frames, writes: runtime.screen.out.writes, bytes: runtime.screen.bytes };
    drop(runtime);
    drop(reader);
    drop(guard);
    drop(listener);
    match reason {
        Ok(reason) => Ok(Exit { reason, stats }),
        Err(e) if is_gone(&e) => Ok(Exit { reason: Reason::HungUp, stats }),
        Err(e) => Err(e),
    }
}

fn is_gone(e: &io::Error) -> bool {
    let gone = [rustix::io::Errno::IO, rustix::io::Errno::PIPE, rustix::io::Errno::NXIO, rustix::io::Errno::BADF];
    e.raw_os_error().is_some_and(|n| gone.iter().any(|g| g.raw_os_error() == n))
}

/// News that waits for the next frame of its own: the latest of each sort.
#[derive(Debug, Default)]
struct News {
    views: Option<Msg>,
    stale: Option<Msg>,
    detail: Option<Msg>,
    last: Option<Instant>,
}

impl News {
    /// Keeps `msg` for the next frame of news; gives it back when it is none.
    fn keep(&mut self, msg: Msg) -> Option<Msg> {
        match msg {
            Msg::Views(_) => {
                self.stale = None;
                self.views = Some(msg);
            }
            Msg::Stale { .. } => self.stale = Some(msg),
            Msg::Detail(_) => self.detail = Some(msg),
            other => return Some(other),
        }
        None
    }

    fn is_empty(&self) -> bool {
        self.views.is_none() && self.stale.is_none() && self.detail.is_none()
    }
}

struct Runtime<'a> {
    app: &'a mut App,
    host: &'a mut dyn Host,
    options: &'a Options,
    screen: Screen<Tty>,
    guard: &'a Guard,
    reader: &'a Reader,
    wakes: Receiver<Wake>,
    sender: Sender<Wake>,
    /// Wakes that arrived while something else was waited for.
    kept: VecDeque<Wake>,
    news: News,
    size: (u16, u16),
    started: Instant,
}

impl Runtime<'_> {
    fn until_the_end(&mut self) -> io::Result<Reason> {
        self.resize()?;
        self.frame()?;
        loop {
            let Some(wake) = self.next() else {
                self.take_news();
                self.frame()?;
                continue;
            };
            let ended = match wake {
                Wake::Keys(keys) => {
                    let at = Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX));
                    self.apply(Msg::Keys(keys, at))?
                }
                Wake::Paste(text) => self.apply(Msg::Paste(text))?,
                Wake::HungUp => Some(Reason::HungUp),
                Wake::Signal(SIGWINCH) => {
                    self.resize()?;
                    None
                }
                Wake::Signal(SIGCONT) => {
                    // somebody stopped us from outside and the shell set the terminal for itself
                    self.guard.take()?;
                    self.screen.forget();
                    self.resize()?;
                    None
                }
                Wake::Signal(n) => Some(Reason::Signal(n)),
                Wake::News(msg) => match self.news.keep(msg) {
                    Some(msg) => self.apply(msg)?,
                    None => continue,
                },
                Wake::EditorEnded(_) => None,
            };
            if let Some(reason) = ended {
                return Ok(reason);
            }
            self.frame()?;
        }
    }

    /// The next wake; `None` when it is time for the news.
    fn next(&mut self) -> Option<Wake> {
        if let Some(wake) = self.kept.pop_front() {
            return Some(wake);
        }
        if self.news.is_empty() {
            // the loop itself holds a sender, so the channel can not close
            return Some(self.wakes.recv().expect("the runtime holds a sender"));
        }
        let pause = Duration::from_secs(1) / self.options.frames_per_second.clamp(1, 10);
        let due = self.news.last.map_or(Duration::ZERO, |last| pause.saturating_sub(last.elapsed()));
        self.wakes.recv_timeout(due).ok()
    }

    fn take_news(&mut self) {
        self.news.last = Some(Instant::now());
        for msg in [self.news.views.take(), self.news.stale.take(), self.news.detail.take()].into_iter().flatten() {
            // news ask for nothing
            let intents = self.app.update(msg);
            debug_assert!(intents.is_empty(), "{intents:?}");
        }
    }

    fn resize(&mut self) -> io::Result<()> {
        let size = rustix::termios::tcgetwinsize(io::stdout())?;
        self.size = (size.ws_col, size.ws_row);
        self.app.update(Msg::Resize(size.ws_col, size.ws_row));
        Ok(())
    }

    fn frame(&mut self) -> io::Result<()> {
        self.screen.frame(self.app, self.size.0, self.size.1).map(|_| ())
    }

    /// Gives a message to the interface and carries out what it asks for, and what follows from that.
    fn apply(&mut self, msg: Msg) -> io::Result<Option<Reason>> {
        let mut messages = VecDeque::from([msg]);
        while let Some(msg) = messages.pop_front() {
            for intent in self.app.update(msg) {
                match intent {
                    Intent::Quit => return Ok(Some(Reason::Quit)),
                    Intent::Repaint => self.screen.forget(),
                    Intent::Suspend => {
                        if let Some(reason) = self.suspend()? {
                            return Ok(Some(reason));
                        }
                    }
                    Intent::Copy(text) => {
                        if let Err(e) = clipboard::copy(&text, &mut self.screen.out) {
                            let text = format!("could not copy: {e}");
                            messages.push_back(Msg::Outcome { gate: None, ok: false, text });
                        }
                    }
                    Intent::DropDraft { gate, digest } => drop_draft(&self.options.drafts, &gate, &digest),
                    Intent::OpenEditor { gate, digest, text } => match self.edit(gate, digest, &text)? {
                        Ok(edited) => messages.push_back(Msg::EditorReturned(edited)),
                        Err(reason) => return Ok(Some(reason)),
                    },
                    other => messages.extend(self.host.act(other)),
                }
            }
        }
        Ok(None)
    }

    /// Stops the process group as the shell would, and takes the terminal back when it goes on.
    fn suspend(&mut self) -> io::Result<Option<Reason>> {
        self.reader.pause();
        self.guard.lend();
        kill_current_process_group(Signal::TSTP)?;
        let reason = self.wait(Some(SUSPEND_PATIENCE), |wake| match wake {
            Wake::Signal(SIGCONT) => Some(None),
            Wake::HungUp => Some(Some(Reason::HungUp)),
            Wake::Signal(n @ (SIGTERM | SIGHUP)) => Some(Some(Reason::Signal(*n))),
            _ => None,
        });
        if let Some(Some(reason)) = reason {
            return Ok(Some(reason));
        }
        self.come_back()?;
        Ok(None)
    }

    /// Runs the editor on the terminal; a signal or a hang-up meanwhile ends it and us, the draft stays.
    fn edit(&mut self, gate: GateId, digest: Digest, text: &str) -> io::Result<Result<Edited, Reason>> {
        let draft = match Draft::open(&self.options.drafts, &gate, &digest, text) {
            Ok(draft) => draft,
            Err(e) => {
                let why = format!("the draft cannot be kept in {}: {e}", self.options.drafts.display());
                return Ok(Ok(Edited { gate, digest, text: Err(why), resumed: false }));
            }
        };
        self.reader.pause();
        self.guard.lend();
        let outcome = match draft.start(&self.options.editor) {
            Err(e) => Ok(Err(e.to_string())),
            Ok(mut child) => {
                let pid = Pid::from_child(&child);
                let sender = self.sender.clone();
                thread::spawn(move || {
                    let status = child.wait().unwrap_or_else(|_| ExitStatus::from_raw(-1));
                    // the loop may have ended meanwhile
                    let _ = sender.send(Wake::EditorEnded(status));
                });
                // ctrl-c belongs to the editor while it runs
                let ended = self.wait(None, |wake| match wake {
                    Wake::EditorEnded(status) => Some(Ok(*status)),
                    Wake::HungUp => Some(Err(Reason::HungUp)),
                    Wake::Signal(n @ (SIGTERM | SIGHUP)) => Some(Err(Reason::Signal(*n))),
                    _ => None,
                });
                match ended.expect("without a limit the wait ends only with an answer") {
                    Ok(status) => Ok(draft.finish(status).map_err(|e| e.to_string())),
                    Err(reason) => {
                        let _ = kill_process(pid, Signal::TERM);
                        Err(reason)
                    }
                }
            }
        };
        match outcome {
            Ok(text) => {
                self.come_back()?;
                Ok(Ok(Edited { gate, digest, text, resumed: draft.resumed }))
            }
            Err(reason) => Ok(Err(reason)),
        }
    }

    fn come_back(&mut self) -> io::Result<()> {
        self.guard.take()?;
        self.reader.resume();
        self.screen.forget();
        self.resize()
    }

    /// Waits for a particular wake. Keys are dropped, for they were typed at something else; the rest is
    /// kept for later.
    fn wait<T>(&mut self, limit: Option<Duration>, mut wanted: impl FnMut(&Wake) -> Option<T>) -> Option<T> {
        let until = limit.map(|l| Instant::now() + l);
        loop {
            let wake = match until {
                Some(until) => self.wakes.recv_timeout(until.saturating_duration_since(Instant::now())).ok()?,
                None => self.wakes.recv().expect("the runtime holds a sender"),
            };
            if let Some(found) = wanted(&wake) {
                return Some(found);
            }
            match wake {
                Wake::Keys(_) | Wake::Paste(_) | Wake::EditorEnded(_) | Wake::Signal(SIGINT | SIGCONT | SIGWINCH) => {}
                Wake::News(msg) => self.kept.extend(self.news.keep(msg).map(Wake::News)),
                other => self.kept.push_back(other),
            }
        }
    }
}
