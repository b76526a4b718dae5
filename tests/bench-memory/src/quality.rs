//! Does recall find the note that answers? recall@5 on the corpus, for every contestant, each split and style.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use cairn::bench::figure::{Figure, Target};
use cairn_store_layout::passage::{Passage, Source};
use jiff::{SignedDuration, Timestamp};

use crate::{
    broken::Result,
    corpus::{self, Note, Question, Split, Style},
    engine,
    exact::{self, Flat},
    sqlite,
    stage::Stage,
};

const PART: &str = "quality";
/// How many hits are looked at.
const FIRST: usize = 5;

/// What a contestant found for every question, as ids of notes, best first.
type Found = Vec<Vec<String>>;

/// Measures below `dir`, an empty folder.
pub(crate) fn measure(dir: &Path, say: &dyn Fn(&str)) -> Result<Vec<Figure>> {
    let (notes, questions) = (corpus::notes(), corpus::questions());
    say(&format!("recall of {} questions to {} notes", questions.len(), notes.len()));
    let mut found = cairn(dir, &notes, &questions)?;
    found.extend(peers(dir, &notes, &questions)?);
    let mut figures = vec![Figure::new(PART, "notes", notes.len() as f64, "notes")];
    for (split, style) in
        [Split::HeldOut, Split::Open].into_iter().flat_map(|s| [Style::Keyword, Style::Hard].map(|t| (s, t)))
    {
        let group: Vec<usize> =
            (0..questions.len()).filter(|n| questions[*n].split == split && questions[*n].style == style).collect();
        let name = format!("{}, {}", split.word(), style.word());
        figures.push(Figure::new(PART, format!("{name}: questions"), group.len() as f64, "questions"));
        let share = |answers: &Found| {
            let right = group.iter().filter(|n| is_right(&questions[**n], &answers[**n])).count();
            right as f64 / group.len().max(1) as f64
        };
        for (who, answers) in &found {
            let figure = Figure::new(PART, format!("{name}: {who}"), share(answers), "recall@5");
            figures.push(match target(split, style).filter(|_| *who == CAIRN) {
                Some(target) => figure.aim(target),
                None => figure,
            });
        }
    }
    Ok(figures)
}

/// Cairn as it is used.
const CAIRN: &str = "Cairn";

/// Held-out questions alone decide. For the hard ones: better than the best that was seen without a model of meaning,
/// on another corpus whose hard questions shared more words with their notes.
fn target(split: Split, style: Style) -> Option<Target> {
    (split == Split::HeldOut).then_some(match style {
        Style::Keyword => Target::AtLeast(0.97),
        Style::Hard => Target::AtLeast(0.31),
    })
}

fn is_right(question: &Question, found: &[String]) -> bool {
    found.iter().take(FIRST).any(|id| question.answers.contains(&id.as_str()))
}

fn cairn(dir: &Path, notes: &[Note], questions: &[Question]) -> Result<Vec<(&'static str, Found)>> {
    let mut stage = Stage::make(&dir.join("corpus"))?;
    stage.record(&notes.iter().enumerate().map(|(n, note)| passage(n, note)).collect::<Vec<_>>())?;
    let memory = engine::open(&stage.root, &stage.machine)?;
    let without = engine::open_with(&stage.root, &stage.machine, Arc::<engine::Absent>::default())?;
    let all = |ask: &dyn Fn(&str) -> Result<Vec<String>>| questions.iter().map(|q| ask(q.text)).collect::<Result<_>>();
    Ok(vec![
        (CAIRN, all(&|text| engine::ask(&memory, text, FIRST))?),
        ("Cairn, words only", all(&|text| engine::ask(&without, text, FIRST))?),
        ("Cairn, vectors only", all(&|text| engine::ask_by_vector(&memory, text, FIRST))?),
    ])
}

/// SQLite, and as a check of sqlite-vec the plain scan: both are exact, so they must agree.
fn peers(dir: &Path, notes: &[Note], questions: &[Question]) -> Result<Vec<(&'static str, Found)>> {
    let (words, table) = (dir.join("words.db"), dir.join("vectors.db"));
    sqlite::Words::make(&words, notes.iter().map(|note| (note.text, note.client)))?;
    let vectors = exact::embed(&notes.iter().map(|note| note.text).collect::<Vec<_>>())?;
    sqlite::Vectors::make(&table, &vectors)?;
    let flat = Flat::of(&vectors);
    let asked = exact::embed(&questions.iter().map(|q| q.text).collect::<Vec<_>>())?;
    let ids = |places: Vec<usize>| places.into_iter().map(|place| notes[place].id.to_owned()).collect();
    let (words, table) = (sqlite::Words::open(&words)?, sqlite::Vectors::open(&table)?);
    let (mut by_words, mut by_vector) = (words.question()?, table.question()?);
    let mut found: BTreeMap<&'static str, Found> = BTreeMap::new();
    for (question, vector) in questions.iter().zip(&asked) {
        let mut put = |who, places| found.entry(who).or_default().push(ids(places));
        put("SQLite FTS5", by_words.by_words(question.text, FIRST)?);
        put("sqlite-vec, the same vectors", by_vector.by_vector(vector, FIRST)?);
        put("plain scan, the same vectors", flat.nearest(vector, FIRST).into_iter().map(|(place, _)| place).collect());
    }
    Ok(found.into_iter().collect())
}

/// A note as a passage. Its id is the note's, to be recognised; nothing is about two clients.
fn passage(n: usize, note: &Note) -> Passage {
    let begin: Timestamp = "2026-01-05T08:00:00Z".parse().expect("a moment");
    let hours = i64::try_from(n).expect("a corpus is small");
    Passage {
        id: note.id.to_owned(),
        recorded_at: begin + SignedDuration::from_hours(hours),
        text: note.text.to_owned(),
        kind: note.kind.to_owned(),
        entity: Some(format!("client/{}", note.client_key())),
        labels: BTreeMap::new(),
        source: Source::Person { person: "ada".to_owned() },
        valid_from: None,
        valid_to: None,
        supersedes: Vec::new(),
    }
}
