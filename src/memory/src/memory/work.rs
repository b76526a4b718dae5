//! Work for idle hours: vectors that have to be asked for, and the change to another embedder.
//!
//! An embedder that costs is never asked while somebody waits for the loop: [`Memory::flush`] writes
//! the vectors that are at hand, and this module asks for the others, in small parts and without
//! holding the lock while it waits for an answer. Vectors go into the embedder's own cache first, so
//! that what was paid for survives a kill.
//!
//! **A changed embedder** serves from the moment it has a vector for every passage. Until then the
//! one before it answers, for as long as it takes; if the new one can not be reached, that is said in
//! [`Embedding::trouble`] and nothing else happens.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cairn_store_layout::paths;
use serde::{Deserialize, Serialize};

use super::Memory;
use crate::{EmbedError, Embedder, MemoryError, ServingRecord, catalogue::Row, embed, error::Result};

/// How many texts are looked up at once.
const LOOK: usize = 256;
/// Asked of an embedder that has nothing to embed, to learn the length of its vectors.
const PROBE: &str = "Which numbers are these words?";

/// The embedder that is to take over, and what is to be remembered of it then.
pub struct Change {
    /// The embedder. If it costs, its answers must be kept: see [`crate::CachedEmbedder`].
    pub to: Arc<dyn Embedder>,
    /// How to make it again.
    pub record: ServingRecord,
}

/// How much one call of [`Memory::work`] may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Texts in one question to the embedder, at least 1.
    pub batch: usize,
    /// No further question is begun after so long.
    pub time: Duration,
}

/// What one call of [`Memory::work`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// There is nothing to do.
    Rested,
    /// There is more to do.
    More,
    /// The configured embedder serves from now on. A flush is due, for the table holds the vectors of the other.
    Changed,
    /// The embedder gave no vectors; trying again later may do.
    Failed(String),
}

/// Where memory stands between two embedders, as a person is told. Kept in
/// `.cairn/index/embedding.json`, so that other processes can tell it too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embedding {
    /// The embedder that answers.
    pub serving: String,
    /// The embedder that is to take over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Passages whose vectors are at hand; with a `next`, its vectors.
    pub ready: usize,
    /// Passages in all.
    pub of: usize,
    /// Why the embedder that is asked gave no vectors last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// What [`Memory::work`] remembers between two calls.
#[derive(Default)]
pub(super) struct Working {
    /// Rows below this have their vectors at hand.
    upto: Row,
    /// The tracked tables were looked through for vectors of the embedder that is asked.
    seeded: bool,
    changed: bool,
    told: Embedding,
}

impl Memory {
    /// Does a part of what there is to do, and tells whether there is more. Blocks as long as the
    /// embedder takes to answer; recall and flush go on meanwhile.
    ///
    /// # Errors
    /// When the passage files can not be read. A failing embedder is [`Progress::Failed`].
    pub fn work(&self, budget: Budget) -> Result<Progress> {
        let begun = Instant::now();
        let mut working = self.working();
        let target = self.asked(&working);
        if target.is_none() && !self.embedder.costs() {
            return Ok(Progress::Rested);
        }
        let embedder = target.map_or(self.embedder.as_ref(), |change| change.to.as_ref());
        if embedder.costs() && !std::mem::replace(&mut working.seeded, true) {
            self.seed(embedder)?;
        }
        let mut asked_once = false;
        let progress = loop {
            let (texts, len) = self.lacking(embedder, &mut working, budget.batch.max(1))?;
            if texts.is_empty() {
                break match target {
                    Some(change) => self.change(change, &mut working, len)?,
                    None => Progress::Rested,
                };
            }
            if std::mem::replace(&mut asked_once, true) && begun.elapsed() >= budget.time {
                break Progress::More;
            }
            let asked: Vec<&str> = texts.iter().map(String::as_str).collect();
            match embed::checked(embedder, &asked) {
                Ok(_) if target.is_none() => self.lock().expect_flush(texts.len()),
                Ok(_) => {}
                Err(EmbedError(why)) => break Progress::Failed(why),
            }
        };
        self.tell(&mut working, &progress);
        Ok(progress)
    }

    /// Tells whether [`Memory::work`] may have something to do, without looking.
    #[must_use]
    pub fn may_have_work(&self) -> bool {
        self.embedder.costs() || self.asked(&self.working()).is_some()
    }

    /// Where memory stands, also if another process does the work.
    ///
    /// # Errors
    /// When the passage files can not be read.
    pub fn embedding(&self) -> Result<Embedding> {
        let mut working = self.working();
        let target = self.asked(&working);
        let embedder = target.map_or(self.embedder.as_ref(), |change| change.to.as_ref());
        let of = self.ready()?.state.as_ref().expect("made ready").catalogue.len() as usize;
        let mut ready = of;
        if embedder.costs() {
            working.upto = 0;
            (_, ready) = (self.lacking(embedder, &mut working, 1)?, working.upto as usize);
        }
        let next = target.map(|change| change.to.id().to_owned());
        let serving = self.embedder.id().to_owned();
        let told: Option<Embedding> = fs::read(self.told_path()).ok().and_then(|b| serde_json::from_slice(&b).ok());
        let same = told.filter(|told| told.serving == serving && told.next == next);
        Ok(Embedding { trouble: same.and_then(|told| told.trouble), serving, next, ready, of })
    }

