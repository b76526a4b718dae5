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
        self.agents.insert(name.to_owned(), Spec { effect, class, pin: pin.map(str::to_owned), adds: BTreeMap::new() });
    }

    /// Adds a connector with its operations.
    pub fn add_connector(&mut self, name: &str, kind: &ConnectorKind, pin: Option<&str>) {
        let spec = |effect, class| Spec { effect, class, pin: pin.map(str::to_owned), adds: BTreeMap::new() };
        let operations: Vec<(&str, Spec)> = match kind {
            ConnectorKind::File => vec![
                ("list", spec(EffectClass::Read, GateClass::File)),
                ("read", spec(EffectClass::Read, GateClass::File)),
                ("read_csv", spec(EffectClass::Read, GateClass::File)),
                ("read_mail", spec(EffectClass::Read, GateClass::File)),
                ("write", spec(EffectClass::Idempotent, GateClass::File)),
            ],
            ConnectorKind::Memory => vec![
                ("recall", spec(EffectClass::Read, GateClass::Data)),
                ("remember", spec(EffectClass::Idempotent, GateClass::Data)),
            ],
            ConnectorKind::Mail(mail) => {
                // a letter in a folder is named by its key; a letter handed to a server can not be called back
                let effect = if mail.smtp.is_some() { EffectClass::Once } else { EffectClass::Idempotent };
                let adds = BTreeMap::from([("from".to_owned(), mail.from.clone())]);
                vec![("send", Spec { adds, ..spec(effect, GateClass::Send) })]
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
