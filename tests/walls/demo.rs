//! The demo store: every definition reads, names only what is there, and nothing lies about unused.

use std::collections::{BTreeMap, BTreeSet};

use cairn_kernel::Plan;
use cairn_store_layout::{
    catalog::Catalog,
    definition::{
        Agent, Bundle, Connector, Knowledge, MEMORY_POLICY, MemoryPolicy, StepKind, Workflow, parse_workflow,
    },
    paths,
};

use crate::{files, text};

const DEMO: &str = "fixtures/demo";
const WORKFLOWS: [&str; 3] = ["client-onboarding", "content-production", "invoice-chase"];

fn workflow(name: &str) -> Workflow {
    let file = format!("workflows/{name}/workflow.toml");
    parse_workflow(name, &file, &text(&format!("{DEMO}/{file}"))).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// The files of a workflow's folder that its steps name.
fn named(workflow: &Workflow) -> BTreeSet<String> {
    let mut named = BTreeSet::from(["workflow.toml".to_owned()]);
    for step in &workflow.steps {
        named.extend(step.schema.clone());
        if let StepKind::Agent { prompt, template, .. } = &step.kind {
            named.extend(prompt.clone());
            named.extend(template.clone());
        }
    }
    named
}

#[test]
fn workflows_name_exactly_the_files_of_their_folders() {
    for name in WORKFLOWS {
        let folder = format!("{DEMO}/workflows/{name}/");
        let present: BTreeSet<String> =
            files(&folder, "").iter().filter_map(|f| f.strip_prefix(&folder).map(str::to_owned)).collect();
        assert_eq!(named(&workflow(name)), present, "{name}");
    }
}

/// The files of a workflow's folder beside its definition, by path inside the folder.
fn beside(name: &str) -> BTreeMap<String, String> {
    let folder = format!("{DEMO}/workflows/{name}/");
    let files = files(&folder, "").into_iter().filter(|f| !f.ends_with("workflow.toml"));
    files.map(|f| (f[folder.len()..].to_owned(), text(&f))).collect()
}

/// What the demo's steps may ask for.
fn catalog() -> Catalog {
    let mut catalog = Catalog::builtin();
    for file in files(&format!("{DEMO}/agents"), ".toml") {
        let agent = Agent::parse(&file, &text(&file)).unwrap_or_else(|p| panic!("{p}"));
        catalog.add_agent(stem(&file), &agent, Some("pin"));
    }
    for file in files(&format!("{DEMO}/connectors"), ".toml") {
        let connector = Connector::parse(&file, &text(&file)).unwrap_or_else(|p| panic!("{p}"));
        catalog.add_defined(stem(&file), &connector, "pin");
    }
    catalog
}

fn stem(file: &str) -> &str {
    file.rsplit('/').next().and_then(|name| name.split('.').next()).expect("a file name")
}

#[test]
fn workflows_compile() {
    let catalog = catalog();
    for name in WORKFLOWS {
        let mut bundle = Bundle { workflow: workflow(name), files: beside(name) };
        let file = format!("workflows/{name}/workflow.toml");
        Plan::compile(&bundle, &catalog, &file).unwrap_or_else(|problems| panic!("{problems:#?}"));
        // the control: without its prompts and templates it does not
        bundle.files.clear();
        assert!(Plan::compile(&bundle, &catalog, &file).is_err(), "{name}");
    }
}

#[test]
fn agents_and_connectors_read_and_are_used() {
    let mut asked = BTreeSet::new();
    let mut called = BTreeSet::new();
    for name in WORKFLOWS {
        for step in workflow(name).steps {
            match step.kind {
                StepKind::Agent { agent, .. } => drop(asked.insert(agent)),
                StepKind::Call { connector, .. } => drop(called.insert(connector)),
                _ => {}
            }
        }
    }
    assert_eq!(asked, defined("agents", |file, text| Agent::parse(file, text).map(drop).map_err(|p| format!("{p:?}"))));
    called.retain(|name| !["entity", "episode", "file", "memory"].contains(&name.as_str()));
    let connectors =
        defined("connectors", |file, text| Connector::parse(file, text).map(drop).map_err(|p| format!("{p:?}")));
    assert_eq!(called, connectors);
}

/// The names defined in a folder, each file read on the way.
fn defined(folder: &str, read: fn(&str, &str) -> Result<(), String>) -> BTreeSet<String> {
    let prefix = format!("{DEMO}/{folder}/");
    files(&prefix, ".toml")
        .into_iter()
        .map(|file| {
            read(&file, &text(&file)).unwrap_or_else(|problem| panic!("{problem}"));
            let name = file[prefix.len()..].trim_end_matches(".toml").to_owned();
            assert!(paths::is_definition_name(&name), "{name}");
            name
        })
        .collect()
}

/// The commented block of `agents/writer.toml` is what a newcomer tries first, so it must read too.
#[test]
fn the_commented_model_of_the_writer_reads() {
    let source = text(&format!("{DEMO}/agents/writer.toml"));
    let block: Vec<&str> =
        source.lines().skip_while(|line| !line.starts_with("# kind")).filter_map(|l| l.strip_prefix("# ")).collect();
    let agent = Agent::parse("agents/writer.toml", &block.join("\n")).expect("the block, uncommented");
    assert_eq!(agent.kind.word(), "llm");
}

#[test]
fn every_writing_step_can_be_given_to_a_model() {
    for name in WORKFLOWS {
        for step in workflow(name).steps {
            if let StepKind::Agent { agent, prompt, template, .. } = &step.kind
                && agent == "writer"
            {
                assert!(prompt.is_some() && template.is_some() && step.schema.is_some(), "{name}: {}", step.id);
            }
        }
    }
}

#[test]
fn knowledge_and_policies_read_and_name_what_is_there() {
    let found = files(&format!("{DEMO}/knowledge"), ".md");
    let read: Vec<Knowledge> = found
        .iter()
        .map(|file| {
            let path = file.strip_prefix(&format!("{DEMO}/")).expect("below the demo");
            Knowledge::parse(path, text(file).as_bytes()).unwrap_or_else(|p| panic!("{p}"))
        })
        .collect();
    let folders: BTreeSet<&str> = read.iter().map(Knowledge::folder).collect();
    assert_eq!((read.len(), folders.into_iter().collect::<Vec<_>>()), (6, vec!["examples", "preferences", "rules"]));
    for knowledge in &read {
        for (word, pattern) in knowledge.applies.patterns() {
            let named = match word {
                "workflow" => WORKFLOWS.iter().any(|name| pattern.fits(name)),
                "step" => WORKFLOWS.iter().any(|name| workflow(name).steps.iter().any(|s| pattern.fits(s.id.as_str()))),
                _ => pattern.as_str().starts_with("client/"),
            };
            assert!(named, "{}: {word} {}", knowledge.id, pattern.as_str());
        }
    }
    let policy = MemoryPolicy::parse(MEMORY_POLICY, &text(&format!("{DEMO}/{MEMORY_POLICY}")));
    let policy = policy.unwrap_or_else(|p| panic!("{p}"));
    assert_eq!((policy.contradictions(), policy.is_empty()), (Vec::<String>::new(), false));
}

#[test]
fn schemas_are_json_objects() {
    for file in files(&format!("{DEMO}/workflows"), ".json") {
        let value: serde_json::Value = serde_json::from_str(&text(&file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(value["type"], "object", "{file}");
    }
}

/// The counts that `fixtures/demo.md` and the first-run guide tell.
#[test]
fn the_ledger_holds_what_its_page_says() {
    let ledger = text(&format!("{DEMO}/files/ledger.csv"));
    let mut reader = csv::Reader::from_reader(ledger.as_bytes());
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().collect::<Result<_, _>>().expect("a table");
    let count = |status: &str| rows.iter().filter(|row| row["status"] == status).count();
    assert_eq!((rows.len(), count("paid"), count("disputed"), count("open")), (40, 11, 2, 27));
    let clients: BTreeSet<&String> = rows.iter().map(|row| &row["client"]).collect();
    assert_eq!(clients.len(), 15);
    // nobody real may ever be written to
    assert!(rows.iter().all(|row| row["email"].ends_with(".example")));
    assert_eq!(files(&format!("{DEMO}/files/mail"), ".eml").len(), 10);
}
