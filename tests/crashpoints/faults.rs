//! Every call to the disk fails, once and for good: what does the kernel say, and what does a healthy
//! one find afterwards?
//!
//! `CAIRN_FAULT=WORKLOAD/CALL/WAY` repeats one fault. `CAIRN_FAULT_WAYS=10` tries every way at each
//! call instead of some.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use cairn::store::disk::observe;

use crate::{
    check::{Relied, recovers, said},
    images::{Recorded, first_commit, honest, moments, number},
    lab::{Fault, Lab},
    life::{Broken, Life, Lived},
    shared::{image::Image, platter::Leaves},
    workloads::{self, LARGE, SMALL, Workload},
};

const EINTR: i32 = 4;
const EIO: i32 = 5;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

/// How many of the ways below are tried at each call.
const WAYS: usize = 2;
/// With more calls than this, one way is.
const LONG: u64 = 500;
/// Of so many faults, one is followed by a power cut.
const CUT_EVERY: u64 = 4;

/// The ways in which a call fails.
fn ways(call: u64) -> [Fault; 10] {
    let kinds = [(EIO, false), (ENOSPC, false), (EMFILE, false), (EINTR, false), (ENOSPC, true)];
    let fault = |n: usize| {
        let (errno, short) = kinds[n % kinds.len()];
        Fault { call, errno, short, for_good: n >= kinds.len() }
    };
    std::array::from_fn(fault)
}

/// Lets the calls of a workload fail one by one.
fn fail(workload: Workload) {
    let one = std::env::var("CAIRN_FAULT").ok();
    let lab = Lab::new(1);
    let base = workloads::base(&lab);
    let root = first_commit(&lab);
    let calls = {
        let healthy = lab.later(1);
        live(&healthy, workload, None).unwrap_or_else(|e| panic!("{} fails on a good disk: {e}", workload.name));
        healthy.calls()
    };
    let tried = match number("CAIRN_FAULT_WAYS") {
        _ if one.is_some() => 10,
        Some(n) => usize::try_from(n).unwrap_or(10).min(10),
        // a long workload does the same things again and again
        None if calls > LONG => 1,
        None => WAYS,
    };
    let (mut faults, mut stopped, mut failures) = (0_u64, 0_u64, Vec::new());
    for call in 0..calls {
        let ways = ways(call);
        for n in 0..tried {
            // all ways come up at each kind of call, and a call meets one that passes and one that stays
            let way = (usize::try_from(call).expect("few calls") + n * 5 + n / 2) % ways.len();
            let name = format!("{}/{call}/{way}", workload.name);
            if one.as_ref().is_some_and(|one| *one != name) {
                continue;
            }
            faults += 1;
            lab.lay_out(&base);
            let world = lab.later(1);
            let lived = live(&world, workload, Some(ways[way]));
            stopped += u64::from(lived.is_err());
            let recorded = Recorded {
                lab: world.clone(),
                base: base.clone(),
                root: root.clone(),
                changes: world.changes.take(),
                promises: world.promises.take(),
            };
            let cut = one.is_some() || faults.is_multiple_of(CUT_EVERY);
            if let Err(why) = clear(&lived).and_then(|()| heals(&recorded, cut)) {
                let end = lived.err().map_or_else(|| "it went on".to_owned(), |e| e.to_string());
                failures.push(format!("{name} {:?}; {end}:\n{why}", ways[way]));
            }
        }
    }
    println!(
        "{}: {calls} calls, {faults} faults, {stopped} of them stopped the kernel, {} violations",
        workload.name,
        failures.len()
    );
    if let Some(first) = failures.first() {
        let again = crate::repeats("CAIRN_FAULT", first, "faults");
        panic!("{} of {faults} faults break a promise; the first:\n{first}\n{again}", failures.len());
    }
    assert!(one.is_some() || stopped > faults / 10, "only {stopped} of {faults} faults were noticed");
}

/// A life on a disk that fails as `fault` says. A panic is an answer, too, and never a good one.
fn live(world: &Rc<Lab>, workload: Workload, fault: Option<Fault>) -> Lived {
    let _observing = observe(world.clone());
    world.fail(fault);
    let lived = catch_unwind(AssertUnwindSafe(|| Life::begin(world).and_then(workload.run)));
    world.fail(None);
    lived.unwrap_or_else(|panic| Err(Broken(format!("panic: {}", said(panic.as_ref())))))
}

/// A kernel that stops says at which file, or that it stopped before.
fn clear(lived: &Lived) -> Result<(), String> {
    match lived {
        Err(Broken(said))
            if said.starts_with("panic") || !(said.contains('/') || said.contains("asks for nothing")) =>
        {
            Err("the error does not say where".to_owned())
        }
        _ => Ok(()),
    }
}

/// What was relied upon is there after a healthy start, and after a power cut and a healthy start.
fn heals(recorded: &Recorded, cut: bool) -> Result<(), String> {
    let Recorded { lab, root, .. } = recorded;
    let image = Image::read(lab.root()).map_err(|e| e.to_string())?;
    recovers(lab, &Relied::on(&image, &recorded.promises), root, false)?;
    if !cut {
        return Ok(());
    }
    let mut done = Ok(());
    moments(&recorded.base, &recorded.changes, honest, |moment, platter, commit| {
        if moment < recorded.changes.len() || done.is_err() {
            return;
        }
        let relied = Relied::at(platter, commit, &recorded.promises, moment);
        for leaves in [Leaves::Nothing, Leaves::Some(moment as u64)] {
            let Some(image) = platter.image(leaves) else { continue };
            lab.lay_out(&image);
            if let Err(why) = recovers(lab, &relied, root, false) {
                done = Err(format!("after a power cut that leaves {leaves:?}: {why}"));
            }
        }
    });
    done
}

macro_rules! tests {
    ($($name:ident = $workload:expr;)*) => {
        $(#[test]
        fn $name() {
            fail($workload);
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
}
