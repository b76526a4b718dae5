//! What may stand between the kernel and the disk: one observer a thread, none in production.
//!
//! The kernel is one thread, so a thread is a world: whoever installs an observer sees every change
//! this thread makes to a file, may refuse it as a disk would, and says how waiting and chance work.

use std::{cell::RefCell, io, path::Path, rc::Rc, time::Duration};

/// One call to the file system. Paths are as the kernel gave them: absolute, below a store's root
/// or the folder of this machine's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// A file is read.
    Read {
        /// The file.
        path: &'a Path,
    },
    /// The names in a folder are read.
    List {
        /// The folder.
        path: &'a Path,
    },
    /// A file is opened for writing; its content stays. It is made when it is missing and `create` is set.
    Open {
        /// The file.
        path: &'a Path,
        /// Whether a missing file is made.
        create: bool,
    },
    /// A file that must not exist yet is made, empty.
    Create {
        /// The file.
        path: &'a Path,
    },
    /// Bytes go into a file, which grows when they end behind its end.
    Write {
        /// The name by which the file was opened.
        path: &'a Path,
        /// Where in the file.
        offset: u64,
        /// What.
        bytes: &'a [u8],
    },
    /// A file is cut, or grows by zeros.
    SetLen {
        /// The name by which the file was opened.
        path: &'a Path,
        /// Its length from now on.
        len: u64,
    },
    /// Content and length become durable, names and times do not.
    SyncData {
        /// The name by which the file was opened.
        path: &'a Path,
    },
    /// Content, length and the rest of the file itself become durable, its name does not.
    SyncAll {
        /// The file.
        path: &'a Path,
    },
    /// The names in a folder become durable.
    SyncDir {
        /// The folder.
        path: &'a Path,
    },
    /// Everything on the file system becomes durable.
    SyncFs {
        /// A path on it.
        path: &'a Path,
    },
    /// A name moves.
    Rename {
        /// The old name.
        from: &'a Path,
        /// The new name.
        to: &'a Path,
        /// Whether a file that has the new name loses it; else that is refused.
        replace: bool,
    },
    /// A file gets one more name, which must be free.
    Link {
        /// A name it has.
        from: &'a Path,
        /// The one it gets.
        to: &'a Path,
    },
    /// A name of a file goes.
    Unlink {
        /// The name.
        path: &'a Path,
    },
    /// A folder is made.
    MakeDir {
        /// The folder.
        path: &'a Path,
    },
    /// An empty folder goes.
    RemoveDir {
        /// The folder.
        path: &'a Path,
    },
}

impl Op<'_> {
    /// Tells whether the call changes what is, or becomes durable, on the disk.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !matches!(self, Self::Read { .. } | Self::List { .. })
    }

    /// What the call is about; of a name that moves or is added, the new one.
    #[must_use]
    pub fn path(&self) -> &Path {
        match *self {
            Self::Rename { to, .. } | Self::Link { to, .. } => to,
            Self::Read { path }
            | Self::List { path }
            | Self::Open { path, .. }
            | Self::Create { path }
            | Self::Write { path, .. }
            | Self::SetLen { path, .. }
            | Self::SyncData { path }
            | Self::SyncAll { path }
            | Self::SyncDir { path }
            | Self::SyncFs { path }
            | Self::Unlink { path }
            | Self::MakeDir { path }
            | Self::RemoveDir { path } => path,
        }
    }

    pub(super) fn is_sync(&self) -> bool {
        matches!(self, Self::SyncData { .. } | Self::SyncAll { .. } | Self::SyncDir { .. } | Self::SyncFs { .. })
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is carried out.
    Go,
    /// It is not carried out and fails with this error number.
    Fail(i32),
    /// Of a write, only so many bytes are taken, as write(2) may do; the rest is tried again and
    /// judged again. Anything else is carried out.
    Short(usize),
}

/// Sees what one thread does to the disk.
pub trait Observer {
    /// Judges a call before it is carried out.
    fn before(&self, op: &Op<'_>) -> Verdict;

    /// Hears how it went. A write arrives here with the bytes that were taken.
    fn after(&self, op: &Op<'_>, result: Result<(), &io::Error>) {
        let _ = (op, result);
    }

    /// Lets time pass for a kernel that waits for a lock or for an editor to finish.
    fn pause(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    /// 128 bits for ids, jitter and names of unfinished files; `None` draws them from the system.
    fn random(&self) -> Option<u128> {
        None
    }
}

thread_local! {
    static OBSERVER: RefCell<Option<Rc<dyn Observer>>> = const { RefCell::new(None) };
}

/// Puts `observer` between this thread and the disk until the guard is dropped.
pub fn observe(observer: Rc<dyn Observer>) -> Observing {
    Observing { before: OBSERVER.with(|o| o.borrow_mut().replace(observer)) }
}

/// Ends an observation when dropped; the one it replaced goes on.
#[must_use = "the observation ends with it"]
pub struct Observing {
    before: Option<Rc<dyn Observer>>,
}

impl Drop for Observing {
    fn drop(&mut self) {
        let before = self.before.take();
        OBSERVER.with(|o| *o.borrow_mut() = before);
    }
}

/// The observer of this thread. The handle is cloned out, so that an observer may use the disk itself.
pub(super) fn current() -> Option<Rc<dyn Observer>> {
    OBSERVER.with(|o| o.borrow().clone())
}
