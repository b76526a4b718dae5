//! `cairn doctor`: is this machine fit for the work?

use std::{path::Path, process::Command};

use cairn_store_layout::view::KernelHealth;
use clap::Args;
use serde_json::{Value, json};

use super::{
    context::{Context, Outcome},
    failure::{Failure, exit, plural},
    repair::{self, Trouble},
    trigger, workflow,
};
use crate::store::{
    Store, StoreError,
    git::{PACKS_MANY, Repo, Shape},
    identity, lock,
    room::{self, Short},
};

/// Folders and files that inotify must be able to watch for the watcher to work at all.
const WATCHES_LOW: u64 = 4096;

/// Check this machine: git, disk, watches, terminal, kernel, identity, definitions.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1 when something is `fail`.")]
pub struct Doctor {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    Ok,
    Warn,
    Fail,
}

impl Grade {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was looked at.
struct Check {
    name: &'static str,
    grade: Grade,
    found: String,
    todo: Option<String>,
}

fn check(name: &'static str, grade: Grade, found: impl Into<String>, todo: &str) -> Check {
    let todo = Some(todo.to_owned()).filter(|t| !t.is_empty() && grade != Grade::Ok);
    Check { name, grade, found: found.into(), todo }
}

impl Doctor {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let mut checks = vec![git_program(), watches(), terminal(context), memory_tables()];
        match context.store() {
            Ok(store) => of_store(&store, &mut checks),
            Err(failure) => checks.push(no_store(&failure)),
        }
        let screen = &mut context.screen;
        let items: Vec<Value> = checks
            .iter()
            .map(|c| json!({"check": c.name, "grade": c.grade.word(), "found": c.found, "todo": c.todo}))
            .collect();
        screen.list("cairn.doctor/1", &items, None);
        let rows: Vec<Vec<String>> = checks
            .iter()
            .map(|c| {
                let todo = c.todo.as_ref().map_or(String::new(), |t| format!("; {t}"));
                vec![c.grade.word().to_owned(), c.name.to_owned(), format!("{}{todo}", c.found)]
            })
            .collect();
        screen.table(&["GRADE", "CHECK", "FOUND"], &rows);
        let failed = checks.iter().any(|c| c.grade == Grade::Fail);
        Ok(if failed { exit::FAILED } else { exit::OK })
    }
}

fn no_store(failure: &Failure) -> Check {
    let grade = if failure.code == "store_not_found" { Grade::Warn } else { Grade::Fail };
    check("store", grade, failure.message.clone(), failure.fix.as_deref().unwrap_or_default())
}

/// The store needs no git program; people and `cairn sync` do.
fn git_program() -> Check {
    let output = Command::new("git").arg("--version").output();
    let text = output.ok().filter(|o| o.status.success()).map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    let Some(text) = text else {
        return check(
            "git",
            Grade::Warn,
            "no git program found",
            "install git to read the history with git log and to push",
        );
    };
    let version: Vec<u32> =
        text.split_whitespace().nth(2).unwrap_or_default().split('.').map_while(|p| p.parse().ok()).collect();
    // older ones may run programs that a hostile remote names (CVE-2025-48384); distributions patch
    // without a new number, so this is advice and no verdict
    let old = version.as_slice() < [2, 39].as_slice();
    let grade = if old { Grade::Warn } else { Grade::Ok };
    check("git", grade, text, "bring it up to date before you fetch from anybody else")
}

fn watches() -> Check {
    let limit = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    match (limit("max_user_watches"), limit("max_user_instances")) {
        (Some(watches), Some(instances)) if watches >= WATCHES_LOW && instances >= 16 => {
            check("inotify", Grade::Ok, format!("{watches} watches, {instances} instances"), "")
        }
        (Some(watches), Some(instances)) => check(
            "inotify",
            Grade::Warn,
            format!("{watches} watches, {instances} instances"),
            "raise fs.inotify.max_user_watches with sysctl; until then changes are seen by slow polling",
        ),
        _ => check("inotify", Grade::Warn, "not available", "changes are seen by slow polling"),
    }
}

fn terminal(context: &Context) -> Check {
    let term = std::env::var("TERM").unwrap_or_default();
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|n| std::env::var(n).ok().filter(|v| !v.is_empty()));
    let locale = locale.unwrap_or_default();
    let utf8 = locale.to_ascii_uppercase().replace('-', "").contains("UTF8");
    if !context.screen.is_tty() {
        return check("terminal", Grade::Ok, "output is not a terminal", "");
    }
    if term.is_empty() || term == "dumb" {
        return check(
            "terminal",
            Grade::Warn,
            format!("TERM is `{term}`"),
            "set TERM for the interface; all verbs work without",
        );
    }
    let grade = if utf8 { Grade::Ok } else { Grade::Warn };
    check("terminal", grade, format!("{term}, locale `{locale}`"), "set LANG to a UTF-8 locale to see all letters")
}

fn memory_tables() -> Check {
    if cfg!(feature = "lance") {
        check("memory", Grade::Ok, "vector tables and indices on disk (lance)", "")
    } else {
        check(
            "memory",
            Grade::Ok,
            "scanned in memory: this build has no vector tables (feature `lance`); answers are the same, slower above 10,000 passages",
            "",
        )
    }
}

