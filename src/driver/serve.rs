//! Being the kernel of a store in the real world: wakes, maintenance, and a disk that may be full.
//!
//! When space or handles run short, the kernel *pauses*: what is under way is recorded, nothing new is
//! begun, commands stay in the inbox, and it goes on by itself once there is enough again. When a write
//! was refused for want of space, the kernel ends as after a kill, the ballast is given up, and another
//! one takes up what is durable, paused. Attempts go on meanwhile; their answers are held for it. A sync
//! that failed is another matter: nobody knows what is on the disk then, and the process ends.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use super::{
    Dispatcher, DriverError, Kernel, ServeOptions, Served, StopFlag, Until, Wake, World, upkeep::Upkeep, wake::Wakes,
    watch::Watch,
};
use crate::store::{
    Store,
    journal::GROUP_MAX,
    lock::KernelLock,
    room::{self, Ballast},
};

/// How long a clean stop waits for attempts that are under way.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How often a kernel that has paused looks for room.
const LOOK: Duration = Duration::from_secs(2);

/// Is the kernel of `store` until `options` say that it is done. One that is to serve until it is stopped
/// waits out a full disk; any other ends with the error.
///
/// # Errors
/// When the store can not be read or written. Nothing that was acknowledged is lost: the next start
/// goes on from what is durable.
pub fn serve(store: &Store, lock: KernelLock, options: &ServeOptions, stop: &StopFlag) -> Result<Served, DriverError> {
    let (sender, wakes) = Wakes::channel();
    stop.connect(&sender);
    let until = &options.until;
    let ballast = Ballast::of(store.root());
    let mut held = Held { lock: Some(lock), ..Held::default() };
    loop {
        // a start that failed let go of it
        let lock = held.lock.take().map_or_else(|| KernelLock::take(store.root()), Ok)?;
        let error = match once(store, lock, &sender, &wakes, until, stop, &mut held) {
            Ok(served) => return Ok(served),
            Err(error) => error,
        };
        // too few handles for a start are too few for the next one as well
        let may_pass = error.is_want_of_room() && (held.has_served || error.is_full());
        if !may_pass || *until != Until::Stopped {
            return Err(error);
        }
        let freed = error.is_full() && ballast.free().unwrap_or(false);
        tracing::error!(%error, freed, "{}; the kernel is read-only until there is room again", error.safe());
        if let Some(lock) = &held.lock {
            // for whoever asks; that it can not be said is no news
            let _ = lock.note(Some("there is no room for a write; nothing new is begun"));
        }
        if !freed {
            held.wait(&wakes, LOOK);
        }
        if stop.is_requested() {
            return Err(error);
        }
    }
}

/// One kernel, from its start to its end.
fn once(
    store: &Store,
    lock: KernelLock,
    sender: &Wakes,
    wakes: &Receiver<Wake>,
    until: &Until,
    stop: &StopFlag,
    held: &mut Held,
) -> Result<Served, DriverError> {
    let world = World::real(sender.clone())?;
    let mut kernel = if held.is_empty() && room::short(store.root(), false).is_none() {
        Kernel::start(store.clone(), lock, world)?
    } else if *until == Until::Stopped {
        Kernel::start_paused(store.clone(), lock, world)?
    } else {
        return Err(no_room(store, false));
    };
    held.has_served = true;
    kernel.commit_beside(sender.sender());
    // before the first look, or what comes between the two would wait for the slow poll
    let mut watch = Watch::start(store.root(), kernel.machine(), sender.clone());
    watch.follow(kernel.watched());
    if let Until::AtRest(_) = until {
        kernel.leave_times();
    }
    let mut helpers = Helpers { watch, upkeep: Upkeep::new(kernel.repo()) };
    let attended = attend(&mut kernel, wakes, until, stop, &mut helpers, held, store);
    helpers.upkeep.stop();
    match attended {
        Ok(()) => kernel.stop(until),
        Err(error) => {
            let (dispatcher, lock) = kernel.take_apart();
            held.dispatchers.push(dispatcher);
            held.lock = Some(lock);
            // those that are back already
            held.note(&[]);
            Err(error)
        }
    }
}

/// What goes on beside the kernel.
struct Helpers {
    watch: Watch,
    upkeep: Upkeep,
}

