//! What steps may ask for: the agents and operations of a store, as far as the kernel must know them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    definition::{Agent, AgentKind, Connector, ConnectorKind, Field, HttpOperation, Probe, StepKind, Workflow},
    event::GateClass,
    payload::EffectClass,
    time::Span,
};

/// What the kernel must know about one operation or agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// How it may be repeated.
    pub effect: EffectClass,
    /// The word of its gate.
    pub class: GateClass,
    /// Git blob id of the file that defines it; built-in ones have none.
    pub pin: Option<String>,
    /// Fields that its file adds to the input, such as the sender of a letter: they belong to what is
    /// shown and approved.
    pub adds: BTreeMap<String, String>,
    /// The fields it takes, for built-in operations; absent: its schema, if any, is checked at the call.
    pub takes: Option<Takes>,
    /// How to find out whether it happened when its reply was lost.
    pub probe: Option<Probe>,
    /// For how long the other side remembers our key: later, a repeat could do it a second time.
    pub dedupe_window: Option<Span>,
}

impl Spec {
    /// Something without a file, a schema or a probe.
    #[must_use]
    pub fn plain(effect: EffectClass, class: GateClass) -> Self {
        Self { effect, class, pin: None, adds: BTreeMap::new(), takes: None, probe: None, dedupe_window: None }
    }
}

/// What a workflow must know about one that it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Callee {
    /// The fields of its input.
    pub input: Vec<Field>,
    /// The workflows that its own steps start.
    pub calls: BTreeSet<String>,
}

impl Callee {
    /// What is to be known of `workflow`.
    #[must_use]
    pub fn of(workflow: &Workflow) -> Self {
        Self { input: workflow.input.clone(), calls: calls(workflow) }
    }
}

/// The workflows that the steps of `workflow` start, compensations included.
#[must_use]
pub fn calls(workflow: &Workflow) -> BTreeSet<String> {
    let kinds = workflow.steps.iter().chain(&workflow.finally);
    kinds
        .flat_map(|step| std::iter::once(&step.kind).chain(step.undo.as_ref().map(|undo| &undo.kind)))
        .filter_map(|kind| match kind {
            StepKind::Workflow { workflow, .. } => Some(workflow.clone()),
            _ => None,
        })
        .collect()
}

/// The fields of a built-in operation's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Takes {
    /// Must be given.
    pub required: &'static [&'static str],
    /// May be given.
    pub optional: &'static [&'static str],
}

/// All agents and operations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// By agent name.
    pub agents: BTreeMap<String, Spec>,
    /// By connector name, then operation.
    pub connectors: BTreeMap<String, BTreeMap<String, Spec>>,
    /// The workflows that may be started as steps, by name; absent where they are not known.
    pub workflows: Option<BTreeMap<String, Callee>>,
}

impl Catalog {
    /// A catalog with the built-in connectors `entity`, `episode`, `event`, `file` and `memory`.
    #[must_use]
    pub fn builtin() -> Self {
        let mut catalog = Self::default();
        catalog.add_connector("entity", &ConnectorKind::Entity, None);
        catalog.add_connector("episode", &ConnectorKind::Episode, None);
        catalog.add_connector("event", &ConnectorKind::Event, None);
        catalog.add_connector("file", &ConnectorKind::File, None);
        catalog.add_connector("memory", &ConnectorKind::Memory, None);
        catalog
    }

    /// Adds an agent.
    pub fn add_agent(&mut self, name: &str, agent: &Agent, pin: Option<&str>) {
        let effect = match agent.kind {
            AgentKind::Template | AgentKind::Extract(_) | AgentKind::Classify(_) => EffectClass::None,
            AgentKind::Command(_) | AgentKind::Llm(_) => EffectClass::Read,
        };
        let class = if matches!(agent.kind, AgentKind::Llm(_)) { GateClass::Spend } else { GateClass::Run };
        self.agents.insert(name.to_owned(), Spec { pin: pin.map(str::to_owned), ..Spec::plain(effect, class) });
    }

