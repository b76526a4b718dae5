//! The disks of a simulation: what is durable on each, and what goes wrong with it.
//!
//! One observer for the thread. It follows every change on the disk it belongs to, carries out one
//! blow at a time (a death before, after or within a call, or a refusal), and lets nothing through to
//! the disk of a kernel that is dead: what a dead process would still do does not happen.

use std::{
    cell::RefCell,
    io,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use cairn::store::disk::{Observer, Op, Verdict};

use crate::{
    shared::{
        change::Change,
        image::Image,
        platter::{Leaves, Platter},
        random::Random,
    },
    time::Time,
};

/// Where a blow falls: at the so many-th call of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Any change to any file.
    Change,
    /// Any call, also one that only looks.
    Call,
    /// Writing to or syncing the journal.
    Journal,
    /// Syncing the journal.
    Sync,
    /// Appending to a history or a log.
    History,
    /// Whatever a commit writes below `.git`, its ref and the index included.
    Git,
    /// The branch alone.
    Ref,
    /// Taking a command's file away, or putting one aside.
    Inbox,
}

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// The process dies before the call.
    Before,
    /// It dies right after it.
    After,
    /// Of a write so many bytes are taken, then it dies; anything else dies before.
    Within(usize),
    /// The call fails with this error number.
    Fail(i32),
    /// It fails, and so does every later call of the kind.
    FailForGood(i32),
    /// Of a write so many bytes are taken; the rest is tried again.
    Short(usize),
}

/// Which durability a seeded bug forgets: the disk does as it is told, and remembers nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "seeded-bugs"), allow(dead_code, reason = "only a seeded bug forgets"))]
pub(crate) enum Deaf {
    Journal,
    JournalFolder,
    Packs,
    PackFolder,
    Ref,
}

pub(crate) struct Lab {
    pub(crate) time: Time,
    inner: RefCell<Inner>,
}

struct Inner {
    disks: Vec<Disk>,
    chance: Random,
    /// The operator writes: nothing befalls them.
    by_hand: bool,
    deaf: Option<Deaf>,
}

struct Disk {
    root: PathBuf,
    platter: Platter,
    dead: bool,
    dies_next: bool,
    armed: Option<(Place, usize, Blow)>,
    /// Its folder holds something else for a moment, of which it knows nothing.
    detached: bool,
    /// What was refused since the kernel started.
    refused: Option<String>,
}

impl Lab {
    pub(crate) fn new(seed: u64, deaf: Option<Deaf>) -> Rc<Self> {
        let inner = Inner { disks: Vec::new(), chance: Random::new(seed ^ 0x5EED), by_hand: false, deaf };
        Rc::new(Self { time: Time::new(), inner: RefCell::new(inner) })
    }

    /// Adds a disk that holds `image`, which is laid out at `root` already.
    pub(crate) fn add(&self, root: &Path, image: &Image) -> usize {
        let disk = Disk {
            root: root.to_owned(),
            platter: Platter::holding(image),
            dead: false,
            dies_next: false,
            armed: None,
            detached: false,
            refused: None,
        };
        let disks = &mut self.inner.borrow_mut().disks;
        disks.push(disk);
        disks.len() - 1
    }

    /// Does what a person does: it succeeds, whatever is about to befall the kernel.
    pub(crate) fn by_hand<T>(&self, act: impl FnOnce() -> T) -> T {
        self.inner.borrow_mut().by_hand = true;
        let done = act();
        self.inner.borrow_mut().by_hand = false;
        done
    }

    /// Lets `blow` fall at the call of `place` after `skip` others.
    pub(crate) fn arm(&self, disk: usize, place: Place, skip: usize, blow: Blow) {
        self.inner.borrow_mut().disks[disk].armed = Some((place, skip, blow));
    }

    pub(crate) fn disarm(&self, disk: usize) {
        self.inner.borrow_mut().disks[disk].armed = None;
    }

    pub(crate) fn is_dead(&self, disk: usize) -> bool {
        self.inner.borrow().disks[disk].dead
    }

    /// What was refused to the kernel since it started, if anything was.
    pub(crate) fn refused(&self, disk: usize) -> Option<String> {
        self.inner.borrow().disks[disk].refused.clone()
    }

    /// A new process can be started; what processes saw stays, what is durable too.
    pub(crate) fn revive(&self, disk: usize) {
        let disk = &mut self.inner.borrow_mut().disks[disk];
        (disk.dead, disk.dies_next, disk.armed, disk.refused) = (false, false, None, None);
    }

    /// The power goes: the disk holds what `leaves` says, and so does its folder.
    pub(crate) fn power_cut(&self, disk: usize, leaves: Leaves) {
        self.revive(disk);
        let disk = &mut self.inner.borrow_mut().disks[disk];
        let Some(image) = disk.platter.image(leaves).or_else(|| disk.platter.image(Leaves::Nothing)) else { return };
        // the machine started after the cut: a lock that is left is older than that
        let before = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(86_400);
        image.lay_out(&disk.root, Some(before)).expect("a disk in memory takes an image");
        disk.platter = Platter::holding(&image);
    }

