//! What was done to the disk, kept: an [`Op`] with names from a root and bytes of its own.

use std::path::Path;

use cairn::store::disk::Op;

/// One change. Names are relative to the root that is recorded; the root itself is the empty name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Opened for writing; made if `create` and missing.
    Open {
        path: String,
        create: bool,
    },
    Create {
        path: String,
    },
    Write {
        path: String,
        offset: u64,
        bytes: Vec<u8>,
    },
    SetLen {
        path: String,
        len: u64,
    },
    /// Of a file: content, length and the rest of the file itself.
    Sync {
        path: String,
    },
    SyncDir {
        path: String,
    },
    SyncFs,
    Rename {
        from: String,
        to: String,
    },
    Link {
        from: String,
        to: String,
    },
    Unlink {
        path: String,
    },
    MakeDir {
        path: String,
    },
    RemoveDir {
        path: String,
    },
}

impl Change {
    /// What `op` changes below `root`; nothing for a look, or for what lies elsewhere.
    pub(crate) fn of(op: &Op<'_>, root: &Path) -> Option<Self> {
        let name = |path: &Path| Some(path.strip_prefix(root).ok()?.to_str()?.to_owned());
        Some(match *op {
            Op::Read { .. } | Op::List { .. } => return None,
            Op::Open { path, create } => Self::Open { path: name(path)?, create },
            Op::Create { path } => Self::Create { path: name(path)? },
            Op::Write { path, offset, bytes } => Self::Write { path: name(path)?, offset, bytes: bytes.to_vec() },
            Op::SetLen { path, len } => Self::SetLen { path: name(path)?, len },
            Op::SyncData { path } | Op::SyncAll { path } => Self::Sync { path: name(path)? },
            Op::SyncDir { path } => Self::SyncDir { path: name(path)? },
            Op::SyncFs { .. } => Self::SyncFs,
            Op::Rename { from, to, .. } => Self::Rename { from: name(from)?, to: name(to)? },
            Op::Link { from, to } => Self::Link { from: name(from)?, to: name(to)? },
            Op::Unlink { path } => Self::Unlink { path: name(path)? },
            Op::MakeDir { path } => Self::MakeDir { path: name(path)? },
            Op::RemoveDir { path } => Self::RemoveDir { path: name(path)? },
        })
    }
}
