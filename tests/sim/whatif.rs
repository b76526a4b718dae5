//! What if, at this moment, the machine were another one: a bit rotted, a branch was damaged, an older state was
//! restored, or the store was copied. A kernel starts on that, nothing it sends arrives, and then the machine
//! is as it was.

use std::{cell::RefCell, collections::BTreeMap, fmt, path::Path, rc::Rc, sync::Arc};

use cairn::{
    driver::{Dispatcher, DriverError, Kernel, Report},
    store::{Store, definitions::Pinned, verify},
};
use cairn_kernel::Perform;
use cairn_store_layout::{MachineId, RunId};

use crate::{
    lab::Lab,
    machine::Machine,
    shared::{
        image::{Image, Node},
        platter::Leaves,
        random::Random,
    },
};

/// What happens to the machine.
#[derive(Debug, Clone)]
enum Fate {
    /// A bit of this file is another one.
    Rot { path: String, at: usize, bit: u8 },
    /// The branch's file holds this.
    Branch(Vec<u8>),
    /// The store, not the home, is what it was then.
    Restored,
    /// The store lies at another place too, and a kernel starts there.
    Cloned,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rot { path, at, bit } => write!(f, "bit {bit} of byte {at} of {path} rots"),
            Self::Branch(bytes) => write!(f, "the branch holds {:?}", String::from_utf8_lossy(bytes)),
            Self::Restored => f.write_str("an older state is restored"),
            Self::Cloned => f.write_str("the store is copied"),
        }
    }
}

/// What must be there still: whole lines by the path of their file.
pub(crate) type Shown = BTreeMap<String, String>;

/// What a kernel made of it.
struct Came {
    kernel: Result<(MachineId, Vec<String>, Vec<String>), DriverError>,
    sent: Vec<String>,
    /// Histories and logs as they lie there, by path.
    files: BTreeMap<String, Vec<u8>>,
    /// Histories as they lay there before, by path.
    before: BTreeMap<String, Vec<u8>>,
    is_sound: bool,
    descends: bool,
}

/// Starts a kernel on a fate drawn for `machine`, which has none, and looks what it makes of it. `older`: its
/// disk at some moment before, and what had been shown then. Tells what happened.
pub(crate) fn ask(
    chance: &mut Random,
    lab: &Rc<Lab>,
    machine: &Machine,
    shown: &Shown,
    older: Option<&(Image, Shown)>,
    head: Option<&cairn::store::git::CommitHash>,
) -> Result<String, String> {
    let image = lab.look(machine.number, |platter| platter.image(Leaves::Everything)).ok_or("no disk")?;
    let fate = Fate::draw(chance, &image, older.is_some());
    let Some(fate) = fate else { return Ok("nothing".to_owned()) };
    let laid = fate.applied(&image, older.map(|(image, _)| image));
    let mut came = lab.detached(machine.number, &laid, || begin(lab, machine, &fate, head));
    let histories = laid.names.keys().filter_map(|name| Some((name.strip_prefix("store/")?, laid.file(name)?)));
    let histories = histories.filter(|(path, _)| path.starts_with("runs/") && path.ends_with(".jsonl"));
    came.before = histories.map(|(path, bytes)| (path.to_owned(), bytes.to_vec())).collect();
    fate.judge(machine, shown, older.map(|(_, shown)| shown), &came)
        .map_err(|why| format!("{why} (what if {fate})"))?;
    let how = match &came.kernel {
        Ok((_, repaired, parked)) => format!("{} repaired, {} parked", repaired.len(), parked.len()),
        Err(error) => format!("refused: {error:.80}"),
    };
    Ok(format!("{fate}: {how}"))
}

