//! Definitions from files: what the operator edits, and what a run is pinned to.
//!
//! A run takes its workflow from a git tree and its agents and connectors from git blobs, named in
//! its first event, so that an edit never reaches a run that has started.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use cairn_kernel::Plan;
use cairn_store_layout::{
    catalog::{Callee, Catalog, calls},
    definition::{
        Agent, Bundle, Connector, ConnectorKind, Knowledge, Problem, StepKind, TriggerSource, Workflow, nearest,
        parse_workflow,
    },
    paths,
};

use super::{
    disk,
    git::{BlobId, GitError, ReadLimits, Repo, TreeId},
    knowledge::{self, KnowledgeFiles},
    shape,
};

/// The file that defines a workflow, inside its folder.
pub const WORKFLOW_TOML: &str = "workflow.toml";
/// The folder of all workflows; a pin of this kind names a tree, any other a file.
const WORKFLOWS: &str = "workflows/";
/// How much one workflow's folder may hold.
const FOLDER_LIMITS: ReadLimits = ReadLimits { files_max: 500, bytes_max: 16 << 20 };

/// Everything a run follows, from its pins.
#[derive(Debug)]
pub struct Pinned {
    /// What it was loaded from.
    pub pins: Pins,
    /// The compiled workflow.
    pub plan: Arc<Plan>,
    /// The text files of its folder.
    pub files: Arc<BTreeMap<String, String>>,
    /// The agents it names.
    pub agents: BTreeMap<String, Agent>,
    /// The connectors it names, the built-in ones included.
    pub connectors: BTreeMap<String, Connector>,
}

/// What pins a run: the definition's tree and the blobs of what it names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pins {
    /// Git tree id of `workflows/<name>`.
    pub definition: String,
    /// Git blob ids of agents and connectors by path, and tree ids of the workflows that it starts.
    pub files: BTreeMap<String, String>,
}

/// Why a workflow can not be taken from git.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// There is none of this name in the last commit.
    #[error("there is no workflow `{0}`")]
    NoSuchWorkflow(String),
    /// It can not be followed as it stands.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    /// Git can not give it.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A pin is no object id.
    #[error("`{0}` is not a git object id")]
    BadPin(String),
}

/// Pins the workflow `name` as it stands in the last commit.
///
/// # Errors
/// When there is none, or git can not be read.
pub fn pin(repo: &Repo, name: &str) -> Result<Pins, PinError> {
    let none = || PinError::NoSuchWorkflow(name.to_owned());
    if !paths::is_definition_name(name) {
        return Err(none());
    }
    let tree = repo.tree_of(&paths::workflow_dir(name), None)?.ok_or_else(none)?;
    pin_tree(repo, name, &tree)
}

/// Pins the workflow `name` as it is in the git tree `tree`, with agents, connectors and child workflows of the
/// last commit.
///
/// # Errors
/// When the tree holds no such workflow, or git can not be read.
pub fn pin_tree(repo: &Repo, name: &str, tree: &TreeId) -> Result<Pins, PinError> {
    let find = |path: &str| {
        Ok(match path.strip_prefix(WORKFLOWS) {
            Some(_) => repo.tree_of(path, None)?.map(|tree| tree.to_string()),
            None => repo.blob_of(path, None)?.map(|blob| blob.to_string()),
        })
    };
    let mut files = BTreeMap::new();
    gather(repo, name, tree, &find, &mut files)?;
    Ok(Pins { definition: tree.to_string(), files })
}

/// Pins the workflow `name` for a run that another one starts, whose pins are `parent`.
///
/// # Errors
/// When the parent is not pinned to such a workflow, or git can not be read.
pub fn pin_child(repo: &Repo, parent: &BTreeMap<String, String>, name: &str) -> Result<Pins, PinError> {
    let definition = parent.get(&paths::workflow_dir(name)).ok_or_else(|| PinError::NoSuchWorkflow(name.to_owned()))?;
    let mut files = BTreeMap::new();
    gather(repo, name, &tree_id(definition)?, &|path| Ok(parent.get(path).cloned()), &mut files)?;
    Ok(Pins { definition: definition.clone(), files })
}

/// Adds what the workflow at `tree` names, and what the workflows that it starts name in turn.
fn gather(
    repo: &Repo,
    name: &str,
    tree: &TreeId,
    find: &dyn Fn(&str) -> Result<Option<String>, PinError>,
    files: &mut BTreeMap<String, String>,
) -> Result<(), PinError> {
    let (workflow, _) = workflow_of(repo, name, tree)?;
    for path in named_files(&workflow) {
        if let Some(id) = find(&path)? {
            files.insert(path, id);
        }
    }
    for child in calls(&workflow) {
        let path = paths::workflow_dir(&child);
        // a second way to it, or a circle, which compiling tells
        if files.contains_key(&path) || !paths::is_definition_name(&child) {
            continue;
        }
        if let Some(id) = find(&path)? {
            files.insert(path, id.clone());
            gather(repo, &child, &tree_id(&id)?, find, files)?;
        }
    }
    Ok(())
}

