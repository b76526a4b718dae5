//! One seed: a store, kernels that are crashed again and again, and the promises after every event.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::{self, Write as _},
    rc::Rc,
    time::Duration,
};

use cairn::{
    driver::{DriverError, Until, Wake},
    store::{disk::observe, error::StoreError, lock::KernelLock, verify},
};
use cairn_store_layout::RunId;
use jiff::SignedDuration;

use crate::{
    lab::{Blow, Deaf, Lab, Place},
    machine::{Machine, Template},
    model::Request,
    operator::{self, Draws, Operator},
    promises::{Promises, World},
    shared::{image::Image, platter::Leaves, random::Random},
    sink::{Manners, Sink},
    whatif::{self, Shown},
    workload::{CHILD, FIRED, MAIN, Taste},
};

/// Turns that a world which behaves needs at most to bring everything to its end.
const TURNS_TO_REST: usize = 1_500;

/// One store in so many is shown to git, which is slow.
const FSCK_EVERY: u64 = 50;

/// What one seed did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ran {
    pub(crate) events: u64,
    pub(crate) commits: u64,
    pub(crate) attempts: u64,
    pub(crate) runs: u64,
    pub(crate) crashes: u64,
    pub(crate) power_cuts: u64,
    pub(crate) faults: u64,
    /// Events by their kinds.
    pub(crate) kinds: BTreeMap<String, u64>,
    /// Step by step.
    pub(crate) trace: String,
}

impl Ran {
    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.commits += other.commits;
        self.attempts += other.attempts;
        self.runs += other.runs;
        self.crashes += other.crashes;
        self.power_cuts += other.power_cuts;
        self.faults += other.faults;
        for (kind, count) in &other.kinds {
            *self.kinds.entry(kind.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, commits, attempts, runs, crashes, power_cuts, faults, .. } = self;
        write!(
            f,
            "{runs} runs, {events} events, {attempts} attempts, {commits} commits; \
             {crashes} crashes, {power_cuts} power cuts, {faults} stops by a refusing disk"
        )
    }
}

/// A promise that was broken, and what led to it.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) why: String,
    pub(crate) trace: String,
}

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

/// What kind of world this seed is: each one does much of some things and little of others.
struct Mood {
    machines: usize,
    manners: Manners,
    acts: usize,
    wild: usize,
    /// How often, in percent, a blow is prepared before an act.
    blows: usize,
    power: usize,
    faults: usize,
    weights: [usize; ACTS.len()],
    taste: Taste,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Start,
    Decide,
    Next,
    Wait,
    Edit,
    Kill,
    Stop,
    Second,
    Mischief,
    Derived,
    Jump,
    Cancel,
}

const ACTS: [(Act, usize); 12] = [
    (Act::Start, 12),
    (Act::Decide, 20),
    (Act::Next, 40),
    (Act::Wait, 8),
    (Act::Edit, 4),
    (Act::Kill, 3),
    (Act::Stop, 2),
    (Act::Second, 1),
    (Act::Mischief, 2),
    (Act::Derived, 1),
    (Act::Jump, 1),
    (Act::Cancel, 2),
];

impl Mood {
    fn draw(chance: &mut Random, machines: usize) -> Self {
        let some = |chance: &mut Random, most: usize| if chance.coin() { 0 } else { chance.below(most) };
        let manners = Manners {
            soft: some(chance, 40),
            hard: some(chance, 10),
            business: some(chance, 10),
            lost: some(chance, 40),
            doubled: some(chance, 40),
            slow: some(chance, 90),
            large: some(chance, 40),
        };
        Self {
            machines: if chance.below(5) == 0 { 1 + chance.below(machines) } else { 1 },
            manners,
            acts: 8 + chance.below(24),
            wild: 2 + chance.below(6),
            blows: [0, 10, 25, 50][chance.below(4)],
            power: chance.below(101),
            faults: [0, 10, 30, 60][chance.below(4)],
            weights: ACTS.map(|(_, weight)| weight * (1 + chance.below(4))),
            taste: Taste::default(),
        }
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

    /// From here on nothing goes wrong any more, and everything comes to its end.
    fn heal(&mut self) -> Result<(), String> {
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
    fn close(&mut self, m: usize) -> Result<(), String> {
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

/// What git itself says of the repository.
fn fsck(machine: &Machine) -> Result<(), String> {
    let root = machine.store.root();
    let out = std::process::Command::new("git").arg("-C").arg(root).args(["fsck", "--full", "--strict"]).output();
    let out = out.map_err(|e| format!("git can not be asked: {e}"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    if out.status.success() { Ok(()) } else { Err(format!("git fsck: {said}")) }
}
