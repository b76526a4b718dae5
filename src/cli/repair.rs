//! `cairn kernel repair`: what stands in the way of a start, and going on without what is lost.

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::{
    context::{Context, Outcome},
    failure::{Failure, chain, exit, plural},
};
use crate::store::{
    Store,
    git::{GitError, Repo},
    identity,
    journal::{self, JournalError, JournalOptions, Known},
    lock::KernelLock,
    mark::MarkFile,
};

/// Tell what keeps the kernel from starting; with --accept-loss, go on without what is lost.
///
/// What can be restored is restored by the start itself. With --accept-loss the damaged journal is set aside,
/// what is still readable is kept, and this machine gets a new id: its unfinished runs wait until each is
/// adopted or canceled, because effects that are no longer known of may have been sent.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn kernel repair\n  cairn kernel repair --accept-loss")]
pub struct Repair {
    /// Go on without what can not be restored
    #[arg(long)]
    accept_loss: bool,
}

/// What is wrong, if anything.
pub(super) enum Trouble {
    None,
    /// So many damaged entries come back with the next start.
    Restorable(u64),
    /// Entries that nothing can bring back.
    Lost(JournalError),
    /// The branch was moved away from a commit.
    Rewound(GitError),
}

impl Repair {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let store = context.store()?;
        context.machine(&store)?;
        let _lock = KernelLock::take(store.root())?;
        let trouble = trouble(&store)?;
        let why = match &trouble {
            Trouble::None => return told(context, "whole", "the journal is whole; nothing was changed"),
            Trouble::Restorable(entries) => {
                let entries = plural(*entries, "damaged entry").replace("entrys", "entries");
                let text = format!("{entries} will be restored byte for byte by the next start; nothing was changed");
                return told(context, "restorable", &text);
            }
            Trouble::Lost(error) => chain(error),
            Trouble::Rewound(error) => chain(error),
        };
        if !self.accept_loss {
            return Err(Failure::new("lost", exit::REFUSED, why)
                .why("neither the histories, nor the last commit, nor the damaged bytes prove what was there; nothing was changed")
                .fix("restore .cairn/journal from a backup, or go on without it: cairn kernel repair --accept-loss"));
        }
        identity::retire(&identity::state_home()?, &store, &format!("{} accepted that {why}", context.by()))?;
        let lost = match trouble {
            Trouble::Lost(_) => salvage(&store)?,
            _ => Vec::new(),
        };
        context.screen.document(&json!({"schema": "cairn.repair/1", "state": "accepted", "why": why, "lost": lost}));
        context.screen.say(format!("accepted: {why}"));
        for place in &lost {
            context.screen.say(format!("  {place}"));
        }
        context.screen.say("unfinished runs wait; after the next start adopt or cancel each: cairn run ls");
        Ok(exit::OK)
    }
}

fn told(context: &mut Context, state: &str, text: &str) -> Outcome {
    context.screen.document(&json!({"schema": "cairn.repair/1", "state": state, "why": text, "lost": []}));
    context.screen.say(text);
    Ok(exit::OK)
}

/// Looks at the journal and the branch. The caller has made sure that no kernel runs.
pub(super) fn trouble(store: &Store) -> Result<Trouble, Failure> {
    let repo = Repo::open(store.root())?;
    if let Some(machine) = identity::known(store)? {
        let file = identity::mark_file(&identity::state_home()?, store.id(), &machine);
        let mark = if file.exists() { MarkFile::open(&file)?.1 } else { None };
        if let Some(commit) = mark.and_then(|mark| mark.commit).filter(|commit| repo.has_object(commit))
            && let Err(error @ GitError::Rewound { .. }) = repo.head(Some(&commit))
        {
            return Ok(Trouble::Rewound(error));
        }
    }
    if !journal::is_damaged(store.root())? {
        return Ok(Trouble::None);
    }
    let known = known(store, &repo)?;
    match journal::restorable(store.root(), &known) {
        Ok(0) => Ok(Trouble::None),
        Ok(entries) => Ok(Trouble::Restorable(entries)),
        Err(error @ JournalError::Damaged { .. }) => Ok(Trouble::Lost(error)),
        Err(error) => Err(error.into()),
    }
}

fn known(store: &Store, repo: &Repo) -> Result<Known, Failure> {
    Ok(Known::gather(store.root(), Some(repo), &journal::named(store.root())?))
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::failed("journal", chain(&error)).fix("check the disk, then try again; nothing was changed")
    }
}

/// Sets the damaged journal aside. The id was given up before: a journal with gaps must never be taken
/// for the whole one.
fn salvage(store: &Store) -> Result<Vec<String>, Failure> {
    let repo = Repo::open(store.root())?;
    let known = known(store, &repo)?;
    let committed = |path: &str| {
        let blob = repo.blob_of(path, None).ok().flatten();
        let text = blob.and_then(|blob| repo.read_blob(&blob).ok()).unwrap_or_default();
        text.iter().filter(|b| **b == b'\n').count() as u64
    };
    let tag = Timestamp::now().as_second().to_string();
    let loss = journal::salvage(store.root(), JournalOptions::default(), &known, committed, &tag)?;
    let mut told = loss.places;
    told.push(format!("the damaged journal is {}", loss.kept));
    Ok(told)
}
