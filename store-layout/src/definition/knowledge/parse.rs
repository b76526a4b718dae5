//! A file of knowledge from its text. Strict: what is not understood is a problem with its place.

use jiff::civil::Date;
use serde::Deserialize;
use toml::{Spanned, value::Datetime};

use super::{Applies, Content, HEAD_BYTES_MAX, KNOWLEDGE_BYTES_MAX, Knowledge, Origin, Pattern, is_knowledge_id};
use crate::{
    GateId, RunId,
    definition::{Position, Problem, toml_text::read},
};

/// The line before and after the head.
const FENCE: &str = "+++";
/// The line between what is given and what is wanted.
const DIVIDE: &str = "---";
/// The most entries of one list.
const LIST_MAX: usize = 64;
/// The longest topic, value or name of a person, in bytes.
const WORD_BYTES_MAX: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(default)]
    applies: RawApplies,
    origin: Option<Spanned<RawOrigin>>,
    topic: Option<Spanned<String>>,
    value: Option<Spanned<String>>,
    #[serde(default)]
    priority: i32,
    valid_from: Option<Spanned<Datetime>>,
    valid_to: Option<Spanned<Datetime>>,
    #[serde(default)]
    replaces: Names,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApplies {
    #[serde(default)]
    workflow: Names,
    #[serde(default)]
    step: Names,
    #[serde(default)]
    entity: Names,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOrigin {
    person: Option<String>,
    day: Option<Spanned<Datetime>>,
    run: Option<RunId>,
    gate: Option<GateId>,
}

/// A text or a list of texts, with the place of the whole.
#[derive(Default)]
struct Names {
    texts: Vec<String>,
    start: usize,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let read = Spanned::<OneOrMany>::deserialize(d)?;
        let start = read.span().start;
        let texts = match read.into_inner() {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts,
        };
        Ok(Self { texts, start })
    }
}

impl Knowledge {
    /// Reads the file `knowledge/<id>.md`.
    ///
    /// # Errors
    /// The first problem, with its place.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Problem> {
        let id = file.strip_prefix("knowledge/").and_then(|path| path.strip_suffix(".md")).unwrap_or(file);
        if !is_knowledge_id(id) {
            let message = "the path does not name a piece of knowledge";
            return Err(Problem::new(file, None, message).hint(
                "it is knowledge/{rules,templates,preferences,examples}/NAME.md, NAME a letter, then a-z 0-9 - _",
            ));
        }
        let text = text_of(file, bytes)?;
        let (head, body) = split(file, text)?;
        let reader = Reader { file, text };
        reader.knowledge(id, read::<Head>(file, &head)?, body)
    }
}

