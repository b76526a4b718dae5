//! The notes and questions of `corpus/`, as its README describes them.

const NOTES: &str = include_str!("../corpus/notes.tsv");
const OPEN: &str = include_str!("../corpus/questions.open.tsv");
const HELD_OUT: &str = include_str!("../corpus/questions.held-out.tsv");

/// A note about a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// Its name: the client's, and a number within.
    pub id: &'static str,
    /// The client, as people write it.
    pub client: &'static str,
    /// What it is: `mail`, `call`, `terms` ...
    pub kind: &'static str,
    /// What it says.
    pub text: &'static str,
}

impl Note {
    /// The client's short name, the same in all notes about the client.
    #[must_use]
    pub fn client_key(&self) -> &'static str {
        self.id.rsplit_once('-').map_or(self.id, |(client, _)| client)
    }
}

/// How a question is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Style {
    /// In words that its note does not use.
    Hard,
    /// In words of its note.
    Keyword,
}

impl Style {
    /// The style as the files and tables name it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Keyword => "keyword",
        }
    }
}

/// What a question may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    /// Reported only.
    HeldOut,
    /// May be looked at while memory is worked on.
    Open,
}

impl Split {
    /// The split as tables name it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::HeldOut => "held-out",
            Self::Open => "open",
        }
    }
}

/// A question with the notes that answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its name.
    pub id: &'static str,
    /// How it is put.
    pub style: Style,
    /// What it may be used for.
    pub split: Split,
    /// Any of these answers it.
    pub answers: Vec<&'static str>,
    /// The question.
    pub text: &'static str,
}

/// All notes.
#[must_use]
pub fn notes() -> Vec<Note> {
    rows(NOTES).map(|[id, client, kind, text]| Note { id, client, kind, text }).collect()
}

/// All questions, the held-out ones first.
#[must_use]
pub fn questions() -> Vec<Question> {
    let of = |file, split| {
        rows(file).map(move |[id, style, answers, text]| {
            let style = match style {
                "hard" => Style::Hard,
                "keyword" => Style::Keyword,
                other => unreachable!("{id}: a question is hard or keyword, not {other}; tests/corpus.rs checks"),
            };
            Question { id, style, split, answers: answers.split(',').collect(), text }
        })
    };
    of(HELD_OUT, Split::HeldOut).chain(of(OPEN, Split::Open)).collect()
}

/// The lines of a file with four columns, its first line left out.
fn rows(file: &'static str) -> impl Iterator<Item = [&'static str; 4]> {
    file.lines().skip(1).map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        columns.try_into().expect("every line of the corpus has four columns; tests/corpus.rs checks")
    })
}
