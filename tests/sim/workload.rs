//! Definitions drawn from a seed: valid ones, of every kind of step, each with a version of its own.
//!
//! The generator keeps what it meant beside the text that [`crate::wording`] makes of it, so that the
//! reference model knows what must happen without reading a definition.

use cairn_store_layout::payload::EffectClass;
use serde_json::{Value, json};

use crate::shared::random::Random;

/// One version of one workflow.
#[derive(Debug, Clone)]
pub(crate) struct Meant {
    pub(crate) version: u32,
    /// In the order of the file; those of `finally` come last.
    pub(crate) steps: Vec<MeantStep>,
    /// What becomes of the run when a step fails; `None`: what is usual.
    pub(crate) on_failure: Option<OnFailure>,
    /// In seconds.
    pub(crate) deadline: Option<u64>,
    /// So many runs at once.
    pub(crate) lease: Option<Lease>,
    pub(crate) triggers: Vec<Trigger>,
}

/// What starts runs by itself.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    /// Of this version alone.
    pub(crate) id: String,
    pub(crate) source: Source,
    pub(crate) misfire: Misfire,
    pub(crate) overlap: Overlap,
    /// Only one run for each `about` of an event.
    pub(crate) dedupe: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// In seconds.
    Every(u64),
    /// At this minute of each hour.
    Hourly(u64),
    Event(u8),
    /// The end of a run of [`MAIN`].
    Finished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misfire {
    Skip,
    Once,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlap {
    Skip,
    Queue,
    Replace,
    Allow,
}

impl Source {
    /// Between two due times, in seconds.
    pub(crate) fn pause(self) -> Option<u64> {
        match self {
            Self::Every(seconds) => Some(seconds),
            Self::Hourly(_) => Some(3_600),
            Self::Event(_) | Self::Finished => None,
        }
    }
}

impl Trigger {
    fn draw(chance: &mut Random, id: String) -> Self {
        let source = match chance.below(6) {
            0 | 1 => Source::Every([900, 7_200, 40_000][chance.below(3)]),
            2 => Source::Hourly(chance.below(60) as u64),
            3 | 4 => Source::Event(u8::try_from(chance.below(2)).expect("small")),
            _ => Source::Finished,
        };
        let misfire = [Misfire::Skip, Misfire::Once, Misfire::All][chance.below(3)];
        let overlap = [Overlap::Skip, Overlap::Queue, Overlap::Replace, Overlap::Allow][chance.below(4)];
        // many are made up for at once: only of those that are seldom due
        let often = source.pause().is_some_and(|pause| pause < 40_000);
        let misfire = if often && misfire == Misfire::All { Misfire::Once } else { misfire };
        let dedupe = matches!(source, Source::Event(_)) && chance.below(3) == 0;
        Self { id, source, misfire, overlap, dedupe }
    }
}

/// What must be free before something begins, over all runs of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Lease {
    /// The key, and how many may hold it.
    pub(crate) concurrency: Option<(String, u32)>,
    /// The key, how many may begin, and in how many seconds.
    pub(crate) rate: Option<(String, u32, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    Continue,
    Stop,
    Undo,
}

#[derive(Debug, Clone)]
pub(crate) struct MeantStep {
    pub(crate) id: String,
    pub(crate) needs: Vec<String>,
    pub(crate) does: Does,
    /// Done only if the input's `n` is more than this.
    pub(crate) above: Option<u64>,
    /// Once for each element of the input's `items`, so many at a time.
    pub(crate) each: Option<usize>,
    pub(crate) approve: bool,
    pub(crate) expires: bool,
    pub(crate) attempts: u32,
    pub(crate) finally: bool,
    /// So many of `needs` must be done; `None`: all.
    pub(crate) join: Option<usize>,
    pub(crate) repeat: Option<Repeat>,
    /// What takes the effect back, by its class.
    pub(crate) undo: Option<EffectClass>,
    /// What follows a failure that is soft, hard or of business.
    pub(crate) on: [After; 3],
    /// Of a child run, in seconds.
    pub(crate) timeout: Option<u64>,
    pub(crate) lease: Option<Lease>,
    /// The world can be asked whether it happened.
    pub(crate) probe: bool,
    /// The world forgets its key after [`WINDOW`].
    pub(crate) window: bool,
    /// An answer of the last hour will do.
    pub(crate) cache: bool,
}

/// For how long the world remembers the keys of an operation that forgets them, in seconds.
pub(crate) const WINDOW: u64 = 3_600;

/// Rounds: enough when it is round `until`, which may be more than `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repeat {
    pub(crate) until: u32,
    pub(crate) max: u32,
    /// A pause between two, in seconds.
    pub(crate) every: Option<u64>,
}

/// What follows a failure that is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Fail,
    Skip,
    Ask,
    Retry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Run(EffectClass),
    Call(EffectClass),
    Agent,
    Set,
    Ask,
    Wait(u64),
    /// A run of the workflow [`CHILD`].
    Child,
    /// An event of this number. `own`: only one whose `k` is the input's `n`. `within`: in seconds.
    Listen {
        event: u8,
        own: bool,
        within: u64,
    },
}

