//! What the kernel is doing when the power goes or the disk fails: sixteen small pieces of a day, and
//! four long ones. Each begins with a start, which is part of what is tested.

use std::rc::Rc;

use cairn::{
    driver::Wake,
    store::{disk, init},
};
use cairn_store_layout::{
    RunId,
    command::{NewPassage, Verb},
    paths,
};
use serde_json::{Value, json};

use crate::{
    lab::Lab,
    life::{self, Life, Lived},
    shared::{image::Image, random::Random},
};

/// One of them.
#[derive(Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) run: fn(Life) -> Lived,
}

pub(crate) const SMALL: [Workload; 16] = [
    Workload { name: "start", run: start },
    Workload { name: "send-once", run: send_once },
    Workload { name: "send-again", run: send_again },
    Workload { name: "approve", run: approve },
    Workload { name: "edit-gate", run: edit_gate },
    Workload { name: "answer", run: answer },
    Workload { name: "edit-definition", run: edit_definition },
    Workload { name: "remember", run: remember },
    Workload { name: "learn", run: learn },
    Workload { name: "cancel", run: cancel },
    Workload { name: "timer", run: timer },
    Workload { name: "spill", run: spill },
    Workload { name: "refuse", run: refuse },
    Workload { name: "group-of-4", run: group },
    Workload { name: "rotate-and-forget", run: rotate },
    Workload { name: "recover", run: recover },
];

pub(crate) const LARGE: [Workload; 4] = [
    Workload { name: "day-1", run: |life| day(life, 1) },
    Workload { name: "day-2", run: |life| day(life, 2) },
    Workload { name: "day-3", run: |life| day(life, 3) },
    Workload { name: "day-4", run: |life| day(life, 4) },
];

const POST: &str =
    "kind = \"mail\"\ndescription = \"Letters\"\nfrom = \"Jo <jo@cairn.example>\"\noutbox = \"outbox\"\n";
const SMTP: &str = "[smtp]\nhost = \"smtp.cairn.example\"\n";
const LETTER: &str = "with = { to = \"ap@brandt.example\", subject = \"Hello\", body = \"Text\" }\n";

/// The store that every workload begins with, laid out and as an image.
pub(crate) fn base(lab: &Rc<Lab>) -> Image {
    let _observing = disk::observe(lab.clone());
    let made = init::init_at(&lab.home(), &lab.store(), false, lab.now()).expect("a store");
    std::fs::remove_dir_all(lab.store().join(".git/hooks")).expect("sample hooks");
    let call = |connector: &str, id: &str, more: &str| {
        format!("[[step]]\nid = \"{id}\"\ncall = \"{connector}.send\"\n{LETTER}{more}\n")
    };
    let done = "[[step]]\nid = \"done\"\nneeds = [\"a\"]\nset = \"ok\"\n";
    let files = [
        ("connectors/once.toml", format!("{POST}{SMTP}")),
        ("connectors/again.toml", POST.to_owned()),
        ("workflows/plain/workflow.toml", "[[step]]\nid = \"a\"\nset = 1\n".to_owned()),
        ("workflows/once/workflow.toml", call("once", "a", "approve = \"never\"") + done),
        ("workflows/again/workflow.toml", call("again", "a", "approve = \"never\"") + done),
        ("workflows/gated/workflow.toml", call("once", "a", "approve = \"always\"") + done),
        ("workflows/asks/workflow.toml", "[[step]]\nid = \"a\"\nask = \"Go on?\"\nform = [{ name = \"ok\" }]\n".to_owned()),
        ("workflows/timer/workflow.toml", format!("[[step]]\nid = \"a\"\nwait = \"1h\"\n{done}")),
        ("workflows/big/workflow.toml", "[[step]]\nid = \"big\"\nrun = [\"true\"]\neffect = \"read\"\n".to_owned()),
        (
            "workflows/learn/workflow.toml",
            "[[step]]\nid = \"a\"\ncall = \"memory.remember\"\nwith = { kind = \"fact\", text = \"t\", entity = \"client/brandt\" }\n"
                .to_owned(),
        ),
    ];
    for (path, text) in &files {
        life::write(&made.store, path, text).expect("a definition");
    }
    // once at work, so that the definitions are in commits
    let life = Life::begin(lab).expect("a first kernel");
    life.stop().expect("a clean stop");
    Image::read(lab.root()).expect("an image of the store")
}

fn none() -> Value {
    json!({})
}

fn start(mut life: Life) -> Lived {
    life.start("plain", none())?;
    life.stop().map(drop)
}

fn send_once(mut life: Life) -> Lived {
    life.start("once", none())?;
    life.answer()?;
    life.stop().map(drop)
}

fn send_again(mut life: Life) -> Lived {
    life.start("again", none())?;
    life.answer()
}

fn approve(mut life: Life) -> Lived {
    let run = life.start("gated", none())?;
    life.approve(&run)?;
    life.answer()
}

