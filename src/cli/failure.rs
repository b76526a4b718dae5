//! What the command line says when something did not work: what, why, and what to do next.
//!
//! The one error type of the verbs. On a terminal it is three lines; with `--json` the same fields
//! as one object. Both go to stderr, so that stdout holds results or nothing.

use std::fmt::Display;

use serde_json::{Value, json};

use crate::store::{
    StoreError,
    fsutil::FsError,
    git::GitError,
    reader::{Unreadable, Unresolved},
};

/// Exit codes. Documented, never renumbered.
pub mod exit {
    /// All went well.
    pub const OK: u8 = 0;
    /// It did not work.
    pub const FAILED: u8 = 1;
    /// The command line makes no sense.
    pub const USAGE: u8 = 2;
    /// There is nothing of that name.
    pub const NOT_FOUND: u8 = 3;
    /// The digest is stale, or somebody decided before.
    pub const STALE: u8 = 4;
    /// A rule forbids it.
    pub const REFUSED: u8 = 5;
    /// No kernel runs, and this command can not be one.
    pub const NO_KERNEL: u8 = 6;
    /// `--wait` lasted too long.
    pub const TIMED_OUT: u8 = 7;
    /// Some of several worked.
    pub const PARTLY: u8 = 8;
    /// Something waits for a person.
    pub const WAITS: u8 = 10;
    /// A mistake in Cairn itself.
    pub const BUG: u8 = 70;
}

/// Why a command did not work.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// A short name for scripts.
    pub code: &'static str,
    /// The exit code, see [`exit`].
    pub exit: u8,
    /// What happened.
    pub message: String,
    /// Why, if that is not said already.
    pub why: Option<String>,
    /// What to do next.
    pub fix: Option<String>,
    /// More for scripts: an object.
    pub details: Option<Box<Value>>,
}

impl Failure {
    /// A failure with a message alone.
    pub fn new(code: &'static str, exit: u8, message: impl Into<String>) -> Self {
        Self { code, exit, message: message.into(), why: None, fix: None, details: None }
    }

    /// A command line that makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", exit::USAGE, message)
    }

    /// A plain failure: exit code 1.
    pub fn failed(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, exit::FAILED, message)
    }

    /// Nothing of that name.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new("not_found", exit::NOT_FOUND, message)
    }

    /// Adds why.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Adds more for scripts.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// Makes the commands of its advice name the store as this command line did.
    #[must_use]
    pub fn naming(mut self, cairn: &str) -> Self {
        const NOUNS: [&str; 10] =
            ["status", "kernel", "run", "inbox", "workflow", "mem", "verify", "doctor", "approve", "deny"];
        if let Some(fix) = &mut self.fix {
            for noun in NOUNS {
                *fix = fix.replace(&format!("cairn {noun}"), &format!("{cairn} {noun}"));
            }
        }
        self
    }

    /// The failure as lines for a person.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("error: {}\n", self.message);
        if let Some(why) = &self.why {
            text.push_str(&format!("  why: {}\n", why.replace('\n', "\n       ")));
        }
        match &self.fix {
            Some(fix) => text.push_str(&format!("  fix: {}  [{}]\n", fix.replace('\n', "\n       "), self.code)),
            None => text.push_str(&format!("  [{}]\n", self.code)),
        }
        text
    }

    /// The failure as an object for a script.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({"error": {
            "code": self.code, "message": self.message, "why": self.why, "fix": self.fix, "details": self.details,
        }})
    }
}

/// Joins an error and its sources with colons, each told once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    text
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error {
            StoreError::NotFound { .. } | StoreError::NotAStore { .. } => exit::NOT_FOUND,
            StoreError::Newer { .. }
            | StoreError::Older { .. }
            | StoreError::NetworkDisk { .. }
            | StoreError::NotEmpty { .. } => exit::REFUSED,
            _ => exit::FAILED,
        };
        Self::new(error.code(), exit, chain(&error)).fix(error.fix())
    }
}

impl From<FsError> for Failure {
    fn from(error: FsError) -> Self {
        StoreError::from(error).into()
    }
}

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        StoreError::from(error).into()
    }
}

impl From<Unreadable> for Failure {
    fn from(error: Unreadable) -> Self {
        StoreError::from(error).into()
    }
}

impl From<Unresolved> for Failure {
    fn from(error: Unresolved) -> Self {
        let list = |what: &str| if what == "run" { "cairn run ls" } else { "cairn inbox ls --all" };
        let message = error.to_string();
        match error {
            Unresolved::Store(e) => e.into(),
            Unresolved::NotFound { what, text } => {
                Self::not_found(message).fix(list(what)).details(json!({"what": what, "text": text}))
            }
            Unresolved::TooShort { what, .. } => Self::usage(message).fix(list(what)),
            Unresolved::Ambiguous { candidates, .. } => Self::new("ambiguous", exit::USAGE, message)
                .fix("give more characters of the one you mean")
                .details(json!({"candidates": candidates})),
        }
    }
}

/// An answer to a signal or a wrong word on the way out; see `cli::main`.
impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        // the first paragraph: the sentence, and below it what it lists, such as the arguments that are missing
        let said: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
        Self::usage(said.join(" ").trim_start_matches("error: ")).fix("cairn help")
    }
}

/// "1 run", "2 runs".
pub fn plural(n: impl Into<u64>, what: impl Display) -> String {
    let n = n.into();
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_command_line_keeps_what_it_lists() {
        let command = clap::Command::new("cairn").arg(clap::Arg::new("ID").required(true));
        let error = command.try_get_matches_from(["cairn"]).expect_err("the id is missing");
        assert_eq!(Failure::from(error).message, "the following required arguments were not provided: <ID>");
    }

    #[test]
    fn a_failure_reads_as_the_contract_says() {
        let failure = Failure::new("stale_digest", exit::STALE, "a3f2 changed since you saw it (digest 9c1e -> 77d0)")
            .why("run r-881 proposed step 4 again at 14:02:11")
            .fix("cairn inbox show a3f2, then cairn inbox approve a3f2 --digest 77d0");
        assert_eq!(
            failure.text(),
            "error: a3f2 changed since you saw it (digest 9c1e -> 77d0)\n  \
               why: run r-881 proposed step 4 again at 14:02:11\n  \
               fix: cairn inbox show a3f2, then cairn inbox approve a3f2 --digest 77d0  [stale_digest]\n"
        );
        let json = failure.json();
        for field in ["code", "message", "why", "fix", "details"] {
            assert!(json["error"].get(field).is_some(), "{field} is always there");
        }
    }

    #[test]
    fn advice_names_the_store_that_was_named() {
        let failure =
            Failure::usage("x").fix("cairn inbox show a3f2, then cairn inbox approve a3f2; see .cairn/kernel.log");
        let fix = failure.naming("cairn -C /shop").fix.unwrap();
        assert_eq!(
            fix,
            "cairn -C /shop inbox show a3f2, then cairn -C /shop inbox approve a3f2; see .cairn/kernel.log"
        );
    }

    #[test]
    fn a_store_error_keeps_its_advice() {
        let failure: Failure = StoreError::NotFound { start: "/tmp/x".into() }.into();
        assert_eq!((failure.code, failure.exit), ("store_not_found", exit::NOT_FOUND));
        assert!(failure.fix.is_some_and(|f| f.contains("cairn init")));
    }
}
