//! A proposal as the Inbox shows it: what would be learned, as a text to read.

use serde_json::Value;

use super::{Ask, InboxItem, ItemKind, ItemState};
use crate::{
    entity::{Change, EntityChange},
    proposal::{Decided, Decision, Proposal, Proposed, ProposedKind},
};

impl InboxItem {
    /// The request that a proposal is. It belongs to no run: it waits also when the run that made it is over.
    #[must_use]
    pub fn of_proposal(proposal: &Proposal, decided: Option<&Decided>) -> Self {
        let state = match decided {
            None => ItemState::Waiting,
            Some(Decided { decision: Decision::Accepted, by, at, .. }) => {
                ItemState::Approved { by: by.clone(), at: *at }
            }
            Some(Decided { decision: Decision::Rejected, by, at, reason, .. }) => {
                ItemState::Denied { by: by.clone(), at: *at, reason: reason.clone() }
            }
        };
        Self {
            id: proposal.id.clone(),
            run: None,
            workflow: "memory".to_owned(),
            step: None,
            iteration: None,
            position: (1, 1),
            kind: ItemKind::Learn,
            digest: proposal.digest.clone(),
            summary: summary(&proposal.proposed),
            why: Some(format!("{} (proposed by {})", proposal.why, proposal.source.words())),
            evidence: proposal.evidence.clone(),
            effect: None,
            proposed: None,
            learns: Some(Box::new(proposal.proposed.clone())),
            ask: None::<Ask>,
            opened: proposal.at,
            expires: None,
            state,
        }
    }
}

/// What would be learned, in one line.
fn summary(proposed: &Proposed) -> String {
    match proposed {
        Proposed::Passage(passage) => match &passage.entity {
            Some(entity) => format!("Remember about {entity}: {}", one_line(&passage.text)),
            None => format!("Remember: {}", one_line(&passage.text)),
        },
        Proposed::Forgotten(forgotten) => format!("Forget a passage: {}", forgotten.reason),
        Proposed::Entity(EntityChange { entity, change, .. }) => match change {
            Change::Fields { set, add, remove } => {
                let fields: Vec<&str> = set.keys().chain(add.keys()).chain(remove.keys()).map(String::as_str).collect();
                format!("{entity}: {}", fields.join(", "))
            }
            Change::Merged { into } => format!("{entity} is {into}"),
            Change::Split { .. } => format!("{entity} is an entity of its own"),
        },
        Proposed::Episode(episode) => format!("{}: {}", episode.kind, one_line(&episode.text)),
        Proposed::Knowledge { path, .. } => format!("New file knowledge/{path}"),
    }
}

/// What would be learned, whole, as a person reads it before a decision.
pub(super) fn text(proposed: &Proposed) -> String {
    match proposed {
        Proposed::Passage(passage) => {
            let mut lines = vec![format!("kind: {}", passage.kind)];
            lines.extend(passage.entity.as_ref().map(|entity| format!("about: {entity}")));
            lines.extend(passage.labels.iter().map(|(name, value)| format!("label: {name} = {value}")));
            lines.extend(passage.valid_from.map(|at| format!("holds from: {}", crate::time::short(at))));
            lines.extend(passage.valid_to.map(|at| format!("holds until: {}", crate::time::short(at))));
            lines.extend(passage.supersedes.iter().map(|id| format!("replaces: {id}")));
            lines.push(String::new());
            lines.push(passage.text.clone());
            lines.join("\n")
        }
        Proposed::Forgotten(forgotten) => format!("forget: {}\nreason: {}", forgotten.forgets, forgotten.reason),
        Proposed::Entity(EntityChange { entity, change, reason, .. }) => {
            let mut lines = vec![format!("entity: {entity}")];
            match change {
                Change::Fields { set, add, remove } => {
                    lines.extend(set.iter().map(|(field, value)| match value {
                        Value::Null => format!("{field}: (taken away)"),
                        value => format!("{field}: {}", plain(value)),
                    }));
                    let listed = |values: &[Value]| values.iter().map(plain).collect::<Vec<_>>().join(", ");
                    lines.extend(add.iter().map(|(field, values)| format!("{field}: more: {}", listed(values))));
                    lines.extend(remove.iter().map(|(field, values)| format!("{field}: less: {}", listed(values))));
                }
                Change::Merged { into } => lines.push(format!("is the same as: {into}, whose name stays")),
                Change::Split { merge } => {
                    lines.push(format!("is an entity of its own again; merge {merge} is undone"));
                }
            }
            lines.extend(reason.as_ref().map(|reason| format!("reason: {reason}")));
            lines.join("\n")
        }
        Proposed::Episode(episode) => {
            let mut lines = vec![format!("{} on {}", episode.kind, crate::time::short(episode.at))];
            lines.extend(episode.entities.iter().map(|entity| format!("with: {entity}")));
            lines.extend(episode.refs.iter().map(|(name, value)| format!("{name}: {value}")));
            lines.push(String::new());
            lines.push(episode.text.clone());
            lines.join("\n")
        }
        Proposed::Knowledge { path, text } => format!("file: knowledge/{path}\n\n{text}"),
    }
}

/// The confirmation level of ux section 3.
pub(super) fn level(proposed: &Proposed) -> u8 {
    match proposed.kind() {
        // it speaks in every later run
        ProposedKind::Knowledge => 3,
        ProposedKind::Merge | ProposedKind::Split => 2,
        ProposedKind::Passage | ProposedKind::Forgotten | ProposedKind::Entity | ProposedKind::Episode => 1,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn one_line(text: &str) -> String {
    crate::text::brief(&text.split_whitespace().collect::<Vec<_>>().join(" "), 120)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(proposed: Value) -> InboxItem {
        let proposed: Proposed = serde_json::from_value(proposed).unwrap();
        let source = crate::passage::Source::Person { person: "jo".to_owned() };
        let at = "2026-11-22T08:00:00Z".parse().unwrap();
        InboxItem::of_proposal(&Proposal::new(at, source, proposed, "their mail".to_owned(), None), None)
    }

    #[test]
    fn a_proposal_reads_as_what_would_be_learned() {
        let change = item(serde_json::json!({
            "proposes": "entity", "id": "0", "entity": "client/brandt", "at": "2026-11-22T08:00:00.000000Z",
            "source": {"person": "jo"}, "change": "fields", "set": {"email": "a@b.example", "fax": null}, "add": {"tags": ["late"]},
        }));
        assert_eq!(change.summary, "client/brandt: email, fax, tags");
        assert_eq!(change.text(), "entity: client/brandt\nemail: a@b.example\nfax: (taken away)\ntags: more: late");
        assert_eq!((change.level(), change.kind.word(), change.is_open()), (1, "LEARN", true));
    }

    #[test]
    fn what_speaks_in_every_later_run_is_of_level_three_and_so_is_what_hides_characters() {
        let rule = item(serde_json::json!({"proposes": "knowledge", "path": "rules/a.md", "text": "Be kind."}));
        assert_eq!((rule.level(), rule.text().as_str()), (3, "file: knowledge/rules/a.md\n\nBe kind."));
        let hidden = item(serde_json::json!({
            "proposes": "passage", "id": "0", "recorded_at": "2026-11-22T08:00:00.000000Z", "kind": "note",
            "source": {"person": "jo"}, "text": "pay \u{202e}nobody",
        }));
        assert_eq!(hidden.level(), 3);
    }
}
