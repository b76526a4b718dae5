//! Keeping the repository quick: few packs, and a graph of the commits.
//!
//! New packs are made by the `git` program beside the running kernel; old ones are removed here, and only
//! when every object of theirs is in a new pack whose name is on disk. So an interruption at any instant
//! leaves objects twice, never not at all. What no commit reaches is kept: nothing is pruned.

use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::{Duration, SystemTime},
};

use super::{
    GitError, Repo, Result,
    error::During as _,
    program::{self, Ended},
};
use crate::store::disk::{self, DiskFile};

/// So many packs are worth putting together.
pub const PACKS_MANY: usize = 50;
/// A graph older than this is written anew once there are newer commits.
const GRAPH_OLD: Duration = Duration::from_secs(24 * 60 * 60);
/// A lock or an unfinished pack that is older than this was left by a git that died.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 60 * 60);
/// Packs with one of these beside them are somebody's with plans of their own.
const NOT_OURS: [&str; 3] = ["keep", "mtimes", "promisor"];

/// How the repository lies on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    /// Packs.
    pub packs: usize,
    /// Bytes of packs.
    pub pack_bytes: u64,
    /// Objects outside of packs.
    pub loose: usize,
    /// How old the graph of the commits is, if there is one.
    pub graph: Option<Duration>,
    /// Tells whether there are commits that the graph does not know.
    pub graph_behind: bool,
}

/// What there is to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chores {
    /// Put packs together.
    pub packs: bool,
    /// Write the graph of the commits.
    pub graph: bool,
}

