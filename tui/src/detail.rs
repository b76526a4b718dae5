//! What stands in the reading pane, as lines of a given width.
//!
//! The same lines are counted by [`App`](crate::App), to know whether the operator had the whole text on
//! the screen before a decision, and drawn by `draw`. The effect's own text comes from its canonical
//! content and stands last; what explains it (why, evidence) stands apart, above.

use cairn_store_layout::{
    definition::Problem,
    event::GateClass,
    passage::Source,
    payload::{EffectClass, EffectContent, Request, to_text},
    view::{InboxItem, ItemKind, ItemState},
};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::{Config, text};

/// How a line is set apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Added,
    Removed,
    Quote,
    Warn,
}

/// One line of the pane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The word at the start of a part; empty on its other lines.
    pub(crate) label: &'static str,
    pub(crate) text: String,
    pub(crate) tone: Tone,
    /// Set for lines of the effect's text alone: they begin at the edge, all others are set in. So no
    /// explanation or quoted passage can pass for text that would go out.
    pub(crate) at_edge: bool,
}

/// Cells that labels take.
pub(crate) const LABEL: usize = 6;

/// Collects the lines of a pane.
pub(crate) struct Pane<'a> {
    config: &'a Config,
    width: usize,
    pub(crate) lines: Vec<Line>,
}

impl<'a> Pane<'a> {
    pub(crate) fn new(config: &'a Config, width: usize) -> Self {
        Self { config, width: width.max(12), lines: Vec::new() }
    }

    /// Adds a part: its label once, its text wrapped beside it.
    pub(crate) fn part(&mut self, label: &'static str, raw: &str, tone: Tone) {
        let mut label = label;
        for text in text::wrap(raw.trim_end_matches('\n'), self.width - LABEL, self.config.charset) {
            self.lines.push(Line { label, text, tone, at_edge: false });
            label = "";
        }
    }

    /// Adds a line of the effect's text with its sign. A line that goes on shows `sign` and `>`.
    fn signed(&mut self, sign: char, raw: &str, tone: Tone) {
        let mut mark = ' ';
        for text in text::wrap(raw, self.width - 2, self.config.charset) {
            self.lines.push(Line { label: "", text: format!("{sign}{mark}{text}"), tone, at_edge: true });
            mark = '>';
        }
    }

    /// Adds a line of somebody else's text; every piece of it is marked, also where it wraps.
    fn quoted(&mut self, raw: &str) {
        for text in text::wrap(raw, self.width - LABEL - 2, self.config.charset) {
            self.lines.push(Line { label: "", text: format!("| {text}"), tone: Tone::Quote, at_edge: false });
        }
    }

    fn whole(&mut self, label: &'static str, raw: &str) {
        let text = text::line(raw, self.config.charset);
        self.lines.push(Line { label, text, tone: Tone::Plain, at_edge: false });
    }

    fn blank(&mut self) {
        self.lines.push(Line { label: "", text: String::new(), tone: Tone::Plain, at_edge: false });
    }
}

/// The heading of a request: what it is, whether it can be taken back, and what exactly is decided.
pub(crate) fn heading(item: &InboxItem) -> String {
    let (id, digest) = (item.id.short(), item.digest.short());
    let run = item.run.as_ref().map_or(String::new(), |run| {
        let (at, of) = item.position;
        format!("  run {} {at}/{of}", run.short())
    });
    format!("{id} {}  digest {digest}{run}", stakes(item.kind))
}

/// What a decision means, in a few words.
pub(crate) fn stakes(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Gate(GateClass::File) => "FILE: in the store, reversible",
        ItemKind::Gate(GateClass::Data) => "DATA: in the store, can be corrected",
        ItemKind::Gate(GateClass::Run) => "RUN: runs a program here",
        ItemKind::Gate(GateClass::Send) => "SEND: cannot be recalled",
        ItemKind::Gate(GateClass::Spend) => "SPEND: costs money",
        ItemKind::Gate(GateClass::Rule) => "RULE: acts without you from then on",
        ItemKind::Ask => "ASK: the run waits for your answer",
        ItemKind::Settle => "SETTLE: nobody knows whether it happened",
        ItemKind::Decide => "DECIDE: it failed, and you say what that means",
        ItemKind::Learn => "LEARN: memory says so from then on",
    }
}

