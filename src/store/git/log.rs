//! The audit trail as a list: who did what, newest first, with the trailers a run left.

use gix::{
    ObjectId,
    objs::{CommitRef, Kind},
    revision::walk::Sorting,
    traverse::commit::simple::CommitTimeOrder,
};

use super::{CommitHash, Repo, Result, error::During as _};

/// One commit of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its hash.
    pub commit: CommitHash,
    /// When it was committed; the epoch if the commit holds no time that exists.
    pub at: jiff::Timestamp,
    /// The first line of its message. May hold any character: it may come from another machine.
    pub subject: String,
    /// `Key: value` lines at its end, in order.
    pub trailers: Vec<(String, String)>,
}

impl LogEntry {
    /// The value of the first trailer with this key, in whatever case.
    #[must_use]
    pub fn trailer(&self, key: &str) -> Option<&str> {
        self.trailers.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
    }
}

impl Repo {
    /// Lists at most `max` commits reachable from HEAD, newest first.
    ///
    /// With `stop`, leaves out that commit and all it contains, so that a caller who keeps the list
    /// asks for the new part alone.
    ///
    /// # Errors
    /// As [`Repo::head`], and when a commit on the way cannot be read.
    pub fn log(&self, stop: Option<&CommitHash>, max: usize) -> Result<Vec<LogEntry>> {
        let repo = self.local();
        let Some(head) = self.head(None)? else { return Ok(Vec::new()) };
        if stop == Some(&head.commit) {
            return Ok(Vec::new());
        }
        let stop = stop.map(|stop| stop.0);
        let mut entries = Vec::new();
        let mut next = Some(head.commit.0);
        while let Some(id) = next.filter(|id| Some(*id) != stop && entries.len() < max) {
            let (entry, parents) = self.entry(&repo, id)?;
            if parents.len() > 1 {
                // From here on history is a graph, and what `stop` contains must be worked out.
                for id in self.history(&repo, id, stop, max - entries.len())? {
                    entries.push(self.entry(&repo, id)?.0);
                }
                break;
            }
            entries.push(entry);
            next = parents.first().copied();
        }
        Ok(entries)
    }

    /// The ids of at most `max` commits from `head`, newest first.
    pub(super) fn history(
        &self,
        repo: &gix::Repository,
        head: ObjectId,
        stop: Option<ObjectId>,
        max: usize,
    ) -> Result<Vec<ObjectId>> {
        const DOING: &str = "walk the history";
        let walk = repo
            .rev_walk([head])
            .sorting(Sorting::ByCommitTime(CommitTimeOrder::NewestFirst))
            .with_hidden(stop)
            .all()
            .during(DOING, &self.git_dir)?;
        walk.take(max).map(|info| Ok(info.during(DOING, &self.git_dir)?.id)).collect()
    }

    fn entry(&self, repo: &gix::Repository, id: ObjectId) -> Result<(LogEntry, Vec<ObjectId>)> {
        let bytes = self.object_bytes(repo, id, Kind::Commit)?;
        let commit = CommitRef::from_bytes(&bytes, gix::hash::Kind::Sha1).during("decode a commit", &self.git_dir)?;
        let message = commit.message();
        let trailers = message
            .body()
            .map(|body| body.trailers().map(|t| (t.token.to_string(), t.value.to_string())).collect::<Vec<_>>());
        let seconds = commit.committer().ok().and_then(|who| who.time().ok()).map_or(0, |time| time.seconds);
        let entry = LogEntry {
            commit: CommitHash(id),
            at: jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH),
            subject: message.summary().to_string(),
            trailers: trailers.unwrap_or_default(),
        };
        Ok((entry, commit.parents().collect()))
    }
}