impl Shape {
    /// What is worth doing by itself.
    #[must_use]
    pub fn due(&self) -> Chores {
        let graph = self.graph_behind && self.graph.is_none_or(|age| age >= GRAPH_OLD);
        // a handful of commits is read as fast without a graph
        Chores { packs: self.packs >= PACKS_MANY, graph: graph && (self.graph.is_some() || self.packs >= PACKS_MANY) }
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upkept {
    /// Done; so many packs were put together into one.
    Done {
        /// Packs that are gone.
        packs: usize,
    },
    /// Somebody else is at it.
    Busy,
    /// This machine has no `git` program; the store works without, more slowly over time.
    NoProgram,
    /// It was told to stop; nothing is lost.
    Stopped,
}

impl Repo {
    /// Looks at how the repository lies on disk. Cheap: it lists folders.
    ///
    /// # Errors
    /// When they can not be listed.
    pub fn shape(&self) -> Result<Shape> {
        let mut shape = Shape::default();
        for path in self.packs()? {
            shape.packs += 1;
            shape.pack_bytes += std::fs::metadata(&path).map_or(0, |meta| meta.len());
        }
        let objects = self.git_dir.join("objects");
        for folder in disk::list(&objects).during("list", &objects)? {
            if folder.file_name().to_str().is_some_and(|name| name.len() == 2) {
                shape.loose += disk::list(&folder.path()).map_or(0, |files| files.len());
            }
        }
        let mut written = ["info/commit-graphs/commit-graph-chain", "info/commit-graph"].into_iter();
        let written = written.find_map(|name| std::fs::metadata(objects.join(name)).ok()?.modified().ok());
        shape.graph = written.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
        let branch = self.git_dir.join(self.branch()?.as_bstr().to_string());
        let moved = std::fs::metadata(branch).and_then(|meta| meta.modified()).ok();
        shape.graph_behind = written.is_none_or(|written| moved.is_some_and(|moved| moved > written));
        Ok(shape)
    }

    /// Does `chores`, unless somebody else does already. May run beside a kernel that commits. `lock` is
    /// held meanwhile; setting `stop` ends it soon.
    ///
    /// # Errors
    /// When git complains or the system refuses; the repository is whole, with or without the work.
    pub fn keep_up(&self, chores: Chores, lock: &Path, stop: &AtomicBool) -> Result<Upkept> {
        let held = DiskFile::open(lock, true).during("open", lock)?;
        match held.file().try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(Upkept::Busy),
            Err(std::fs::TryLockError::Error(error)) => return Err(error).during("lock", lock),
        }
        let lock = held.file();
        self.clear_left_behind()?;
        let mut gone = 0;
        if chores.packs {
            let before = self.packs()?;
            // without `-d`: git would remove the old packs before the names of the new ones are synced
            if let Some(ended) =
                self.git(&["repack", "--geometric=2", "--no-write-bitmap-index", "-l", "-q"], lock, stop)?
            {
                return Ok(ended);
            }
            gone = self.drop_redundant(&before)?;
            for args in [&["prune-packed", "-q"][..], &["multi-pack-index", "write", "--no-progress"]] {
                if let Some(ended) = self.git(args, lock, stop)? {
                    return Ok(ended);
                }
            }
        }
        if chores.graph
            && let Some(ended) =
                self.git(&["commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"], lock, stop)?
        {
            return Ok(ended);
        }
        Ok(Upkept::Done { packs: gone })
    }

    /// Runs git; `None` when it ended well.
    fn git(&self, args: &[&str], lock: &File, stop: &AtomicBool) -> Result<Option<Upkept>> {
        match program::run(&self.git_dir, args, lock, stop).during("run git in", &self.git_dir)? {
            Ended::Well => Ok(None),
            Ended::NoProgram => Ok(Some(Upkept::NoProgram)),
            Ended::Stopped => Ok(Some(Upkept::Stopped)),
            Ended::Badly(why) => Err(std::io::Error::other(why)).during("maintain", &self.git_dir),
        }
    }

    fn pack_dir(&self) -> PathBuf {
        self.git_dir.join("objects").join("pack")
    }

    /// Packs that have an index, sorted.
    fn packs(&self) -> Result<BTreeSet<PathBuf>> {
        let dir = self.pack_dir();
        let paths: BTreeSet<PathBuf> =
            disk::list(&dir).during("list", &dir)?.into_iter().map(|entry| entry.path()).collect();
        let is_pack = |path: &PathBuf| path.extension().is_some_and(|end| end == "pack");
        Ok(paths.iter().filter(|path| is_pack(path) && paths.contains(&path.with_extension("idx"))).cloned().collect())
    }

    /// Removes those packs of `before` that the packs made since hold whole. Answers how many.
    fn drop_redundant(&self, before: &BTreeSet<PathBuf>) -> Result<usize> {
        const DOING: &str = "read the index of";
        let open = |pack: &Path| {
            let idx = pack.with_extension("idx");
            gix_pack::index::File::at(&idx, gix::hash::Kind::Sha1).during(DOING, &idx)
        };
        let dir = self.pack_dir();
        let made: Vec<PathBuf> = self.packs()?.difference(before).cloned().collect();
        if made.is_empty() {
            return Ok(0);
        }
        // what is about to be relied upon alone must survive a power cut, names and content
        for pack in &made {
            for end in ["pack", "idx"] {
                let path = pack.with_extension(end);
                File::open(&path).and_then(|file| file.sync_all()).during("sync", &path)?;
            }
        }
        disk::sync_dir(&dir).during("sync", &dir)?;
        let new = made.iter().map(|pack| open(pack)).collect::<Result<Vec<_>>>()?;
        let mut redundant = Vec::new();
        for pack in before.iter().filter(|pack| !NOT_OURS.iter().any(|end| pack.with_extension(end).exists())) {
            if open(pack)?.iter().all(|entry| new.iter().any(|index| index.lookup(entry.oid).is_some())) {
                redundant.push(pack);
            }
        }
        if redundant.is_empty() {
            return Ok(0);
        }
        // it names packs that are about to go
        self.remove_named(|name| name.starts_with("multi-pack-index") && !name.ends_with(".lock"))?;
        for pack in &redundant {
            // a reader finds a pack by its index, so that goes first
            for end in ["idx", "rev", "bitmap", "pack"] {
                let path = pack.with_extension(end);
                if path.exists() {
                    disk::unlink(&path).during("remove", &path)?;
                }
            }
        }
        disk::sync_dir(&dir).during("sync", &dir)?;
        Ok(redundant.len())
    }

    fn remove_named(&self, which: impl Fn(&str) -> bool) -> Result<()> {
        let dir = self.pack_dir();
        for entry in disk::list(&dir).during("list", &dir)? {
            if entry.file_name().to_str().is_some_and(&which) && entry.path().is_file() {
                disk::unlink(&entry.path()).during("remove", &entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes what a git that was killed left half made.
    fn clear_left_behind(&self) -> Result<()> {
        let objects = self.git_dir.join("objects");
        let is_old = |path: &Path| {
            let written = std::fs::symlink_metadata(path).and_then(|meta| meta.modified()).ok();
            written.and_then(|at| SystemTime::now().duration_since(at).ok()).is_some_and(|age| age >= LEFT_BEHIND)
        };
        let mut found = vec![
            objects.join("info/commit-graph.lock"),
            objects.join("info/commit-graphs/commit-graph-chain.lock"),
            objects.join("pack/multi-pack-index.lock"),
        ];
        let dir = self.pack_dir();
        for entry in disk::list(&dir).during("list", &dir)? {
            let name = entry.file_name();
            let half_made = name.to_str().is_some_and(|n| n.starts_with("tmp_") || n.starts_with(".tmp-"));
            found.extend(half_made.then(|| entry.path()));
        }
        for path in found.into_iter().filter(|path| is_old(path)) {
            match disk::unlink(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(GitError::Io { doing: "remove the leftover", path, source: error });
                }
                _ => tracing::warn!(path = %path.display(), "removed what a git that died had left"),
            }
        }
        Ok(())
    }
}
