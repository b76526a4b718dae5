//! Triggers compiled: what each looks for, and the run it starts for what it saw.
//!
//! Nothing here looks: due times, events, files and ends of runs come in as values.

use std::collections::BTreeSet;

use cairn_store_layout::{
    Digest,
    command::is_event_name,
    definition::{Overlap, Problem, Trigger, TriggerSource, Workflow, fill, nearest},
    paths,
};
use globset::{GlobBuilder, GlobMatcher};
use minijinja::context;
use serde_json::Value as Json;

use crate::{
    advance::truth,
    expr::{ExprError, Template, Value, from_json, to_json},
    schedule::Schedule,
    tree::Tree,
};

/// Functions that every expression may call.
const FUNCTIONS: [&str; 4] = ["range", "dict", "days_between", "add_days"];
/// A dedupe text that is longer is kept as its digest.
const DEDUPE_BYTES_MAX: usize = 200;

/// One trigger of a [`crate::Plan`].
#[derive(Debug)]
pub struct PlanTrigger {
    id: String,
    source: TriggerSource,
    timezone: Option<String>,
    overlap: Overlap,
    schedule: Option<Schedule>,
    glob: Option<GlobMatcher>,
    filter: Option<Template>,
    dedupe: Option<Template>,
    input: Tree,
}

/// What a trigger saw.
#[derive(Debug, Clone, PartialEq)]
pub enum Saw {
    /// A due time, in the words of [`Schedule::text`].
    Due(String),
    /// An event with what came with it.
    Event(Json),
    /// A file that appeared below `files/`.
    File {
        /// Its path below `files/`.
        path: String,
        /// Its length.
        bytes: u64,
    },
    /// The end of a run.
    Run {
        /// The run.
        id: String,
        /// Its workflow.
        workflow: String,
        /// `succeeded`, `failed` or `canceled`.
        status: String,
        /// Its output; null unless it succeeded.
        output: Json,
        /// Why it failed, if it did.
        failure: Option<String>,
    },
}

/// The run that a trigger asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Its input, before defaults are filled in.
    pub input: Json,
    /// The text that keeps it from being started twice.
    pub dedupe: Option<String>,
}

impl PlanTrigger {
    /// Its name in the workflow.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key that says what it goes by.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        kind(&self.source)
    }

    /// What it goes by.
    #[must_use]
    pub fn source(&self) -> &TriggerSource {
        &self.source
    }

    /// What happens while an earlier run is not over.
    #[must_use]
    pub fn overlap(&self) -> Overlap {
        self.overlap
    }

    /// Its times, if it goes by time.
    #[must_use]
    pub fn schedule(&self) -> Option<&Schedule> {
        self.schedule.as_ref()
    }

    /// Tells whether it looks for a file of this path below `files/`.
    #[must_use]
    pub fn looks_for(&self, path: &str) -> bool {
        self.glob.as_ref().is_some_and(|glob| glob.is_match(path))
    }

    /// What it goes by as one digest: as long as it stays, the trigger counts on from where it was.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let zone = self.timezone.as_deref().unwrap_or_default();
        Digest::of(format!("trigger\n{}\n{}\n{zone}", self.kind(), text(&self.source)).as_bytes())
    }

    /// What it goes by, for a person: `cron 0 8 * * 1-5 (Europe/Berlin)`.
    #[must_use]
    pub fn describe(&self) -> String {
        let zone = self.timezone.as_ref().map_or(String::new(), |zone| format!(" ({zone})"));
        format!("{} {}{zone}", self.kind(), text(&self.source))
    }

    /// The run to be started for what was seen; `None` when `where` says that none is.
    ///
    /// # Errors
    /// A sentence saying which expression has no value.
    pub fn wants(&self, saw: &Saw) -> Result<Option<Wanted>, String> {
        self.evaluate(saw).map_err(|error| error.message)
    }

    /// The input of a run for what was seen, whatever `where` says: for a start by hand.
    ///
    /// # Errors
    /// As [`PlanTrigger::wants`].
    pub fn input(&self, saw: &Saw) -> Result<Json, String> {
        self.input.eval(&saw.scope()).and_then(|value| to_json(&value)).map_err(|error| error.message)
    }

    fn evaluate(&self, saw: &Saw) -> Result<Option<Wanted>, ExprError> {
        let scope = saw.scope();
        if let Some(filter) = &self.filter
            && !truth(filter, &scope)?
        {
            return Ok(None);
        }
        let dedupe = self.dedupe.as_ref().map(|template| template.text(&scope)).transpose()?;
        let dedupe = dedupe
            .map(|text| if text.len() > DEDUPE_BYTES_MAX { Digest::of(text.as_bytes()).to_string() } else { text });
        Ok(Some(Wanted { input: to_json(&self.input.eval(&scope)?)?, dedupe }))
    }
}

