//! Which commit holds a run: the newest one whose trailer `Run:` names it.

use std::{collections::BTreeMap, path::Path};

use cairn_store_layout::{RunId, paths};
use serde::{Deserialize, Serialize};

use crate::store::{
    error::Result,
    fsutil,
    git::{CommitHash, GitError, Repo},
};

/// Changes whenever the file's meaning does; another number is thrown away.
const VERSION: u32 = 1;
const FILE: &str = "commits.json";

/// Commits by run, up to one commit of the branch. Kept in `.cairn/views/`, may be deleted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Commits {
    version: u32,
    head: Option<String>,
    runs: BTreeMap<RunId, String>,
    /// Whether what was kept from the last time has been read.
    #[serde(skip)]
    loaded: bool,
}

/// Commits that are looked through for a run before all of them are.
const NEWEST: usize = 64;

/// The commit that holds `run`, if it is one of the newest: so it is for a run that has just come to rest.
///
/// # Errors
/// When the repository can not be read.
pub(super) fn newest(root: &Path, run: &RunId) -> Result<Option<String>> {
    let log = Repo::open(root)?.log(None, NEWEST)?;
    let found = log.iter().find(|entry| entry.trailer("Run").is_some_and(|id| id.trim() == run.as_str()));
    Ok(found.map(|entry| entry.commit.to_string()))
}

impl Commits {
    /// What was kept from the last time.
    fn load(root: &Path) -> Self {
        let bytes = fsutil::read(&root.join(paths::VIEWS).join(FILE)).ok().flatten();
        let kept: Option<Self> = bytes.and_then(|b| serde_json::from_slice(&b).ok());
        Self { loaded: true, ..kept.filter(|c| c.version == VERSION).unwrap_or_default() }
    }

    /// Reads the commits made since; all of them when the branch was rewound.
    ///
    /// # Errors
    /// When the repository can not be read.
    pub(super) fn update(&mut self, root: &Path) -> Result<()> {
        if !self.loaded {
            *self = Self::load(root);
        }
        let repo = Repo::open(root)?;
        let known: Option<CommitHash> = self.head.as_deref().and_then(|h| h.parse().ok());
        let (head, known) = match repo.head(known.as_ref()) {
            Ok(head) => (head, known),
            Err(GitError::Rewound { .. }) => (repo.head(None)?, None),
            Err(e) => return Err(e.into()),
        };
        let head = head.map(|h| h.commit);
        if head == known && self.version == VERSION {
            return Ok(());
        }
        if known.is_none() {
            self.runs.clear();
        }
        // oldest first, so that the newest commit of a run stands
        for entry in repo.log(known.as_ref(), usize::MAX)?.iter().rev() {
            if let Some(run) = entry.trailer("Run").and_then(|r| RunId::new(r.trim()).ok()) {
                self.runs.insert(run, entry.commit.to_string());
            }
        }
        self.version = VERSION;
        self.head = head.map(|h| h.to_string());
        self.save(root);
        Ok(())
    }

    pub(super) fn of(&self, run: &RunId) -> Option<String> {
        self.runs.get(run).cloned()
    }

    /// A store that can not be written is read all the same, only slower the next time.
    fn save(&self, root: &Path) {
        if let Ok(bytes) = serde_json::to_vec(self) {
            let _ = fsutil::write_derived(&root.join(paths::VIEWS).join(FILE), &bytes);
        }
    }
}