/// Loads what `pins` name.
///
/// # Errors
/// When git can not give it, or it can not be followed.
pub fn load(repo: &Repo, name: &str, pins: &Pins) -> Result<Pinned, PinError> {
    let (workflow, files) = workflow_of(repo, name, &tree_id(&pins.definition)?)?;
    let mut texts = BTreeMap::new();
    let mut workflows = BTreeMap::new();
    for (path, id) in &pins.files {
        if let Some(child) = path.strip_prefix(WORKFLOWS) {
            let (workflow, _) = workflow_of(repo, child, &tree_id(id)?)?;
            workflows.insert(child.to_owned(), Callee::of(&workflow));
            continue;
        }
        let blob: BlobId = id.parse().map_err(|_| PinError::BadPin(id.clone()))?;
        texts.insert(path.clone(), (text_of(path, &repo.read_blob(&blob)?)?, id.clone()));
    }
    let mut parts = Parts::read(&texts);
    parts.catalog.workflows = Some(workflows);
    if let Some(problem) = parts.problems.first() {
        return Err(PinError::Problems(vec![problem.clone()]));
    }
    let bundle = Bundle { workflow, files };
    let plan = Plan::compile(&bundle, &parts.catalog, &file_of(name)).map_err(PinError::Problems)?;
    Ok(Pinned {
        pins: pins.clone(),
        plan: Arc::new(plan),
        files: Arc::new(bundle.files),
        agents: parts.agents,
        connectors: parts.connectors,
    })
}

/// Compiles a workflow as it lies in the work tree, against the agents and connectors there. What is unchanged
/// since the last commit has the pin it has there, so that it compares as the same.
///
/// # Errors
/// When it can not be followed as it stands.
pub fn plan_of_work_tree(root: &Path, repo: &Repo, name: &str) -> Result<Plan, PinError> {
    let unreadable = |path: &str| {
        let path = path.to_owned();
        move |e: std::io::Error| PinError::Problems(vec![Problem::new(path, None, format!("can not be read: {e}"))])
    };
    let mut texts = BTreeMap::new();
    for folder in ["agents", "connectors"] {
        for (path, bytes) in files_below(root, folder).map_err(unreadable(folder))? {
            let committed = match repo.blob_of(&path, None)? {
                Some(blob) if repo.read_blob(&blob)? == bytes => blob.to_string(),
                _ => format!("edited {}", cairn_store_layout::Digest::of(&bytes)),
            };
            let text = text_of(&path, &bytes)?;
            texts.insert(path, (text, committed));
        }
    }
    let mut parts = Parts::read(&texts);
    let mut bundles = read_folders(root).map_err(unreadable("workflows"))?;
    parts.catalog.workflows = Some(callees(&bundles));
    let bundle = bundles.remove(name).ok_or_else(|| PinError::NoSuchWorkflow(name.to_owned()))?;
    let bundle = bundle.map_err(PinError::Problems)?;
    Plan::compile(&bundle, &parts.catalog, &file_of(name)).map_err(PinError::Problems)
}

/// The agents and connectors of a set of files.
#[derive(Debug, Default)]
pub struct Parts {
    /// By name.
    pub agents: BTreeMap<String, Agent>,
    /// By name, the built-in ones included.
    pub connectors: BTreeMap<String, Connector>,
    /// What steps may ask for.
    pub catalog: Catalog,
    /// Files that can not be used.
    pub problems: Vec<Problem>,
}

impl Parts {
    /// Reads `agents/*.toml` and `connectors/*.toml` out of `texts`: path to text and blob id.
    #[must_use]
    pub fn read(texts: &BTreeMap<String, (String, String)>) -> Self {
        let mut parts = Self { catalog: Catalog::builtin(), ..Self::default() };
        let built_in = [
            ("entity", ConnectorKind::Entity),
            ("episode", ConnectorKind::Episode),
            ("event", ConnectorKind::Event),
            ("file", ConnectorKind::File),
            ("memory", ConnectorKind::Memory),
        ];
        for (name, kind) in built_in {
            parts.connectors.insert(name.to_owned(), Connector { description: "built in".to_owned(), kind });
        }
        for (path, (text, id)) in texts {
            let Some((folder, name)) = part_name(path) else { continue };
            if !paths::is_definition_name(name) {
                let message = format!("`{name}` can not be a name: use a letter, then letters, digits, - or _");
                parts.problems.push(Problem::new(path, None, message));
                continue;
            }
            if folder == "agents" {
                match Agent::parse(path, text) {
                    Ok(agent) => {
                        parts.catalog.add_agent(name, &agent, Some(id));
                        parts.agents.insert(name.to_owned(), agent);
                    }
                    Err(problem) => parts.problems.push(problem),
                }
            } else {
                match Connector::parse(path, text) {
                    Ok(connector) => {
                        parts.catalog.add_defined(name, &connector, id);
                        parts.connectors.insert(name.to_owned(), connector);
                    }
                    Err(problem) => parts.problems.push(problem),
                }
            }
        }
        parts
    }
}

