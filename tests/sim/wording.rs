//! The text of a definition that the workload means: what an operator would have written.

use std::fmt::Write as _;

use cairn_store_layout::payload::EffectClass;

use crate::workload::{
    After, CHILD, Does, Lease, MAIN, Meant, MeantStep, OnFailure, Repeat, Source, Trigger, event_name,
};

/// Files that every simulated store has.
pub(crate) const PARTS: [(&str, &str); 2] = [
    (
        "connectors/world.toml",
        "kind = \"http\"\nbase_url = \"https://world.example\"\n\n\
         [operation.look]\nmethod = \"GET\"\npath = \"/look\"\neffect = \"read\"\n\n\
         [operation.put]\nmethod = \"PUT\"\npath = \"/put\"\neffect = \"idempotent\"\n\n\
         [operation.post]\nmethod = \"POST\"\npath = \"/post\"\neffect = \"once\"\n\n\
         [operation.keep]\nmethod = \"PUT\"\npath = \"/keep\"\neffect = \"idempotent\"\ndedupe_window = \"1h\"\n\n\
         [operation.seen]\nmethod = \"GET\"\npath = \"/seen\"\neffect = \"read\"\n",
    ),
    ("agents/clerk.toml", "kind = \"template\"\n"),
];

impl Meant {
    /// The definition as a file.
    pub(crate) fn text(&self) -> String {
        let version = self.version;
        let mut text = format!("description = \"version {version}\"\n");
        if let Some(on_failure) = self.on_failure {
            let word = match on_failure {
                OnFailure::Continue => "continue",
                OnFailure::Stop => "stop",
                OnFailure::Undo => "undo",
            };
            let _ = writeln!(text, "on_failure = \"{word}\"");
        }
        if let Some(seconds) = self.deadline {
            let _ = writeln!(text, "deadline = \"{seconds}s\"");
        }
        if let Some(lease) = &self.lease {
            lease.write(&mut text);
        }
        text.push_str(
            "\n[[input]]\nname = \"n\"\ntype = \"number\"\ndefault = 1\n\n\
             [[input]]\nname = \"items\"\ntype = \"json\"\ndefault = []\n",
        );
        for trigger in &self.triggers {
            trigger.write(&mut text);
        }
        for step in &self.steps {
            step.write(&mut text, version);
        }
        text
    }
}