fn edit_gate(mut life: Life) -> Lived {
    let run = life.start("gated", none())?;
    let item = life.open(&run)?;
    let input = json!({"to": "ap@brandt.example", "subject": "Hello again", "body": "Other text"});
    life.ask(Verb::GateEdit {
        run: item.run.expect("a run asks"),
        gate: item.id,
        digest: item.digest,
        input,
        reason: None,
    })?;
    life.approve(&run)?;
    life.answer()
}

fn answer(mut life: Life) -> Lived {
    let run = life.start("asks", none())?;
    reply(&mut life, &run)?;
    life.stop().map(drop)
}

fn edit_definition(mut life: Life) -> Lived {
    life.edit("workflows/plain/workflow.toml", "[[step]]\nid = \"a\"\nset = 2\n")?;
    life.start("plain", none())?;
    life.edit("workflows/plain/workflow.toml", "[[step]]\nid = \"a\"\nsot = 3\n")
}

fn remember(mut life: Life) -> Lived {
    for text in ["Brandt pays late.", "Brandt pays."] {
        life.ask(Verb::MemoryAdd(NewPassage {
            text: text.to_owned(),
            kind: "note".to_owned(),
            ..NewPassage::default()
        }))?;
    }
    life.stop().map(drop)
}

fn learn(mut life: Life) -> Lived {
    life.start("learn", none())?;
    life.start("learn", none())?;
    life.answer_together()
}

fn cancel(mut life: Life) -> Lived {
    let run = life.start("asks", none())?;
    life.ask(Verb::RunCancel { run: run.clone(), reason: Some("enough".to_owned()), undo: false })?;
    life.ask(Verb::RunCancel { run, reason: None, undo: false }).map(drop)
}

fn timer(mut life: Life) -> Lived {
    life.start("timer", none())?;
    life.pass()?;
    life.stop().map(drop)
}

fn spill(mut life: Life) -> Lived {
    life.start("big", none())?;
    life.answer()?;
    life.stop().map(drop)
}

fn refuse(mut life: Life) -> Lived {
    life.start("nothing", none())?;
    let name = format!("{}/note.json", paths::inbox(&machine(&life)));
    life::write(life.store(), &name, "{ not a command")?;
    life.turn(vec![Wake::Inbox])
}

fn group(mut life: Life) -> Lived {
    for _ in 0..4 {
        life.start("again", none())?;
    }
    life.answer_together()?;
    life.stop().map(drop)
}

fn rotate(mut life: Life) -> Lived {
    // runs that wait keep nothing back once they are in commits, so segments fill and are forgotten
    for _ in 0..3 {
        for _ in 0..3 {
            life.submit(Verb::RunStart { workflow: "gated".to_owned(), input: none() })?;
        }
        life.turn(vec![Wake::Inbox])?;
    }
    Ok(())
}

fn recover(mut life: Life) -> Lived {
    life.start("once", none())?;
    life.start("again", none())?;
    let mut life = life.killed()?;
    life.answer()?;
    let life = life.killed()?;
    life.stop().map(drop)
}

fn reply(life: &mut Life, run: &RunId) -> Lived {
    let item = life.open(run)?;
    let answer = json!({"ok": "yes"});
    life.ask(Verb::AskAnswer { run: item.run.expect("a run asks"), gate: item.id, digest: item.digest, answer })
        .map(drop)
}

/// A day of a seed: a dozen things that people and the outside do, with kills between.
fn day(mut life: Life, seed: u64) -> Lived {
    let mut random = Random::new(seed);
    let (mut gated, mut asking) = (Vec::new(), Vec::new());
    for hour in 0..14 {
        match random.below(10) {
            0 => drop(life.start("plain", none())?),
            1 => drop(life.start("once", none())?),
            2 => drop(life.start("again", none())?),
            3 => gated.push(life.start("gated", none())?),
            4 => asking.push(life.start("asks", none())?),
            5 => drop(life.start(if random.coin() { "timer" } else { "big" }, none())?),
            6 => drop(life.start("learn", none())?),
            7 => match (gated.pop(), asking.pop()) {
                (Some(run), _) => life.approve(&run)?,
                (None, Some(run)) => reply(&mut life, &run)?,
                (None, None) => {
                    let text = format!("hour {hour}");
                    life.ask(Verb::MemoryAdd(NewPassage { text, kind: "note".to_owned(), ..NewPassage::default() }))?;
                }
            },
            8 => life.answer()?,
            _ => life = life.killed()?,
        }
        if random.coin() {
            life.answer()?;
        }
    }
    life.pass()?;
    life.stop().map(drop)
}

/// The machine of a store, from the one inbox that it has.
fn machine(life: &Life) -> cairn_store_layout::MachineId {
    let (lab, store) = (life.lab.clone(), life.store().clone());
    lab.quietly(|| cairn::store::identity::ensure_at(&lab.home(), &store)).expect("an identity")
}
