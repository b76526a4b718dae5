//! Memory tidied by the kernel itself: once per interval, across restarts, and never while something is under way.

use std::{path::Path, rc::Rc};

use cairn::{
    driver::{Kernel, Until, Wake},
    store::{self, Store, inbox, init::Made, lock::KernelLock},
};
use cairn_store_layout::{
    command::{NewPassage, Verb},
    paths,
};
use jiff::SignedDuration;
use serde_json::json;

use crate::turned::{Lab, answer};

struct Shop {
    lab: Rc<Lab>,
    home: std::path::PathBuf,
    made: Made,
}

impl Shop {
    fn new(dir: &Path, lab: &Rc<Lab>, policy: &str) -> Self {
        let home = dir.join("home");
        let made = store::init::init_at(&home, &dir.join("store"), false, *lab.now.borrow()).expect("a store");
        let shop = Self { lab: lab.clone(), home, made };
        shop.write("policies/memory.toml", policy);
        shop.write("workflows/w/workflow.toml", "[[step]]\nid = \"a\"\nrun = [\"true\"]\n");
        shop
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.made.store.path(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }

    fn begin(&self) -> Kernel {
        let store = Store::open(self.made.store.root()).expect("a store");
        let lock = KernelLock::take(store.root()).expect("the lock");
        let mut kernel = Kernel::start(store, lock, self.lab.world(&self.home)).expect("a kernel");
        kernel.look().expect("a look");
        kernel
    }

    fn ask(&self, kernel: &mut Kernel, verb: Verb) {
        let at = *self.lab.now.borrow();
        inbox::submit_at(&self.made.store, &self.made.machine, verb, "jo", at).expect("asked");
        kernel.turn(vec![Wake::Inbox]).expect("a turn");
    }

    fn tell(&self, kernel: &mut Kernel, text: &str) {
        let new = NewPassage { text: text.to_owned(), kind: "note".to_owned(), ..NewPassage::default() };
        self.ask(kernel, Verb::MemoryAdd(new));
    }

    fn after(&self, kernel: &mut Kernel, hours: i64) {
        *self.lab.now.borrow_mut() += SignedDuration::from_hours(hours);
        kernel.turn(vec![Wake::Time]).expect("a turn");
    }

    fn forgotten(&self) -> usize {
        let at = *self.lab.now.borrow();
        let log = std::fs::read_to_string(self.made.store.path(&paths::log(&self.made.machine, at)));
        log.unwrap_or_default().matches("\"passage.forgotten\"").count()
    }
}

#[test]
fn the_kernel_tidies_once_per_interval_and_a_restart_does_not_repeat_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let lab = Lab::new();
    let _observing = cairn::store::disk::observe(lab.clone());
    let policy = "[tidy]\nevery = \"1d\"\n[[forget]]\nname = \"few\"\nkeep = 1\n";
    let shop = Shop::new(dir.path(), &lab, policy);
    let mut kernel = shop.begin();
    for text in ["one", "two", "three"] {
        shop.tell(&mut kernel, text);
    }
    shop.after(&mut kernel, 23);
    assert_eq!(shop.forgotten(), 0, "the first interval is not over");
    shop.after(&mut kernel, 2);
    assert_eq!(shop.forgotten(), 2);
    shop.tell(&mut kernel, "four");

    // a kill: the next kernel knows when memory was tidied
    drop(kernel);
    let mut kernel = shop.begin();
    shop.after(&mut kernel, 22);
    assert_eq!(shop.forgotten(), 2, "a restart begins no new interval and ends none");
    shop.after(&mut kernel, 3);
    assert_eq!(shop.forgotten(), 3);

    // nothing leaves while something is under way that may still learn
    shop.tell(&mut kernel, "five");
    shop.ask(&mut kernel, Verb::RunStart { workflow: "w".to_owned(), input: json!({}) });
    shop.after(&mut kernel, 25);
    assert_eq!((kernel.in_flight(), shop.forgotten()), (1, 3));
    let perform = lab.asked.borrow_mut().pop_front().expect("an attempt");
    kernel.turn(vec![answer(perform)]).expect("a turn");
    shop.after(&mut kernel, 1);
    assert_eq!(shop.forgotten(), 4);
    kernel.stop(&Until::Stopped).expect("a clean stop");
    assert_eq!(store::verify::verify(&shop.made.store).findings.len(), 0);
}

#[test]
fn without_an_interval_only_a_person_tidies() {
    let dir = tempfile::tempdir().expect("a folder");
    let lab = Lab::new();
    let _observing = cairn::store::disk::observe(lab.clone());
    let shop = Shop::new(dir.path(), &lab, "[[forget]]\nname = \"few\"\nkeep = 1\n");
    let mut kernel = shop.begin();
    for text in ["one", "two"] {
        shop.tell(&mut kernel, text);
    }
    shop.after(&mut kernel, 24 * 20);
    assert_eq!(shop.forgotten(), 0);
    shop.ask(&mut kernel, Verb::MemoryTidy {});
    assert_eq!(shop.forgotten(), 1);
    kernel.stop(&Until::Stopped).expect("a clean stop");
}
