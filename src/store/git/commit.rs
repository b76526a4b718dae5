//! Group commit: several commits, one pack, one move of the branch.
//!
//! A commit is built on the tree of HEAD, never on the index, so what an operator has staged or
//! left half edited is not swept into a run's commit.

use gix::{
    ObjectId,
    objs::{Kind, Write as _, tree::EntryKind},
};

use super::{
    CommitHash, GitError, Head, Identity, Repo, Result, TreeId,
    advance::Move,
    changes::Keep,
    error::During as _,
    folders::Folders,
    pack::Batch,
    tree::{Node, check_path},
    worktree,
};

/// The id of a tree, and what is new in it.
type Applied = (ObjectId, Vec<(ObjectId, Option<ObjectId>)>);

/// How often a group is built anew because somebody else committed meanwhile.
const ATTEMPTS: usize = 3;

/// One commit to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitPlan {
    /// The first line. Line ends become blanks.
    pub subject: String,
    /// Paragraphs between subject and trailers; may be empty.
    pub body: String,
    /// `Key: value` lines at the end, in this order. A key has letters, digits and dashes only.
    pub trailers: Vec<(String, String)>,
    /// Author and committer time, whole seconds.
    pub at: jiff::Timestamp,
    /// What differs from the commit before.
    pub changes: Vec<Change>,
    /// Make the commit even if nothing differs.
    pub allow_empty: bool,
}

/// One path that a commit changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The path holds this content from now on.
    Write {
        /// Relative to the root, `/` between parts.
        path: String,
        /// Where the bytes come from.
        content: Content,
    },
    /// The path, a file or a folder, is gone. No error if it never was there.
    Remove {
        /// Relative to the root, `/` between parts.
        path: String,
    },
}

impl Change {
    /// The path that changes.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Write { path, .. } | Self::Remove { path } => path,
        }
    }
}

/// Where the bytes of a file come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Given here; stored as a plain file.
    Bytes(Vec<u8>),
    /// Read from the work tree at the same path, with its executable bit.
    WorkTree,
    /// So many bytes from the beginning of a file in the work tree that only ever grows: as it was when it had that
    /// many, whenever it is read. A file that is missing is left as the commit before has it.
    Grown(u64),
    /// What [`Repo::read_in`] found in the work tree.
    Found {
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether it is a program.
        executable: bool,
    },
}

impl Repo {
    /// Reads what the plans take from the work tree, so that they hold it as it is now.
    ///
    /// # Errors
    /// [`GitError::NotAFile`] when a file to be read is missing or a link.
    pub fn read_in(&self, plans: &mut [CommitPlan]) -> Result<()> {
        for change in plans.iter_mut().flat_map(|plan| &mut plan.changes) {
            if let Change::Write { path, content: content @ Content::WorkTree } = change {
                let found = self.in_work_tree(path)?;
                *content = Content::Found { bytes: found.bytes, executable: found.kind == EntryKind::BlobExecutable };
            }
        }
        Ok(())
    }

    fn in_work_tree(&self, path: &str) -> Result<worktree::Found> {
        let missing = || GitError::NotAFile { path: path.to_owned(), what: "missing from the work tree" };
        worktree::read(&self.root, path)?.ok_or_else(missing)
    }

    /// Makes the commits in order, each on the one before, and moves the branch once.
    ///
    /// When this returns, all of them survive a power cut. Answers one entry a plan: its commit, or
    /// `None` when the plan changed nothing and was skipped. `known` is as for [`Repo::head`]: with
    /// it, no commit is ever made without a parent.
    ///
    /// Cost: one pack and five syncs a call, whatever the number of plans.
    ///
    /// # Errors
    /// As [`Repo::head`]; [`GitError::BadPath`] and [`GitError::BadMessage`] for a plan that git
    /// could not hold; [`GitError::NotAFile`] when a file to be read is missing or a link. On every
    /// error the branch is where it was.
    pub fn commit_group(
        &self,
        who: &Identity,
        known: Option<&CommitHash>,
        plans: &[CommitPlan],
    ) -> Result<Vec<Option<CommitHash>>> {
        let messages = plans.iter().map(message).collect::<Result<Vec<_>>>()?;
        plans.iter().flat_map(|plan| &plan.changes).try_for_each(|change| check_path(change.path()))?;
        let mut attempt = 1;
        loop {
            match self.try_commit_group(who, self.head(known)?, plans, &messages) {
                Err(GitError::HeadMoved { .. }) if attempt < ATTEMPTS => attempt += 1,
                done => return done,
            }
        }
    }

