//! The cost of a commit, printed. Bounds are wide: they catch a wrong algorithm, not a slow disk.

use std::time::{Duration, Instant};

use super::{Store, bytes, plan, who};
use crate::store::git::CommitPlan;

/// Six events of a run, about 1.5 KB.
fn run(n: usize) -> CommitPlan {
    let text: String = (0..6)
        .map(|k| format!("{{\"n\":{k},\"at\":\"2026-11-22T10:00:{:02}.000000Z\",\"kind\":\"step-finished\",\"run\":\"r{n:06}\",\"data\":\"{:0>160x}\"}}\n", n % 60, n * 7919 + k))
        .collect();
    plan(vec![bytes(&format!("runs/2026/{:02}/{:02}/r{n:06}.jsonl", n / 300 % 12 + 1, n / 10 % 28 + 1), text)])
}

fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

#[test]
#[ignore = "a measurement: run it alone, with --ignored --nocapture"]
fn cost_of_a_commit() {
    let store = Store::new();
    let base: Vec<_> = (0..2000).map(run).collect();
    for chunk in base.chunks(256) {
        store.repo.commit_group(&who(), None, chunk).unwrap();
    }
    for (size, rounds) in [(1, 60), (16, 10), (64, 5)] {
        let groups: Vec<Vec<_>> =
            (0..rounds).map(|r| (0..size).map(|n| run(10_000 * size + r * size + n)).collect()).collect();
        let (wall, busy) = (Instant::now(), cpu());
        let mut slowest = Duration::ZERO;
        for group in &groups {
            let one = Instant::now();
            store.repo.commit_group(&who(), None, group).unwrap();
            slowest = slowest.max(one.elapsed());
        }
        let per = |time: Duration| time.as_secs_f64() * 1e3 / f64::from(u32::try_from(rounds).unwrap());
        println!(
            "group of {size}: {:.2} ms wall, {:.2} ms cpu, slowest {slowest:?}",
            per(wall.elapsed()),
            per(cpu() - busy)
        );
    }
    let paths: Vec<String> =
        store.git(&["ls-files", "--with-tree=HEAD"]).unwrap_or_default().lines().map(str::to_owned).collect();
    store.git(&["checkout", "-q", "-f", "HEAD"]);
    let (wall, busy) = (Instant::now(), cpu());
    store.repo.refresh_index(paths.iter().take(16).map(String::as_str)).unwrap();
    println!("index of {} entries, 16 refreshed: {:?} wall, {:?} cpu", paths.len(), wall.elapsed(), cpu() - busy);
    let (wall, busy) = (Instant::now(), cpu());
    let log = store.repo.log(None, 5000).unwrap();
    println!("log of {}: {:?} wall, {:?} cpu", log.len(), wall.elapsed(), cpu() - busy);
    let (wall, busy) = (Instant::now(), cpu());
    assert_eq!(store.repo.log(Some(&log[3].commit), 5000).unwrap().len(), 3);
    println!("log of the newest 3: {:?} wall, {:?} cpu", wall.elapsed(), cpu() - busy);
    let (wall, busy) = (Instant::now(), cpu());
    assert_eq!(store.repo.check(5000), Vec::<String>::new());
    println!("check: {:?} wall, {:?} cpu", wall.elapsed(), cpu() - busy);
    let (wall, busy) = (Instant::now(), cpu());
    assert_eq!(store.repo.append_only_violations(|path| path.starts_with("runs/"), 5000), Vec::<String>::new());
    println!("append-only: {:?} wall, {:?} cpu", wall.elapsed(), cpu() - busy);
}