pub(crate) fn event_name(event: u8) -> String {
    format!("e{event}")
}

impl Does {
    pub(crate) fn has_effect(self) -> bool {
        matches!(self, Self::Run(_) | Self::Call(_) | Self::Agent | Self::Child)
    }

    /// Of what leaves for the world.
    pub(crate) fn class(self) -> Option<EffectClass> {
        match self {
            Self::Run(class) | Self::Call(class) => Some(class),
            _ => None,
        }
    }

    /// Whether the world is another one after it.
    pub(crate) fn changes(self) -> bool {
        matches!(self.class(), Some(EffectClass::Idempotent | EffectClass::Once))
    }
}

/// The workflow that runs are asked of.
pub(crate) const MAIN: &str = "w";
/// The workflow that its steps start.
pub(crate) const CHILD: &str = "c";
/// The workflow that triggers start.
pub(crate) const FIRED: &str = "t";

/// How much of the language a seed uses beside what each one does, in percent.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taste {
    pub(crate) join: usize,
    pub(crate) repeat: usize,
    pub(crate) undo: usize,
    pub(crate) on: usize,
    pub(crate) finally: usize,
    pub(crate) deadline: usize,
    pub(crate) child: usize,
    pub(crate) event: usize,
    pub(crate) lease: usize,
    pub(crate) probe: usize,
    pub(crate) cache: usize,
    pub(crate) trigger: usize,
    /// Machines are damaged, restored and copied.
    pub(crate) whatif: usize,
}

impl Taste {
    /// Every second seed is plain; of the others each does much of some things and little of others.
    pub(crate) fn draw(chance: &mut Random) -> Self {
        if chance.coin() {
            return Self::default();
        }
        let mut some = || if chance.below(5) < 2 { 10 + chance.below(60) } else { 0 };
        Self {
            join: some(),
            repeat: some(),
            undo: some(),
            on: some(),
            finally: some(),
            deadline: some(),
            child: some(),
            event: some(),
            lease: some(),
            probe: some(),
            cache: some(),
            trigger: some(),
            whatif: some(),
        }
    }
}

impl Meant {
    /// Draws a workflow. `wild`: how many steps it may have.
    pub(crate) fn draw(chance: &mut Random, version: u32, wild: usize) -> Self {
        let count = 1 + chance.below(wild);
        let mut steps: Vec<MeantStep> = Vec::new();
        for n in 0..count {
            let needs = steps.iter().filter(|_| chance.below(100) < 35).map(|s| s.id.clone()).collect::<Vec<_>>();
            let needs = needs.into_iter().take(3).collect();
            steps.push(MeantStep::draw(chance, n, needs));
        }
        Self { version, steps, on_failure: None, deadline: None, lease: None, triggers: Vec::new() }
    }

    /// Adds triggers.
    pub(crate) fn armed(mut self, chance: &mut Random) -> Self {
        let version = self.version;
        self.triggers = (0..=chance.below(3)).map(|n| Trigger::draw(chance, format!("v{version}x{n}"))).collect();
        self
    }

    /// Adds what `taste` asks for. `child`: it is itself what others start.
    pub(crate) fn season(mut self, chance: &mut Random, taste: Taste, child: bool) -> Self {
        let hit = |chance: &mut Random, percent: usize| chance.below(100) < percent;
        // a step that holds a turn never waits for one: a child's are others than its parent's
        let prefix = if child { CHILD } else { MAIN };
        for step in &mut self.steps {
            step.season(chance, Taste { child: if child { 0 } else { taste.child }, ..taste });
            step.share(chance, taste, prefix);
        }
        if hit(chance, taste.lease) {
            let most = 1 + u32::try_from(chance.below(2)).expect("small");
            self.lease = Some(Lease { concurrency: Some((prefix.to_owned(), most)), rate: None });
        }
        if hit(chance, taste.finally) {
            for n in 0..=chance.below(2) {
                let needs = (0..n).filter(|_| chance.coin()).map(|n| format!("f{n}")).collect();
                let mut step = MeantStep::draw(chance, n, needs);
                if matches!(step.does, Does::Ask | Does::Wait(_)) {
                    step.does = Does::Set;
                }
                step.season(chance, Taste { undo: 0, child: 0, event: 0, ..taste });
                self.steps.push(MeantStep { id: format!("f{n}"), finally: true, ..step });
            }
        }
        if hit(chance, taste.deadline) {
            self.deadline = Some([5, 300, 5_000, 50_000][chance.below(4)]);
        }
        if hit(chance, taste.undo.max(taste.finally)) {
            self.on_failure = Some([OnFailure::Continue, OnFailure::Stop, OnFailure::Undo][chance.below(3)]);
        }
        self
    }

    /// What becomes of the run when a step fails.
    pub(crate) fn on_failure(&self) -> OnFailure {
        let undoes = self.steps.iter().any(|step| step.undo.is_some());
        self.on_failure.unwrap_or(if undoes { OnFailure::Undo } else { OnFailure::Continue })
    }

