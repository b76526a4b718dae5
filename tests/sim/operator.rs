//! The operator of a simulation: asks, decides, edits, cancels; sometimes late, twice, or about what they saw earlier.

use std::{collections::BTreeMap, rc::Rc};

use cairn::store::{fsutil, inbox};
use cairn_store_layout::{CommandId, Digest, GateId, RunId, command::Verb, paths};
use serde_json::json;

use crate::{
    lab::Lab,
    machine::Machine,
    model::{Request, RequestKind},
    shared::random::Random,
    sink::Sink,
    workload::{self, Meant, Taste},
};

/// What a version is drawn from.
pub(crate) struct Draws<'a> {
    pub(crate) chance: &'a mut Random,
    /// For what not every seed does: a seed that does none of it draws as ever.
    pub(crate) more: &'a mut Random,
    pub(crate) wild: usize,
    pub(crate) taste: Taste,
    /// It can be used.
    pub(crate) sure: bool,
}

/// What the operator of all machines remembers.
#[derive(Default)]
pub(crate) struct Operator {
    /// Every command that was durably in an inbox, with the machine it was for.
    pub(crate) asked: BTreeMap<CommandId, Verb>,
    pub(crate) of: BTreeMap<CommandId, usize>,
    /// Every version that was ever written.
    pub(crate) meant: BTreeMap<u32, Rc<Meant>>,
    seen: Vec<(usize, RunId, Request)>,
}

impl Operator {
    /// Saves a new version of `workflow`, now and then one that can not be used.
    pub(crate) fn edit(&mut self, draws: &mut Draws<'_>, lab: &Lab, machine: &Machine, workflow: &str) -> u32 {
        let Draws { chance, more, wild, taste, sure } = draws;
        let sure = *sure;
        let version = u32::try_from(self.meant.len()).expect("few versions") + 1;
        let plain = workflow == workload::MAIN;
        let meant = if plain { Meant::draw(chance, version, *wild) } else { Meant::draw(more, version, 2) };
        let meant = meant.season(more, *taste, !plain);
        let meant = if workflow == workload::FIRED && taste.trigger > 0 { meant.armed(more) } else { meant };
        let mut text = meant.text();
        let chance = if plain { chance } else { more };
        if version > 1 && !sure && chance.below(10) == 0 {
            text.push_str("\n[[step]]\nid = \"broken\"\nneeds = [\"nothing\"]\nset = 1\n");
        }
        self.meant.insert(version, Rc::new(meant));
        lab.by_hand(|| {
            let folder = machine.store.path(&paths::workflow_dir(workflow));
            fsutil::write(&folder.join("t.txt"), b"{{ body }}\n").expect("a disk in memory takes a file");
            fsutil::write(&folder.join("workflow.toml"), text.as_bytes()).expect("a disk in memory takes a file");
        });
        version
    }

    /// Asks for a run.
    pub(crate) fn start(&mut self, chance: &mut Random, lab: &Lab, machine: &Machine) -> CommandId {
        let workflow = if chance.below(30) == 0 { "no-such-workflow" } else { workload::MAIN };
        let verb = Verb::RunStart { workflow: workflow.to_owned(), input: workload::input(chance) };
        self.ask(lab, machine, verb)
    }

    /// Decides about one of `open`, or about something that was open once. `honest`: as a careful person would.
    pub(crate) fn decide(
        &mut self,
        chance: &mut Random,
        lab: &Lab,
        machine: &Machine,
        open: &[(RunId, Request)],
        sink: &mut Sink,
        honest: bool,
    ) -> Option<CommandId> {
        self.seen.extend(open.iter().map(|(run, request)| (machine.number, run.clone(), request.clone())));
        let old = !honest && chance.below(6) == 0;
        let (run, request) = if old {
            let mine: Vec<_> = self.seen.iter().filter(|(of, _, _)| *of == machine.number).collect();
            if mine.is_empty() {
                return None;
            }
            let (_, run, request) = mine[chance.below(mine.len())];
            (run.clone(), request.clone())
        } else {
            open.get(chance.below(open.len().max(1)))?.clone()
        };
        let Request { gate, mut digest, kind } = request;
        if !honest && chance.below(12) == 0 {
            digest = Digest::of(b"something else was shown");
        }
        let mut verb = self.verb(chance, run, gate, digest.clone(), kind, honest);
        if let Verb::AskAnswer { answer, .. } = &mut verb {
            // who looks first says what is true; who does not may be wrong
            let happened = sink.happened(&digest);
            if sink.is_looked_at && ["done", "not_done"].iter().any(|word| answer["outcome"] == *word) {
                answer["outcome"] = json!(if happened { "done" } else { "not_done" });
            }
            if answer["outcome"] == "not_done" {
                sink.deny(&digest);
            }
        }
        Some(self.ask(lab, machine, verb))
    }

