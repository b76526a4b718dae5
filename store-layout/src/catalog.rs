//! What steps may ask for: the agents and operations of a store, as far as the kernel must know them.

use std::collections::BTreeMap;

use crate::{
    definition::{Agent, AgentKind, Connector, ConnectorKind},
    event::GateClass,
    payload::EffectClass,
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
}

impl Catalog {
    /// A catalog with the built-in connectors `file` and `memory`.
    #[must_use]
    pub fn builtin() -> Self {
        let mut catalog = Self::default();
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
        self.agents.insert(
            name.to_owned(),
            Spec { effect, class, pin: pin.map(str::to_owned), adds: BTreeMap::new(), takes: None },
        );
    }

    /// Adds a connector with its operations.
    pub fn add_connector(&mut self, name: &str, kind: &ConnectorKind, pin: Option<&str>) {
        let spec =
            |effect, class| Spec { effect, class, pin: pin.map(str::to_owned), adds: BTreeMap::new(), takes: None };
        let built_in = |effect, class, required, optional| Spec {
            takes: Some(Takes { required, optional }),
            ..spec(effect, class)
        };
        let operations: Vec<(&str, Spec)> = match kind {
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
                    built_in(EffectClass::Read, GateClass::Data, &["query"], &["entity", "kind", "labels", "limit"]),
                ),
                (
                    "remember",
                    built_in(
                        EffectClass::Idempotent,
                        GateClass::Data,
                        &["text"],
                        &["kind", "entity", "labels", "supersedes"],
                    ),
                ),
            ],
            ConnectorKind::Mail(mail) => {
                // a letter in a folder is named by its key; a letter handed to a server can not be called back
                let effect = if mail.smtp.is_some() { EffectClass::Once } else { EffectClass::Idempotent };
                let adds = BTreeMap::from([("from".to_owned(), mail.from.clone())]);
                let (required, optional) = (&["to", "subject", "body"], &["cc", "reply_to", "in_reply_to", "from"]);
                vec![("send", Spec { adds, ..built_in(effect, GateClass::Send, required, optional) })]
            }
            ConnectorKind::Http(http) => {
                http.operations.iter().map(|(n, op)| (n.as_str(), spec(op.effect, op.class))).collect()
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