    /// Lays `image` out in the folder of a disk, lets `act` do what it likes with it, and lays out again what
    /// processes saw there before.
    pub(crate) fn detached<T>(&self, disk: usize, image: &Image, act: impl FnOnce() -> T) -> T {
        let (root, before) = {
            let disk = &mut self.inner.borrow_mut().disks[disk];
            disk.detached = true;
            (disk.root.clone(), disk.platter.image(Leaves::Everything))
        };
        image.lay_out(&root, None).expect("a disk in memory takes an image");
        let done = act();
        before.expect("what processes see").lay_out(&root, None).expect("a disk in memory takes an image");
        self.inner.borrow_mut().disks[disk].detached = false;
        done
    }

    /// Looks at a disk as processes see it.
    pub(crate) fn look<T>(&self, disk: usize, look: impl FnOnce(&Platter) -> T) -> T {
        look(&self.inner.borrow().disks[disk].platter)
    }
}

impl Place {
    fn is_at(self, op: &Op<'_>, root: &Path) -> bool {
        let path = op.path();
        let below = |folder: &str| path.strip_prefix(root.join("store")).is_ok_and(|p| p.starts_with(folder));
        match self {
            Self::Call => true,
            Self::Change => op.is_change(),
            Self::Journal => op.is_change() && below(".cairn/journal"),
            Self::Sync => matches!(op, Op::SyncData { .. }) && below(".cairn/journal"),
            Self::History => op.is_change() && (below("runs") || below("log")),
            Self::Git => op.is_change() && below(".git"),
            Self::Ref => op.is_change() && (below(".git/refs") || below(".git/logs")),
            Self::Inbox => op.is_change() && below("inbox"),
        }
    }
}

impl Deaf {
    fn forgets(self, change: &Change) -> bool {
        let (file, folder) = match change {
            Change::Sync { path } => (Some(path.as_str()), None),
            Change::SyncDir { path } => (None, Some(path.as_str())),
            Change::SyncFs => return matches!(self, Self::Packs),
            _ => return false,
        };
        let is = |name: Option<&str>, below: &str| name.is_some_and(|n| n.starts_with(below));
        match self {
            Self::Journal => is(file, "store/.cairn/journal/"),
            Self::JournalFolder => is(folder, "store/.cairn/journal"),
            Self::Packs => is(file, "store/.git/objects") || is(file, "store/.git/cairn-tmp"),
            Self::PackFolder => is(folder, "store/.git/objects"),
            Self::Ref => is(file, "store/.git/refs") || is(folder, "store/.git/refs"),
        }
    }
}

impl Observer for Lab {
    fn before(&self, op: &Op<'_>) -> Verdict {
        const EIO: i32 = 5;
        let inner = &mut *self.inner.borrow_mut();
        let by_hand = inner.by_hand;
        let Some(disk) = inner.disk_of(op) else { return Verdict::Go };
        if by_hand {
            return Verdict::Go;
        }
        if disk.dead {
            return Verdict::Fail(EIO);
        }
        let Some((place, skip, blow)) = disk.armed else { return Verdict::Go };
        if !place.is_at(op, &disk.root) {
            return Verdict::Go;
        }
        if skip > 0 {
            disk.armed = Some((place, skip - 1, blow));
            return Verdict::Go;
        }
        if !matches!(blow, Blow::FailForGood(_)) {
            disk.armed = None;
        }
        match (blow, op) {
            (Blow::After, _) => disk.dies_next = true,
            (Blow::Within(some), Op::Write { bytes, .. }) if some > 0 && bytes.len() > 1 => {
                disk.dies_next = true;
                return Verdict::Short(1 + some % (bytes.len() - 1));
            }
            (Blow::Before | Blow::Within(_), _) => {
                disk.dead = true;
                return Verdict::Fail(EIO);
            }
            (Blow::Fail(errno) | Blow::FailForGood(errno), _) => {
                disk.refused = Some(format!("{op:.60?}: error {errno}"));
                return Verdict::Fail(errno);
            }
            (Blow::Short(some), Op::Write { bytes, .. }) if bytes.len() > 1 => {
                return Verdict::Short(1 + some % (bytes.len() - 1));
            }
            (Blow::Short(_), _) => {}
        }
        Verdict::Go
    }

    fn after(&self, op: &Op<'_>, result: Result<(), &io::Error>) {
        let inner = &mut *self.inner.borrow_mut();
        let deaf = inner.deaf;
        let Some(disk) = inner.disk_of(op) else { return };
        if let Some(change) = Change::of(op, &disk.root) {
            match result {
                Ok(()) if deaf.is_some_and(|deaf| deaf.forgets(&change)) => {}
                Ok(()) => disk.platter.follow(&change),
                Err(_) if !disk.dead => disk.platter.refuse(&change),
                Err(_) => {}
            }
        }
        disk.dead |= std::mem::take(&mut disk.dies_next);
    }

    fn pause(&self, duration: Duration) {
        self.time.pass(duration);
    }

    fn random(&self) -> Option<u128> {
        Some(self.inner.borrow_mut().chance.wide())
    }
}

impl Inner {
    fn disk_of(&mut self, op: &Op<'_>) -> Option<&mut Disk> {
        // names move within one disk
        let path = op.path();
        self.disks.iter_mut().find(|disk| path.starts_with(&disk.root) && !disk.detached)
    }
}