/// The lines for a request. `evidence` unfolds what it was derived from.
pub(crate) fn item_lines(item: &InboxItem, config: &Config, width: usize, evidence: bool) -> Vec<Line> {
    let mut pane = Pane::new(config, width);
    match &item.state {
        ItemState::Waiting => {}
        state => pane.part("STATE", &state_words(state, config), Tone::Warn),
    }
    if item.ask.is_none() {
        // the list may have had to cut it
        pane.part("WHAT", &item.summary, Tone::Plain);
    }
    if let Some(why) = &item.why {
        pane.part("WHY", why, Tone::Plain);
    }
    if let Some(value) = &item.evidence {
        evidence_lines(&mut pane, value, evidence);
    }
    if let Some(effect) = &item.effect {
        let label = if matches!(item.kind, ItemKind::Settle | ItemKind::Decide) { "DID" } else { "DO" };
        pane.part(label, &what_it_does(item, effect, config), Tone::Plain);
        if item.level() == 3 && cairn_store_layout::text::has_hidden(&item.text()) {
            pane.part("NOTE", "the text holds characters you could not see; they are named as <U+....>", Tone::Warn);
        }
        effect_lines(&mut pane, item);
    }
    if item.learns.is_some() {
        pane.part("LEARN", "exactly this, into memory; what it says was not checked", Tone::Plain);
        for l in item.text().lines() {
            pane.signed('+', l, Tone::Added);
        }
    }
    if let Some(ask) = &item.ask {
        pane.part("ASKS", &ask.prompt, Tone::Plain);
        for field in &ask.form {
            let mut text = format!("{}: ", field.name);
            if field.choices.is_empty() {
                text.push_str(&format!("{:?}", field.kind).to_lowercase());
            } else {
                text.push_str(&field.choices.join(" | "));
            }
            if let Some(default) = &field.default {
                text.push_str(&format!(", {} unless said", short(default)));
            }
            if field.optional {
                text.push_str(", may stay empty");
            }
            if let Some(about) = &field.description {
                text.push_str(&format!(" - {about}"));
            }
            pane.part("FIELD", &text, Tone::Plain);
        }
    }
    pane.lines
}

/// The lines that show what an edit would change.
pub(crate) fn edit_lines(before: &Value, after: &Value, config: &Config, width: usize) -> Vec<Line> {
    let mut pane = Pane::new(config, width);
    pane.part("EDIT", "as it stands (-) and as you edited it (+)", Tone::Plain);
    diff_lines(&mut pane, &to_text(before), &to_text(after));
    pane.lines
}

/// The lines for a definition that can not be used.
pub(crate) fn problem_lines(problem: &Problem, config: &Config, width: usize) -> Vec<Line> {
    let mut pane = Pane::new(config, width);
    let place = problem.at.map_or(String::new(), |at| format!(", line {}, column {}", at.line, at.column));
    pane.part("FILE", &format!("{}{place}", problem.file), Tone::Plain);
    pane.part("WHAT", &problem.message, Tone::Warn);
    if let Some(hint) = &problem.hint {
        pane.part("HINT", hint, Tone::Plain);
    }
    pane.part("SAFE", "the last good version stays in use; nothing was lost", Tone::Plain);
    pane.part("NEXT", "correct the file in any editor; it is checked again when it is saved", Tone::Plain);
    pane.lines
}

/// The lines for a history that can not be read.
pub(crate) fn unreadable_lines(what: &str, config: &Config, width: usize) -> Vec<Line> {
    let mut pane = Pane::new(config, width);
    pane.part("WHAT", what, Tone::Warn);
    pane.part("SAFE", "nothing was changed; all other runs are shown", Tone::Plain);
    pane.part("NEXT", "cairn verify says what is damaged", Tone::Plain);
    pane.lines
}

/// What became of a request, with its time.
pub(crate) fn state_words(state: &ItemState, config: &Config) -> String {
    match state {
        ItemState::Waiting => "waiting".to_owned(),
        ItemState::Approved { by, at } => format!("approved {} by {by}", config.seconds(*at)),
        ItemState::Denied { by, at, reason } => {
            let why = reason.as_deref().map_or(String::new(), |r| format!(": {r}"));
            format!("denied {} by {by}{why}", config.seconds(*at))
        }
        ItemState::Answered { by, at } => format!("answered {} by {by}", config.seconds(*at)),
        ItemState::Expired { at } => format!("expired {}: nobody decided in time", config.seconds(*at)),
        ItemState::Withdrawn { at } => format!("withdrawn {}: its run ended first", config.seconds(*at)),
    }
}

