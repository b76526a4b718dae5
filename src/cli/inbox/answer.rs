//! `cairn inbox answer`: fill a form.

use std::io::{BufRead as _, Write as _};

use cairn_store_layout::{
    command::Verb,
    definition::{Field, fill},
};
use clap::Args;
use serde_json::{Map, Value, json};

use super::{Context, Failure, Outcome, exit, show, still_open};
use crate::{
    cli::host::{self, Wait},
    store::inbox,
};

/// Fill a form: an `ask` of a workflow, or what became of an effect nobody knows the outcome of.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cairn inbox answer a3f2 --set tone=firm --set send=true\n  cairn inbox answer a3f2            asks for each field"
)]
pub struct Answer {
    /// The request: its id, or a unique beginning of at least 4 characters
    id: String,
    /// A field, as often as there are fields; true or false for a bool, 2026-11-22 for a date
    #[arg(short, long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// The digest that you saw; refuses when the question has changed
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

impl Answer {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let mut reader = context.reader()?;
        let item = reader.resolve_request(&self.id)?;
        let short = item.id.short().to_owned();
        still_open(&item, &context.screen)?;
        let (Some(ask), Some(run)) = (&item.ask, item.run.clone()) else {
            let message = format!("{short} is an approval, not a question");
            return Err(Failure::usage(message).fix(format!("cairn inbox show {short}, then approve, deny or edit it")));
        };
        if let Some(given) =
            self.digest.as_ref().filter(|d| d.len() < 4 || !item.digest.as_str().starts_with(d.as_str()))
        {
            let message = format!("{short} is not what you saw (digest {given} -> {})", &item.digest.as_str()[..12]);
            return Err(Failure::new("stale_digest", exit::STALE, message).fix(format!("cairn inbox show {short}")));
        }
        let mut given = self.given(&ask.form)?;
        if given.is_empty() && context.may_ask() {
            show::show(&mut context.screen, &item);
            let flushed = context.screen.flush();
            flushed.map_err(|e| Failure::failed("no_output", format!("cannot write to the terminal: {e}")))?;
            for field in &ask.form {
                if let Some(value) = asked(field)? {
                    given.insert(field.name.clone(), value);
                }
            }
        }
        let answer = fill(&ask.form, &Value::Object(given)).map_err(|wrong| {
            Failure::usage(format!("the answer to {short} does not fit: {}", wrong.join("; ")))
                .fix(format!("cairn inbox show {short} lists its fields; give each with --set NAME=VALUE"))
        })?;
        let owner = reader.view(&run)?.map_or_else(|| context.machine(reader.store()), |v| Ok(v.machine))?;
        let verb = Verb::AskAnswer {
            run: run.clone(),
            gate: item.id.clone(),
            digest: item.digest.clone(),
            answer: answer.clone(),
        };
        let command = inbox::submit(reader.store(), &owner, verb, &context.by())?;
        let sent = host::follow(context, &mut reader, &run, &command, &self.wait)?;
        let status = sent.item.as_ref().map(|i| i.status.word());
        let screen = &mut context.screen;
        screen.document(&json!({
            "schema": "cairn.decision/1", "id": item.id, "run": run, "step": item.step, "digest": item.digest,
            "decision": "answer", "answer": answer, "command": command, "state": sent.state.word(), "status": status,
            "commit": sent.item.as_ref().and_then(|i| i.commit.clone()),
        }));
        screen.say(format!("answered {short}: {}", sent.state.words()));
        if let (true, Some(status)) = (self.wait.is_set(), status) {
            screen.say(format!("run {} of {}: {status}", run.short(), item.workflow));
        }
        Ok(if self.wait.is_set() { sent.exit() } else { exit::OK })
    }

    fn given(&self, form: &[Field]) -> Result<Map<String, Value>, Failure> {
        let mut given = Map::new();
        for set in &self.set {
            let (name, typed) =
                set.split_once('=').ok_or_else(|| Failure::usage(format!("`{set}` is not NAME=VALUE")))?;
            let value = match form.iter().find(|f| f.name == name) {
                Some(field) => field.read(typed).map_err(Failure::usage)?,
                // told by `fill` with the nearest name
                None => Value::String(typed.to_owned()),
            };
            given.insert(name.to_owned(), value);
        }
        Ok(given)
    }
}

/// Asks for one field until it fits. An empty line leaves it out, an end of input leaves everything.
fn asked(field: &Field) -> Result<Option<Value>, Failure> {
    let default = field.default.as_ref().map_or(String::new(), |d| format!(" [{d}]"));
    loop {
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "{}{default}: ", field.name);
        let _ = stderr.flush();
        drop(stderr);
        let mut typed = String::new();
        let count = std::io::stdin().lock().read_line(&mut typed);
        match count {
            Ok(0) => return Err(Failure::failed("no_input", "the input ended; nothing was answered")),
            Ok(_) => {}
            Err(e) => return Err(Failure::failed("no_input", format!("cannot read the answer: {e}"))),
        }
        let typed = typed.trim();
        if typed.is_empty() && (field.default.is_some() || field.optional) {
            return Ok(None);
        }
        match field.read(typed) {
            Ok(value) => return Ok(Some(value)),
            Err(why) => eprintln!("{}", cairn_store_layout::text::DisplayText::new(&why)),
        }
    }
}
