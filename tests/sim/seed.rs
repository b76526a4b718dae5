//! One seed: a store, kernels that are crashed again and again, and the promises after every event.

mod mood;
mod ran;
mod rest;

use std::{cell::RefCell, fmt::Write as _, rc::Rc, time::Duration};

use cairn::{
    driver::{DriverError, Until, Wake},
    store::{disk::observe, error::StoreError, lock::KernelLock},
};
use cairn_store_layout::RunId;
use jiff::SignedDuration;

use mood::{ACTS, Act, Mood};
pub(crate) use ran::{Broken, Ran};

use crate::{
    lab::{Blow, Deaf, Lab, Place},
    machine::{Machine, Template},
    model::Request,
    operator::{self, Draws, Operator},
    promises::{Promises, World},
    shared::{image::Image, platter::Leaves, random::Random},
    sink::Sink,
    whatif::{self, Shown},
    workload::{CHILD, FIRED, MAIN, Taste},
};

/// What is wrong on purpose.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wrong {
    pub(crate) deaf: Option<Deaf>,
    /// The kernel asks the wall clock again and again.
    pub(crate) by_the_wall: bool,
    #[cfg(feature = "seeded-bugs")]
    pub(crate) bug: Option<cairn_kernel::seeded::Bug>,
}

/// Runs `seed` on the machines of `templates`.
pub(crate) fn run(seed: u64, templates: &[Template], wrong: Wrong) -> Result<Ran, Box<Broken>> {
    let lab = Lab::new(seed, wrong.deaf);
    let _observing = observe(lab.clone());
    let mut chance = Random::new(seed);
    let mut more = Random::new(seed ^ 0x7A57E);
    let mood = Mood { taste: Taste::draw(&mut more), ..Mood::draw(&mut chance, templates.len()) };
    let machines = templates[..mood.machines].iter().enumerate().map(|(n, t)| Machine::new(n, t, &lab)).collect();
    let mut mood = mood;
    if mood.taste.undo > 0 {
        // a run that goes well takes nothing back
        mood.manners.hard = mood.manners.hard.max(8);
    }
    let mut sink = Sink::new(seed, mood.manners);
    sink.is_looked_at = mood.taste.probe > 0;
    let snapshots = vec![None; mood.machines];
    let mut sim = Sim {
        seed,
        sink: Rc::new(RefCell::new(sink)),
        promises: (0..mood.machines).map(|_| Promises::default()).collect(),
        lab,
        chance,
        more,
        mood,
        machines,
        operator: Operator::default(),
        snapshots,
        by_the_wall: wrong.by_the_wall,
        ran: Ran::default(),
    };
    match sim.live() {
        Ok(()) => Ok(sim.ran),
        Err(why) => Err(Box::new(Broken { why, trace: sim.ran.trace })),
    }
}

struct Sim {
    seed: u64,
    lab: Rc<Lab>,
    sink: Rc<RefCell<Sink>>,
    chance: Random,
    /// For what not every seed does.
    more: Random,
    mood: Mood,
    machines: Vec<Machine>,
    promises: Vec<Promises>,
    operator: Operator,
    /// A state of each machine's disk, and what had been shown then.
    snapshots: Vec<Option<(Image, Shown)>>,
    by_the_wall: bool,
    ran: Ran,
}

impl Sim {
    fn live(&mut self) -> Result<(), String> {
        for m in 0..self.machines.len() {
            if self.mood.taste.child > 0 {
                self.edit(m, CHILD);
            }
            if self.mood.taste.trigger > 0 {
                self.edit(m, FIRED);
            }
            self.edit(m, MAIN);
            self.start_kernel(m)?;
        }
        for _ in 0..self.mood.acts {
            let m = self.chance.below(self.machines.len());
            self.act(m)?;
        }
        self.heal()?;
        for m in 0..self.machines.len() {
            self.close(m)?;
        }
        Ok(())
    }