/// A value in a few words, on one line.
pub(crate) fn short(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Object(map) => map.iter().map(|(k, v)| format!("{k} {}", short(v))).collect::<Vec<_>>().join(", "),
        Value::Array(items) => items.iter().map(short).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn what_it_does(item: &InboxItem, effect: &EffectContent, config: &Config) -> String {
    let mut text = effect.request.name();
    if let Some(to) = target(item) {
        text.push_str(&format!(" to {to}"));
    }
    text.push_str(match effect.class {
        EffectClass::None => "; computes only",
        EffectClass::Read => "; reads only",
        EffectClass::Idempotent => "; a repeat changes nothing",
        EffectClass::Once => "; at most once, never blindly again",
    });
    if let (Some(at), true) = (item.expires, item.is_open()) {
        text.push_str(&format!(". Lapses undone {}", config.day(at)));
    }
    text
}

/// Whom an effect reaches, if it says so.
pub(crate) fn target(item: &InboxItem) -> Option<String> {
    let input = item.effect.as_ref()?.request.input()?;
    input.get("to").or_else(|| input.get("path")).map(short)
}

fn effect_lines(pane: &mut Pane<'_>, item: &InboxItem) {
    let text = item.text();
    let before = item.proposed.as_ref().map(EffectContent::text);
    match before {
        Some(before) if before != text => {
            pane.part("TEXT", "edited; as first proposed (-) and as it would go out (+ and unmarked)", Tone::Plain);
            diff_lines(pane, &before, &text);
        }
        _ => {
            let count = text.lines().count();
            let kind = item.effect.as_ref().map_or("", |e| match e.request {
                Request::Run { .. } => "program and arguments",
                _ => "exactly as it would go out",
            });
            pane.part("TEXT", &format!("{count} lines, {kind}"), Tone::Plain);
            for l in text.lines() {
                pane.signed('+', l, Tone::Added);
            }
        }
    }
}

fn diff_lines(pane: &mut Pane<'_>, before: &str, after: &str) {
    for change in TextDiff::from_lines(before, after).iter_all_changes() {
        let (sign, tone) = match change.tag() {
            ChangeTag::Equal => (' ', Tone::Plain),
            ChangeTag::Insert => ('+', Tone::Added),
            ChangeTag::Delete => ('-', Tone::Removed),
        };
        pane.signed(sign, change.value().trim_end_matches('\n'), tone);
    }
}

/// Where a passage came from, in the words that other lists use.
fn source(hit: &Value) -> Option<String> {
    let source = hit.get("source").filter(|v| !v.is_null())?;
    Some(serde_json::from_value::<Source>(source.clone()).map_or_else(|_| short(source), |s| s.words()))
}

/// Recalled passages read as quotes with their source; any other evidence as indented JSON.
fn evidence_lines(pane: &mut Pane<'_>, value: &Value, open: bool) {
    let hits = value.get("hits").unwrap_or(value).as_array().filter(|a| a.iter().all(|h| h.get("text").is_some()));
    let Some(hits) = hits else {
        if open {
            pane.part("BASIS", "quoted data, not part of what goes out (w folds it)", Tone::Plain);
            let json = serde_json::to_string_pretty(value).expect("a JSON value has a JSON form");
            for l in json.lines() {
                pane.quoted(l);
            }
        } else {
            pane.part("BASIS", "data of this run (w shows it)", Tone::Plain);
        }
        return;
    };
    let many = if hits.len() == 1 { "passage" } else { "passages" };
    if hits.is_empty() {
        pane.part("BASIS", "nothing was remembered about this", Tone::Plain);
    } else if !open {
        pane.whole("BASIS", &format!("{} recalled {many} (w shows all): {}", hits.len(), short(&hits[0]["text"])));
    } else {
        let note = format!("{} recalled {many}, quoted; not part of what goes out (w folds)", hits.len());
        pane.part("BASIS", &note, Tone::Plain);
        for hit in hits {
            let field = |name: &str| hit.get(name).filter(|v| !v.is_null()).map(short).filter(|s| !s.is_empty());
            for l in short(&hit["text"]).lines() {
                pane.quoted(l);
            }
            let mut about: Vec<String> = ["kind", "entity"].into_iter().filter_map(field).collect();
            about.extend(field("recorded_at").map(|t| t.chars().take(10).collect()));
            about.extend(source(hit).map(|s| format!("from {s}")));
            about.extend(field("why").map(|s| format!("matched: {s}")));
            pane.part("", &format!("  {}", about.join("; ")), Tone::Plain);
        }
        pane.blank();
    }
}
