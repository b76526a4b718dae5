//! What must hold after the next kernel has come to rest.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    process::Command,
    rc::Rc,
};

use cairn::store::{
    Store,
    disk::{is_temporary, observe},
    git::{CommitHash, Repo},
    verify::verify,
};
use cairn_store_layout::payload::EffectClass;

use crate::{
    lab::{Lab, Promise, Promised, Sent},
    life::Life,
    shared::{image::Image, platter::Platter},
};

/// What the world may rely on at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Relied {
    /// Lines of histories and logs that anyone could read, by the file's path in the store.
    lines: BTreeMap<String, Vec<u8>>,
    /// The last commit whose name may have been printed, and the first of all.
    commit: Option<String>,
    promises: Vec<Promised>,
}

impl Relied {
    /// At a moment at which processes see `platter`; `commit` was the last that was durable.
    pub(crate) fn at(platter: &Platter, commit: Option<&str>, promises: &[Promise], moment: usize) -> Self {
        let mut lines = BTreeMap::new();
        for folder in ["store/runs", "store/log"] {
            for name in platter.seen_below(folder).filter(|name| name.ends_with(".jsonl")) {
                let text = whole_lines(platter.seen(name).unwrap_or_default());
                lines.insert(name["store/".len()..].to_owned(), text.to_vec());
            }
        }
        let promises = promises.iter().filter(|p| p.at <= moment).map(|p| p.what.clone()).collect();
        Self { lines, commit: commit.map(str::to_owned), promises }
    }

    /// Differs when more is relied upon: all of it only grows.
    pub(crate) fn size(&self) -> (usize, Option<String>, usize) {
        (self.lines.values().map(Vec::len).sum(), self.commit.clone(), self.promises.len())
    }

    /// This, and what came to be relied upon since.
    pub(crate) fn and(&self, later: Self) -> Self {
        let mut both = self.clone();
        for (path, lines) in later.lines {
            let known = both.lines.entry(path).or_default();
            if known.len() < lines.len() {
                *known = lines;
            }
        }
        both.commit = later.commit.or(both.commit);
        both.promises.extend(later.promises);
        both
    }

    /// At the end of a life whose disk was never cut off.
    pub(crate) fn on(image: &Image, promises: &[Promise]) -> Self {
        Self::at(&Platter::holding(image), None, promises, usize::MAX)
    }
}

/// The lines that are records: a torn or lost page before them makes all that follows nothing to rely on.
fn whole_lines(text: &[u8]) -> &[u8] {
    let mut end = 0;
    for line in text.split_inclusive(|b| *b == b'\n') {
        if !line.ends_with(b"}\n") || serde_json::from_slice::<serde_json::Value>(line).is_err() {
            break;
        }
        end += line.len();
    }
    &text[..end]
}

/// Starts the real kernel on what lies in the lab's folder, lets it come to rest, and says what is
/// wrong. With `thorough`, asks git as well. Answers the recovering life, as it was recorded.
pub(crate) fn recovers(lab: &Rc<Lab>, relied: &Relied, root: &str, thorough: bool) -> Result<Rc<Lab>, String> {
    // the git library answers some damage with a panic: bad, and a broken promise like any other
    let found = catch_unwind(AssertUnwindSafe(|| comes_to_rest(lab, relied, root, thorough)));
    found.unwrap_or_else(|panic| Err(format!("panic: {}", said(panic.as_ref()))))
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
}

fn comes_to_rest(lab: &Rc<Lab>, relied: &Relied, root: &str, thorough: bool) -> Result<Rc<Lab>, String> {
    let later = lab.later(0x5eed);
    let observing = observe(later.clone());
    let mut life = Life::begin(&later).map_err(|e| format!("the kernel does not start: {e}"))?;
    let step = |what: &str, done: Result<(), crate::life::Broken>| done.map_err(|e| format!("{what}: {e}"));
    step("answers", life.answer())?;
    step("timers", life.pass())?;
    let parked = life.served().parked.clone();
    if !parked.is_empty() {
        return Err(format!("runs are parked: {parked:?}"));
    }
    let store = life.store().clone();
    life.stop().map_err(|e| format!("the kernel does not stop: {e}"))?;
    drop(observing);

    let now = Image::read(&store.path("")).map_err(|e| e.to_string())?;
    kept(&now, relied)?;
    effects(&now, relied, &later.sent())?;
    commits(&store, &now, relied, root)?;
    let report = verify(&store);
    if !report.ok() {
        return Err(format!("verify: {:?}", report.findings));
    }
    if thorough {
        git(&store)?;
    }
    Ok(later)
}

