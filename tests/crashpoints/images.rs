//! The power goes at every change to a file: what may be left of the disk is laid out, and the real
//! kernel starts on it.
//!
//! Images that are the same are one, unless more is relied upon. Of those that differ, an even choice of every workload is tried.
//! `CAIRN_CRASH=WORKLOAD/CHANGE/IMAGE` repeats one image. `CAIRN_CRASH_IMAGES=N` tries up to N of a workload,
//! `CAIRN_CRASH_SUBSETS=N` builds N random subsets at each change instead of eight, and
//! `CAIRN_CRASH_AGAIN=N` cuts the power N times more while the kernel recovers from each image, instead
//! of once for every tenth.

use std::{collections::HashSet, rc::Rc};

use cairn::store::{disk::observe, git::Repo};

use crate::{
    check::{Relied, recovers},
    lab::{Lab, Promise},
    life::Life,
    shared::{
        change::Change,
        image::Image,
        platter::{Leaves, Platter},
        random::Random,
    },
    workloads::{self, LARGE, SMALL, Workload},
};

/// Random subsets of unsynced pieces at each change.
const SUBSETS: u64 = 8;
/// Of so many images, one is cut a second time.
const AGAIN_EVERY: u64 = 10;
/// Of so many images, git itself looks at one.
const THOROUGH_EVERY: u64 = 50;
/// How many images of one workload are tried.
const IMAGES: u64 = 600;
/// The fewest that make a test of it.
const IMAGES_MIN: usize = 200;

/// A life as it was recorded.
pub(crate) struct Recorded {
    pub(crate) lab: Rc<Lab>,
    pub(crate) base: Image,
    /// The first commit of all.
    pub(crate) root: String,
    pub(crate) changes: Vec<Change>,
    pub(crate) promises: Vec<Promise>,
}

fn record(workload: Workload) -> Recorded {
    let lab = Lab::new(1);
    let base = workloads::base(&lab);
    let root = first_commit(&lab);
    lab.changes.borrow_mut().clear();
    lab.promises.borrow_mut().clear();
    {
        let _observing = observe(lab.clone());
        let life = Life::begin(&lab).expect("a kernel");
        (workload.run)(life).unwrap_or_else(|e| panic!("{} does not even work on a good disk: {e}", workload.name));
    }
    let (changes, promises) = (lab.changes.take(), lab.promises.take());
    Recorded { lab, base, root, changes, promises }
}

/// The commit that the store began with.
pub(crate) fn first_commit(lab: &Lab) -> String {
    let log = Repo::open(&lab.store()).and_then(|repo| repo.log(None, 1_000)).expect("a log");
    log.last().expect("a first commit").commit.to_string()
}

/// The ways in which a disk may be left.
fn ways(moment: usize, subsets: u64) -> Vec<Leaves> {
    let seed = |n: u64| (moment as u64) << 16 | n;
    let mut ways = vec![Leaves::Nothing, Leaves::Everything, Leaves::ZeroTail];
    ways.extend([Leaves::Prefix(seed(0)), Leaves::Torn(seed(1))]);
    ways.extend((0..subsets).map(|n| Leaves::Some(seed(2 + n))));
    ways
}

/// Walks through the moments of a recorded life: the disk before the first change, and after each.
/// `lies` tells which changes the disk reports as done and leaves undone.
pub(crate) fn moments(
    base: &Image,
    changes: &[Change],
    lies: fn(&Change) -> bool,
    mut at: impl FnMut(usize, &Platter, Option<&str>),
) {
    let mut platter = Platter::holding(base);
    let mut commit = None;
    for moment in 0..=changes.len() {
        if let Some(change) = moment.checked_sub(1).map(|n| &changes[n]) {
            if !lies(change) {
                platter.follow(change);
            }
            if *change == (Change::SyncDir { path: "store/.git/refs/heads".to_owned() }) {
                let text = platter.seen("store/.git/refs/heads/main").expect("the branch");
                commit = Some(String::from_utf8_lossy(text).trim().to_owned());
            }
        }
        at(moment, &platter, commit.as_deref());
    }
}

pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Cuts the power at every change of a workload.
fn cut(workload: Workload) {
    let one = std::env::var("CAIRN_CRASH").ok();
    let again = number("CAIRN_CRASH_AGAIN");
    let recorded = record(workload);
    let (chosen, of) = chosen(workload, &recorded, one.as_deref());
    let (mut images, mut cut_again, mut failures) = (0_u64, 0_u64, Vec::new());
    moments(&recorded.base, &recorded.changes, honest, |moment, platter, commit| {
        for (way, leaves) in chosen.iter().filter(|c| c.0 == moment).map(|c| (c.1, c.2)) {
            let Some(image) = platter.image(leaves) else { continue };
            images += 1;
            let relied = Relied::at(platter, commit, &recorded.promises, moment);
            let thorough = one.is_some() || images.is_multiple_of(THOROUGH_EVERY);
            let times = again.unwrap_or(u64::from(images.is_multiple_of(AGAIN_EVERY)));
            match recover(&recorded, &image, &relied, thorough, times) {
                Ok(more) => cut_again += more,
                Err(why) => {
                    let after = moment.checked_sub(1).map(|n| &recorded.changes[n]);
                    let name = format!("{}/{moment}/{way}", workload.name);
                    failures.push(format!("{name} ({leaves:?}) after {}:\n{why}", brief(after)));
                }
            }
        }
    });
    println!(
        "{}: {} changes, {images} images of {of} that differ, {cut_again} cut again, {} violations",
        workload.name,
        recorded.changes.len(),
        failures.len()
    );
    if let Some(first) = failures.first() {
        let again = crate::repeats("CAIRN_CRASH", first, "images");
        panic!("{} of {images} images break a promise; the first:\n{first}\n{again}", failures.len());
    }
    assert!(one.is_some() || of >= IMAGES_MIN, "only {of} images differ: nothing is unsynced in this workload");
}