    fn act(&mut self, m: usize) -> Result<(), String> {
        let total: usize = self.mood.weights.iter().sum();
        let mut at = self.chance.below(total);
        let chosen = self.mood.weights.iter().position(|w| {
            let here = at < *w;
            at = at.saturating_sub(*w);
            here
        });
        let act = ACTS[chosen.unwrap_or(0)].0;
        if self.chance.below(100) < self.mood.blows {
            self.prepare_blow(m);
        }
        self.note(m, &format!("{act:?}"));
        if self.more.below(100) < self.mood.taste.undo / 4 {
            let open = self.promises[m].runs.values().filter(|run| run.end.is_none());
            let runs: Vec<RunId> = open.map(|run| run.run.clone()).collect();
            if !runs.is_empty() {
                let run = runs[self.more.below(runs.len())].clone();
                self.operator.cancel(&self.lab, &self.machines[m], run, true);
            }
        }
        if self.more.below(100) < self.mood.taste.event.max(self.mood.taste.trigger) / 2 {
            let runs: Vec<RunId> = self.promises[m].runs.values().map(|r| r.run.clone()).collect();
            self.operator.emit(&mut self.more, &self.lab, &self.machines[m], &runs);
            self.note(m, "an event");
            self.turn(m, vec![Wake::Inbox])?;
        }
        match act {
            Act::Start => {
                for _ in 0..=self.chance.below(3) {
                    self.operator.start(&mut self.chance, &self.lab, &self.machines[m]);
                }
                self.turn(m, vec![Wake::Inbox])
            }
            Act::Decide => {
                let open = self.open(m);
                for _ in 0..=self.chance.below(2) {
                    self.operator.decide(
                        &mut self.chance,
                        &self.lab,
                        &self.machines[m],
                        &open,
                        &mut self.sink.borrow_mut(),
                        false,
                    );
                }
                self.turn(m, vec![Wake::Inbox])
            }
            Act::Next => self.next(),
            Act::Wait => {
                let most = [100, 5_000, 600_000, 90_000_000][self.chance.below(4)];
                self.lab.time.pass(Duration::from_millis(self.chance.next() % most));
                self.turn(m, vec![Wake::Time])
            }
            Act::Edit => {
                let (child, fired) = (self.mood.taste.child > 0, self.mood.taste.trigger > 0);
                let workflow = match self.more.below(4) {
                    0 if child => CHILD,
                    1 if fired => FIRED,
                    _ => MAIN,
                };
                self.edit(m, workflow);
                self.turn(m, vec![Wake::Definitions])
            }
            Act::Kill => self.crash(m),
            Act::Stop => self.stop(m).and_then(|()| self.ensure_kernel(m)),
            Act::Second => self.second(m),
            Act::Mischief => {
                operator::mischief(&mut self.chance, &self.lab, &self.machines[m]);
                self.turn(m, vec![Wake::Inbox])
            }
            Act::Derived => {
                operator::delete_derived(&self.lab, &self.machines[m]);
                self.turn(m, vec![Wake::Time])
            }
            Act::Jump => {
                let by = SignedDuration::from_hours([-24, -1, 1, 24][self.chance.below(4)]);
                self.lab.time.jump(by);
                self.turn(m, vec![Wake::Time])
            }
            Act::Cancel => {
                let runs: Vec<RunId> = self.promises[m].runs.values().map(|r| r.run.clone()).collect();
                if !runs.is_empty() {
                    let run = runs[self.chance.below(runs.len())].clone();
                    let undo = self.mood.taste.undo > 0 && self.more.coin();
                    self.operator.cancel(&self.lab, &self.machines[m], run, undo);
                }
                self.turn(m, vec![Wake::Inbox])
            }
        }
    }

