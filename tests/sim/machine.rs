//! One machine of a simulation: its folder, its store, and the kernel that runs or does not.

use std::{cell::RefCell, path::PathBuf, rc::Rc, time::Duration};

use cairn::{
    driver::{Clock as _, Dispatcher, DriverError, Kernel, Wake, World},
    store::{self, Store, fsutil, journal::JournalOptions, lock::KernelLock},
};
use cairn_store_layout::{MachineId, paths};

use crate::{
    hands::{Hands, Intents, UnderWay},
    lab::Lab,
    shared::image::Image,
    sink::{Sender, Sink},
    time::Ticks,
    wording::PARTS,
};

/// A store as it is when a simulation begins, by machine: making one is the slowest part.
pub(crate) struct Template {
    pub(crate) root: PathBuf,
    image: Image,
    machine: MachineId,
}

impl Template {
    /// Makes a store in `root`, and keeps what is in it.
    pub(crate) fn make(root: PathBuf) -> Self {
        std::fs::create_dir_all(&root).expect("a folder in memory");
        let lab = Lab::new(0, None);
        let _observing = store::disk::observe(lab.clone());
        let made = store::init::init_at(&root.join("home"), &root.join("store"), false, lab.time.wall());
        let made = made.expect("a store");
        for (path, text) in PARTS {
            fsutil::write(&made.store.path(path), text.as_bytes()).expect("a part");
        }
        let image = Image::read(&root).expect("a folder of files");
        Self { root, image, machine: made.machine }
    }
}

pub(crate) struct Machine {
    pub(crate) number: usize,
    pub(crate) root: PathBuf,
    pub(crate) id: MachineId,
    pub(crate) store: Store,
    pub(crate) kernel: Option<Kernel>,
    pub(crate) life: u32,
    clock: Option<Ticks>,
    under_way: Rc<RefCell<UnderWay>>,
    pub(crate) intents: Rc<RefCell<Intents>>,
}

impl Machine {
    /// Lays a new machine out.
    pub(crate) fn new(number: usize, template: &Template, lab: &Lab) -> Self {
        template.image.lay_out(&template.root, None).expect("a disk in memory takes an image");
        assert_eq!(lab.add(&template.root, &template.image), number, "disks are numbered as machines are");
        let store = Store::open(&template.root.join("store")).expect("a store");
        Self {
            number,
            root: template.root.clone(),
            id: template.machine.clone(),
            store,
            kernel: None,
            life: 0,
            clock: None,
            under_way: Rc::default(),
            intents: Rc::default(),
        }
    }

    /// A new process becomes the kernel, as far as it gets.
    pub(crate) fn start(
        &mut self,
        lab: &Rc<Lab>,
        sink: &Rc<RefCell<Sink>>,
        by_the_wall: bool,
    ) -> Result<(), DriverError> {
        self.life += 1;
        self.under_way = Rc::default();
        let clock = Ticks::new(&lab.time, by_the_wall);
        let hands = Hands {
            lab: lab.clone(),
            sink: sink.clone(),
            intents: self.intents.clone(),
            from: Sender { machine: self.number, life: self.life },
            under_way: self.under_way.clone(),
        };
        let store = Store::open(self.store.root())?;
        let mut kernel = self.kernel_by(store, clock.clone(), Box::new(hands))?;
        kernel.look()?;
        self.clock = Some(clock);
        self.kernel = Some(kernel);
        Ok(())
    }

    /// A kernel of `store`, which may be another one than this machine's, with other hands.
    pub(crate) fn kernel_of(
        &self,
        lab: &Rc<Lab>,
        store: Store,
        hands: Box<dyn Dispatcher>,
    ) -> Result<Kernel, DriverError> {
        self.kernel_by(store, Ticks::new(&lab.time, false), hands)
    }

    fn kernel_by(&self, store: Store, clock: Ticks, hands: Box<dyn Dispatcher>) -> Result<Kernel, DriverError> {
        let world = World {
            home: self.root.join("home"),
            clock: Box::new(clock),
            dispatcher: Box::new(|_, _| Ok(hands)),
            journal: JournalOptions { segment_bytes: 8 << 10 },
            settled: Duration::ZERO,
            vectors: false,
        };
        let lock = KernelLock::take(store.root())?;
        Kernel::start(store, lock, world)
    }

    /// One turn, if a kernel runs.
    pub(crate) fn turn(&mut self, wakes: Vec<Wake>) -> Result<(), DriverError> {
        match &mut self.kernel {
            Some(kernel) => kernel.turn(wakes),
            None => Ok(()),
        }
    }

    /// How long until a timer of a run is due, if one is.
    pub(crate) fn until_due(&mut self) -> Option<Duration> {
        let due = self.kernel.as_ref()?.next_deadline()?;
        let now = self.clock.as_mut()?.now();
        Some(due.duration_since(now).max(jiff::SignedDuration::ZERO).unsigned_abs())
    }

    /// What its kernel's clock says, if one runs.
    pub(crate) fn now(&mut self) -> Option<jiff::Timestamp> {
        self.kernel.as_ref()?;
        Some(self.clock.as_mut()?.now())
    }

    /// Puts a file into this machine's inbox in one piece, but without our verbs.
    pub(crate) fn drop_file(&self, name: &str, bytes: &[u8]) {
        let path = self.store.path(&paths::inbox(&self.id)).join(name);
        fsutil::write_derived(&path, bytes).expect("a disk in memory takes a file");
    }
}
