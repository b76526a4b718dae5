//! The triggers of a store as they stand on this machine, read without a kernel.

use cairn_kernel::PlanTrigger;
use cairn_store_layout::{
    MachineId,
    event::TriggerFired,
    view::{Firing, TriggerItem},
};
use jiff::Timestamp;

use super::{Desk, Pasts, past};
use crate::store::{
    Store,
    definitions::{self, PinError},
    error::Result,
    git::Repo,
};

/// One trigger of the last commit's definitions.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The workflow.
    pub workflow: String,
    /// The trigger's name in it.
    pub trigger: String,
    /// What it goes by, for a person.
    pub goes_by: String,
    /// Tells whether this version is trusted here; its triggers are off otherwise.
    pub trusted: bool,
    /// When it starts its next run, if it goes by time.
    pub next: Option<Timestamp>,
    /// How many due times have passed with no kernel there.
    pub missed: u64,
    /// What it did last, as far as this month's and last month's logs tell.
    pub last: Option<(Timestamp, TriggerFired)>,
    /// Tells whether a start waits for an earlier run to end.
    pub waits: bool,
}

impl From<Listed> for TriggerItem {
    fn from(listed: Listed) -> Self {
        let last = listed.last.map(|(at, fired)| Firing {
            at: fired.due.unwrap_or(at),
            run: fired.run,
            left_out: fired.left_out,
        });
        let Listed { workflow, trigger, goes_by: by, trusted: on, next, missed, waits, .. } = listed;
        Self { workflow, trigger, by, on, next, missed, waits, last }
    }
}

/// All triggers, by workflow and in the order of their definition. Definitions that can not be used have
/// none: `cairn workflow check` says why.
///
/// # Errors
/// When git, the log or what is trusted can not be read.
pub fn list(store: &Store, machine: Option<&MachineId>, now: Timestamp) -> Result<Vec<Listed>> {
    let repo = Repo::open(store.root())?;
    let here = machine.map(|machine| Desk::here(store, machine).map(|desk| (desk, machine))).transpose()?;
    let pasts = here.as_ref().map(|(_, machine)| Pasts::read(store, machine, now)).transpose()?.unwrap_or_default();
    let mut all = Vec::new();
    for workflow in repo.folders_in("workflows")? {
        let loaded = definitions::pin(&repo, &workflow)
            .and_then(|pins| Ok((definitions::load(&repo, &workflow, &pins)?, pins.definition)));
        let (pinned, definition) = match loaded {
            Ok(loaded) => loaded,
            Err(PinError::Git(error)) => return Err(error.into()),
            Err(_) => continue,
        };
        if pinned.plan.triggers().is_empty() {
            continue;
        }
        let trusted = here.as_ref().map(|(desk, _)| desk.trusted(&workflow)).transpose()?.flatten();
        let trusted = trusted.is_some_and(|trusted| trusted.definition == definition);
        let seen = here.as_ref().map(|(desk, _)| desk.seen(&workflow)).transpose()?.unwrap_or_default();
        for trigger in pinned.plan.triggers() {
            let past = pasts.of(&workflow, trigger.id());
            // one that no kernel has taken up counts from when one does
            let since = seen.get(trigger.id()).filter(|seen| seen.trigger == trigger.digest()).map(|seen| seen.since);
            let (next, missed) =
                if trusted { next(trigger, since, past.and_then(|past| past.due), now) } else { (None, 0) };
            all.push(Listed {
                workflow: workflow.clone(),
                trigger: trigger.id().to_owned(),
                goes_by: trigger.describe(),
                trusted,
                next,
                missed,
                last: past.and_then(|past| past.last.clone()),
                waits: past.is_some_and(|past| past.waiting.is_some()),
            });
        }
    }
    Ok(all)
}

fn next(
    trigger: &PlanTrigger,
    since: Option<Timestamp>,
    handled: Option<Timestamp>,
    now: Timestamp,
) -> (Option<Timestamp>, u64) {
    let Some(schedule) = trigger.schedule() else { return (None, 0) };
    let since = since.unwrap_or(now);
    let window = Some(past::window(now)).filter(|window| *window > since);
    let look = schedule.look(since, handled.max(window), now);
    (look.next, look.handled.iter().map(|handled| handled.times).sum())
}
