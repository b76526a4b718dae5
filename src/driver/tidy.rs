//! Memory is tidied by its policies: asked for by a person, or once per interval while nothing is under way.
//!
//! Every passage that leaves is an event with the rule's name, every summary is one; all of one round are one commit.
//! When memory was tidied last is known to this machine alone, outside of git: forgetting that costs a look, no more.

use std::time::Duration;

use cairn_memory::tidy::TidyPlan;
use cairn_store_layout::{definition::MemoryPolicy, learned::Learned, passage::Source, paths, time};
use jiff::Timestamp;

use super::{Driver, DriverError, intake::No};
use crate::{
    learning::tidy,
    store::{fsutil, knowledge},
};

/// How often the policy and the time are looked at.
const LOOK: Duration = Duration::from_secs(60);
/// So much is done in one round: all of it becomes durable in one write. What is left is done by the next.
const ROUND_MAX: usize = 1_000;

/// When memory is looked at again.
#[derive(Debug, Default)]
pub(super) struct Tidying {
    /// By the clock's `up`.
    next: Option<Duration>,
    /// The last round left something.
    more: bool,
}

impl Driver {
    /// Tidies because `by` asked for it.
    pub(super) fn tidy_by_hand(&mut self, by: &str) -> Result<Result<(), No>, DriverError> {
        let policy = match knowledge::policy(self.store.root()) {
            Ok(policy) if policy.is_empty() => {
                let message = "policies/memory.toml has no [[forget]] and no [[summarise]]; nothing was changed";
                return Ok(Err(No { code: "no_policy", message: message.to_owned(), run: None }));
            }
            Ok(policy) => policy,
            Err(problem) => {
                let message = format!("{problem}; nothing was changed");
                return Ok(Err(No { code: "broken_policy", message, run: None }));
            }
        };
        Ok(self.tidy(&policy, by)?.map_err(|message| No { code: "memory", message, run: None }))
    }

    /// Tidies if the interval of the policy is over, and nothing is under way that could still be learning.
    pub(super) fn tidy_if_due(&mut self) -> Result<(), DriverError> {
        let up = self.clock.up();
        if self.stopping || self.dispatcher.in_flight() > 0 || self.tidying.next.is_some_and(|next| up < next) {
            return Ok(());
        }
        self.tidying.next = Some(up + LOOK);
        let policy = match knowledge::policy(self.store.root()) {
            Ok(policy) if !policy.is_empty() => policy,
            // a broken one is told with the other definitions
            _ => return Ok(()),
        };
        let Some(every) = policy.tidy.every else { return Ok(()) };
        let now = self.clock.now();
        match self.tidied()? {
            Some(last) if !self.tidying.more && now.duration_since(last) < every.0 => return Ok(()),
            Some(_) => {
                if let Err(error) = self.tidy(&policy, "kernel")? {
                    tracing::warn!(error, "memory was not tidied");
                }
            }
            // a store that was just made or cloned waits for one interval: nothing leaves at first sight
            None => self.note_tidied(now)?,
        }
        Ok(())
    }

    /// Carries the policy out. The inner error says why memory could not be read; nothing is recorded then.
    fn tidy(&mut self, policy: &MemoryPolicy, by: &str) -> Result<Result<(), String>, DriverError> {
        let now = self.clock.now();
        // before anything leaves: a round that is cut short is not repeated before its time
        self.note_tidied(now)?;
        let plan = {
            let fresh = self.runs.all_learned().chain(&self.log.since.learned);
            let fresh: Vec<_> = fresh.map(|learned| (self.machine.clone(), learned)).collect();
            match tidy::plan(self.store.root(), policy, &fresh, now) {
                Ok(plan) => plan,
                // what keeps memory from being read never stops the kernel
                Err(error) => return Ok(Err(error.to_string())),
            }
        };
        let (plan, more) = cut(plan);
        self.tidying.more = more;
        if more {
            self.tidying.next = None;
        }
        for note in &plan.notes {
            tracing::info!("policies/memory.toml: {note}");
        }
        if plan.is_empty() {
            return Ok(Ok(()));
        }
        self.log.since.subject = Some(format!("memory: {}", plan.words()));
        for summary in plan.summarise {
            self.log_event(Learned::Passage(summary.passage).in_log())?;
        }
        let source = Source::Person { person: by.to_owned() };
        for leaving in plan.forget {
            let forgotten = leaving.forgotten(self.clock.now(), source.clone());
            self.log_event(Learned::Forgotten(forgotten).in_log())?;
        }
        Ok(Ok(()))
    }

    /// When memory was tidied last on this machine.
    fn tidied(&self) -> Result<Option<Timestamp>, DriverError> {
        let bytes = fsutil::read(&self.store.path(paths::TIDIED))?;
        // one that can not be read counts as none
        Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()?.trim().parse().ok()))
    }

    fn note_tidied(&self, now: Timestamp) -> Result<(), DriverError> {
        Ok(fsutil::write(&self.store.path(paths::TIDIED), format!("{}\n", time::write(now)).as_bytes())?)
    }
}

/// As much of a plan as one round does, and whether that is not all. Summaries go first: what they stand in for may
/// be among what leaves.
fn cut(mut plan: TidyPlan) -> (TidyPlan, bool) {
    let all = plan.summarise.len() + plan.forget.len();
    plan.summarise.truncate(ROUND_MAX);
    plan.forget.truncate(ROUND_MAX - plan.summarise.len());
    let done = plan.summarise.len() + plan.forget.len();
    (plan, done < all)
}