impl MeantStep {
    fn write(&self, text: &mut String, version: u32) {
        let Self { id, needs, .. } = self;
        let _ = write!(text, "\n[[{}]]\nid = \"{id}\"\n", if self.finally { "finally" } else { "step" });
        if !needs.is_empty() {
            let _ = writeln!(text, "needs = {needs:?}");
        }
        match self.join {
            Some(1) => text.push_str("join = \"any\"\n"),
            Some(n) => drop(writeln!(text, "join = {n}")),
            None => {}
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
        let round = if self.repeat.is_some() { " {{ round }} {{ previous }}" } else { "" };
        let fate = if self.finally { " {{ run.status }}" } else { "" };
        let body = format!("v{version}{item}{seen}{round}{fate}");
        let _ = match self.does {
            Does::Run(class) => {
                writeln!(text, "run = [\"do\", \"v{version}\"]\nstdin = \"{body}\"\neffect = \"{}\"", word(class))
            }
            Does::Call(class) => {
                let operation = if self.window { "keep" } else { operation(class) };
                writeln!(text, "call = \"world.{operation}\"\nwith = {{ body = \"{body}\" }}")
            }
            Does::Agent => {
                writeln!(text, "agent = \"clerk\"\ntemplate = \"t.txt\"\nwith = {{ body = \"{body}\" }}")
            }
            Does::Set => writeln!(text, "set = {{ body = \"{body}\" }}"),
            Does::Ask => writeln!(text, "ask = \"v{version}?\"\nform = [{{ name = \"answer\" }}]"),
            Does::Wait(seconds) => writeln!(text, "wait = \"{seconds}s\""),
            Does::Listen { event, own, within } => {
                let filter = if own { ", where = \"{{ event.k == input.n }}\"" } else { "" };
                writeln!(text, "wait = {{ event = \"{}\"{filter}, within = \"{within}s\" }}", event_name(event))
            }
            Does::Child => writeln!(
                text,
                "workflow = \"{CHILD}\"\nwith = {{ n = \"{{{{ input.n }}}}\", items = \"{{{{ input.items }}}}\" }}"
            ),
        };
        if self.does.has_effect() {
            let _ = writeln!(text, "retry = {{ attempts = {}, first = \"2s\", max = \"5m\" }}", self.attempts);
        }
        for (word, after) in ["soft", "hard", "business"].into_iter().zip(self.on).filter(|_| self.has_own_on()) {
            let _ = writeln!(text, "on_{word} = \"{}\"", after.word());
        }
        if let Some(Repeat { until, max, every }) = self.repeat {
            let every = every.map_or(String::new(), |seconds| format!(", every = \"{seconds}s\""));
            let _ = writeln!(text, "repeat = {{ until = \"{{{{ round == {until} }}}}\", max = {max}{every} }}");
        }
        if let Some(class) = self.undo {
            let operation = operation(class);
            let body = format!("undo{item} {{{{ output }}}}");
            let _ = writeln!(text, "undo = {{ call = \"world.{operation}\", with = {{ body = \"{body}\" }} }}");
        }
        if let Some(lease) = &self.lease {
            lease.write(text);
        }
        if self.probe {
            text.push_str("probe = { call = \"world.seen\", with = { key = \"{{ effect.key }}\" }, found = \"{{ output.found }}\" }\n");
        }
        if self.cache {
            text.push_str("cache = \"1h\"\n");
        }
        if let Some(seconds) = self.timeout {
            let _ = writeln!(text, "timeout = \"{seconds}s\"");
        }
        if self.approve {
            let expires = if self.expires { ", expires = \"1h\"" } else { "" };
            let _ = writeln!(text, "approve = {{ when = \"always\", summary = \"v{version}\"{expires} }}");
        }
    }

    fn has_own_on(&self) -> bool {
        self.does.has_effect() && self.on != [After::Fail, After::Fail, After::Ask]
    }
}

impl Trigger {
    fn write(&self, text: &mut String) {
        let _ = writeln!(text, "\n[[trigger]]\nid = \"{}\"\ninput = {{ n = 5 }}", self.id);
        let _ = match self.source {
            Source::Every(seconds) => writeln!(text, "every = \"{seconds}s\""),
            Source::Hourly(minute) => writeln!(text, "cron = \"{minute} * * * *\""),
            Source::Event(event) => writeln!(text, "event = \"{}\"", event_name(event)),
            Source::Finished => writeln!(text, "run_finished = \"{MAIN}\""),
        };
        if self.source.pause().is_some() {
            let _ = writeln!(text, "misfire = \"{}\"", format!("{:?}", self.misfire).to_lowercase());
        }
        let _ = writeln!(text, "overlap = \"{}\"", format!("{:?}", self.overlap).to_lowercase());
        if self.dedupe {
            text.push_str("dedupe_key = \"about {{ event.about }}\"\n");
        }
    }
}

impl Lease {
    fn write(&self, text: &mut String) {
        if let Some((key, most)) = &self.concurrency {
            let _ = writeln!(text, "concurrency = {{ key = \"{key}\", max = {most} }}");
        }
        if let Some((key, most, seconds)) = &self.rate {
            let _ = writeln!(text, "rate = {{ key = \"{key}\", max = {most}, per = \"{seconds}s\" }}");
        }
    }
}

impl After {
    fn word(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Skip => "skip",
            Self::Ask => "ask",
            Self::Retry => "retry",
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

fn operation(class: EffectClass) -> &'static str {
    match class {
        EffectClass::Once => "post",
        EffectClass::Idempotent => "put",
        _ => "look",
    }
}