    pub(crate) fn step(&self, id: &str) -> Option<&MeantStep> {
        self.steps.iter().find(|s| s.id == id)
    }
}

/// An input for a run.
pub(crate) fn input(chance: &mut Random) -> Value {
    let items: Vec<String> = (0..chance.below(4)).map(|n| format!("i{n}")).collect();
    match chance.below(12) {
        0 => json!({"n": "many"}),
        1 => json!({"n": chance.below(10), "items": items, "text": "no such field"}),
        2 => json!({"n": chance.below(10), "items": [{"big": "x".repeat(5_000)}]}),
        _ => json!({"n": chance.below(10), "items": items}),
    }
}

impl MeantStep {
    fn draw(chance: &mut Random, n: usize, needs: Vec<String>) -> Self {
        const CLASSES: [EffectClass; 4] =
            [EffectClass::None, EffectClass::Read, EffectClass::Idempotent, EffectClass::Once];
        let class = CLASSES[chance.below(4)];
        let does = match chance.below(20) {
            0..=6 => Does::Run(class),
            7..=12 => Does::Call(CLASSES[1 + chance.below(3)]),
            13 => Does::Agent,
            14 => Does::Set,
            15 | 16 => Does::Ask,
            _ => Does::Wait([1, 20, 90, 4_000, 100_000][chance.below(5)]),
        };
        let effect = does.has_effect();
        Self {
            id: format!("s{n}"),
            needs,
            does,
            above: (chance.below(5) == 0).then(|| chance.below(10) as u64),
            each: (chance.below(4) == 0).then(|| 1 + chance.below(3)),
            approve: effect && chance.below(3) == 0,
            expires: chance.below(3) == 0,
            attempts: if effect { 1 + u32::try_from(chance.below(3)).expect("small") } else { 1 },
            finally: false,
            join: None,
            repeat: None,
            undo: None,
            on: [After::Fail, After::Fail, After::Ask],
            timeout: None,
            lease: None,
            probe: false,
            window: false,
            cache: false,
        }
    }

    fn share(&mut self, chance: &mut Random, taste: Taste, prefix: &str) {
        if chance.below(100) >= taste.lease || !self.does.has_effect() || self.does == Does::Child {
            return;
        }
        let small = |chance: &mut Random, n: usize| 1 + u32::try_from(chance.below(n)).expect("small");
        let key = |chance: &mut Random, kind: &str| format!("{prefix}-{kind}{}", chance.below(2));
        let which = chance.below(3);
        let concurrency = (which != 0).then(|| (key(chance, "turn"), small(chance, 2)));
        // how long a rate looks back belongs to its key; how many begin is each one's own
        let rate = (which != 1).then(|| {
            let of = chance.below(3);
            (format!("{prefix}-rate{of}"), small(chance, 3), [10, 60, 600][of])
        });
        self.lease = Some(Lease { concurrency, rate });
    }

    fn season(&mut self, chance: &mut Random, taste: Taste) {
        let mut hit = |percent: usize| chance.below(100) < percent;
        let (joins, repeats, undoes) = (hit(taste.join), hit(taste.repeat), hit(taste.undo));
        let (ons, child, listens) = (hit(taste.on), hit(taste.child), hit(taste.event));
        let (probes, caches) = (hit(taste.probe), hit(taste.cache));
        let small = |chance: &mut Random, n: usize| 1 + u32::try_from(chance.below(n)).expect("small");
        if child && !matches!(self.does, Does::Ask) {
            self.does = Does::Child;
            // each one does as much as a run of its own
            self.each = self.each.filter(|_| chance.below(3) == 0);
            self.timeout = (chance.below(3) == 0).then(|| [3, 500, 20_000][chance.below(3)]);
            self.attempts = small(chance, 2);
        }
        if listens && !self.does.has_effect() {
            let event = u8::try_from(chance.below(2)).expect("small");
            let within = [20, 600, 4_000, 100_000][chance.below(4)];
            self.does = Does::Listen { event, own: chance.coin(), within };
        }
        if joins && !self.needs.is_empty() {
            self.join = Some(1 + chance.below(self.needs.len()));
        }
        if !self.does.has_effect() {
            return;
        }
        let class = self.does.class();
        self.probe = probes && class == Some(EffectClass::Once);
        self.window = probes && self.does == Does::Call(EffectClass::Idempotent);
        self.cache = caches && matches!(class, Some(EffectClass::None | EffectClass::Read));
        if repeats {
            let every = (chance.coin()).then(|| [1, 50, 3_000][chance.below(3)]);
            self.repeat = Some(Repeat { until: small(chance, 4), max: small(chance, 3), every });
        }
        if undoes && self.does != Does::Child {
            self.undo = Some([EffectClass::Idempotent, EffectClass::Once][chance.below(2)]);
        }
        if ons {
            self.on = [(); 3].map(|()| [After::Fail, After::Skip, After::Ask, After::Retry][chance.below(4)]);
        }
    }
}
