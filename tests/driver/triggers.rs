//! Triggers with the real driver, in a world whose clock the test turns: what starts, what does not, and
//! that a kill at the worst moment neither loses nor doubles a start.

use std::{cell::RefCell, collections::BTreeMap, path::PathBuf, rc::Rc, time::Duration};

use cairn::{
    driver::{Kernel, StopFlag, Until, Wake},
    store::{
        self, Store,
        disk::{self, Observer, Observing, Op, Verdict, observe},
        inbox,
        lock::KernelLock,
        reader::Reader,
        triggers::{Desk, Pasts, Trusted},
    },
};
use cairn_store_layout::{
    MachineId, RunId,
    command::Verb,
    event::{Body, RunStarted, TriggerFired},
    paths,
    record::Record,
    view::{RunItem, RunStatus},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::turned::{Lab, answer};

const DONE: &str = "[[step]]\nid = \"a\"\nset = 1\n";
const ASKS: &str = "[[step]]\nid = \"a\"\nrun = [\"true\"]\n";

/// A store, the world around it, and the kernel while one is up.
struct Shop {
    dir: tempfile::TempDir,
    lab: Rc<Lab>,
    _observing: Observing,
    store: Store,
    machine: MachineId,
    kernel: RefCell<Option<Kernel>>,
}

impl Shop {
    /// A store with these workflows, and a kernel that has adopted them at 08:00.
    fn with(workflows: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let lab = Lab::new();
        let observing = observe(lab.clone());
        let made = store::init::init_at(&dir.path().join("home"), &dir.path().join("store"), false, *lab.now.borrow())
            .expect("a store");
        let shop = Self {
            dir,
            lab,
            _observing: observing,
            store: made.store,
            machine: made.machine,
            kernel: RefCell::default(),
        };
        for (name, text) in workflows {
            shop.define(name, text);
        }
        shop.start();
        shop
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn define(&self, name: &str, text: &str) {
        self.write(&format!("workflows/{name}/workflow.toml"), text);
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.store.path(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }

    fn start(&self) {
        let store = Store::open(self.store.root()).expect("a store");
        let lock = KernelLock::take(store.root()).expect("the lock");
        let mut kernel = Kernel::start(store, lock, self.lab.world(&self.home())).expect("a kernel");
        kernel.look().expect("a look");
        *self.kernel.borrow_mut() = Some(kernel);
    }

    /// What a kill does: nothing is committed or told.
    fn kill(&self) {
        drop(self.kernel.borrow_mut().take());
        self.lab.asked.borrow_mut().clear();
    }

    /// A turn whose write to the journal is cut off before the line with `marker`; then the kernel is gone.
    fn cut_before(&self, marker: &'static str, wake: Wake) {
        let cut = Rc::new(Cut { lab: self.lab.clone(), marker, cuts: RefCell::new(0) });
        {
            let _cut = observe(cut.clone());
            let mut kernel = self.kernel.borrow_mut();
            assert!(kernel.as_mut().expect("a kernel").turn(vec![wake]).is_err(), "the disk refused");
        }
        assert_eq!(*cut.cuts.borrow(), 2, "the cut came before {marker}");
        self.kill();
    }

    fn stop(&self) {
        let kernel = self.kernel.borrow_mut().take().expect("a kernel");
        kernel.stop(&Until::Stopped).expect("a clean stop");
        self.lab.asked.borrow_mut().clear();
    }

    fn turn(&self, wake: Wake) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.as_mut().expect("a kernel").turn(vec![wake]).expect("a turn");
    }

    /// The clock goes on, and the kernel looks.
    fn later(&self, minutes: i64) {
        self.pass(minutes);
        self.turn(Wake::Time);
    }

    /// The clock goes on, and nobody looks.
    fn pass(&self, minutes: i64) {
        *self.lab.now.borrow_mut() += SignedDuration::from_mins(minutes);
    }

    /// Lets the attempt that has waited longest succeed.
    fn finish_one(&self) {
        let perform = self.lab.asked.borrow_mut().pop_front().expect("an attempt");
        self.turn(answer(perform));
    }

    fn submit(&self, verb: Verb) -> RunId {
        let id = inbox::submit_at(&self.store, &self.machine, verb, "jo", *self.lab.now.borrow()).expect("asked");
        self.turn(Wake::Inbox);
        id.into()
    }

    /// All runs, oldest first.
    fn runs(&self) -> Vec<RunItem> {
        let mut reader = Reader::new(self.store.clone());
        reader.refresh().expect("readable");
        let mut runs: Vec<RunItem> = reader.runs().collect();
        runs.sort_by(|a, b| (a.started, &a.run).cmp(&(b.started, &b.run)));
        runs
    }

    fn statuses(&self) -> Vec<(String, RunStatus)> {
        self.runs().into_iter().map(|run| (run.workflow, run.status)).collect()
    }

    fn begun(&self, run: &RunId) -> RunStarted {
        let text = std::fs::read_to_string(self.store.path(&paths::run(run))).expect("a history");
        let record = Record::decode(text.lines().next().expect("a line"), &mut |_| None).expect("a record");
        let Body::RunStarted(start) = record.event.body else { panic!("a history begins with its start") };
        start
    }

    /// The inputs of all runs, oldest first.
    fn inputs(&self) -> Vec<Value> {
        self.runs().iter().map(|run| self.begun(&run.run).input).collect()
    }

    /// What triggers did, from the machine's log.
    fn fired(&self) -> Vec<TriggerFired> {
        let text = std::fs::read_to_string(self.store.path(&paths::log(&self.machine, *self.lab.now.borrow())));
        let text = text.unwrap_or_default();
        let events = text.lines().map(|line| Record::decode(line, &mut |_| None).expect("a record").event.body);
        events.filter_map(|body| if let Body::TriggerFired(fired) = body { Some(fired) } else { None }).collect()
    }

    fn left_out(&self) -> Vec<String> {
        self.fired().into_iter().filter_map(|fired| fired.left_out).collect()
    }

    fn desk(&self) -> Desk {
        Desk::at(&self.home(), &self.store, &self.machine)
    }

    fn git(&self, args: &[&str]) -> String {
        let out = std::process::Command::new("git")
            .arg("-C")
            .arg(self.store.root())
            .args(["-c", "user.name=test", "-c", "user.email=test@x.example"])
            .args(args)
            .output()
            .expect("git runs");
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

fn hourly(more: &str, steps: &str) -> String {
    format!("[[input]]\nname = \"at\"\noptional = true\n[[trigger]]\ncron = \"0 * * * *\"\n{more}\n{steps}")
}

#[test]
fn a_due_time_starts_one_run_at_its_time() {
    let shop = Shop::with(&[("w", &hourly("input = { at = \"{{ due }}\" }", DONE))]);
    let next = shop.kernel.borrow().as_ref().expect("a kernel").next_deadline();
    assert_eq!(next, Some("2026-11-22T09:00:00Z".parse().expect("a moment")));
    shop.later(59);
    assert!(shop.runs().is_empty(), "never early");
    shop.later(1);
    shop.later(1);
    assert_eq!(shop.statuses(), [("w".to_owned(), RunStatus::Succeeded)]);
    let start = shop.begun(&shop.runs()[0].run);
    assert_eq!((start.trigger.as_str(), start.by.as_str()), ("cron", "trigger cron"));
    assert_eq!(start.input, json!({"at": "2026-11-22T09:00:00+00:00"}));
    let fired = start.fired.expect("by a trigger");
    assert_eq!((fired.trigger.as_str(), fired.due), ("cron", next));
    shop.later(60);
    assert_eq!(shop.runs().len(), 2);
    shop.stop();
    assert_eq!(shop.git(&["status", "--porcelain"]), "");
    assert!(store::verify::verify(&shop.store).ok());
}

#[test]
fn what_was_missed_is_made_up_for_once_and_a_restart_doubles_nothing() {
    let shop = Shop::with(&[("w", &hourly("", DONE))]);
    shop.later(61);
    assert_eq!(shop.runs().len(), 1);
    shop.kill();
    shop.pass(200);
    shop.start();
    assert_eq!(shop.runs().len(), 2, "10:00, 11:00 and 12:00 as one");
    assert_eq!(shop.fired()[1].times, Some(3));
    for _ in 0..3 {
        shop.kill();
        shop.start();
        shop.stop();
        shop.start();
    }
    assert_eq!(shop.runs().len(), 2);
    shop.later(40);
    assert_eq!(shop.runs().len(), 3, "13:00");
}

#[test]
fn misfire_says_what_becomes_of_missed_times() {
    for (misfire, runs) in [("skip", 0), ("once", 1), ("all", 3)] {
        let shop = Shop::with(&[("w", &hourly(&format!("misfire = \"{misfire}\"\noverlap = \"allow\""), ASKS))]);
        shop.stop();
        shop.pass(200);
        shop.start();
        assert_eq!(shop.runs().len(), runs, "{misfire}");
        if misfire == "skip" {
            assert_eq!(shop.left_out(), ["missed while no kernel ran"]);
        }
    }
}

/// Lets the first so many lines of one journal write through, then cuts it short, as a power cut could.
struct Cut {
    lab: Rc<Lab>,
    marker: &'static str,
    /// How many writes to the journal were meddled with.
    cuts: RefCell<u32>,
}

impl Observer for Cut {
    fn before(&self, op: &Op<'_>) -> Verdict {
        if let Op::Write { path, bytes, .. } = op
            && path.to_string_lossy().contains("/.cairn/journal/")
        {
            let mut cuts = self.cuts.borrow_mut();
            let text = String::from_utf8_lossy(bytes);
            match (*cuts, text.find(self.marker)) {
                (0, Some(at)) => {
                    *cuts = 1;
                    return Verdict::Short(text[..at].rfind('\n').map_or(0, |end| end + 1));
                }
                (1, _) => {
                    *cuts = 2;
                    return Verdict::Fail(rustix::io::Errno::IO.raw_os_error());
                }
                _ => {}
            }
        }
        self.lab.before(op)
    }

    fn pause(&self, duration: std::time::Duration) {
        self.lab.pause(duration);
    }

    fn random(&self) -> Option<u128> {
        self.lab.random()
    }
}

#[test]
fn a_run_whose_record_was_cut_off_is_not_started_again() {
    let shop = Shop::with(&[("w", &hourly("", ASKS))]);
    shop.pass(61);
    shop.cut_before("trigger.fired", Wake::Time);
    shop.pass(5);
    shop.start();
    assert_eq!(shop.runs().len(), 1, "{:?}", shop.fired());
    assert_eq!(shop.fired().len(), 1);
    assert_eq!(shop.fired()[0].run.as_ref(), Some(&shop.runs()[0].run));
}

#[test]
fn an_event_whose_run_was_cut_off_starts_it_after_the_kill() {
    let shop = Shop::with(&[("w", &format!("[[trigger]]\nevent = \"paid\"\n{ASKS}"))]);
    let verb = Verb::EventEmit { name: "paid".to_owned(), data: json!({}), run: None };
    inbox::submit_at(&shop.store, &shop.machine, verb, "jo", *shop.lab.now.borrow()).expect("asked");
    shop.cut_before("run.started", Wake::Inbox);
    assert!(shop.runs().is_empty());
    shop.start();
    assert_eq!((shop.runs().len(), shop.fired().len()), (1, 1));
    shop.kill();
    shop.start();
    assert_eq!((shop.runs().len(), shop.fired().len()), (1, 1));
}

#[test]
fn overlap_says_what_happens_while_an_earlier_run_goes_on() {
    let twice = |overlap: &str| {
        let shop = Shop::with(&[("w", &hourly(&format!("overlap = \"{overlap}\""), ASKS))]);
        for _ in 0..3 {
            shop.later(60);
        }
        shop
    };
    let waits = RunStatus::Running;
    let shop = twice("skip");
    assert_eq!(shop.statuses(), [("w".to_owned(), waits)]);
    let short = shop.runs()[0].run.short().to_owned();
    assert_eq!(shop.left_out(), [format!("run {short} of this trigger is not over")], "told once");
    shop.finish_one();
    let told: u64 = shop.fired().iter().filter(|f| f.left_out.is_some()).map(|f| f.times.unwrap_or(1)).sum();
    assert_eq!(told, 2, "and counted when it is over");
    shop.later(60);
    assert_eq!(shop.runs().len(), 2);

    let shop = twice("queue");
    assert_eq!(shop.runs().len(), 1);
    assert_eq!(shop.left_out(), ["another start waits already"]);
    shop.kill();
    shop.start();
    shop.lab.asked.borrow_mut().clear();
    assert_eq!(shop.runs().len(), 1);
    let cancel = shop.runs()[0].run.clone();
    shop.submit(Verb::RunCancel { run: cancel, reason: None, undo: false });
    assert_eq!(shop.statuses(), [("w".to_owned(), RunStatus::Canceled), ("w".to_owned(), waits)]);

    let shop = twice("replace");
    let canceled = ("w".to_owned(), RunStatus::Canceled);
    assert_eq!(shop.statuses(), [canceled.clone(), canceled, ("w".to_owned(), waits)]);

    assert_eq!(twice("allow").runs().len(), 3);
}

/// Emits an event; answers its id.
fn emit(shop: &Shop, name: &str, data: Value) -> String {
    shop.submit(Verb::EventEmit { name: name.to_owned(), data, run: None }).to_string()
}

#[test]
fn an_event_starts_what_waits_for_its_name_once() {
    let paid = "[[input]]\nname = \"invoice\"\n[[trigger]]\nevent = \"paid\"\nwhere = \"{{ event.sum > 10 }}\"\n\
                dedupe_key = \"{{ event.invoice }}\"\ninput = { invoice = \"{{ event.invoice }}\" }\n";
    let shop = Shop::with(&[("w", &format!("{paid}{DONE}"))]);
    let event = emit(&shop, "paid", json!({"sum": 50, "invoice": "2043"}));
    assert_eq!(shop.inputs(), [json!({"invoice": "2043"})]);
    assert_eq!(shop.fired()[0].saw, Some(event));
    emit(&shop, "other", json!({"sum": 50, "invoice": "2044"}));
    emit(&shop, "paid", json!({"sum": 5, "invoice": "2044"}));
    assert_eq!(shop.runs().len(), 1, "another name; `where` is false");
    emit(&shop, "paid", json!({"sum": 60, "invoice": "2043"}));
    assert_eq!(shop.left_out(), ["a run was started for `2043` already"]);
    emit(&shop, "paid", json!({"sum": "60"}));
    assert_eq!(shop.runs().len(), 1);
    assert_eq!(shop.left_out().len(), 2, "an expression without a value is told: {:?}", shop.left_out());
}

#[test]
fn the_end_of_a_run_starts_the_next_and_no_chain_goes_on_for_ever() {
    let after = |other: &str| format!("[[trigger]]\nrun_finished = \"{other}\"\n{DONE}");
    let shop = Shop::with(&[("ping", &after("pong")), ("pong", &after("ping"))]);
    shop.submit(Verb::RunStart { workflow: "ping".to_owned(), input: json!({}) });
    assert_eq!(shop.runs().len(), 9, "one by hand and eight that follow");
    assert_eq!(shop.left_out(), ["it would be the 9th run in a row that started the next"]);
    shop.kill();
    shop.start();
    assert_eq!(shop.runs().len(), 9);

    let told =
        "[[input]]\nname = \"status\"\n[[trigger]]\nrun_finished = \"w\"\ninput = { status = \"{{ run.status }}\" }\n";
    let shop = Shop::with(&[("w", ASKS), ("after", &format!("{told}{DONE}"))]);
    let run = shop.submit(Verb::RunStart { workflow: "w".to_owned(), input: json!({}) });
    shop.submit(Verb::RunCancel { run, reason: None, undo: false });
    assert_eq!(shop.inputs(), [json!({}), json!({"status": "canceled"})]);
}

#[test]
fn an_end_during_a_stop_starts_its_run_at_the_next_start() {
    let shop = Shop::with(&[("w", ASKS), ("after", &format!("[[trigger]]\nrun_finished = \"w\"\n{ASKS}"))]);
    shop.submit(Verb::RunStart { workflow: "w".to_owned(), input: json!({}) });
    shop.kernel.borrow_mut().as_mut().expect("a kernel").begin_stop();
    shop.finish_one();
    assert!(shop.lab.asked.borrow().is_empty(), "nothing new begins");
    shop.stop();
    shop.start();
    assert_eq!(shop.statuses()[0].1, RunStatus::Succeeded);
    assert_eq!((shop.runs().len(), shop.lab.asked.borrow().len()), (2, 1));
}

#[test]
fn a_file_that_appears_starts_a_run_once() {
    let mail = "[[input]]\nname = \"path\"\n[[trigger]]\nfile = \"mails/*.eml\"\noverlap = \"allow\"\n\
                input = { path = \"{{ file.path }}\" }\n";
    let shop = Shop::with(&[]);
    shop.write("files/mails/old.eml", "here before");
    shop.define("w", &format!("{mail}{DONE}"));
    shop.turn(Wake::Definitions);
    assert!(shop.runs().is_empty());
    shop.write("files/mails/new.eml", "hello");
    shop.write("files/mails/note.txt", "no mail");
    shop.turn(Wake::Files);
    assert_eq!(shop.inputs(), [json!({"path": "mails/new.eml"})]);
    shop.kill();
    shop.write("files/mails/while-down.eml", "hello");
    shop.start();
    shop.turn(Wake::Files);
    assert_eq!(shop.inputs().last(), Some(&json!({"path": "mails/while-down.eml"})));
    assert_eq!(shop.runs().len(), 2, "one for each, and one alone for those the kill left unmarked");
    // marks are lost: the log still knows
    shop.stop();
    let desk = shop.desk();
    let mut seen = desk.seen("w").expect("readable");
    seen.get_mut("file").expect("the trigger").files.remove("mails/new.eml");
    desk.keep("w", &seen).expect("kept");
    shop.start();
    shop.turn(Wake::Files);
    assert_eq!(shop.runs().len(), 2);
    shop.write("files/mails/new.eml", "other words");
    shop.turn(Wake::Files);
    assert_eq!(shop.runs().len(), 3, "the same path with other bytes is another file");
}

/// Nothing else happens in this store, so without a watch on `files/` the kernel would look once in ten seconds.
#[test]
fn the_first_file_trigger_of_a_kernel_that_runs_sees_its_files_at_once() {
    let bench = crate::support::Bench::with(DONE);
    let stop = StopFlag::new();
    let (bench, stop) = (&bench, &stop);
    let wait = |what: &str, patience: Duration, done: &dyn Fn() -> bool| {
        let begun = std::time::Instant::now();
        while !done() {
            assert!(begun.elapsed() < patience, "{what} after {:?}", begun.elapsed());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    std::thread::scope(|scope| {
        let kernel = scope.spawn(move || bench.try_serve(Until::Stopped, stop));
        // whatever fails in here, the kernel is asked to stop, or the scope would wait for it
        let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let log = || bench.git(&["log", "--format=%s"]);
            wait("the first definition is not committed", Duration::from_secs(30), &|| {
                log().contains("workflows: edit w")
            });
            let seen = format!("[[trigger]]\nfile = \"mails/*.eml\"\n{DONE}");
            bench.write("workflows/mail/workflow.toml", &seen);
            wait("the trigger is not committed", Duration::from_secs(30), &|| log().contains("workflows: edit mail"));
            // the turns that follow an edit are over
            std::thread::sleep(Duration::from_millis(1_500));
            bench.write("files/mails/new.eml", "hello");
            wait("no run", Duration::from_secs(5), &|| log().contains("mail: succeeded"));
        }));
        stop.request();
        kernel.join().expect("no panic").expect("served");
        if let Err(why) = asked {
            std::panic::resume_unwind(why);
        }
    });
}

#[test]
fn what_came_by_git_starts_nothing_until_it_is_trusted() {
    let shop = Shop::with(&[("mine", &hourly("", DONE))]);
    shop.stop();
    shop.define("theirs", &hourly("", DONE));
    shop.git(&["add", "-A", "workflows"]);
    shop.git(&["commit", "-qm", "from another machine"]);
    shop.start();
    shop.later(61);
    assert_eq!(shop.statuses(), [("mine".to_owned(), RunStatus::Succeeded)]);

    let definition = shop.git(&["rev-parse", "HEAD:workflows/theirs"]).trim().to_owned();
    let at = *shop.lab.now.borrow();
    shop.desk().trust("theirs", &Trusted { definition, by: "jo".to_owned(), at }).expect("trusted");
    shop.later(1);
    assert_eq!(shop.runs().len(), 1, "what was due before it was trusted is not made up for");
    shop.later(60);
    assert_eq!(shop.runs().len(), 3);

    // an edit of a trusted version's other files stays trusted; another machine's edit does not
    shop.write("workflows/theirs/note.md", "mine");
    shop.turn(Wake::Definitions);
    shop.later(60);
    assert_eq!(shop.runs().len(), 5);
    shop.stop();
    shop.write("workflows/theirs/note.md", "theirs");
    shop.git(&["commit", "-qam", "from another machine"]);
    shop.start();
    shop.later(60);
    assert_eq!(shop.runs().len(), 6, "mine alone");
    // an edit of a file beside it does not trust it by accident
    shop.write("workflows/theirs/note.md", "a spelling mistake");
    shop.turn(Wake::Definitions);
    shop.later(60);
    assert_eq!(shop.runs().len(), 7, "mine alone");
    assert!(shop.desk().untrust("mine").expect("readable"));
    shop.later(60);
    assert_eq!(shop.runs().len(), 7);
}

#[test]
fn a_folder_with_a_link_in_it_is_trusted_as_it_is_committed() {
    let shop = Shop::with(&[]);
    shop.define("w", &hourly("", DONE));
    std::os::unix::fs::symlink("/etc/hostname", shop.store.path("workflows/w/link.md")).expect("a link");
    shop.turn(Wake::Definitions);
    shop.later(60);
    assert_eq!(shop.runs().len(), 1);
}

#[test]
fn an_edited_trigger_counts_from_its_edit_and_one_that_goes_by_the_same_goes_on() {
    let shop = Shop::with(&[("w", &hourly("", DONE))]);
    shop.stop();
    shop.pass(150);
    shop.define("w", &hourly("misfire = \"all\"", DONE));
    shop.start();
    assert_eq!(shop.runs().len(), 2, "09:00 and 10:00, by the new rule");
    shop.stop();
    shop.pass(150);
    shop.define("w", &hourly("", DONE).replace("0 * * * *", "30 * * * *"));
    shop.start();
    assert_eq!(shop.runs().len(), 2, "another time counts from the edit");
    shop.later(60);
    assert_eq!(shop.runs().len(), 3);
}

#[test]
fn a_trigger_can_be_fired_by_hand() {
    let shop = Shop::with(&[("w", &hourly("input = { at = \"{{ due }}\" }", DONE))]);
    let fire =
        |trigger: &str| Verb::TriggerFire { workflow: "w".to_owned(), trigger: trigger.to_owned(), data: Value::Null };
    let run = shop.submit(fire("cron"));
    let start = shop.begun(&run);
    assert_eq!((start.trigger.as_str(), start.by.as_str()), ("cron", "jo"));
    assert!(start.input["at"].as_str().expect("a text").starts_with("2026-11-22T08:00"), "{}", start.input);
    shop.submit(fire("none"));
    assert_eq!(shop.runs().len(), 1);
    let log = std::fs::read_to_string(shop.store.path(&paths::log(&shop.machine, *shop.lab.now.borrow())));
    assert!(log.expect("a log").contains("w has no trigger `none`; it has: cron"));
    shop.later(60);
    assert_eq!(shop.runs().len(), 2, "the time itself is still due");
}

#[test]
fn what_triggers_did_reads_the_same_from_the_log_as_it_was_known() {
    let shop = Shop::with(&[("w", &hourly("", ASKS))]);
    shop.later(60);
    shop.later(60);
    shop.stop();
    let pasts = Pasts::read(&shop.store, &shop.machine, *shop.lab.now.borrow()).expect("readable");
    let past = pasts.of("w", "cron").expect("it fired");
    let due: Timestamp = "2026-11-22T10:00:00Z".parse().expect("a moment");
    assert_eq!(past.due, Some(due));
    assert_eq!(BTreeMap::from([(1, shop.runs().len())]), BTreeMap::from([(1, 1)]));
    assert!(disk::list(shop.desk().dir()).expect("a folder").len() >= 2);
}