impl Fate {
    fn draw(chance: &mut Random, image: &Image, older: bool) -> Option<Self> {
        let below = |folder: &str| -> Vec<(String, usize)> {
            let files = image.names.iter().filter(|(name, _)| name.starts_with(folder) && name.ends_with(".jsonl"));
            let full = files.filter_map(|(name, _)| Some((name.clone(), image.file(name)?.len())));
            full.filter(|(_, len)| *len > 0).collect()
        };
        let head = image.file("store/.git/refs/heads/main")?;
        match chance.below(6) {
            kind @ (0..=2) => {
                let files = if kind == 0 { below("store/runs/") } else { below("store/.cairn/journal/") };
                let (path, len) = files.get(chance.below(files.len().max(1)))?.clone();
                let whole = image.file(&path)?.iter().rposition(|b| *b == b'\n').unwrap_or(0).clamp(1, len);
                let bit = u8::try_from(chance.below(8)).expect("small");
                Some(Self::Rot { path, at: chance.below(whole), bit })
            }
            3 => Some(Self::Branch(match chance.below(4) {
                0 => Vec::new(),
                1 => head[..20.min(head.len())].to_vec(),
                2 => vec![0; 41],
                _ => b"not a commit at all, forty characters ok\n".to_vec(),
            })),
            4 if older => Some(Self::Restored),
            _ => Some(Self::Cloned),
        }
    }

    fn applied(&self, image: &Image, older: Option<&Image>) -> Image {
        let mut laid = image.clone();
        match self {
            Self::Rot { path, at, bit } => {
                let mut bytes = image.file(path).unwrap_or_default().to_vec();
                bytes[*at] ^= 1 << bit;
                laid.names.insert(path.clone(), Node::File(Rc::new(bytes)));
            }
            Self::Branch(bytes) => {
                let path = "store/.git/refs/heads/main".to_owned();
                laid.names.insert(path, Node::File(Rc::new(bytes.clone())));
            }
            Self::Restored => {
                let is_store = |name: &String| name == "store" || name.starts_with("store/");
                laid.names.retain(|name, _| !is_store(name));
                let then = older.into_iter().flat_map(|older| &older.names).filter(|(name, _)| is_store(name));
                laid.names.extend(then.map(|(name, node)| (name.clone(), node.clone())));
            }
            Self::Cloned => {
                laid.names.insert("clone".to_owned(), Node::Dir);
                let store = image.names.iter().filter(|(name, _)| *name == "store" || name.starts_with("store/"));
                // a copy is no second name for the same file
                let copy = |node: &Node| match node {
                    Node::Dir => Node::Dir,
                    Node::File(bytes) => Node::File(Rc::new(bytes.as_ref().clone())),
                };
                laid.names.extend(store.map(|(name, node)| (format!("clone/{name}"), copy(node))));
            }
        }
        laid
    }

