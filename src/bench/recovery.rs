//! How soon a kernel that was killed is back, and that nothing was lost or done twice meanwhile.

use std::collections::BTreeSet;

use cairn_store_layout::paths;

use super::{
    Error, Options,
    child::Errand,
    disk,
    figure::{Figure, Target},
    scratch::{STEPS, Scratch},
};
use crate::store::fsutil;

/// Records of one finished run: its start, ten steps, its end.
const RECORDS: usize = STEPS + 2;

/// Kills a kernel with runs in flight, in a store with a past, and takes the time of the next.
pub(super) fn measure(scratch: &mut Scratch, options: &Options, say: &dyn Fn(&str)) -> Result<Vec<Figure>, Error> {
    let (events, flying) = if options.quick { (5_000, 100) } else { (100_000, 1_000) };
    scratch.fill(events / RECORDS, say)?;
    say(&format!("{flying} runs in flight, kill -9, in a store of {events} events"));
    let store = scratch.store.root().to_owned();
    let before = histories(scratch)?;
    Errand { store: store.clone(), leave: flying }.start()?.kill_at_half()?;
    let mut again = Errand { store, leave: 0 }.start()?;
    let (ready, unfinished) = again.ready()?;
    let done = again.done()?;
    let (mut lost, mut twice) = (flying.saturating_sub(unfinished), 0);
    for path in histories(scratch)?.difference(&before) {
        let text = fsutil::read(&scratch.store.path(path))?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let steps = text.lines().filter(|line| line.contains("\"kind\":\"step.succeeded\"")).count();
        lost += usize::from(!text.contains("\"kind\":\"run.succeeded\""));
        twice += steps.saturating_sub(STEPS);
    }
    let name = |what: &str| format!("{flying} runs in flight, {events} events before: {what}");
    let figure = |what, value, unit| Figure::new("recovery", name(what), value, unit);
    Ok(vec![
        figure("process start to ready", ready, "s").aim(Target::AtMost(2.0)),
        figure("kill -9 to all done and committed", done, "s").aim(Target::AtMost(1.0)),
        figure("runs lost", lost as f64, "").aim(Target::AtMost(0.0)),
        figure("steps done twice", twice as f64, "").aim(Target::AtMost(0.0)),
    ])
}

/// The histories in the work tree, as paths from the store's root.
fn histories(scratch: &Scratch) -> Result<BTreeSet<String>, Error> {
    let mut found = BTreeSet::new();
    let root = scratch.store.root();
    disk::each_file(&scratch.store.path(paths::RUNS), &mut |path, _| {
        if let Ok(path) = path.strip_prefix(root) {
            found.insert(path.to_string_lossy().into_owned());
        }
    })?;
    Ok(found)
}