    /// Adds a connector with its operations.
    pub fn add_connector(&mut self, name: &str, kind: &ConnectorKind, pin: Option<&str>) {
        let spec = |effect, class| Spec { pin: pin.map(str::to_owned), ..Spec::plain(effect, class) };
        let built_in = |effect, class, required, optional| Spec {
            takes: Some(Takes { required, optional }),
            ..spec(effect, class)
        };
        let operations: Vec<(&str, Spec)> = match kind {
            ConnectorKind::Entity => {
                let read = |required, optional| built_in(EffectClass::Read, GateClass::Data, required, optional);
                // the id of a change derives from the key: it counts once, however often it is made
                let change =
                    |required, optional| built_in(EffectClass::Idempotent, GateClass::Data, required, optional);
                vec![
                    ("find", read(&[], &["kind", "fields", "text", "limit", "as_of"])),
                    ("get", read(&["entity"], &["as_of"])),
                    ("history", read(&["entity"], &["limit", "as_of"])),
                    ("merge", change(&["entity", "into"], &["reason"])),
                    ("resolve", read(&["fields"], &["kind", "limit"])),
                    ("set", change(&["entity"], &["set", "add", "remove", "expected_version", "reason"])),
                    ("split", change(&["entity"], &["merge", "reason"])),
                ]
            }
            ConnectorKind::Episode => vec![
                (
                    "add",
                    built_in(
                        EffectClass::Idempotent,
                        GateClass::Data,
                        &["kind", "text"],
                        &["entities", "at", "refs", "labels"],
                    ),
                ),
                (
                    "list",
                    built_in(EffectClass::Read, GateClass::Data, &[], &["entities", "kind", "since", "until", "limit"]),
                ),
            ],
            // the id of the event derives from the key: emitting it again is emitting it once
            ConnectorKind::Event => {
                vec![("emit", built_in(EffectClass::Idempotent, GateClass::Data, &["name"], &["data", "run"]))]
            }
            ConnectorKind::File => vec![
                ("list", built_in(EffectClass::Read, GateClass::File, &[], &["path", "suffix"])),
                ("read", built_in(EffectClass::Read, GateClass::File, &["path"], &[])),
                ("read_csv", built_in(EffectClass::Read, GateClass::File, &["path"], &["columns"])),
                ("read_mail", built_in(EffectClass::Read, GateClass::File, &["path"], &[])),
                ("write", built_in(EffectClass::Idempotent, GateClass::File, &["path", "text"], &[])),
            ],
            ConnectorKind::Memory => vec![
                (
                    "recall",
                    built_in(
                        EffectClass::Read,
                        GateClass::Data,
                        &["query"],
                        &["entity", "kind", "labels", "limit", "as_of"],
                    ),
                ),
                (
                    "context",
                    built_in(
                        EffectClass::Read,
                        GateClass::Data,
                        &[],
                        &[
                            "query", "entity", "for", "workflow", "budget", "limit", "kinds", "labels", "since",
                            "until", "as_of", "needs",
                        ],
                    ),
                ),
                (
                    "remember",
                    built_in(
                        EffectClass::Idempotent,
                        GateClass::Data,
                        &["text"],
                        &["kind", "entity", "labels", "supersedes", "valid_from", "valid_to"],
                    ),
                ),
                ("forget", built_in(EffectClass::Idempotent, GateClass::Data, &["passage", "reason"], &[])),
                ("propose", built_in(EffectClass::Idempotent, GateClass::Data, &["items", "why"], &["evidence"])),
            ],
            ConnectorKind::Mail(mail) => {
                // a letter in a folder is named by its key; a letter handed to a server can not be called back
                let effect = if mail.smtp.is_some() { EffectClass::Once } else { EffectClass::Idempotent };
                let adds = BTreeMap::from([("from".to_owned(), mail.from.clone())]);
                let (required, optional) = (&["to", "subject", "body"], &["cc", "reply_to", "in_reply_to", "from"]);
                vec![("send", Spec { adds, ..built_in(effect, GateClass::Send, required, optional) })]
            }
            ConnectorKind::Http(http) => {
                let declared = |operation: &HttpOperation| Spec {
                    probe: operation.probe.as_ref().map(|probe| probe.of(name)),
                    dedupe_window: operation.dedupe_window,
                    ..spec(operation.effect, operation.class)
                };
                http.operations.iter().map(|(n, op)| (n.as_str(), declared(op))).collect()
            }
        };
        let operations = operations.into_iter().map(|(n, s)| (n.to_owned(), s)).collect();
        self.connectors.insert(name.to_owned(), operations);
    }

    /// Adds a connector as defined in a file.
    pub fn add_defined(&mut self, name: &str, connector: &Connector, pin: &str) {
        self.add_connector(name, &connector.kind, Some(pin));
    }
}