/// Tells whether a disk that lies is found out, and by which promise: the proof that the checks can fail.
pub(crate) fn finds_out(workload: Workload, lies: fn(&Change) -> bool) -> Option<String> {
    let recorded = record(workload);
    assert!(recorded.changes.iter().any(lies), "{} does nothing of the kind", workload.name);
    let (mut seen, mut found) = (HashSet::new(), None);
    moments(&recorded.base, &recorded.changes, lies, |moment, platter, commit| {
        for leaves in ways(moment, 2) {
            if found.is_some() {
                return;
            }
            let relied = Relied::at(platter, commit, &recorded.promises, moment);
            let Some(image) = platter.image(leaves).filter(|i| seen.insert((i.hash(), relied.size()))) else {
                continue;
            };
            recorded.lab.lay_out(&image);
            found = recovers(&recorded.lab, &relied, &recorded.root, false).err();
        }
    });
    found
}

/// A disk that does what it says.
pub(crate) fn honest(_: &Change) -> bool {
    false
}

/// The images of a workload that are tried, each by its moment and its way, and how many there are that differ.
fn chosen(workload: Workload, recorded: &Recorded, one: Option<&str>) -> (Vec<(usize, usize, Leaves)>, usize) {
    // an image that a longer run found is among those of its moment, whatever is asked for now
    let subsets = if one.is_some() { 1 << 10 } else { number("CAIRN_CRASH_SUBSETS").unwrap_or(SUBSETS) };
    let most = usize::try_from(number("CAIRN_CRASH_IMAGES").unwrap_or(IMAGES)).unwrap_or(usize::MAX);
    let (mut seen, mut all) = (HashSet::new(), Vec::new());
    moments(&recorded.base, &recorded.changes, honest, |moment, platter, commit| {
        if one.is_some_and(|one| !one.starts_with(&format!("{}/{moment}/", workload.name))) {
            return;
        }
        let size = Relied::at(platter, commit, &recorded.promises, moment).size();
        for (way, leaves) in ways(moment, subsets).into_iter().enumerate() {
            // the same image is another case when more is relied upon
            if platter.image(leaves).is_some_and(|image| seen.insert((image.hash(), size.clone()))) {
                all.push((moment, way, leaves));
            }
        }
    });
    let of = all.len();
    let mut n = 0;
    all.retain(|(moment, way, _)| match one {
        Some(one) => *one == format!("{}/{moment}/{way}", workload.name),
        None => {
            n += 1;
            // every image when there are few, else as many as wanted, evenly
            of <= most || (n * most) / of != ((n - 1) * most) / of
        }
    });
    (all, of)
}

/// Lets a kernel recover from `image`, and cuts the power `times` more while it does.
fn recover(recorded: &Recorded, image: &Image, relied: &Relied, thorough: bool, times: u64) -> Result<u64, String> {
    let Recorded { lab, root, .. } = recorded;
    lab.lay_out(image);
    let later = recovers(lab, relied, root, thorough)?;
    let changes = later.changes.take();
    let promises = later.promises.take();
    let mut random = Random::new(u64::from_le_bytes(image.hash()[..8].try_into().expect("eight bytes")));
    let mut chosen: Vec<usize> = (0..times).map(|_| random.below(changes.len() + 1)).collect();
    chosen.sort_unstable();
    let mut done = Ok(0);
    moments(image, &changes, honest, |moment, platter, commit| {
        for _ in chosen.iter().filter(|chosen| **chosen == moment) {
            let Some(second) = platter.image(Leaves::Some(random.next())) else { continue };
            if let Ok(count) = &mut done {
                *count += 1;
                let relied = relied.and(Relied::at(platter, commit, &promises, moment));
                lab.lay_out(&second);
                if let Err(why) = recovers(lab, &relied, root, false) {
                    done = Err(format!("cut again at change {moment} of the recovery: {why}"));
                }
            }
        }
    });
    done
}

fn brief(change: Option<&Change>) -> String {
    match change {
        Some(Change::Write { path, offset, bytes }) => format!("{} bytes written to {path} at {offset}", bytes.len()),
        Some(change) => format!("{change:?}"),
        None => "the start".to_owned(),
    }
}

macro_rules! tests {
    ($($name:ident = $workload:expr;)*) => {
        $(#[test]
        fn $name() {
            cut($workload);
        })*
    };
}

tests! {
    start = SMALL[0];
    send_once = SMALL[1];
    send_again = SMALL[2];
    approve = SMALL[3];
    edit_gate = SMALL[4];
    answer = SMALL[5];
    edit_definition = SMALL[6];
    remember = SMALL[7];
    learn = SMALL[8];
    cancel = SMALL[9];
    timer = SMALL[10];
    spill = SMALL[11];
    refuse = SMALL[12];
    group_of_4 = SMALL[13];
    rotate_and_forget = SMALL[14];
    recover_twice = SMALL[15];
    day_1 = LARGE[0];
    day_2 = LARGE[1];
    day_3 = LARGE[2];
    day_4 = LARGE[3];
}
