//! Definitions drawn from a seed: valid ones, of every kind of step, each with a version of its own.
//!
//! The generator keeps what it meant beside the text it wrote, so that the reference model knows
//! what must happen without reading a definition.

use std::fmt::Write as _;

use cairn_store_layout::payload::EffectClass;
use serde_json::{Value, json};

use crate::shared::random::Random;

/// One version of one workflow.
#[derive(Debug, Clone)]
pub(crate) struct Meant {
    pub(crate) version: u32,
    pub(crate) steps: Vec<MeantStep>,
}

#[derive(Debug, Clone)]
pub(crate) struct MeantStep {
    pub(crate) id: String,
    pub(crate) needs: Vec<String>,
    pub(crate) does: Does,
    /// Done only if the input's `n` is more than this.
    pub(crate) above: Option<u64>,
    /// Once for each element of the input's `items`, so many at a time.
    pub(crate) each: Option<usize>,
    pub(crate) approve: bool,
    pub(crate) expires: bool,
    pub(crate) attempts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Run(EffectClass),
    Call(EffectClass),
    Agent,
    Set,
    Ask,
    Wait(u64),
}

impl Does {
    pub(crate) fn has_effect(self) -> bool {
        matches!(self, Self::Run(_) | Self::Call(_) | Self::Agent)
    }
}

/// Files that every simulated store has.
pub(crate) const PARTS: [(&str, &str); 2] = [
    (
        "connectors/world.toml",
        "kind = \"http\"\nbase_url = \"https://world.example\"\n\n\
         [operation.look]\nmethod = \"GET\"\npath = \"/look\"\neffect = \"read\"\n\n\
         [operation.put]\nmethod = \"PUT\"\npath = \"/put\"\neffect = \"idempotent\"\n\n\
         [operation.post]\nmethod = \"POST\"\npath = \"/post\"\neffect = \"once\"\n",
    ),
    ("agents/clerk.toml", "kind = \"template\"\n"),
];

impl Meant {
    /// Draws a workflow. `wild`: how many steps it may have.
    pub(crate) fn draw(chance: &mut Random, version: u32, wild: usize) -> Self {
        let count = 1 + chance.below(wild);
        let mut steps: Vec<MeantStep> = Vec::new();
        for n in 0..count {
            let needs = steps.iter().filter(|_| chance.below(100) < 35).map(|s| s.id.clone()).collect::<Vec<_>>();
            let needs = needs.into_iter().take(3).collect();
            steps.push(MeantStep::draw(chance, n, needs));
        }
        Self { version, steps }
    }

    /// The definition as a file.
    pub(crate) fn text(&self) -> String {
        let version = self.version;
        let mut text = format!(
            "description = \"version {version}\"\n\n[[input]]\nname = \"n\"\ntype = \"number\"\ndefault = 1\n\n\
             [[input]]\nname = \"items\"\ntype = \"json\"\ndefault = []\n",
        );
        for step in &self.steps {
            step.write(&mut text, version);
        }
        text
    }

    pub(crate) fn step(&self, id: &str) -> Option<&MeantStep> {
        self.steps.iter().find(|s| s.id == id)
    }
}

/// An input for a run.
pub(crate) fn input(chance: &mut Random) -> Value {
    let items: Vec<String> = (0..chance.below(4)).map(|n| format!("i{n}")).collect();
    match chance.below(12) {
        0 => json!({"n": "many"}),
        1 => json!({"n": chance.below(10), "items": items, "text": "no such field"}),
        2 => json!({"n": chance.below(10), "items": [{"big": "x".repeat(5_000)}]}),
        _ => json!({"n": chance.below(10), "items": items}),
    }
}

impl MeantStep {
    fn draw(chance: &mut Random, n: usize, needs: Vec<String>) -> Self {
        const CLASSES: [EffectClass; 4] =
            [EffectClass::None, EffectClass::Read, EffectClass::Idempotent, EffectClass::Once];
        let class = CLASSES[chance.below(4)];
        let does = match chance.below(20) {
            0..=6 => Does::Run(class),
            7..=12 => Does::Call(CLASSES[1 + chance.below(3)]),
            13 => Does::Agent,
            14 => Does::Set,
            15 | 16 => Does::Ask,
            _ => Does::Wait([1, 20, 90, 4_000, 100_000][chance.below(5)]),
        };
        let effect = does.has_effect();
        Self {
            id: format!("s{n}"),
            needs,
            does,
            above: (chance.below(5) == 0).then(|| chance.below(10) as u64),
            each: (chance.below(4) == 0).then(|| 1 + chance.below(3)),
            approve: effect && chance.below(3) == 0,
            expires: chance.below(3) == 0,
            attempts: if effect { 1 + u32::try_from(chance.below(3)).expect("small") } else { 1 },
        }
    }

    fn write(&self, text: &mut String, version: u32) {
        let Self { id, needs, .. } = self;
        let _ = write!(text, "\n[[step]]\nid = \"{id}\"\n");
        if !needs.is_empty() {
            let _ = writeln!(text, "needs = {needs:?}");
        }
        if let Some(above) = self.above {
            let _ = writeln!(text, "if = \"{{{{ input.n > {above} }}}}\"");
        }
        let item = if self.each.is_some() { " {{ item }}" } else { "" };
        if let Some(most) = self.each {
            let _ = writeln!(text, "for_each = {{ in = \"{{{{ input.items }}}}\", max_parallel = {most} }}");
        }
        // what an earlier step gave goes into the effect: a result that changed would change its content
        let seen: String = needs.iter().map(|need| format!(" {{{{ steps.{need}.output }}}}")).collect();
        let body = format!("v{version}{item}{seen}");
        let _ = match self.does {
            Does::Run(class) => {
                writeln!(text, "run = [\"do\", \"v{version}\"]\nstdin = \"{body}\"\neffect = \"{}\"", word(class))
            }
            Does::Call(class) => {
                let operation = match class {
                    EffectClass::Once => "post",
                    EffectClass::Idempotent => "put",
                    _ => "look",
                };
                writeln!(text, "call = \"world.{operation}\"\nwith = {{ body = \"{body}\" }}")
            }
            Does::Agent => {
                writeln!(text, "agent = \"clerk\"\ntemplate = \"t.txt\"\nwith = {{ body = \"{body}\" }}")
            }
            Does::Set => writeln!(text, "set = {{ body = \"{body}\" }}"),
            Does::Ask => writeln!(text, "ask = \"v{version}?\"\nform = [{{ name = \"answer\" }}]"),
            Does::Wait(seconds) => writeln!(text, "wait = \"{seconds}s\""),
        };
        if self.does.has_effect() {
            let _ = writeln!(text, "retry = {{ attempts = {}, first = \"2s\", max = \"5m\" }}", self.attempts);
        }
        if self.approve {
            let expires = if self.expires { ", expires = \"1h\"" } else { "" };
            let _ = writeln!(text, "approve = {{ when = \"always\", summary = \"v{version}\"{expires} }}");
        }
    }
}

fn word(class: EffectClass) -> &'static str {
    match class {
        EffectClass::None => "none",
        EffectClass::Read => "read",
        EffectClass::Idempotent => "idempotent",
        EffectClass::Once => "once",
    }
}
