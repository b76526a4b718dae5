//! Answers that are still fresh: `cache` of a step spares asking the same again.
//!
//! Derived and bounded: everything in the folder may be deleted at any time, and what is damaged is no
//! answer. Only answers that left nothing behind, no file and nothing learned, are kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use cairn_kernel::{Outcome, Perform};
use cairn_store_layout::{
    Digest, RunId, StepId, canonical, paths,
    payload::{EffectContent, Request},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::store::{
    disk,
    fsutil::{self, FsResult},
};

/// The most answers that are kept.
const FILES_MAX: usize = 4_096;
/// The most bytes that they may take.
const BYTES_MAX: u64 = 256 << 20;

type Place = (RunId, StepId, Option<String>, u32);

/// The kept answers of a store.
pub(super) struct Answers {
    folder: PathBuf,
    /// Attempts under way whose answer is to be kept.
    asked: BTreeMap<Place, Digest>,
    /// Answers that are in the journal and not in the folder yet.
    fresh: Vec<(Digest, Kept)>,
    /// What the folder holds, once it was looked at.
    held: Option<Held>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    #[serde(with = "cairn_store_layout::time::at")]
    at: Timestamp,
    run: RunId,
    /// Of `output`: a file that was cut short is no answer.
    digest: Digest,
    output: Value,
}

#[derive(Default)]
struct Held {
    by_age: BTreeSet<(SystemTime, PathBuf, u64)>,
    bytes: u64,
}

impl Answers {
    pub(super) fn new(root: &std::path::Path) -> Self {
        Self { folder: root.join(paths::CACHE), asked: BTreeMap::new(), fresh: Vec::new(), held: None }
    }

    /// The answer to the same request that is at most as old as the step allows, if there is one; else the
    /// answer to this attempt will be kept.
    pub(super) fn look(
        &mut self,
        perform: &Perform,
        files: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Option<Outcome> {
        let age = perform.cache?;
        let key = key(&perform.effect, files);
        if let Some(kept) = self.read(&key)
            && is_fresh(kept.at, now, age)
        {
            return Some(Outcome::Cached { output: kept.output, from: kept.run });
        }
        let place = (perform.run.clone(), perform.step.clone(), perform.iteration.clone(), perform.attempt);
        self.asked.insert(place, key);
        None
    }

    /// An attempt came back.
    pub(super) fn heard(&mut self, place: &Place, outcome: &Outcome, now: Timestamp) {
        let run = place.0.clone();
        let Some(key) = self.asked.remove(place) else { return };
        if let Outcome::Succeeded { output, files, learned, .. } = outcome
            && files.is_empty()
            && learned.is_empty()
        {
            self.fresh.push((key, Kept { at: now, run, digest: canonical::digest(output), output: output.clone() }));
        }
    }

    /// Writes what came back since the last call. To be called when its receipts are durable.
    pub(super) fn keep(&mut self) {
        for (key, kept) in std::mem::take(&mut self.fresh) {
            if let Err(error) = self.write(&key, &kept) {
                tracing::warn!(%error, "an answer could not be kept; it will be asked for again");
            }
        }
    }

    fn path(&self, key: &Digest) -> PathBuf {
        self.folder.join(format!("{key}.json"))
    }

    fn read(&self, key: &Digest) -> Option<Kept> {
        let bytes = fsutil::read(&self.path(key)).ok().flatten()?;
        let kept: Kept = serde_json::from_slice(&bytes).ok()?;
        (canonical::digest(&kept.output) == kept.digest).then_some(kept)
    }

    fn write(&mut self, key: &Digest, kept: &Kept) -> FsResult<()> {
        let path = self.path(key);
        let bytes = serde_json::to_vec(kept).expect("an answer holds only JSON types");
        fsutil::write_derived(&path, &bytes)?;
        let held = match &mut self.held {
            Some(held) => held,
            None => self.held.insert(Held::read(&self.folder)?),
        };
        held.add(SystemTime::now(), path, bytes.len() as u64);
        held.shrink(FILES_MAX, BYTES_MAX);
        Ok(())
    }
}

impl Held {
    fn read(folder: &std::path::Path) -> FsResult<Self> {
        let mut held = Self::default();
        for entry in fsutil::list(folder)? {
            if let Ok(meta) = entry.metadata() {
                held.add(meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), entry.path(), meta.len());
            }
        }
        Ok(held)
    }

    fn add(&mut self, at: SystemTime, path: PathBuf, bytes: u64) {
        // the same answer again replaces its file
        self.by_age.retain(|(_, known, size)| {
            if *known == path {
                self.bytes -= size;
            }
            *known != path
        });
        self.bytes += bytes;
        self.by_age.insert((at, path, bytes));
    }

    /// Removes the oldest until no more is held than allowed.
    fn shrink(&mut self, files_max: usize, bytes_max: u64) {
        while self.by_age.len() > files_max || self.bytes > bytes_max {
            let Some((_, path, bytes)) = self.by_age.pop_first() else { return };
            self.bytes -= bytes;
            if let Err(error) = disk::unlink(&path) {
                tracing::debug!(%error, path = %path.display(), "an old answer could not be removed");
            }
        }
    }
}

fn is_fresh(at: Timestamp, now: Timestamp, age: Duration) -> bool {
    let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
    // one from the future was kept by a clock that was wrong
    (SignedDuration::ZERO..=age).contains(&now.duration_since(at))
}

/// What makes two requests the same: their words, the version of who is asked, and the files that they name.
fn key(effect: &EffectContent, files: &BTreeMap<String, String>) -> Digest {
    let named: Vec<&str> = match &effect.request {
        Request::Agent { prompt, template, schema, .. } => {
            [prompt, template, schema].into_iter().flatten().map(String::as_str).collect()
        }
        // a program may read any file of its folder
        Request::Run { .. } => files.keys().map(String::as_str).collect(),
        request => request.schema().into_iter().collect(),
    };
    let texts: BTreeMap<&str, Option<Digest>> =
        named.into_iter().map(|name| (name, files.get(name).map(|text| Digest::of(text.as_bytes())))).collect();
    canonical::digest(&serde_json::json!({ "request": effect.request.digest(), "pin": effect.pin, "files": texts }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn perform(prompt: &str) -> Perform {
        let effect = json!({
            "run": "01kaxw00000000000000000001", "step": "a", "definition": "d", "class": "read",
            "request": {"kind": "agent", "agent": "writer", "input": {"x": 1}, "prompt": prompt},
        });
        let effect: EffectContent = serde_json::from_value(effect).unwrap();
        Perform {
            run: effect.run.clone(),
            step: effect.step.clone(),
            iteration: None,
            attempt: 1,
            key: effect.key(),
            effect,
            timeout: None,
            at: Timestamp::UNIX_EPOCH,
            until: None,
            cache: Some(Duration::from_secs(60)),
        }
    }

    fn done(output: Value) -> Outcome {
        Outcome::Succeeded { output, usage: Default::default(), artifacts: vec![], files: vec![], learned: vec![] }
    }

    #[test]
    fn an_answer_is_taken_while_it_is_fresh_and_whole_and_the_question_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let mut answers = Answers::new(dir.path());
        let files = |text: &str| BTreeMap::from([("p.md".to_owned(), text.to_owned())]);
        let (p, now) = (perform("p.md"), "2026-11-22T08:00:00Z".parse::<Timestamp>().unwrap());
        let later = |seconds| now + SignedDuration::from_secs(seconds);
        assert_eq!(answers.look(&p, &files("hello"), now), None);
        answers.heard(&(p.run.clone(), p.step.clone(), None, 1), &done(json!({"body": "hi"})), now);
        answers.keep();
        let hit = Outcome::Cached { output: json!({"body": "hi"}), from: p.run.clone() };
        assert_eq!(answers.look(&p, &files("hello"), later(60)), Some(hit));
        assert_eq!(answers.look(&p, &files("hello"), later(61)), None, "too old");
        assert_eq!(answers.look(&p, &files("hello"), later(-1)), None, "from the future");
        assert_eq!(answers.look(&p, &files("goodbye"), later(1)), None, "another prompt");
        let path = answers.path(&key(&p.effect, &files("hello")));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"hi\"", "\"ho\"")).unwrap();
        assert_eq!(answers.look(&p, &files("hello"), later(1)), None, "damaged");
    }

    #[test]
    fn the_oldest_answers_go_when_there_are_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let mut held = Held::default();
        for n in 0..4_u64 {
            let path = dir.path().join(n.to_string());
            std::fs::write(&path, b"x").unwrap();
            held.add(SystemTime::UNIX_EPOCH + Duration::from_secs(n), path.clone(), 10);
            held.add(SystemTime::UNIX_EPOCH + Duration::from_secs(n), path, 10);
        }
        assert_eq!(held.bytes, 40, "a replaced file counts once");
        held.shrink(3, 20);
        let left: Vec<String> = (0..4).map(|n: u64| n.to_string()).filter(|n| dir.path().join(n).exists()).collect();
        assert_eq!(left, ["2", "3"]);
    }
}