fn of_store(store: &Store, checks: &mut Vec<Check>) {
    let root = store.root();
    checks.push(check("store", Grade::Ok, format!("{} (format {})", root.display(), store.card().format), ""));
    checks.push(disk(root));
    checks.push(space(root));
    checks.push(writable(root));
    checks.push(match identity::known(store) {
        Ok(Some(machine)) => check("identity", Grade::Ok, machine.as_str(), ""),
        Ok(None) => check("identity", Grade::Ok, "this machine joins with its first command", ""),
        Err(e) => check("identity", Grade::Fail, e.to_string(), &e.fix()),
    });
    checks.push(match lock::probe(root) {
        Ok(KernelHealth::Running { .. }) if lock::paused(root).is_some() => {
            let why = lock::paused(root).unwrap_or_default();
            check("kernel", Grade::Warn, format!("paused: {why}"), "make room; it goes on by itself")
        }
        Ok(KernelHealth::Running { pid: Some(pid) }) => {
            check("kernel", Grade::Ok, format!("running (process {pid})"), "")
        }
        Ok(KernelHealth::Running { pid: None }) => check("kernel", Grade::Ok, "running", ""),
        Ok(KernelHealth::Down) => check("kernel", Grade::Warn, "down", "cairn kernel start"),
        Err(e) => check("kernel", Grade::Fail, e.to_string(), &e.fix()),
    });
    checks.push(match Repo::open(root).and_then(|repo| repo.head(None)) {
        Ok(Some(head)) => check("repository", Grade::Ok, format!("at {}", head.commit.short()), ""),
        Ok(None) => check(
            "repository",
            Grade::Fail,
            "it has no commit",
            "cairn init was interrupted: remove the folder and make it again",
        ),
        Err(e) => check("repository", Grade::Fail, e.to_string(), "cairn verify"),
    });
    checks.extend(journal(store));
    checks.extend(Repo::open(root).and_then(|repo| repo.shape()).ok().map(packs));
    checks.push(match workflow::problems(store) {
        Ok(problems) if problems.is_empty() => check("definitions", Grade::Ok, "all can be used", ""),
        Ok(problems) => {
            let found = format!("{}, first: {}", plural(problems.len() as u64, "problem"), problems[0]);
            check("definitions", Grade::Warn, found, "cairn workflow check")
        }
        Err(e) => check("definitions", Grade::Fail, e.message, "check the permissions of the folders"),
    });
    match trigger::listed(store) {
        Ok(triggers) if triggers.is_empty() => {}
        Ok(triggers) => checks.push(match trigger::off(&triggers).as_slice() {
            [] => check("triggers", Grade::Ok, "all are on", ""),
            off => {
                let found = format!("off, because this machine does not trust them: {}", off.join(", "));
                check("triggers", Grade::Warn, found, &format!("cairn workflow trust {}", off[0]))
            }
        }),
        Err(e) => checks.push(check("triggers", Grade::Fail, e.message, "cairn trigger ls")),
    }
}

/// What the next start would meet; nothing while a kernel runs, whose start met it.
fn journal(store: &Store) -> Option<Check> {
    let Ok(KernelHealth::Down) = lock::probe(store.root()) else { return None };
    Some(match repair::trouble(store) {
        Ok(Trouble::None) => check("journal", Grade::Ok, "whole", ""),
        Ok(Trouble::Restorable(entries)) => {
            let found = format!("{entries} damaged; each byte can be restored from the histories");
            check("journal", Grade::Warn, found, "start the kernel, which restores them: cairn kernel start")
        }
        Ok(Trouble::Lost(error)) => check("journal", Grade::Fail, error.to_string(), "cairn kernel repair"),
        Ok(Trouble::Rewound(error)) => check("branch", Grade::Fail, error.to_string(), "cairn kernel repair"),
        Err(failure) => check("journal", Grade::Fail, failure.message, "cairn verify"),
    })
}

/// A few times as many as a kernel lets gather: it could not put them together.
fn packs(shape: Shape) -> Check {
    let grade = if shape.packs > 4 * PACKS_MANY { Grade::Warn } else { Grade::Ok };
    let graph = match shape.graph {
        Some(age) => format!("graph of commits {} h old", age.as_secs() / 3600),
        None => "no graph of commits yet".to_owned(),
    };
    let packs = plural(shape.packs as u64, "pack");
    let found = format!("{packs}, {} KiB, {} loose objects, {graph}", shape.pack_bytes >> 10, shape.loose);
    check("packs", grade, found, "put them together: cairn kernel maintain")
}

fn disk(root: &Path) -> Check {
    match lock::network_disk(root) {
        Ok(None) => check("disk", Grade::Ok, "local", ""),
        Ok(Some(kind)) => {
            let fix = StoreError::NetworkDisk { root: root.to_owned(), kind }.fix();
            check("disk", Grade::Fail, format!("a network file system ({kind})"), &fix)
        }
        Err(e) => check("disk", Grade::Warn, e.to_string(), &e.fix()),
    }
}

fn space(root: &Path) -> Check {
    let todo = "make room: the kernel begins nothing new until then (nothing is lost)";
    match (room::short(root, false), rustix::fs::statvfs(root)) {
        (Some(short @ Short::Space { .. }), _) => check("space", Grade::Warn, short.to_string(), todo),
        (_, Ok(stat)) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            check("space", Grade::Ok, format!("{} MiB free", free >> 20), "")
        }
        (_, Err(e)) => check("space", Grade::Warn, format!("cannot be told: {e}"), "check the disk"),
    }
}

fn writable(root: &Path) -> Check {
    match rustix::fs::access(root, rustix::fs::Access::WRITE_OK) {
        Ok(()) => check("access", Grade::Ok, "the store can be written", ""),
        Err(e) => check(
            "access",
            Grade::Fail,
            format!("the store cannot be written: {e}"),
            "become its owner, or change its permissions",
        ),
    }
}