    fn judge(&self, machine: &Machine, shown: &Shown, then: Option<&Shown>, came: &Came) -> Result<(), String> {
        let lost = |shown: &Shown| {
            let has = |path: &String, text: &str| came.files.get(path).is_some_and(|b| b.starts_with(text.as_bytes()));
            shown.iter().find(|(path, text)| !has(path, text)).map(|(path, _)| path.clone())
        };
        match (self, &came.kernel) {
            // what is acknowledged and damaged is repaired or refused, and what is refused is named
            (Self::Rot { path, .. }, Err(error)) => {
                let name = path.rsplit('/').next().unwrap_or_default();
                let told = error.to_string();
                let source = std::error::Error::source(error).map_or(String::new(), ToString::to_string);
                if told.contains(name) || source.contains(name) {
                    return Ok(());
                }
                Err(format!("D3: the start is refused and does not name {path}: {told}"))
            }
            (Self::Rot { path: rotten, .. }, Ok((id, repaired, parked))) => match lost(shown) {
                None => Ok(()),
                Some(path) if *id != machine.id && !repaired.is_empty() => {
                    // what is not known for sure is told, and nothing is done for it
                    if came.sent.is_empty() { Ok(()) } else { Err(format!("D3: {path} is not whole, and it goes on")) }
                }
                Some(_) if !came.is_sound || !parked.is_empty() => Ok(()),
                // the last batch before the mark was set: no later entry tells that it was durable, so it looks
                // torn, is set aside, and that is said
                Some(_) if rotten.contains("/journal/") && repaired.iter().any(|told| told.contains("set aside")) => {
                    Ok(())
                }
                Some(path) => Err(format!("D3: {path} lost what it held; told: {repaired:?}, as {id}")),
            },
            (Self::Branch(_), Err(error)) => Err(format!("D8: a damaged branch is not put back: {error}")),
            (Self::Branch(_), Ok(_)) if !came.descends => {
                Err("D8: the history does not go on from where it was".to_owned())
            }
            (Self::Branch(_), Ok(_)) => lost(shown).map_or(Ok(()), |path| Err(format!("D8: {path} lost what it held"))),
            (Self::Restored, Err(_)) => Ok(()),
            (Self::Restored, Ok((id, ..))) => {
                let is_behind = then.is_none_or(|then| then != shown);
                if is_behind && *id == machine.id {
                    return Err("D9: a store that is behind goes on under the same id".to_owned());
                }
                if is_behind && !came.sent.is_empty() {
                    return Err(format!("D9: a store that is behind sends {:?}", came.sent));
                }
                Ok(())
            }
            (Self::Cloned, Err(error)) => Err(format!("D9: a copy can not be used: {error}")),
            (Self::Cloned, Ok((id, ..))) => {
                if *id == machine.id {
                    return Err("D9: a copy writes under the id of the first".to_owned());
                }
                if !came.sent.is_empty() {
                    return Err(format!("D9: a copy sends {:?}", came.sent));
                }
                // torn or whole: the first puts them right, the copy leaves them as they came
                let changed = came.before.iter().find(|(path, bytes)| came.files.get(*path) != Some(*bytes));
                changed.map_or(Ok(()), |(path, _)| Err(format!("D9: a copy changes {path}")))
            }
        }
    }
}

/// Hands that let nothing through.
#[derive(Clone, Default)]
struct Still(Rc<RefCell<Vec<String>>>);

impl Dispatcher for Still {
    fn start(&mut self, perform: Perform, _pinned: &Arc<Pinned>) {
        self.0.borrow_mut().push(format!("{}/{} {}", perform.run.short(), perform.step, perform.attempt));
    }

    fn abort(&mut self, _run: &RunId) {}

    fn reported(&mut self, _report: &Report) {}

    fn in_flight(&self) -> usize {
        0
    }

    fn shut_down(&mut self) {}
}

fn begin(lab: &Rc<Lab>, machine: &Machine, fate: &Fate, head: Option<&cairn::store::git::CommitHash>) -> Came {
    let cloned = matches!(fate, Fate::Cloned);
    let root = if cloned { machine.root.join("clone/store") } else { machine.root.join("store") };
    let (hands, sent) = {
        let still = Still::default();
        (Box::new(still.clone()), still.0)
    };
    let start = || -> Result<(Store, Kernel), DriverError> {
        let store = Store::open(&root)?;
        let mut kernel = machine.kernel_of(lab, store.clone(), hands)?;
        kernel.look()?;
        Ok((store, kernel))
    };
    let (kernel, is_sound, descends) = match start() {
        Ok((store, kernel)) => {
            let repo = cairn::store::git::Repo::open(store.root());
            let descends = repo.is_ok_and(|repo| repo.head(head).is_ok_and(|head| head.is_some()));
            let served = kernel.served().clone();
            let id = kernel.machine().clone();
            drop(kernel);
            (Ok((id, served.repaired, served.parked)), verify::verify(&store).ok(), descends)
        }
        Err(error) => (Err(error), false, false),
    };
    let mut files = BTreeMap::new();
    for folder in ["runs", "log"] {
        read_below(&root, folder, &mut files);
    }
    Came { kernel, sent: sent.take(), files, before: BTreeMap::new(), is_sound, descends }
}

fn read_below(root: &Path, folder: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            read_below(root, &path, files);
        } else if let Ok(bytes) = std::fs::read(entry.path()) {
            files.insert(path, bytes);
        }
    }
}