/// Turns the kernel until it is done, or asked to stop and its attempts are back.
fn attend(
    kernel: &mut Kernel,
    wakes: &Receiver<Wake>,
    until: &Until,
    stop: &StopFlag,
    helpers: &mut Helpers,
    held: &mut Held,
    store: &Store,
) -> Result<(), DriverError> {
    let ballast = Ballast::of(store.root());
    if !kernel.is_paused() {
        ballast.fill(store.root());
        kernel.look()?;
    }
    while !stop.is_requested() && !kernel.is_done(until)? {
        held.give(kernel)?;
        match (room::short(store.root(), kernel.is_paused()), kernel.is_paused()) {
            (Some(_), false) if *until != Until::Stopped => {
                kernel.begin_stop();
                come_back(kernel, wakes, held)?;
                return Err(no_room(store, true));
            }
            (Some(short), false) => {
                tracing::error!("{short}; nothing new is begun until there is room, what is under way is recorded");
                kernel.pause(&short.to_string())?;
            }
            // an attempt that an earlier kernel began would be begun a second time
            (None, true) if held.is_empty() => {
                tracing::warn!("there is room again; the kernel goes on");
                ballast.fill(store.root());
                kernel.go_on()?;
            }
            _ => {}
        }
        if !kernel.is_paused() {
            helpers.upkeep.tick();
            // an edit may have brought the first trigger that looks for files
            helpers.watch.follow(kernel.watched());
            kernel.rely_on_watch(helpers.watch.is_whole());
        }
        let patience = if kernel.is_paused() { LOOK } else { kernel.patience() };
        let mut all = vec![wakes.recv_timeout(patience).unwrap_or(Wake::Time)];
        all.extend(wakes.try_iter().take(GROUP_MAX));
        held.turn(kernel, all)?;
    }
    kernel.begin_stop();
    come_back(kernel, wakes, held)
}

/// Takes what is under way in, for as long as a stop may take.
fn come_back(kernel: &mut Kernel, wakes: &Receiver<Wake>, held: &mut Held) -> Result<(), DriverError> {
    let deadline = Instant::now() + STOP_GRACE;
    while kernel.in_flight() > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(wake) = wakes.recv_timeout(left) else { break };
        held.turn(kernel, vec![wake])?;
    }
    Ok(())
}

fn no_room(store: &Store, was: bool) -> DriverError {
    let why =
        room::short(store.root(), was).map_or_else(|| "the disk was full a moment ago".to_owned(), |s| s.to_string());
    DriverError::NoRoom { why }
}

/// What must outlive a kernel that ended for want of room.
#[derive(Default)]
struct Held {
    /// Whether a kernel has been up at all.
    has_served: bool,
    lock: Option<KernelLock>,
    /// Answers that are in no journal yet, as far as we know.
    answers: Vec<Wake>,
    /// Attempts of earlier kernels that go on.
    dispatchers: Vec<Box<dyn Dispatcher>>,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.dispatchers.is_empty()
    }

    /// One turn; the answers in it are kept until it has ended well.
    fn turn(&mut self, kernel: &mut Kernel, wakes: Vec<Wake>) -> Result<(), DriverError> {
        self.note(&wakes);
        self.answers.extend(wakes.iter().filter(|wake| matches!(wake, Wake::Report(_))).cloned());
        kernel.turn(wakes)?;
        self.answers.clear();
        Ok(())
    }

    /// Hands over what an earlier kernel could not record.
    fn give(&mut self, kernel: &mut Kernel) -> Result<(), DriverError> {
        if !self.answers.is_empty() {
            kernel.turn(self.answers.clone())?;
            self.answers.clear();
        }
        Ok(())
    }

    /// Takes answers in while no kernel is there to record them.
    fn wait(&mut self, wakes: &Receiver<Wake>, time: Duration) {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match wakes.recv_timeout(left) {
                Ok(Wake::Stop) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
                Ok(wake) => {
                    self.note(std::slice::from_ref(&wake));
                    self.answers.extend(Some(wake).filter(|wake| matches!(wake, Wake::Report(_))));
                }
            }
        }
    }

    /// Lets go of the attempts of earlier kernels once all are back.
    fn note(&mut self, wakes: &[Wake]) {
        for wake in wakes {
            if let Wake::Report(report) = wake {
                self.dispatchers.iter_mut().for_each(|dispatcher| dispatcher.reported(report));
            }
        }
        self.dispatchers.retain_mut(|dispatcher| {
            let busy = dispatcher.in_flight() > 0;
            if !busy {
                dispatcher.shut_down();
            }
            busy
        });
    }
}
