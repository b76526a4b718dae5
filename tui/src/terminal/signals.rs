//! Signals, as messages to the loop.

use std::{io, sync::mpsc::Sender, thread};

use signal_hook::{
    consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGWINCH},
    iterator::{Handle, Signals},
};

use super::Wake;

/// Listens until it is dropped.
pub(super) struct Listener(Handle);

impl Listener {
    /// Sends every signal that concerns a terminal program to the loop.
    pub(super) fn start(wakes: Sender<Wake>) -> io::Result<Self> {
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGWINCH, SIGCONT])?;
        let handle = signals.handle();
        thread::Builder::new().name("terminal signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                if wakes.send(Wake::Signal(signal)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self(handle))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.close();
    }
}