    /// The change that is still to be made.
    fn asked(&self, working: &Working) -> Option<&Change> {
        self.change.as_ref().filter(|_| !working.changed)
    }

    /// The next texts without a vector, at most `most`, and the number of passages.
    fn lacking(&self, embedder: &dyn Embedder, working: &mut Working, most: usize) -> Result<(Vec<String>, Row)> {
        let mut out = Vec::new();
        loop {
            // The lock is taken for a few rows at a time: a question need not wait for all of them.
            let inner = self.ready()?;
            let catalogue = &inner.state.as_ref().expect("made ready").catalogue;
            let len = catalogue.len();
            if working.upto > len {
                working.upto = 0;
            }
            let from = working.upto;
            let end = len.min(from.saturating_add(LOOK as Row));
            let texts = catalogue.texts(from..end).map_err(|why| MemoryError::Unsteady { why: why.0 })?;
            let asked: Vec<&str> = texts.iter().map(String::as_str).collect();
            let at_hand = embed::checked_at_hand(embedder, &asked);
            let at_hand = at_hand.map_err(|source| MemoryError::Embed { id: embedder.id().to_owned(), source })?;
            for (text, vector) in texts.into_iter().zip(at_hand) {
                if vector.is_some() && out.is_empty() {
                    working.upto += 1;
                } else if vector.is_none() && out.len() < most {
                    out.push(text);
                }
            }
            if end == len || !out.is_empty() {
                return Ok((out, len));
            }
        }
    }

    /// Takes over what tracked tables hold of this embedder's vectors, so that they are not paid twice.
    fn seed(&self, embedder: &dyn Embedder) -> Result<()> {
        #[cfg(feature = "lance")]
        {
            let inner = &mut *self.ready()?;
            if self.root.join(paths::VECTORS).exists() {
                let tables = crate::tables::Tables::started(&mut inner.tables);
                let tables =
                    tables.map_err(|e| MemoryError::Table { path: self.root.join(paths::VECTORS), why: e.0 })?;
                let stored = tables.stored_vectors(&self.root, embedder.id());
                let stored: Vec<_> = stored.iter().map(|(digest, vector)| (*digest, vector.as_slice())).collect();
                if let Err(why) = embedder.keep(&stored) {
                    tracing::warn!(%why, "vectors of the tables were not taken over; they are asked for again");
                }
            }
        }
        let _ = embedder;
        Ok(())
    }

    /// Lets the configured embedder take over, if it has a vector for every one of the `len` passages.
    fn change(&self, change: &Change, working: &mut Working, len: Row) -> Result<Progress> {
        let new = change.to.as_ref();
        if new.dims() == 0
            && let Err(EmbedError(why)) = embed::checked(new, &[PROBE])
        {
            return Ok(Progress::Failed(why));
        }
        let mut inner = self.ready()?;
        let state = inner.state.as_ref().expect("made ready");
        if state.catalogue.len() != len {
            // Something was remembered meanwhile.
            return Ok(Progress::More);
        }
        change.record.write(&self.root)?;
        self.embedder.change_to(Arc::clone(&change.to));
        working.changed = true;
        let total = len as usize;
        // Everything that was computed is the other's.
        inner.drop_state();
        #[cfg(feature = "lance")]
        if let Some(tables) = &mut inner.tables {
            tables.flushed = None;
        }
        inner.expect_flush(total);
        tracing::info!(embedder = new.id(), passages = total, "another embedder serves from now on");
        Ok(Progress::Changed)
    }

    /// Says for other processes where memory stands, when that is something new.
    fn tell(&self, working: &mut Working, progress: &Progress) {
        let target = self.asked(working);
        let of = self.lock().state.as_ref().map_or(working.upto, |state| state.catalogue.len()) as usize;
        let told = Embedding {
            serving: self.embedder.id().to_owned(),
            next: target.map(|change| change.to.id().to_owned()),
            ready: if *progress == Progress::Changed { of } else { working.upto as usize },
            of,
            trouble: if let Progress::Failed(why) = progress { Some(why.clone()) } else { None },
        };
        if told == working.told {
            return;
        }
        let path = self.told_path();
        let written = serde_json::to_vec(&told).map_err(std::io::Error::other).and_then(|bytes| {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path.with_extension("json.new"), bytes)?;
            fs::rename(path.with_extension("json.new"), &path)
        });
        if let Err(why) = written {
            tracing::warn!(%why, "the progress of re-embedding is not shown");
        }
        working.told = told;
    }

    fn told_path(&self) -> PathBuf {
        self.root.join(paths::INDEX).join("embedding.json")
    }

    fn working(&self) -> MutexGuard<'_, Working> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