/// D1: what was shown or asked is there.
fn kept(now: &Image, relied: &Relied) -> Result<(), String> {
    for (path, lines) in &relied.lines {
        let found = now.file(path).unwrap_or_default();
        if !found.starts_with(lines) {
            let (had, has) = (String::from_utf8_lossy(lines), String::from_utf8_lossy(found));
            return Err(format!("{path} lost what was shown\n--- shown\n{had}--- found\n{has}"));
        }
    }
    let texts: String = below(now, &["runs/", "log/"]).map(|(_, bytes)| String::from_utf8_lossy(bytes)).collect();
    // a file that lost its bytes is refused by its name: nobody knows what it asked for
    let known = |id: &str| texts.lines().any(|line| line.contains(id) && !line.contains("\"code\":\"bad_command\""));
    let passages: String = below(now, &["memory/passages/"]).map(|(_, b)| String::from_utf8_lossy(b)).collect();
    for promise in &relied.promises {
        let Promised::Asked { id, passage } = promise else { continue };
        match passage {
            Some(text) => {
                let count = passages.lines().filter(|line| line.contains(text.as_str())).count();
                if count != 1 {
                    return Err(format!("{count} passages say `{text}`, which was asked for once"));
                }
            }
            None if !known(id.as_str()) => return Err(format!("command {id} was forgotten")),
            None => {}
        }
    }
    let mut ids = BTreeSet::new();
    for line in passages.lines() {
        let id = line.split_once("\"id\":\"").and_then(|(_, rest)| rest.split_once('"')).map(|(id, _)| id);
        if !ids.insert(id.ok_or_else(|| format!("a passage without an id: {line}"))?) {
            return Err(format!("a passage is there twice: {line}"));
        }
    }
    let left: Vec<_> = below(now, &["inbox/"]).filter(|(name, _)| name.ends_with(".json")).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("commands stay in the inbox: {left:?}")) }
}

/// E4, E5, E6: recorded before it left, one content a key, and what may leave once left once.
fn effects(now: &Image, relied: &Relied, later: &[Sent]) -> Result<(), String> {
    let before = relied.promises.iter().filter_map(|p| if let Promised::Sent(sent) = p { Some(sent) } else { None });
    let mut seen: BTreeMap<&str, &Sent> = BTreeMap::new();
    for sent in before.chain(later) {
        let key = sent.key.as_str();
        let intent = format!("\"key\":\"{key}\"");
        let history = below(now, &["runs/"]).find(|(name, _)| name.contains(sent.run.as_str()));
        if !history.is_some_and(|(_, text)| String::from_utf8_lossy(text).contains(&intent)) {
            return Err(format!("an effect left whose intent is nowhere: {sent:?}"));
        }
        let Some(first) = seen.insert(key, sent) else { continue };
        if first.content != sent.content {
            return Err(format!("one key, two contents: {first:?} and {sent:?}"));
        }
        if sent.class == EffectClass::Once {
            return Err(format!("an effect that may leave once left twice: {sent:?}"));
        }
    }
    Ok(())
}

/// D7, D8: one root, nothing printed is gone, each version of a history begins with the one before,
/// and after a clean stop all is committed.
fn commits(store: &Store, now: &Image, relied: &Relied, root: &str) -> Result<(), String> {
    let repo = Repo::open(store.root()).map_err(|e| e.to_string())?;
    let log: Vec<CommitHash> =
        repo.log(None, 100_000).map_err(|e| e.to_string())?.into_iter().map(|entry| entry.commit).collect();
    let names: Vec<String> = log.iter().map(ToString::to_string).collect();
    if names.last().map(String::as_str) != Some(root) {
        return Err(format!("history begins at {:?}, not at {root}", names.last()));
    }
    if let Some(commit) = relied.commit.as_ref().filter(|commit| !names.contains(commit)) {
        return Err(format!("commit {commit} was durable and is gone"));
    }
    for (path, bytes) in below(now, &["runs/", "log/", "memory/passages/"]) {
        let mut newer = bytes.to_vec();
        for (age, commit) in log.iter().enumerate() {
            let blob = repo.blob_of(path, Some(commit)).map_err(|e| e.to_string())?;
            let older = match blob {
                Some(blob) => repo.read_blob(&blob).map_err(|e| e.to_string())?,
                None => Vec::new(),
            };
            if !newer.starts_with(&older) {
                return Err(format!("{path} in {commit} is no beginning of its next version"));
            }
            if age == 0 && older != bytes {
                return Err(format!("{path} is not committed whole after a clean stop"));
            }
            newer = older;
        }
    }
    Ok(())
}

/// The `git` program's own opinion.
fn git(store: &Store) -> Result<(), String> {
    for args in [&["fsck", "--full", "--strict"][..], &["status", "--porcelain"]] {
        let out = Command::new("git").arg("-C").arg(store.root()).args(args).output().map_err(|e| e.to_string())?;
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        let said: String = said.lines().filter(|line| !line.starts_with("dangling ") && !is_edit(line)).collect();
        if !out.status.success() || !said.is_empty() {
            return Err(format!("git {args:?}: {said}"));
        }
    }
    Ok(())
}

/// What an operator is still writing is not committed while it can not be used.
fn is_edit(status: &str) -> bool {
    status.get(3..).is_some_and(|path| path.starts_with("workflows/"))
}

/// Files below some folders, without those that were being written when the power went.
fn below<'a>(image: &'a Image, folders: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    let names = image.names.keys().filter(|name| folders.iter().any(|folder| name.starts_with(folder)));
    let names = names.filter(|name| !is_temporary(name.rsplit('/').next().unwrap_or(name)));
    names.filter_map(|name| Some((name.as_str(), image.file(name)?)))
}
