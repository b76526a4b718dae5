//! The thread that reads the terminal. It sleeps in `poll` and wakes for nothing but input.
//!
//! It can be paused, so that an editor has the terminal to itself; even then it notices a hang-up, for
//! which the kernel wakes `poll` whatever it was asked for.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    pipe::{PipeFlags, pipe_with},
};

use super::{
    Wake,
    decode::{Decoder, Input, Patience},
};
use crate::Key;

/// How long the end of a paste is waited for.
const PASTE_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct State {
    paused: bool,
    stop: bool,
    decoder: Decoder,
}

/// The reading thread.
pub(super) struct Reader {
    state: Arc<Mutex<State>>,
    wake: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Starts to read standard input. `escape` is how long a lone Esc waits for the rest of a sequence.
    pub(super) fn start(wakes: Sender<Wake>, escape: Duration) -> io::Result<Self> {
        let (woken, wake) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let thread = thread::Builder::new().name("terminal input".to_owned()).spawn(move || {
            if let Err(Gone) = read_on(&shared, &woken, &wakes, escape) {
                // nobody listens any more when the receiver is gone
                let _ = wakes.send(Wake::HungUp);
            }
        })?;
        Ok(Self { state, wake, thread: Some(thread) })
    }

    /// Stops reading. When this returns, not one byte more is taken from the terminal.
    pub(super) fn pause(&self) {
        self.lock().paused = true;
        self.nudge();
    }

    /// Reads again; what was typed meanwhile is thrown away, for it was typed at something else.
    pub(super) fn resume(&self) {
        let _ = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush);
        let mut state = self.lock();
        state.paused = false;
        state.decoder.reset();
        drop(state);
        self.nudge();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nudge(&self) {
        // a full pipe wakes the thread just as well
        let _ = rustix::io::write(&self.wake, &[0]);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.lock().stop = true;
        self.nudge();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The terminal is gone.
struct Gone;

fn read_on(shared: &Mutex<State>, woken: &OwnedFd, wakes: &Sender<Wake>, escape: Duration) -> Result<(), Gone> {
    let stdin = io::stdin();
    let mut bytes = [0; 4096];
    loop {
        let (wanted, patience) = {
            let state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            if state.stop {
                return Ok(());
            }
            if state.paused { (PollFlags::empty(), None) } else { (PollFlags::IN, state.decoder.waits()) }
        };
        let timeout = patience.map(|p| if p == Patience::Escape { escape } else { PASTE_PATIENCE });
        let timeout = timeout.map(|t| Timespec::try_from(t).expect("seconds fit into a timespec"));
        let mut fds = [PollFd::new(&stdin, wanted), PollFd::new(woken, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => {
                let given_up = shared.lock().unwrap_or_else(PoisonError::into_inner).decoder.give_up();
                if !send(wakes, given_up) {
                    return Ok(());
                }
                continue;
            }
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return Err(Gone),
        }
        if fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Err(Gone);
        }
        if fds[1].revents().contains(PollFlags::IN) {
            while rustix::io::read(woken, &mut bytes[..]).is_ok_and(|n| n > 0) {}
            continue;
        }
        // the lock is held while reading: `pause` returns only when no read is under way
        let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if state.paused || !fds[0].revents().contains(PollFlags::IN) {
            continue;
        }
        let input = match rustix::io::read(&stdin, &mut bytes[..]) {
            Ok(0) => return Err(Gone),
            Ok(n) => state.decoder.push(&bytes[..n]),
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(_) => return Err(Gone),
        };
        drop(state);
        if !send(wakes, input) {
            return Ok(());
        }
    }
}

/// Hands over what arrived in one piece: keys between pastes stay together.
fn send(wakes: &Sender<Wake>, input: Vec<Input>) -> bool {
    let mut keys: Vec<Key> = Vec::new();
    for one in input {
        match one {
            Input::Key(key) => keys.push(key),
            Input::Paste(text) => {
                if !keys.is_empty() && wakes.send(Wake::Keys(std::mem::take(&mut keys))).is_err() {
                    return false;
                }
                if wakes.send(Wake::Paste(text)).is_err() {
                    return false;
                }
            }
        }
    }
    keys.is_empty() || wakes.send(Wake::Keys(keys)).is_ok()
}