    /// Says that something happened, to whom it may concern or to one of `runs` alone.
    pub(crate) fn emit(&mut self, more: &mut Random, lab: &Lab, machine: &Machine, runs: &[RunId]) -> CommandId {
        let name = workload::event_name(u8::try_from(more.below(2)).expect("small"));
        let data = json!({"k": more.below(10), "about": more.below(3)});
        let run = (!runs.is_empty() && more.below(4) == 0).then(|| runs[more.below(runs.len())].clone());
        self.ask(lab, machine, Verb::EventEmit { name, data, run })
    }

    /// Ends a run. `undo`: and takes back what it did.
    pub(crate) fn cancel(&mut self, lab: &Lab, machine: &Machine, run: RunId, undo: bool) -> CommandId {
        self.ask(lab, machine, Verb::RunCancel { run, reason: None, undo })
    }

    fn verb(
        &self,
        chance: &mut Random,
        run: RunId,
        gate: GateId,
        digest: Digest,
        kind: RequestKind,
        honest: bool,
    ) -> Verb {
        let wrong = !honest && chance.below(15) == 0;
        match (kind, wrong) {
            (RequestKind::Gate, false) | (RequestKind::Ask, true) => match chance.below(10) {
                0 | 1 => Verb::GateDeny { run, gate, digest, reason: Some("not now".to_owned()) },
                2 if !honest => {
                    let input = json!({"body": format!("edited {}", chance.below(100))});
                    Verb::GateEdit { run, gate, digest, input, reason: None }
                }
                _ => Verb::GateApprove { run, gate, digest, reason: None },
            },
            (RequestKind::Ask, false) | (RequestKind::Gate, true) => {
                Verb::AskAnswer { run, gate, digest, answer: json!({"answer": "yes"}) }
            }
            (RequestKind::Decide, wrong) => {
                let decision = if wrong { "perhaps" } else { ["retry", "skip", "output", "fail"][chance.below(4)] };
                Verb::AskAnswer { run, gate, digest, answer: json!({ "decision": decision }) }
            }
            (RequestKind::Settle, wrong) => {
                let outcome = if wrong { "perhaps" } else { ["done", "not_done"][chance.below(2)] };
                Verb::AskAnswer { run, gate, digest, answer: json!({ "outcome": outcome }) }
            }
        }
    }

    fn ask(&mut self, lab: &Lab, machine: &Machine, verb: Verb) -> CommandId {
        let submit = || inbox::submit_at(&machine.store, &machine.id, verb.clone(), "jo", lab.time.wall());
        let id = lab.by_hand(submit).expect("a disk in memory takes a command");
        self.asked.insert(id.clone(), verb);
        self.of.insert(id.clone(), machine.number);
        id
    }
}

/// Puts something into the inbox that is no command of ours: torn, foreign, or the same once more.
pub(crate) fn mischief(chance: &mut Random, lab: &Lab, machine: &Machine) {
    let names = ["x.json", ".hidden.json", "01kaxw00000000000000000000.json", "nested.json", "notes.txt"];
    let name = names[chance.below(names.len())];
    let bytes: &[u8] = match chance.below(4) {
        0 => b"{\"schema\":\"cairn.command/1\",\"id\":",
        1 => b"\xff\xfe\x00\x01",
        2 => b"",
        _ => b"{\"schema\":\"cairn.command/9\",\"id\":\"01kaxw00000000000000000000\",\"verb\":\"run.start\"}",
    };
    lab.by_hand(|| machine.drop_file(name, bytes));
}

/// Deletes what can be derived again.
pub(crate) fn delete_derived(lab: &Lab, machine: &Machine) {
    lab.by_hand(|| {
        for folder in [paths::VIEWS, paths::INDEX, ".cairn/cache"] {
            let path = machine.store.path(folder);
            if path.is_dir() {
                cairn::store::disk::remove_tree(&path).expect("a disk in memory lets go");
            }
        }
    });
}