/// The text, when it is one of a sensible size.
fn text_of<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Problem> {
    if bytes.len() > KNOWLEDGE_BYTES_MAX {
        let message = format!("the file has {} bytes; knowledge has at most {KNOWLEDGE_BYTES_MAX}", bytes.len());
        return Err(Problem::new(file, None, message).hint("split it into files that each say one thing"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Problem::new(file, None, format!("not UTF-8 text from byte {} on", e.valid_up_to())))?;
    match text.char_indices().find(|(_, c)| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        Some((at, c)) => {
            let message = format!("this is no text: it holds the control character {:#04x}", u32::from(c));
            Err(Problem::new(file, Some(Position::of(text, at)), message))
        }
        None => Ok(text),
    }
}

/// The head, with blanks where the file has what is before it, so that places in it are places in the file; and
/// what follows the head.
fn split<'a>(file: &str, text: &'a str) -> Result<(String, &'a str), Problem> {
    let begin = Some(Position { line: 1, column: 1 });
    let first = text.lines().next().unwrap_or_default();
    if first.trim_end() != FENCE {
        return Err(Problem::new(file, begin, "the file does not begin with a head").hint(
            "begin it with a line `+++`, then origin = { person = \"...\", day = 2026-11-20 }, then a line `+++`",
        ));
    }
    let mut at = 0;
    for (n, line) in text.split_inclusive('\n').enumerate() {
        if n > 0 && line.trim_end() == FENCE {
            let head = format!("{}{}", " ".repeat(FENCE.len()), &text[FENCE.len()..at]);
            return Ok((head, &text[at + line.len()..]));
        }
        at += line.len();
        if at > HEAD_BYTES_MAX {
            let message = format!("the head has more than {HEAD_BYTES_MAX} bytes");
            return Err(Problem::new(file, begin, message).hint("end it with a line `+++`"));
        }
    }
    Err(Problem::new(file, begin, "the head does not end").hint("end it with a line `+++`"))
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn knowledge(&self, id: &str, head: Head, body: &str) -> Result<Knowledge, Problem> {
        let applies = Applies {
            workflow: self.patterns(&head.applies.workflow)?,
            step: self.patterns(&head.applies.step)?,
            entity: self.patterns(&head.applies.entity)?,
        };
        let folder = id.split('/').next().unwrap_or_default();
        let body = body.trim();
        let content = self.content(folder, head.topic.is_some(), head.value.as_ref(), body)?;
        let (valid_from, valid_to) = (self.day(head.valid_from.as_ref())?, self.day(head.valid_to.as_ref())?);
        if let (Some(from), Some(to), Some(place)) = (valid_from, valid_to, head.valid_to.as_ref())
            && to < from
        {
            return Err(self.at(place.span().start, format!("it would end on {to}, before it begins on {from}")));
        }
        self.few(&head.replaces)?;
        if let Some(wrong) = head.replaces.texts.iter().find(|name| !is_knowledge_id(name) || *name == id) {
            let problem =
                self.at(head.replaces.start, format!("`{wrong}` is not the id of another piece of knowledge"));
            return Err(problem.hint("an id is the path below knowledge/ without the ending, such as rules/late-fees"));
        }
        for word in [head.topic.as_ref(), head.value.as_ref()].into_iter().flatten() {
            let text = word.as_ref();
            if text.trim().is_empty() || text.len() > WORD_BYTES_MAX || text.contains('\n') {
                let message = format!("this must be one line of at most {WORD_BYTES_MAX} bytes, and not empty");
                return Err(self.at(word.span().start, message));
            }
        }
        Ok(Knowledge {
            id: id.to_owned(),
            applies,
            origin: self.origin(head.origin)?,
            topic: head.topic.map(|t| t.into_inner().trim().to_owned()),
            priority: head.priority,
            valid_from,
            valid_to,
            replaces: head.replaces.texts,
            content,
        })
    }

    fn content(
        &self,
        folder: &str,
        has_topic: bool,
        value: Option<&Spanned<String>>,
        body: &str,
    ) -> Result<Content, Problem> {
        let nowhere = |message: &str| Problem::new(self.file, None, message);
        if let (Some(value), true) = (value, folder != "preferences") {
            let problem = self.at(value.span().start, "`value` belongs to preferences".to_owned());
            return Err(problem.hint("move the file to knowledge/preferences/, or remove `value`"));
        }
        if folder != "preferences" && body.is_empty() {
            return Err(nowhere("there is nothing below the head").hint("say there what is to be known"));
        }
        match folder {
            "rules" => Ok(Content::Rule(body.to_owned())),
            "templates" => Ok(Content::Template(body.to_owned())),
            "preferences" => match (value, has_topic) {
                (Some(value), true) => {
                    Ok(Content::Preference { value: value.as_ref().trim().to_owned(), note: body.to_owned() })
                }
                (None, _) => Err(nowhere("a preference needs `value`").hint("such as value = \"German\" in its head")),
                (_, false) => {
                    Err(nowhere("a preference needs `topic`").hint("such as topic = \"language\" in its head"))
                }
            },
            _ => {
                let halves =
                    body.split_once(&format!("\n{DIVIDE}\n")).map(|(given, wanted)| (given.trim(), wanted.trim()));
                match halves {
                    Some((given, wanted)) if !given.is_empty() && !wanted.is_empty() => {
                        Ok(Content::Example { given: given.to_owned(), wanted: wanted.to_owned() })
                    }
                    _ => Err(nowhere("an example says what was given and what is wanted")
                        .hint("put a line `---` between the two")),
                }
            }
        }
    }

    fn origin(&self, origin: Option<Spanned<RawOrigin>>) -> Result<Origin, Problem> {
        const HOW: &str =
            "origin = { person = \"...\", day = 2026-11-20 }, or { run = \"...\", gate = \"...\" } of a correction";
        let Some(origin) = origin else {
            return Err(Problem::new(self.file, None, "the head has no `origin`").hint(HOW));
        };
        let start = origin.span().start;
        let origin = origin.into_inner();
        let day = self.day(origin.day.as_ref())?;
        match (origin.person, day, origin.run, origin.gate) {
            (Some(person), Some(day), None, None) if !person.trim().is_empty() && person.len() <= WORD_BYTES_MAX => {
                Ok(Origin::Person { person, day })
            }
            (None, None, Some(run), Some(gate)) => Ok(Origin::Correction { run, gate }),
            _ => Err(self.at(start, "`origin` names a person and a day, or a run and a gate".to_owned()).hint(HOW)),
        }
    }

    fn patterns(&self, names: &Names) -> Result<Vec<Pattern>, Problem> {
        self.few(names)?;
        names.texts.iter().map(|name| Pattern::new(name).map_err(|why| self.at(names.start, why))).collect()
    }

    fn few(&self, names: &Names) -> Result<(), Problem> {
        if names.texts.len() > LIST_MAX {
            return Err(self.at(names.start, format!("the list has more than {LIST_MAX} entries")));
        }
        Ok(())
    }

    fn day(&self, day: Option<&Spanned<Datetime>>) -> Result<Option<Date>, Problem> {
        let Some(day) = day else { return Ok(None) };
        let start = day.span().start;
        let wrong = || self.at(start, "this is not a day; write it like 2026-11-20, without quotes".to_owned());
        let (Some(date), None) = (day.as_ref().date, day.as_ref().time) else { return Err(wrong()) };
        date.to_string().parse().map(Some).map_err(|_| wrong())
    }

    fn at(&self, start: usize, message: String) -> Problem {
        Problem::new(self.file, Some(Position::of(self.text, start)), message)
    }
}
