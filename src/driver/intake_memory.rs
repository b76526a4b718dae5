//! What a person asks of memory: each a fact in the machine's log, or a refusal.

use cairn_store_layout::{
    Digest, GateId, RunId,
    command::NewPassage,
    learned::Learned,
    passage::{Forgotten, Passage, Source, TEXT_BYTES_MAX},
    proposal::{Decided, Decision, Proposed},
};

use super::{Driver, DriverError, intake::No};
use crate::learning::knowledge_file;

type Answer = Result<Result<Option<RunId>, No>, DriverError>;

impl Driver {
    pub(super) fn add_passage(&mut self, by: &str, new: NewPassage) -> Answer {
        let source = Source::Person { person: by.to_owned() };
        let NewPassage { text, kind, entity, labels, valid_from, valid_to, supersedes } = new;
        let passage = Passage::new(self.clock.now(), source, kind, entity, text);
        let passage = Passage { labels, valid_from, valid_to, supersedes, ..passage };
        if passage.text.trim().is_empty() || passage.text.len() > TEXT_BYTES_MAX {
            let bytes = passage.text.len();
            return no(
                "bad_passage",
                format!("a passage has between 1 and {TEXT_BYTES_MAX} bytes; this one has {bytes}"),
            );
        }
        if let (Some(from), Some(to)) = (passage.valid_from, passage.valid_to)
            && from >= to
        {
            return no("bad_passage", format!("it would hold from {from} until {to}, which is never"));
        }
        for id in &passage.supersedes {
            if self.memory.get(id)?.is_none() {
                return no("no_such_passage", format!("there is no passage {id} that could be replaced"));
            }
        }
        // learning the same twice changes nothing, and a command that is read again after a crash is that
        if !self.memory.knows(&passage.id)? {
            self.log_event(Learned::Passage(passage).in_log())?;
        }
        Ok(Ok(None))
    }

    pub(super) fn forget_passage(&mut self, by: &str, passage: String, reason: String) -> Answer {
        if !self.memory.knows(&passage)? {
            return no("no_such_passage", format!("there is no passage {passage}, or it is forgotten already"));
        }
        let source = Source::Person { person: by.to_owned() };
        let forgotten = Forgotten { forgets: passage, at: self.clock.now(), source, reason, policy: None };
        self.log_event(Learned::Forgotten(forgotten).in_log())?;
        Ok(Ok(None))
    }

    /// Learns what was proposed, or never asks about it again.
    pub(super) fn decide_proposal(
        &mut self,
        by: &str,
        id: &GateId,
        digest: &Digest,
        decision: Decision,
        reason: Option<String>,
    ) -> Answer {
        let Some(known) = self.memory.proposal(id)? else {
            return no("no_such_proposal", format!("nothing is proposed under {}", id.short()));
        };
        let proposal = known.proposal;
        if let Some(decided) = known.decided {
            if decided.decision == decision && decided.by == by && decided.digest == *digest {
                return Ok(Ok(None));
            }
            let (word, who, at) = (word(decided.decision), decided.by, cairn_store_layout::time::short(decided.at));
            return no("already_decided", format!("{} was {word} by {who} at {at}", id.short()));
        }
        if proposal.digest != *digest {
            let now = proposal.digest.short();
            return no("stale_digest", format!("{} is not what was shown (digest {now})", id.short()));
        }
        let learned = match (decision, &proposal.proposed) {
            (Decision::Rejected, _) => None,
            (Decision::Accepted, Proposed::Knowledge { path, text }) => {
                if let Err(why) = knowledge_file::write(self.store.root(), path, text) {
                    return no("not_written", why);
                }
                self.log.since.paths.insert(format!("knowledge/{path}"));
                None
            }
            (Decision::Accepted, proposed) => match self.ready(proposed.learned(), &proposal.source)? {
                Ok(learned) => learned,
                Err(refused) => return Ok(Err(refused)),
            },
        };
        let decided = Decided {
            proposal: id.clone(),
            at: self.clock.now(),
            decision,
            digest: digest.clone(),
            by: by.to_owned(),
            reason,
        };
        self.log_event(Learned::Decided(decided).in_log())?;
        if let Some(learned) = learned {
            self.log_event(learned.in_log())?;
        }
        Ok(Ok(None))
    }

    /// What was proposed with the moment at which it is learned.
    fn ready(&mut self, learned: Option<Learned>, source: &Source) -> Result<Result<Option<Learned>, No>, DriverError> {
        let now = self.clock.now();
        let Some(mut learned) = learned else { return Ok(Ok(None)) };
        match &mut learned {
            Learned::Passage(passage) => passage.recorded_at = now,
            Learned::Forgotten(forgotten) => (forgotten.at, forgotten.source) = (now, source.clone()),
            Learned::Episode(episode) => episode.recorded_at = now,
            Learned::Entity(change) => match self.memory.admit(change, now) {
                Ok(_) => {}
                Err(refused) => {
                    return Ok(Err(No { code: refused.code(), message: refused.to_string(), run: None }));
                }
            },
            _ => {}
        }
        Ok(Ok(Some(learned)))
    }
}

fn no(code: &'static str, message: String) -> Answer {
    Ok(Err(No { code, message, run: None }))
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Accepted => "accepted",
        Decision::Rejected => "rejected",
    }
}
