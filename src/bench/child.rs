//! Other processes of ours: what must be killed, or begins at the very start of a process.
//!
//! A child takes the store's lock, is the kernel with a load of its own, and says on standard output
//! where it stands, one word a line, so that its parent can take the time or end it.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use cairn_store_layout::RunId;

use super::{Error, load, scratch};
use crate::{
    driver::load::{Load, Pace, Turned},
    store::Store,
};

/// Said when the kernel has taken up what the store held; the number of unfinished runs follows.
const READY: &str = "ready";
/// Said when every run has had half its steps.
const HALF: &str = "half";

/// What a child is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// The store.
    pub store: PathBuf,
    /// So many runs are begun and left when each has had half its steps; 0: what there is is finished.
    pub leave: usize,
}

impl Errand {
    /// Carries it out; with runs to leave this does not return.
    ///
    /// # Errors
    /// When the store or the driver refuses.
    pub fn carry_out(&self) -> Result<(), Error> {
        let store = Store::open(&self.store)?;
        if self.leave > 0 {
            let mut load = Leave { wanted: self.leave, begun: 0, steps: BTreeMap::new() };
            load::serve(&store, Pace::Layer, &mut load)
        } else {
            load::serve(&store, Pace::Layer, &mut Finish { open: usize::MAX })
        }
    }

    /// Starts a child for it.
    pub(super) fn start(&self) -> Result<Errands, Error> {
        let program = program()?;
        let mut command = Command::new(&program);
        command.args(["bench", "--leave", &self.leave.to_string(), "--inside"]).arg(&self.store);
        let begun = Instant::now();
        let child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn();
        let mut child = child.map_err(|e| Error::io("start", &program, e))?;
        let said = child.stdout.take().map(BufReader::new);
        Ok(Errands { child, said, begun })
    }
}

/// Our own program.
pub(super) fn program() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(|e| Error::io("find", Path::new("our own program"), e))
}

/// A child under way; killed when dropped.
pub(super) struct Errands {
    child: Child,
    said: Option<BufReader<std::process::ChildStdout>>,
    begun: Instant,
}

impl Errands {
    /// Waits until the child has taken up what there was: after how many seconds, and how many unfinished runs.
    pub(super) fn ready(&mut self) -> Result<(f64, usize), Error> {
        let (seconds, rest) = self.word(READY)?;
        Ok((seconds, rest.parse().unwrap_or(0)))
    }

    /// Waits until every run has had half its steps, then kills the child with all it is doing.
    pub(super) fn kill_at_half(mut self) -> Result<(), Error> {
        self.ready()?;
        self.word(HALF)?;
        self.child.kill().map_err(|e| Error::io("kill", Path::new("a child"), e))
    }

    /// Waits for the end: after how many seconds.
    pub(super) fn done(mut self) -> Result<f64, Error> {
        let status = self.child.wait().map_err(|e| Error::io("wait for", Path::new("a child"), e))?;
        if !status.success() {
            return Err(Error::Child(format!("it ended with {status}")));
        }
        Ok(self.begun.elapsed().as_secs_f64())
    }

    fn word(&mut self, word: &str) -> Result<(f64, String), Error> {
        let mut line = String::new();
        let said = self.said.as_mut().map(|said| said.read_line(&mut line));
        let seconds = self.begun.elapsed().as_secs_f64();
        match (said, line.trim_end().strip_prefix(word)) {
            (Some(Ok(_)), Some(rest)) => Ok((seconds, rest.trim().to_owned())),
            _ => Err(Error::Child(format!("it said {line:?} in place of `{word}`"))),
        }
    }
}

impl Drop for Errands {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(text: &str) {
    // a parent that is gone does not want to know
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Begins runs and stops turning when each has had half its steps.
struct Leave {
    wanted: usize,
    begun: usize,
    steps: BTreeMap<RunId, usize>,
}

impl Load for Leave {
    fn is_ready(&mut self, unfinished: usize) {
        say(&format!("{READY} {unfinished}"));
    }

    fn next(&mut self) -> Option<(RunId, String)> {
        (self.begun < self.wanted).then(|| {
            self.begun += 1;
            let run = scratch::spread(self.begun);
            self.steps.insert(run.clone(), 0);
            (run, scratch::WORKFLOW.to_owned())
        })
    }

    fn turned(&mut self, turned: &Turned) {
        for (run, _) in &turned.records {
            *self.steps.entry(run.clone()).or_default() += 1;
        }
        if self.begun == self.wanted && self.steps.values().all(|steps| *steps > scratch::STEPS / 2) {
            say(HALF);
            loop {
                std::thread::park();
            }
        }
    }

    fn is_done(&self) -> bool {
        false
    }
}

/// Begins nothing and goes on until every run is over.
struct Finish {
    open: usize,
}

impl Load for Finish {
    fn is_ready(&mut self, unfinished: usize) {
        say(&format!("{READY} {unfinished}"));
        self.open = unfinished;
    }

    fn next(&mut self) -> Option<(RunId, String)> {
        None
    }

    fn turned(&mut self, turned: &Turned) {
        self.open = self.open.saturating_sub(turned.records.iter().filter(|(_, over)| *over).count());
    }

    fn is_done(&self) -> bool {
        self.open == 0
    }
}