impl Saw {
    fn scope(&self) -> Value {
        match self {
            Self::Due(due) => context! { due },
            Self::Event(data) => context! { event => from_json(data) },
            Self::File { path, bytes } => {
                let name = path.rsplit('/').next().unwrap_or(path);
                context! { file => context! { path, name, bytes } }
            }
            Self::Run { id, workflow, status, output, failure } => {
                let output = from_json(output);
                context! { run => context! { id, workflow, status, output, failure } }
            }
        }
    }
}

/// Compiles the triggers of `workflow`; what is wrong with them is added to `problems`.
pub(crate) fn compile(workflow: &Workflow, file: &str, problems: &mut Vec<Problem>) -> Vec<PlanTrigger> {
    let mut triggers = Vec::new();
    for trigger in &workflow.triggers {
        let mut check = Check { workflow, trigger, file, problems };
        triggers.extend(check.compile());
    }
    triggers
}

struct Check<'a> {
    workflow: &'a Workflow,
    trigger: &'a Trigger,
    file: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn compile(&mut self) -> Option<PlanTrigger> {
        let Trigger { id, source, overlap, timezone, .. } = self.trigger;
        let before = self.problems.len();
        if !paths::is_definition_name(id) {
            self.problem(
                format!("`{id}` can not name a trigger"),
                Some("use a letter, then letters, digits, - or _ (lower case)".to_owned()),
            );
        }
        let schedule = match Schedule::read(&self.workflow.name, self.trigger) {
            Ok(schedule) => schedule,
            Err(bad) => {
                self.problem(bad.message, bad.hint);
                None
            }
        };
        let glob = match source {
            TriggerSource::File(pattern) => self.glob(pattern),
            TriggerSource::Event(name) => {
                self.event(name);
                None
            }
            TriggerSource::RunFinished(name) => {
                self.run_finished(name);
                None
            }
            _ => None,
        };
        let filter = self.template("where", self.trigger.filter.as_deref());
        let dedupe = self.template("dedupe_key", self.trigger.dedupe_key.as_deref());
        let input = self.input();
        (self.problems.len() == before).then_some(())?;
        Some(PlanTrigger {
            id: id.clone(),
            source: source.clone(),
            timezone: timezone.clone(),
            overlap: *overlap,
            schedule,
            glob,
            filter,
            dedupe,
            input: input?,
        })
    }

    fn glob(&mut self, pattern: &str) -> Option<GlobMatcher> {
        if pattern.starts_with("files/") {
            let hint = pattern.strip_prefix("files/").map(|rest| format!("write `{rest}`"));
            self.problem(format!("`{pattern}`: paths are below files/ already"), hint);
            return None;
        }
        if !paths::is_inside(pattern) {
            let hint = "relative, without `..` and without hidden parts, like mails/*.eml".to_owned();
            self.problem(format!("`{pattern}` names nothing below files/"), Some(hint));
            return None;
        }
        match GlobBuilder::new(pattern).literal_separator(true).build() {
            Ok(glob) => Some(glob.compile_matcher()),
            Err(error) => {
                self.problem(format!("`{pattern}` is no pattern: {}", error.kind()), None);
                None
            }
        }
    }

    fn event(&mut self, name: &str) {
        if !is_event_name(name) {
            let hint = Some("a word in lower case like payment.received".to_owned());
            self.problem(format!("`{name}` can not be the name of an event"), hint);
        }
    }

    fn run_finished(&mut self, name: &str) {
        if name == self.workflow.name {
            let hint = Some("use `repeat` in a step, or a trigger by time".to_owned());
            self.problem("a workflow can not be started by its own end: it would never stop".to_owned(), hint);
        } else if !paths::is_definition_name(name) {
            self.problem(format!("`{name}` can not name a workflow"), None);
        }
    }

    fn input(&mut self) -> Option<Tree> {
        let tree = match Tree::parse(&self.trigger.input) {
            Ok(tree) => tree,
            Err(error) => {
                self.problem(error.message, None);
                return None;
            }
        };
        let names = tree.names();
        self.names("input", &names);
        let fields = &self.workflow.input;
        if tree.is_fixed() {
            if let Err(wrong) = fill(fields, &self.trigger.input) {
                self.problem(format!("the input does not fit: {}", wrong.join("; ")), None);
            }
            return Some(tree);
        }
        let given: Vec<&String> = self.trigger.input.as_object().into_iter().flatten().map(|(name, _)| name).collect();
        for name in &given {
            if !fields.iter().any(|f| f.name == **name) {
                let near = nearest(name, fields.iter().map(|f| f.name.as_str()));
                let hint = near
                    .map_or_else(|| "declare it with [[input]]".to_owned(), |near| format!("did you mean `{near}`?"));
                self.problem(format!("the workflow has no input `{name}`"), Some(hint));
            }
        }
        for field in fields.iter().filter(|f| f.default.is_none() && !f.optional && !given.contains(&&f.name)) {
            let hint = Some(format!("add {} = ... to `input` of the trigger", field.name));
            self.problem(format!("the trigger does not give the input `{}`", field.name), hint);
        }
        Some(tree)
    }

    fn template(&mut self, key: &str, text: Option<&str>) -> Option<Template> {
        match Template::parse(text?) {
            Ok(template) => {
                self.names(key, &template.names());
                Some(template)
            }
            Err(error) => {
                self.problem(error.message, None);
                None
            }
        }
    }

    /// Every name must be what this kind of trigger sees.
    fn names(&mut self, key: &str, names: &BTreeSet<String>) {
        let (known, fields): (&str, &[&str]) = match self.trigger.source {
            TriggerSource::Cron(_) | TriggerSource::Every(_) | TriggerSource::At(_) => ("due", &[]),
            TriggerSource::Event(_) => ("event", &[]),
            TriggerSource::File(_) => ("file", &["path", "name", "bytes"]),
            TriggerSource::RunFinished(_) => ("run", &["id", "workflow", "status", "output", "failure"]),
        };
        for name in names {
            let mut parts = name.split('.');
            let (head, field) = (parts.next().unwrap_or_default(), parts.next());
            if head != known {
                if !FUNCTIONS.contains(&head) {
                    let hint = format!("a trigger by `{}` knows `{known}`", kind(&self.trigger.source));
                    self.problem(format!("the name `{head}` in `{key}` is unknown"), Some(hint));
                }
                continue;
            }
            if let Some(field) = field
                && !fields.is_empty()
                && !fields.contains(&field)
            {
                let hint = format!("`{known}` has: {}", fields.join(", "));
                self.problem(format!("`{known}.{field}` in `{key}` is unknown"), Some(hint));
            }
        }
    }

    fn problem(&mut self, message: impl std::fmt::Display, hint: Option<String>) {
        let mut problem = Problem::new(self.file, self.trigger.at, format!("trigger `{}`: {message}", self.trigger.id));
        problem.hint = hint;
        self.problems.push(problem);
    }
}

fn kind(source: &TriggerSource) -> &'static str {
    match source {
        TriggerSource::Cron(_) => "cron",
        TriggerSource::Every(_) => "every",
        TriggerSource::At(_) => "at",
        TriggerSource::Event(_) => "event",
        TriggerSource::File(_) => "file",
        TriggerSource::RunFinished(_) => "run_finished",
    }
}

fn text(source: &TriggerSource) -> String {
    match source {
        TriggerSource::Every(span) => span.to_string(),
        TriggerSource::Cron(text)
        | TriggerSource::At(text)
        | TriggerSource::Event(text)
        | TriggerSource::File(text)
        | TriggerSource::RunFinished(text) => text.clone(),
    }
}