/// The definitions as they lie in the work tree, good or bad.
#[derive(Debug, Default)]
pub struct WorkTree {
    /// Agents and connectors; among the problems are those of knowledge and policies.
    pub parts: Parts,
    /// Workflows by name: what they are, or what keeps them from being used.
    pub workflows: BTreeMap<String, Result<Arc<LoadedWorkflow>, Vec<Problem>>>,
    /// Files of knowledge that can be used.
    pub knowledge: Vec<Knowledge>,
}

/// A workflow that can be used.
#[derive(Debug)]
pub struct LoadedWorkflow {
    /// As read, with its files.
    pub bundle: Bundle,
    /// As compiled.
    pub plan: Plan,
}

impl WorkTree {
    /// Reads every definition below `root`.
    ///
    /// # Errors
    /// When a folder can not be listed.
    pub fn read(root: &Path) -> std::io::Result<Self> {
        let mut texts = BTreeMap::new();
        let mut problems = Vec::new();
        for folder in ["agents", "connectors"] {
            for (path, bytes) in files_below(root, folder)? {
                match part_name(&path).map(|_| text_of(&path, &bytes)) {
                    Some(Ok(text)) => drop(texts.insert(path, (text, String::new()))),
                    Some(Err(PinError::Problems(found))) => problems.extend(found),
                    _ => {}
                }
            }
        }
        let mut parts = Parts::read(&texts);
        parts.problems.extend(problems);
        let KnowledgeFiles { knowledge, problems } = knowledge::read(root)?;
        parts.problems.extend(problems);
        parts.problems.extend(knowledge::policy(root).err());
        // a workflow may start another one, so all are read before the first is compiled
        let bundles = read_folders(root)?;
        parts.catalog.workflows = Some(callees(&bundles));
        let compile = |name: &str, bundle: Bundle| {
            let plan = Plan::compile(&bundle, &parts.catalog, &file_of(name))?;
            Ok(Arc::new(LoadedWorkflow { bundle, plan }))
        };
        let workflows = bundles.into_iter().map(|(name, read)| {
            let loaded = read.and_then(|bundle| compile(&name, bundle));
            (name, loaded)
        });
        let mut workflows: BTreeMap<_, _> = workflows.collect();
        let names: Vec<String> = workflows.keys().cloned().collect();
        for loaded in workflows.values_mut() {
            let missing = loaded.as_ref().map(|loaded| unknown_triggers(&loaded.bundle.workflow, &names));
            if let Some(problems) = missing.ok().filter(|problems| !problems.is_empty()) {
                *loaded = Err(problems);
            }
        }
        Ok(Self { parts, workflows, knowledge })
    }

    /// Everything that is wrong, in the order of the files.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let broken = self.workflows.values().filter_map(|w| w.as_ref().err()).flatten();
        self.parts.problems.iter().chain(broken).cloned().collect()
    }
}

/// The workflows of the work tree by name, as read and not yet compiled.
type Bundles = BTreeMap<String, Result<Bundle, Vec<Problem>>>;

fn read_folders(root: &Path) -> std::io::Result<Bundles> {
    folders_in(root, "workflows")?.into_iter().map(|name| Ok((name.clone(), read_folder(root, &name)?))).collect()
}

/// What a step may start: the workflows that can be read.
fn callees(bundles: &Bundles) -> BTreeMap<String, Callee> {
    let read =
        |(name, read): (&String, &Result<Bundle, _>)| Some((name.clone(), Callee::of(&read.as_ref().ok()?.workflow)));
    bundles.iter().filter_map(read).collect()
}

