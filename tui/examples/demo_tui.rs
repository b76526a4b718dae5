//! Drives the real runtime with views of a made-up store: for a look, and for the tests on a terminal.
//!
//! `cargo run -p cairn-tui --example demo_tui [LOG]`. Every intent is appended to LOG, and at the end how the
//! interface ended and what it sent.

use std::{fs::OpenOptions, io::Write, path::PathBuf, process::ExitCode};

use cairn_store_layout::view::{ItemState, Snapshot};
use cairn_tui::{
    App, Charset, Config, Intent, Msg, Theme, samples,
    terminal::{Host, Mailbox, Options, run},
};

struct Demo {
    mailbox: Option<Mailbox>,
    snapshot: Snapshot,
    log: Option<PathBuf>,
}

impl Demo {
    fn note(&self, line: &str) {
        let Some(path) = &self.log else { return };
        let file = OpenOptions::new().create(true).append(true).open(path);
        let written = file.and_then(|mut f| writeln!(f, "{line}"));
        if let Err(e) = written {
            eprintln!("{}: {e}", path.display());
        }
    }

    fn decide(&mut self, gate: &cairn_store_layout::GateId, state: ItemState, text: &str) -> Vec<Msg> {
        if let Some(item) = self.snapshot.inbox.iter_mut().find(|i| i.id == *gate) {
            item.state = state;
        }
        if let Some(mailbox) = &self.mailbox {
            mailbox.send(Msg::Views(Box::new(self.snapshot.clone())));
        }
        vec![Msg::Outcome { gate: Some(gate.clone()), ok: true, text: format!("{text} {}", gate.short()) }]
    }
}

impl Host for Demo {
    fn start(&mut self, mailbox: Mailbox) {
        self.note("Started");
        mailbox.send(Msg::Views(Box::new(self.snapshot.clone())));
        self.mailbox = Some(mailbox);
    }

    fn act(&mut self, intent: Intent) -> Vec<Msg> {
        self.note(&format!("{intent:?}"));
        assert!(std::env::var_os("DEMO_PANIC").is_none(), "asked to panic");
        let (by, at) = ("operator".to_owned(), samples::noon());
        match intent {
            Intent::Approve { gate, .. } => self.decide(&gate, ItemState::Approved { by, at }, "approved"),
            Intent::Deny { gate, reason, .. } => self.decide(&gate, ItemState::Denied { by, at, reason }, "denied"),
            Intent::Answer { gate, .. } => self.decide(&gate, ItemState::Answered { by, at }, "answered"),
            Intent::OpenRun(run) => samples::detail_of(&run).map(|d| Msg::Detail(Box::new(d))).into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().map(variable).find(|v| !v.is_empty()).unwrap_or_default();
    let term = variable("TERM");
    let config = Config {
        charset: Charset::detect(&locale, &term),
        theme: Theme::detect(!variable("NO_COLOR").is_empty(), &term),
        ..Config::default()
    };
    let mut demo =
        Demo { mailbox: None, snapshot: samples::snapshot(), log: std::env::args_os().nth(1).map(PathBuf::from) };
    let drafts = std::env::temp_dir().join("cairn-demo-drafts");
    match run(&mut App::new(config), &mut demo, &Options::new(drafts)) {
        Ok(exit) => {
            demo.note(&format!("{exit:?}"));
            ExitCode::from(exit.code())
        }
        Err(e) => {
            eprintln!("error: the interface cannot be shown: {e}");
            ExitCode::FAILURE
        }
    }
}