    fn try_commit_group(
        &self,
        who: &Identity,
        head: Option<Head>,
        plans: &[CommitPlan],
        messages: &[String],
    ) -> Result<Vec<Option<CommitHash>>> {
        let repo = self.local().with_object_memory();
        let mut batch = Batch::default();
        let (mut parent, mut tree) = (head.map(|h| h.commit.0), head.map(|h| h.tree.0));
        let mut made = Vec::with_capacity(plans.len());
        let mut last = None;
        let mut folders = Folders::open(self, &repo, tree)?;
        for (plan, message) in plans.iter().zip(messages) {
            let (next, contents) = self.apply(&repo, &mut folders, &plan.changes)?;
            if Some(next) == tree && !plan.allow_empty {
                made.push(None);
                continue;
            }
            let signature = who.signature(plan.at);
            let commit = gix::objs::Commit {
                tree: next,
                parents: parent.into_iter().collect(),
                author: signature.clone(),
                committer: signature,
                encoding: None,
                message: message.as_str().into(),
                extra_headers: Vec::new(),
            };
            let id = repo.objects.write(&commit).during("build a commit", &self.git_dir)?;
            batch.commit(id);
            contents.into_iter().for_each(|(id, earlier)| batch.content(id, earlier));
            (parent, tree) = (Some(id), Some(next));
            made.push(Some(CommitHash(id)));
            last = Some((CommitHash(id), plan));
        }
        if let Some((newest, plan)) = last {
            self.store(&repo, batch)?;
            let why = format!("commit: {}", line(&plan.subject));
            self.advance(&repo, &Move { old: head.map(|h| h.commit), new: newest, who, at: plan.at, why: &why })?;
        }
        Ok(made)
    }

    /// Changes the folders; gives the id of the whole, and each new object with the earlier version of itself.
    fn apply(&self, repo: &gix::Repository, folders: &mut Folders<'_>, changes: &[Change]) -> Result<Applied> {
        let mut contents = Vec::new();
        for change in changes {
            let (kind, id) = match change {
                Change::Remove { path } => {
                    folders.remove(path)?;
                    continue;
                }
                Change::Write { content: Content::Bytes(bytes), .. } => (EntryKind::Blob, self.new_blob(repo, bytes)?),
                Change::Write { content: Content::Found { bytes, executable }, .. } => {
                    let kind = if *executable { EntryKind::BlobExecutable } else { EntryKind::Blob };
                    (kind, self.new_blob(repo, bytes)?)
                }
                Change::Write { path, content: Content::WorkTree } => {
                    let found = self.in_work_tree(path)?;
                    (found.kind, self.new_blob(repo, &found.bytes)?)
                }
                Change::Write { path, content: Content::Grown(len) } => {
                    let Some(found) = worktree::read(&self.root, path)? else { continue };
                    let len = usize::try_from(*len).unwrap_or(usize::MAX).min(found.bytes.len());
                    (found.kind, self.new_blob(repo, &found.bytes[..len])?)
                }
            };
            let before = folders.put(change.path(), Node { mode: kind.into(), id })?.map(|node| node.id);
            if before != Some(id) {
                contents.push((id, before));
            }
        }
        let whole = folders.write(&mut |bytes, before| {
            let id = repo.objects.write_buf(Kind::Tree, bytes).during("build a tree", &self.git_dir)?;
            if before != Some(id) {
                contents.push((id, before));
            }
            Ok(id)
        })?;
        Ok((whole, contents))
    }

    /// A blob that is not looked up first: to learn that something is missing, the library asks every
    /// pack and every folder of loose objects, which costs more than to write it twice now and then.
    fn new_blob(&self, repo: &gix::Repository, bytes: &[u8]) -> Result<ObjectId> {
        repo.objects.write_buf(Kind::Blob, bytes).during("store a file's content", &self.git_dir)
    }

    pub(super) fn blob(&self, repo: &gix::Repository, bytes: &[u8]) -> Result<ObjectId> {
        Ok(repo.write_blob(bytes).during("store a file's content", &self.git_dir)?.detach())
    }

    /// Stores a folder of the work tree without committing it, and answers its tree id.
    ///
    /// The objects are durable but belong to no commit: git collects them after two weeks unless a
    /// commit takes them up.
    ///
    /// # Errors
    /// As [`Repo::write_tree_id_of_dir`], and when objects cannot be written.
    pub fn store_dir(&self, dir: &str) -> Result<Option<TreeId>> {
        let repo = self.local().with_object_memory();
        let Some(tree) = self.build_dir(&repo, dir, Keep::Objects)? else {
            return Ok(None);
        };
        let mut batch = Batch::default();
        batch.content(tree.0, None);
        self.differences(&repo, None, Some(tree.0), &mut |_, _, new| {
            new.into_iter().for_each(|new| batch.content(new.id, None));
            Ok(())
        })?;
        self.store(&repo, batch)?;
        Ok(Some(tree))
    }

    pub(super) fn kind_of(&self, repo: &gix::Repository, id: ObjectId) -> Result<Option<Kind>> {
        let header = repo.try_find_header(id).during("look up an object", &self.git_dir)?;
        Ok(header.map(|header| header.kind()))
    }
}

/// Writes the message so that git reads the same subject and trailers back.
fn message(plan: &CommitPlan) -> Result<String> {
    let bad = |why: String| Err(GitError::BadMessage { why });
    let subject = line(&plan.subject);
    if subject.is_empty() {
        return bad("its subject is empty".to_owned());
    }
    let mut text = subject;
    text.push('\n');
    let body: String = plan.body.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    if !body.trim().is_empty() {
        text.push_str(&format!("\n{}\n", body.trim()));
    }
    if !plan.trailers.is_empty() {
        text.push('\n');
    }
    for (key, value) in &plan.trailers {
        let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if key.is_empty() || !plain {
            return bad(format!("`{key}` is not a trailer's key; use letters, digits and dashes"));
        }
        text.push_str(&format!("{key}: {}\n", line(value)));
    }
    Ok(text)
}

/// One line, without control characters, trimmed.
fn line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.trim().to_owned()
}