    /// The next thing that happens by itself: a reply, or a time that was waited for.
    fn next(&mut self) -> Result<(), String> {
        let alive = |m: usize, life: u32| self.machines[m].life == life && self.machines[m].kernel.is_some();
        let reply = self.sink.borrow().next(alive);
        let now = self.lab.time.up();
        let due: Vec<Option<Duration>> = self.machines.iter_mut().map(Machine::until_due).collect();
        let soonest = due.iter().enumerate().filter_map(|(m, d)| Some((now + (*d)?, m))).min();
        let reply_at = reply.map(|n| self.sink.borrow().replies[n].at);
        match (reply, soonest) {
            (Some(n), other) if other.is_none_or(|(at, _)| reply_at <= Some(at)) => {
                let reply = self.sink.borrow_mut().replies.remove(n);
                self.lab.time.pass(reply.at.saturating_sub(now));
                self.turn(reply.machine, vec![Wake::Report(Box::new(reply.report))])
            }
            (_, Some((at, m))) => {
                self.lab.time.pass(at.saturating_sub(now));
                self.turn(m, vec![Wake::Time])
            }
            _ => {
                self.lab.time.pass(Duration::from_secs(10));
                self.turn(0, vec![Wake::Time])
            }
        }
    }

    fn turn(&mut self, m: usize, wakes: Vec<Wake>) -> Result<(), String> {
        self.promises[m].turned = self.lab.time.up();
        let result = self.machines[m].turn(wakes);
        self.after(m, result)
    }

    /// What became of something a kernel did.
    fn after(&mut self, m: usize, result: Result<(), DriverError>) -> Result<(), String> {
        self.heard()?;
        if self.lab.is_dead(m) {
            return self.crash(m);
        }
        match (result, self.lab.refused(m)) {
            (Ok(()), _) => {
                let Self { promises, machines, .. } = self;
                let (promises, machine) = (&mut promises[m], &machines[m]);
                let check = || promises.check(machine, &world(&self.lab, &self.operator, &self.sink.borrow()));
                self.lab.by_hand(check)
            }
            (Err(error), Some(refused)) => {
                self.ran.faults += 1;
                self.note(m, &format!("stopped ({refused}): {error}"));
                self.look(m)?;
                self.machines[m].kernel = None;
                self.lab.revive(m);
                if self.chance.below(100) < self.mood.power {
                    self.power_cut(m);
                }
                self.start_kernel(m)
            }
            (Err(error), None) => Err(format!("the kernel stopped although nothing was refused to it: {error}")),
        }
    }

    /// The kernel dies now, and another one starts.
    fn crash(&mut self, m: usize) -> Result<(), String> {
        self.ran.crashes += 1;
        self.look(m)?;
        self.machines[m].kernel = None;
        self.lab.revive(m);
        let cut = self.chance.below(100) < self.mood.power;
        if cut {
            self.power_cut(m);
        } else {
            self.note(m, "killed");
        }
        if self.chance.below(100) < self.mood.blows / 2 {
            self.prepare_blow(m);
        }
        // the mark outside of the store is not synced: after a power cut it may notice less
        if !cut {
            self.what_if(m)?;
        }
        self.start_kernel(m)
    }

    /// A moment in which the machine is tried out as another one.
    fn what_if(&mut self, m: usize) -> Result<(), String> {
        let Self { more, lab, promises, machines, snapshots, mood, .. } = self;
        if more.below(100) >= mood.taste.whatif {
            return Ok(());
        }
        let (shown, head) = promises[m].known();
        let told = whatif::ask(more, lab, &machines[m], shown, snapshots[m].as_ref(), head)?;
        if more.below(3) == 0 {
            let image = lab.look(m, |platter| platter.image(Leaves::Everything));
            snapshots[m] = image.map(|image| (image, shown.clone()));
        }
        *self.ran.kinds.entry("what if".to_owned()).or_default() += 1;
        self.note(m, &format!("what if {told}"));
        Ok(())
    }

    fn power_cut(&mut self, m: usize) {
        let seed = self.chance.next();
        let leaves = match self.chance.below(8) {
            0 => Leaves::Nothing,
            1 => Leaves::ZeroTail,
            2 => Leaves::Prefix(seed),
            3 => Leaves::Torn(seed),
            _ => Leaves::Some(seed),
        };
        self.ran.power_cuts += 1;
        self.note(m, &format!("power cut, {leaves:?}"));
        self.lab.power_cut(m, leaves);
    }

    fn start_kernel(&mut self, m: usize) -> Result<(), String> {
        self.promises[m].restarted();
        // a process takes its time to begin; the clock of the one before may be ahead by its last ticks
        self.lab.time.pass(Duration::from_millis(100));
        let result = self.machines[m].start(&self.lab, &self.sink, self.by_the_wall);
        self.note(m, &format!("start, life {}", self.machines[m].life));
        self.after(m, result)
    }