/// Triggers that wait for runs of a workflow that is not there.
fn unknown_triggers(workflow: &Workflow, names: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for trigger in &workflow.triggers {
        if let TriggerSource::RunFinished(other) = &trigger.source
            && !names.contains(other)
        {
            let message = format!("trigger `{}`: there is no workflow `{other}`", trigger.id);
            let mut problem = Problem::new(file_of(&workflow.name), trigger.at, message);
            problem.hint =
                nearest(other, names.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
            problems.push(problem);
        }
    }
    problems
}

fn read_folder(root: &Path, name: &str) -> std::io::Result<Result<Bundle, Vec<Problem>>> {
    let folder = paths::workflow_dir(name);
    if !paths::is_definition_name(name) {
        let message = format!("`{name}` can not name a workflow: use a letter, then letters, digits, - or _");
        return Ok(Err(vec![Problem::new(folder, None, message)]));
    }
    let files = files_below(root, &folder)?;
    let inside = files.into_iter().map(|(path, bytes)| (path[folder.len() + 1..].to_owned(), bytes)).collect();
    Ok(bundle_of(name, &inside).map(|(workflow, files)| Bundle { workflow, files }))
}

fn tree_id(text: &str) -> Result<TreeId, PinError> {
    text.parse().map_err(|_| PinError::BadPin(text.to_owned()))
}

fn file_of(name: &str) -> String {
    format!("{}/{WORKFLOW_TOML}", paths::workflow_dir(name))
}

fn workflow_of(repo: &Repo, name: &str, tree: &TreeId) -> Result<(Workflow, BTreeMap<String, String>), PinError> {
    let files = repo.read_tree_files(tree, FOLDER_LIMITS)?;
    bundle_of(name, &files).map_err(PinError::Problems)
}

/// The definition and the text files of a workflow's folder.
fn bundle_of(
    name: &str,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<(Workflow, BTreeMap<String, String>), Vec<Problem>> {
    let file = file_of(name);
    let Some(bytes) = files.get(WORKFLOW_TOML) else {
        let problem = Problem::new(&file, None, "the folder has no workflow.toml");
        return Err(vec![problem.hint("write one, or move the folder out of workflows/")]);
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|e| vec![Problem::new(&file, None, format!("not UTF-8 text from byte {} on", e.valid_up_to()))])?;
    let workflow = parse_workflow(name, &file, text).map_err(|problems| shape::complete(&file, text, problems))?;
    // files that are not text belong to the folder, but no step can name them
    let texts = files.iter().filter(|(path, _)| path.as_str() != WORKFLOW_TOML);
    let texts = texts.filter_map(|(p, b)| Some((p.clone(), String::from_utf8(b.clone()).ok()?))).collect();
    Ok((workflow, texts))
}

/// The agent and connector files that a workflow's steps name, for what they do, undo and look up.
fn named_files(workflow: &Workflow) -> BTreeSet<String> {
    let steps = || workflow.steps.iter().chain(&workflow.finally);
    let kinds = steps().flat_map(|step| std::iter::once(&step.kind).chain(step.undo.as_ref().map(|undo| &undo.kind)));
    let probes = steps().filter_map(|step| Some(format!("connectors/{}.toml", step.probe.as_ref()?.connector)));
    let name = |kind: &StepKind| match kind {
        StepKind::Agent { agent, .. } => Some(format!("agents/{agent}.toml")),
        StepKind::Call { connector, .. } => Some(format!("connectors/{connector}.toml")),
        _ => None,
    };
    kinds.filter_map(name).chain(probes).filter(|p| paths::is_inside(p)).collect()
}

/// `agents/writer.toml` is the agent `writer`; anything deeper or of another kind is nothing.
fn part_name(path: &str) -> Option<(&str, &str)> {
    let (folder, file) = path.split_once('/')?;
    let name = file.strip_suffix(".toml")?;
    (["agents", "connectors"].contains(&folder) && !name.contains('/')).then_some((folder, name))
}

fn text_of(path: &str, bytes: &[u8]) -> Result<String, PinError> {
    String::from_utf8(bytes.to_vec())
        .map_err(|_| PinError::Problems(vec![Problem::new(path, None, "this is not UTF-8 text")]))
}

fn folders_in(root: &Path, folder: &str) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in listing(&root.join(folder))? {
        if entry.file_type()?.is_dir()
            && let Some(name) = entry.file_name().to_str()
            && !name.starts_with('.')
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Plain files below a folder with their bytes; hidden ones and links are left out.
fn files_below(root: &Path, folder: &str) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in listing(&root.join(folder))? {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|n| !n.starts_with('.') && !n.ends_with('~')) else { continue };
        let path = format!("{folder}/{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            files.extend(files_below(root, &path)?);
        } else if kind.is_file() {
            match disk::read(&entry.path()) {
                Ok(bytes) => drop(files.insert(path, bytes)),
                // an editor's, and gone again
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(files)
}

/// The entries of a folder; none when it does not exist.
fn listing(dir: &Path) -> std::io::Result<Vec<std::fs::DirEntry>> {
    match disk::list(dir) {
        Ok(entries) => Ok(entries),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}
