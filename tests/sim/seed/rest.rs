//! How a seed ends: nothing goes wrong any more, everything comes to its end, and the store at rest is looked at.

use cairn::{driver::Wake, store::verify};

use super::{Sim, world};
use crate::{
    machine::Machine,
    shared::{image::Image, platter::Leaves},
    sink::Manners,
    workload::FIRED,
};

/// Turns that a world which behaves needs at most to bring everything to its end.
const TURNS_TO_REST: usize = 1_500;

/// One store in so many is shown to git, which is slow.
const FSCK_EVERY: u64 = 50;

impl Sim {
    /// From here on nothing goes wrong any more, and everything comes to its end.
    pub(super) fn heal(&mut self) -> Result<(), String> {
        let polite = Manners { soft: 0, hard: 0, business: 0, lost: 0, doubled: 0, slow: 0, large: 0 };
        self.sink.borrow_mut().behave(polite);
        self.mood.blows = 0;
        for m in 0..self.machines.len() {
            self.lab.disarm(m);
        }
        for m in 0..self.machines.len() {
            self.disarm(m)?;
            // a kernel that went on after a refusal may have put something off: the next start makes up for it
            self.stop(m)?;
            self.ensure_kernel(m)?;
            let repaired = self.machines[m].kernel.as_ref().map_or(&[][..], |kernel| &kernel.served().repaired);
            if !repaired.is_empty() {
                return Err(format!("D2: a clean stop left something to repair: {}", repaired.join("; ")));
            }
        }
        for turn in 0..TURNS_TO_REST {
            let mut waits = false;
            for m in 0..self.machines.len() {
                let open = self.open(m);
                for request in &open {
                    let only = std::slice::from_ref(request);
                    self.operator.decide(
                        &mut self.chance,
                        &self.lab,
                        &self.machines[m],
                        only,
                        &mut self.sink.borrow_mut(),
                        true,
                    );
                }
                self.turn(m, vec![Wake::Time])?;
                waits |= self.promises[m].runs.values().any(|run| run.end.is_none());
            }
            let alive = |m: usize, life: u32| self.machines[m].life == life;
            if !waits && self.sink.borrow().next(alive).is_none() {
                self.note(0, &format!("at rest after {turn} turns"));
                return Ok(());
            }
            self.next()?;
        }
        let open: Vec<String> = self
            .promises
            .iter()
            .flat_map(|p| p.runs.values())
            .filter(|r| r.end.is_none())
            .map(|r| format!("{r:?}"))
            .collect();
        Err(format!("E1: not at rest after {TURNS_TO_REST} turns: {}", open.join("\n")))
    }

    /// E7: nothing is late; from here on nothing starts runs by itself.
    fn disarm(&mut self, m: usize) -> Result<(), String> {
        if self.mood.taste.trigger == 0 {
            return Ok(());
        }
        // a kernel that has just begun has looked at everything
        self.stop(m)?;
        self.ensure_kernel(m)?;
        let now = self.machines[m].now();
        self.stop(m)?;
        if let Some(now) = now {
            let Self { promises, machines, .. } = self;
            let (promises, machine) = (&mut promises[m], &machines[m]);
            let check = || promises.on_time(machine, &world(&self.lab, &self.operator, &self.sink.borrow()), now);
            self.lab.by_hand(check)?;
        }
        self.mood.taste.trigger = 0;
        self.edit(m, FIRED);
        self.mood.taste.trigger = 1;
        self.ensure_kernel(m)
    }

    /// A clean stop, and everything that can be said of a store at rest.
    pub(super) fn close(&mut self, m: usize) -> Result<(), String> {
        self.stop(m)?;
        for (id, of) in &self.operator.of {
            if *of == m && !self.promises[m].is_answered(id)? {
                return Err(format!("E10: command {id} was never answered: {:?}", self.operator.asked[id]));
            }
        }
        let machine = &self.machines[m];
        if self.lab.time.is_steady() {
            self.promises[m].end()?;
        }
        let report = self.lab.by_hand(|| verify::verify(&machine.store));
        if !report.ok() {
            return Err(format!("verify: {:?}", report.findings));
        }
        if self.seed.is_multiple_of(FSCK_EVERY) {
            fsck(machine)?;
        }
        if !self
            .lab
            .look(m, |platter| platter.image(Leaves::Everything))
            .is_some_and(|image| Image::read(&machine.root).expect("a folder of files") == image)
        {
            return Err("the simulated disk does not hold what the real one does".to_owned());
        }
        self.ran.events += self.promises[m].events;
        for (kind, count) in &self.promises[m].kinds {
            *self.ran.kinds.entry(kind.clone()).or_default() += count;
        }
        self.ran.commits += self.promises[m].commits;
        self.ran.runs += self.promises[m].runs.len() as u64;
        self.ran.attempts = self.sink.borrow().arrived;
        Ok(())
    }
}

/// What git itself says of the repository.
fn fsck(machine: &Machine) -> Result<(), String> {
    let root = machine.store.root();
    let out = std::process::Command::new("git").arg("-C").arg(root).args(["fsck", "--full", "--strict"]).output();
    let out = out.map_err(|e| format!("git can not be asked: {e}"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    if out.status.success() { Ok(()) } else { Err(format!("git fsck: {said}")) }
}
