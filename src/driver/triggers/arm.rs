//! Which triggers are armed: those of the last commit's definitions, where that version is trusted.
//!
//! What this machine's operator writes into `workflow.toml` is trusted as it is adopted. What arrived
//! by git is not, and an edit of another file of the folder leaves trust as it was.

use cairn_store_layout::{definition::TriggerSource, paths};

use super::Armed;
use crate::{
    driver::{Driver, DriverError, begin::Follows},
    store::{
        definitions::WORKFLOW_TOML,
        git::Change,
        triggers::{Seen, Trusted, seen},
    },
};
use std::{collections::BTreeMap, time::Duration};

impl Driver {
    /// Arms the triggers that may start runs. Cheap when neither the definitions of the last commit nor
    /// what is trusted has changed.
    ///
    /// # Errors
    /// When git can not be read, or what was seen can not be kept.
    pub(in crate::driver) fn arm_triggers(&mut self) -> Result<(), DriverError> {
        let tree = |path: &str| self.repo.tree_of(path, None);
        let looked = [tree("workflows")?, tree("agents")?, tree("connectors")?];
        let same = self.triggers.looked.as_ref() == Some(&looked);
        if same && self.triggers.trusted.iter().all(|(name, trusted)| self.trusted(name) == *trusted) {
            return Ok(());
        }
        let next: BTreeMap<_, _> =
            self.triggers.armed.drain(..).map(|armed| ((armed.key(), armed.since), armed.next)).collect();
        self.triggers.trusted.clear();
        for workflow in self.repo.folders_in("workflows")? {
            // a definition that can not be used starts nothing; `cairn workflow check` says why
            let Ok(follows) = self.follow(&workflow)? else { continue };
            if follows.pinned.plan.triggers().is_empty() {
                continue;
            }
            let trusted = self.trusted(&workflow);
            let is_trusted = trusted.as_deref() == Some(follows.pins.definition.as_str());
            self.triggers.trusted.insert(workflow.clone(), trusted);
            if is_trusted {
                self.arm(&follows)?;
            } else {
                // once it is trusted its triggers count from then
                self.triggers.desk.forget(&workflow)?;
                self.triggers.seen.remove(&workflow);
                tracing::warn!(workflow, "its triggers are off until this version is trusted here");
            }
        }
        for armed in &mut self.triggers.armed {
            if let Some(next) = next.get(&(armed.key(), armed.since)) {
                armed.next = *next;
            }
        }
        self.triggers.looked = Some(looked);
        self.triggers.files_due = Some(Duration::ZERO);
        Ok(())
    }

    /// Trusts the edit of a unit that is about to be committed, as far as it is of `workflow.toml` or of a
    /// version that was trusted; tells whether it does. Before the commit: a kill between the two leaves a
    /// version trusted that the next start adopts.
    ///
    /// # Errors
    /// When trust can not be written down.
    pub(in crate::driver) fn trust_edit(&mut self, unit: &str, changes: &[Change]) -> Result<bool, DriverError> {
        let Some(workflow) = unit.strip_prefix("workflows/") else { return Ok(false) };
        let file = format!("{}/{WORKFLOW_TOML}", paths::workflow_dir(workflow));
        let toml = changes.iter().find(|change| change.path() == file);
        if matches!(toml, Some(Change::Remove { .. })) {
            self.triggers.desk.untrust(workflow)?;
            return Ok(false);
        }
        let before = self.repo.tree_of(unit, None)?.map(|tree| tree.to_string());
        let was_trusted = before.is_some() && self.trusted(workflow) == before;
        if toml.is_none() && !was_trusted {
            return Ok(false);
        }
        // a folder with a link in it has no id before its commit, which leaves the link out
        if let Ok(Some(definition)) = self.repo.write_tree_id_of_dir(unit) {
            self.trust(workflow, definition.to_string())?;
        }
        Ok(true)
    }

    /// Trusts a unit as it was committed.
    ///
    /// # Errors
    /// When git can not be read, or trust can not be written down.
    pub(in crate::driver) fn trust_committed(&mut self, unit: &str) -> Result<(), DriverError> {
        let Some(workflow) = unit.strip_prefix("workflows/") else { return Ok(()) };
        match self.repo.tree_of(unit, None)?.map(|tree| tree.to_string()) {
            Some(definition) if self.trusted(workflow).as_ref() != Some(&definition) => {
                self.trust(workflow, definition)
            }
            _ => Ok(()),
        }
    }

    fn trust(&mut self, workflow: &str, definition: String) -> Result<(), DriverError> {
        let (by, at) = (self.who.name.clone(), self.clock.now());
        Ok(self.triggers.desk.trust(workflow, &Trusted { definition, by, at })?)
    }

    /// The version of a workflow that is trusted here. What can not be read trusts nothing.
    fn trusted(&self, workflow: &str) -> Option<String> {
        match self.triggers.desk.trusted(workflow) {
            Ok(trusted) => trusted.map(|trusted| trusted.definition),
            Err(error) => {
                tracing::warn!(workflow, %error, "its triggers are off");
                None
            }
        }
    }

    fn arm(&mut self, follows: &Follows) -> Result<(), DriverError> {
        let workflow = &follows.workflow;
        let mut known = match self.triggers.seen.remove(workflow) {
            Some(known) => known,
            None => self.triggers.desk.seen(workflow).unwrap_or_else(|error| {
                tracing::warn!(workflow, %error, "its triggers count anew from now");
                BTreeMap::new()
            }),
        };
        let mut kept = BTreeMap::new();
        let mut changed = false;
        for (position, trigger) in follows.pinned.plan.triggers().iter().enumerate() {
            let digest = trigger.digest();
            let seen = match known.remove(trigger.id()).filter(|seen| seen.trigger == digest) {
                Some(seen) => seen,
                None => {
                    changed = true;
                    let mut fresh = Seen { trigger: digest, since: self.clock.now(), files: BTreeMap::new() };
                    if let TriggerSource::File(pattern) = trigger.source() {
                        self.take_as_seen(pattern, &|path| trigger.looks_for(path), &mut fresh);
                    }
                    fresh
                }
            };
            let next = trigger.schedule().map(|_| seen.since);
            self.triggers.armed.push(Armed { follows: follows.clone(), position, since: seen.since, next });
            kept.insert(trigger.id().to_owned(), seen);
        }
        if changed || !known.is_empty() {
            self.triggers.desk.keep(workflow, &kept)?;
        }
        self.triggers.seen.insert(workflow.clone(), kept);
        Ok(())
    }

    /// What is there when a trigger is taken up is not new to it.
    fn take_as_seen(&self, pattern: &str, fits: &dyn Fn(&str) -> bool, seen: &mut Seen) {
        let root = self.store.root();
        match seen::present(root, pattern, fits) {
            Ok(present) => {
                for file in seen.look(root, &present, Duration::ZERO).appeared {
                    seen.mark(file.path, file.mark);
                }
            }
            Err(why) => tracing::warn!(pattern, why, "no file starts a run"),
        }
    }
}
