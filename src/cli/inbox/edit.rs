//! `cairn inbox edit`: change the text of a request; it waits for approval under its new digest.

use std::{io::Write as _, path::PathBuf, process::Command};

use cairn_store_layout::{
    command::Verb,
    payload::{EffectContent, from_text, to_text},
    text::DisplayText,
    view::InboxItem,
};
use clap::Args;
use serde_json::{Value, json};
use similar::TextDiff;

use super::{Context, Failure, Outcome, exit, still_open};
use crate::{
    cli::{
        context::read_text,
        host::{self, Wait},
    },
    store::inbox,
};

/// Change the text in your editor; it still waits for approval then, under a new digest.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cairn inbox edit a3f2\n  cairn inbox edit a3f2 --file letter.txt -m 'wrong tone'")]
pub struct Edit {
    /// The request: its id, or a unique beginning of at least 4 characters
    id: String,
    /// Take the new text from a file or `-` instead of an editor; in the form that `inbox show` prints
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Why; kept with the correction
    #[arg(short = 'm', long, value_name = "WHY")]
    reason: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

impl Edit {
    pub(super) fn run(&self, context: &mut Context) -> Outcome {
        let mut reader = context.reader()?;
        let item = reader.resolve_request(&self.id)?;
        still_open(&item, &context.screen)?;
        let (effect, before) = editable(&item)?;
        let run = effect.run.clone();
        let shown = to_text(before);
        let text = match &self.file {
            Some(file) => read_text(file)?,
            None if context.may_ask() => in_editor(&item, &shown)?,
            None => {
                return Err(Failure::usage("there is no terminal for an editor")
                    .fix(format!("cairn inbox show {0} --json | jq -r .text > letter.txt, change it, then cairn inbox edit {0} --file letter.txt", item.id.short())));
            }
        };
        let cairn = context.cairn();
        let short = item.id.short().to_owned();
        if text.trim().is_empty() || text == shown {
            let what = if text == shown { "unchanged" } else { "empty" };
            context.screen.document(
                &json!({"schema": "cairn.edit/1", "id": item.id, "digest": item.digest, "state": "unchanged"}),
            );
            context.screen.say(format!("the text is {what}; {short} waits as it was"));
            return Ok(exit::OK);
        }
        let input = from_text(before, &text).map_err(|why| {
            Failure::failed("bad_edit", format!("the edited text of {short} can not be used; nothing was changed"))
                .why(DisplayText::new(&why).as_str())
                .fix(format!("keep the form of the text that {cairn} inbox show {short} prints"))
        })?;
        let digest = edited(&effect, &input).digest();
        let owner = reader.view(&run)?.map_or_else(|| context.machine(reader.store()), |v| Ok(v.machine))?;
        let verb = Verb::GateEdit {
            run: run.clone(),
            gate: item.id.clone(),
            digest: item.digest.clone(),
            input: input.clone(),
            reason: self.reason.clone(),
        };
        let command = inbox::submit(reader.store(), &owner, verb, &context.by())?;
        let sent = host::follow(context, &mut reader, &run, &command, &self.wait)?;
        let screen = &mut context.screen;
        screen.document(&json!({
            "schema": "cairn.edit/1", "id": item.id, "run": run, "before": item.digest, "digest": digest,
            "command": command, "state": sent.state.word(),
        }));
        screen.say(format!("edited {short}: {}", sent.state.words()));
        screen.quote(&diff(&shown, &to_text(&input)));
        screen.note(format!("approve it: {cairn} inbox approve {short} --digest {}", &digest.as_str()[..12]));
        Ok(exit::OK)
    }
}

/// A diff with three lines around each change.
pub(super) fn diff(before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after).unified_diff().context_radius(3).header("proposed", "edited").to_string()
}

fn editable(item: &InboxItem) -> Result<(EffectContent, &Value), Failure> {
    let found = item.effect.as_ref().filter(|_| item.ask.is_none());
    let input = found.and_then(|e| e.request.input().map(|input| (e.clone(), input)));
    input.ok_or_else(|| {
        let short = item.id.short();
        let failure = Failure::usage(format!("{short} has no text that can be edited"));
        if item.learns.is_some() {
            failure.fix(format!(
                "cairn inbox deny {short} -m WHY, then say what is right: cairn mem add, cairn entity set"
            ))
        } else if item.ask.is_some() {
            failure.fix(format!("cairn inbox answer {short}"))
        } else {
            failure.fix(format!("cairn inbox deny {short} -m WHY, and change the workflow"))
        }
    })
}

fn edited(effect: &EffectContent, input: &Value) -> EffectContent {
    let mut effect = effect.clone();
    if let Some(place) = effect.request.input_mut() {
        *place = input.clone();
    }
    effect
}

/// Opens `$VISUAL`, else `$EDITOR`, else `vi`. The variable may hold arguments; no shell sees it.
fn in_editor(item: &InboxItem, text: &str) -> Result<String, Failure> {
    let fail = |e: std::io::Error| Failure::failed("no_editor", format!("cannot keep the text for the editor: {e}"));
    let mut file = tempfile::Builder::new()
        .prefix(&format!("cairn-{}-", item.id.short()))
        .suffix(".txt")
        .tempfile()
        .map_err(fail)?;
    file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(fail)?;
    let named = ["VISUAL", "EDITOR"].iter().find_map(|n| std::env::var(n).ok().filter(|v| !v.trim().is_empty()));
    let editor = named.unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = Command::new(program).args(words).arg(file.path()).status();
    match status {
        Ok(status) if status.success() => read_text(file.path()),
        Ok(status) => Err(Failure::failed(
            "editor_failed",
            format!("{program} ended with {status}; {} waits as it was", item.id.short()),
        )),
        Err(e) => {
            Err(Failure::failed("no_editor", format!("cannot start {program}: {e}")).fix("set EDITOR, or use --file"))
        }
    }
}
