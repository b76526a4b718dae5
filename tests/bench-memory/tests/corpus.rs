//! Holds the corpus to what its README says of it, so that nobody reads more into a figure than there is.

use std::collections::{BTreeMap, BTreeSet};

use cairn_bench_memory::corpus::{self, Question, Split, Style};

/// Words that every sentence has: they say nothing of what it is about.
const COMMON: &str = "a about after again all also am an and any anybody are as at be because been before both by but \
    can could did do does each either else ever every for from get give go had has have he her hers him his how i if \
    in into is it its may me might must my near never no nor not of off on once one only or other our ours out over \
    own per said same say says she should since so some somebody such than that the their them then there these they \
    this those through to too two under until up us very was we were what when where whether which who whom whose why \
    will with without would you your";
const ENDINGS: [&str; 10] = ["ingly", "edly", "ing", "ies", "ied", "ed", "es", "ly", "s", "e"];

/// The words that say what a text is about, without their endings.
fn content(text: &str) -> BTreeSet<String> {
    let common: BTreeSet<&str> = COMMON.split_whitespace().collect();
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty() && !common.contains(w));
    words.map(stem).map(str::to_owned).collect()
}

fn stem(word: &str) -> &str {
    let cut = ENDINGS.iter().find_map(|ending| word.strip_suffix(ending).filter(|rest| rest.chars().count() >= 3));
    cut.unwrap_or(word)
}

/// Content words of the question, and how many of them its nearest answer shares.
fn shared(question: &Question, texts: &BTreeMap<&str, &str>) -> (usize, usize) {
    let asked = content(question.text);
    let most = question.answers.iter().map(|id| content(texts[id]).intersection(&asked).count()).max();
    (asked.len(), most.unwrap_or(0))
}

fn texts() -> BTreeMap<&'static str, &'static str> {
    corpus::notes().into_iter().map(|note| (note.id, note.text)).collect()
}

#[test]
fn there_are_as_many_as_it_says() {
    let (notes, questions) = (corpus::notes(), corpus::questions());
    assert!(notes.len() >= 320, "{} notes", notes.len());
    let clients: BTreeSet<&str> = notes.iter().map(corpus::Note::client_key).collect();
    assert!(clients.len() >= 40, "{} clients", clients.len());
    for (style, least) in [(Style::Hard, 130), (Style::Keyword, 100)] {
        let of = |split| questions.iter().filter(|q| q.style == style && q.split == split).count();
        let (open, held_out) = (of(Split::Open), of(Split::HeldOut));
        assert!(open + held_out >= least, "{} {} questions", open + held_out, style.word());
        assert!(open.abs_diff(held_out) <= 5, "{open} open and {held_out} held out are no halves");
    }
    let lengths = notes.iter().map(|note| note.text.len());
    assert!(lengths.clone().min() < Some(60) && lengths.max() > Some(160), "notes are long and short");
}

#[test]
fn every_line_stands_for_itself() {
    let (notes, questions) = (corpus::notes(), corpus::questions());
    let texts = texts();
    assert_eq!(texts.len(), notes.len(), "an id is given twice");
    assert_eq!(texts.values().collect::<BTreeSet<_>>().len(), notes.len(), "a text is there twice");
    let ids: BTreeSet<&str> = questions.iter().map(|q| q.id).collect();
    let asked: BTreeSet<&str> = questions.iter().map(|q| q.text).collect();
    assert_eq!((ids.len(), asked.len()), (questions.len(), questions.len()), "a question is there twice");
    for question in &questions {
        assert!(!question.answers.is_empty(), "{} has no answer", question.id);
        for answer in &question.answers {
            assert!(texts.contains_key(answer), "{} names {answer}, which is not there", question.id);
        }
    }
    for note in &notes {
        assert_eq!(note.text.trim(), note.text, "{}", note.id);
        assert!(["mail", "call", "terms", "preference", "complaint", "contract", "quirk", "note"].contains(&note.kind));
    }
}

#[test]
fn the_split_is_by_client() {
    let mut order: Vec<&str> = corpus::notes().iter().map(corpus::Note::client_key).collect();
    order.dedup();
    for question in corpus::questions() {
        for answer in &question.answers {
            let client = answer.rsplit_once('-').map_or(*answer, |(client, _)| client);
            let place = order.iter().position(|other| *other == client).unwrap();
            let split = if place % 2 == 0 { Split::Open } else { Split::HeldOut };
            assert_eq!(question.split, split, "{} is about {client}", question.id);
        }
    }
}

#[test]
fn hard_questions_share_next_to_no_word_with_their_note_and_keyword_ones_most() {
    let texts = texts();
    let questions = corpus::questions();
    let (mut sharing_none, mut hard) = (0, 0);
    for question in &questions {
        let (asked, same) = shared(question, &texts);
        match question.style {
            Style::Hard => {
                assert!(same <= 1, "{} shares {same} words: {}", question.id, question.text);
                assert!(asked >= 2, "{} asks nothing: {}", question.id, question.text);
                hard += 1;
                sharing_none += usize::from(same == 0);
            }
            Style::Keyword => assert!(same * 2 >= asked, "{} shares {same} of {asked}", question.id),
        }
    }
    assert!(sharing_none * 4 >= hard * 3, "{sharing_none} of {hard} hard questions share no word");
}

#[test]
fn words_are_compared_without_their_endings() {
    assert_eq!(content("The invoices were paid, and she is paying"), content("invoice pay paid"));
    assert_eq!(content("to be or not to be"), BTreeSet::new());
}