    /// Starts a kernel, unless a crash did.
    fn ensure_kernel(&mut self, m: usize) -> Result<(), String> {
        if self.machines[m].kernel.is_some() { Ok(()) } else { self.start_kernel(m) }
    }

    fn stop(&mut self, m: usize) -> Result<(), String> {
        let Some(mut kernel) = self.machines[m].kernel.take() else { return Ok(()) };
        kernel.begin_stop();
        let result = kernel.stop(&Until::Stopped).map(drop);
        self.after(m, result)
    }

    /// D9: as long as a kernel lives, nobody else owns its store.
    fn second(&mut self, m: usize) -> Result<(), String> {
        if self.machines[m].kernel.is_none() {
            return Ok(());
        }
        match self.lab.by_hand(|| KernelLock::take(self.machines[m].store.root())) {
            Err(StoreError::Held { .. }) => Ok(()),
            Ok(_) => Err("D9: a second kernel got the lock".to_owned()),
            Err(error) => Err(format!("D9: the lock answers {error}")),
        }
    }

    fn prepare_blow(&mut self, m: usize) {
        let chance = &mut self.chance;
        let place = match chance.below(8) {
            0 | 1 => Place::Change,
            2 | 3 => Place::Journal,
            4 => Place::History,
            5 => Place::Git,
            6 => Place::Ref,
            _ => Place::Inbox,
        };
        let some = chance.below(5_000);
        let (place, blow) = if chance.below(100) < self.mood.faults {
            const ERRNO: [i32; 5] = [5, 28, 24, 4, 122];
            let errno = ERRNO[chance.below(5)];
            let place = [Place::Call, Place::Sync, place][chance.below(3)];
            let blow = match chance.below(3) {
                0 if place != Place::Sync => Blow::Short(some),
                1 if errno != 4 => Blow::FailForGood(errno),
                _ => Blow::Fail(errno),
            };
            (place, blow)
        } else {
            (place, [Blow::Before, Blow::After, Blow::Within(some)][chance.below(3)])
        };
        let most = match place {
            Place::Change | Place::Call => 60,
            Place::Sync => 4,
            _ => 8,
        };
        let skip = chance.below(1 + chance.clone().below(most));
        self.lab.arm(m, place, skip, blow);
        self.note(m, &format!("blow {blow:?} at {place:?} after {skip}"));
    }

    fn edit(&mut self, m: usize, workflow: &str) {
        let Self { chance, more, operator, machines, lab, mood, .. } = self;
        let sure = mood.taste.trigger == 0 && workflow == FIRED;
        let mut draws = Draws { chance, more, wild: mood.wild, taste: mood.taste, sure };
        let version = operator.edit(&mut draws, lab, &machines[m], workflow);
        self.note(m, &format!("version {version} of {workflow} is saved"));
    }

    fn open(&self, m: usize) -> Vec<(RunId, Request)> {
        let runs = self.promises[m].runs.values();
        runs.flat_map(|run| run.requests().into_iter().map(|request| (run.run.clone(), request))).collect()
    }

    fn look(&mut self, m: usize) -> Result<(), String> {
        let Self { promises, machines, .. } = self;
        let look = || promises[m].look(&machines[m], &world(&self.lab, &self.operator, &self.sink.borrow()));
        self.lab.by_hand(look)
    }

    fn heard(&mut self) -> Result<(), String> {
        let wrongs = std::mem::take(&mut self.sink.borrow_mut().wrongs);
        wrongs.into_iter().next().map_or(Ok(()), Err)
    }

    fn note(&mut self, m: usize, what: &str) {
        let _ = writeln!(self.ran.trace, "{:>12.3}s m{m} {what}", self.lab.time.up().as_secs_f64());
    }
}

fn world<'a>(lab: &'a Lab, operator: &'a Operator, sink: &'a Sink) -> World<'a> {
    World { lab, asked: &operator.asked, meant: &operator.meant, sink }
}
