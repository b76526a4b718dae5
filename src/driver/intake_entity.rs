//! What a person asks of entities and episodes: each a fact in the machine's log, or a refusal.

use cairn_store_layout::{
    CommandId, EntityId, RunId,
    command::{NewChange, NewEpisode},
    entity::{Change, EntityChange},
    episode::Episode,
    learned::Learned,
    passage::Source,
};
use jiff::Timestamp;

use super::{Driver, DriverError, intake::No};
use crate::{effects::Fault, learning::entity_change};

type Answer = Result<Result<Option<RunId>, No>, DriverError>;

impl Driver {
    pub(super) fn change_entity(&mut self, id: &CommandId, by: &str, new: NewChange) -> Answer {
        let NewChange { entity, set, add, remove, expected_version, reason } = new;
        let change = Change::Fields { set, add, remove };
        let change = EntityChange { expected_version, ..change_of(id, by, self.clock.now(), entity, change, reason) };
        if self.memory.has_change(&change)? {
            return Ok(Ok(None));
        }
        match entity_change::prepare(&self.memory, self.store.root(), change) {
            Ok(prepared) => self.learn_all(prepared.learned),
            Err(fault) => Ok(Err(refused(&fault))),
        }
    }

    /// A merge or a split.
    pub(super) fn join_entities(
        &mut self,
        id: &CommandId,
        by: &str,
        entity: EntityId,
        change: Change,
        reason: Option<String>,
    ) -> Answer {
        let change = change_of(id, by, self.clock.now(), entity, change, reason);
        if self.memory.has_change(&change)? {
            return Ok(Ok(None));
        }
        self.learn_all(vec![Learned::Entity(change)])
    }

    pub(super) fn add_episode(&mut self, id: &CommandId, by: &str, new: NewEpisode) -> Answer {
        let now = self.clock.now();
        let NewEpisode { kind, text, entities, happened: at, refs, labels } = new;
        // read again after a crash, the command must mean the same moment
        let written =
            i64::try_from(RunId::from(id.clone()).millis()).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let at = at.or(written).unwrap_or(now);
        let text = text.trim().to_owned();
        let episode = Episode {
            id: Episode::derive_id(&kind, at, &entities, &text),
            at,
            recorded_at: now,
            kind,
            text,
            entities,
            source: Source::Person { person: by.to_owned() },
            refs,
            labels,
        };
        if let Err(message) = episode.check() {
            return Ok(Err(No { code: "bad_episode", message, run: None }));
        }
        if !self.memory.has_episode(&episode.id)? {
            self.log_event(Learned::Episode(episode).in_log())?;
        }
        Ok(Ok(None))
    }

    /// Records what was prepared, if every change of it is let in.
    fn learn_all(&mut self, mut learned: Vec<Learned>) -> Answer {
        for entry in &mut learned {
            let Learned::Entity(change) = entry else { continue };
            if let Err(refused) = self.memory.admit(change, self.clock.now()) {
                return Ok(Err(No { code: refused.code(), message: refused.to_string(), run: None }));
            }
        }
        for entry in learned {
            self.log_event(entry.in_log())?;
        }
        Ok(Ok(None))
    }
}

fn change_of(
    id: &CommandId,
    by: &str,
    at: Timestamp,
    entity: EntityId,
    change: Change,
    reason: Option<String>,
) -> EntityChange {
    EntityChange {
        // a command is read again after a crash: its change is the same one
        id: EntityChange::derive_id(id.as_str(), 0),
        entity,
        at,
        source: Source::Person { person: by.to_owned() },
        change,
        reason: reason.filter(|reason| !reason.trim().is_empty()),
        expected_version: None,
    }
}

fn refused(fault: &Fault) -> No {
    let code = match fault {
        Fault::Failed(failed) if failed.code == "schema" => "schema",
        Fault::Failed(failed) if failed.code == "bad_schema" => "bad_schema",
        Fault::Failed(failed) if failed.code == "bad_input" => "bad_change",
        _ => "memory",
    };
    No { code, message: fault.message().to_owned(), run: None }
}
