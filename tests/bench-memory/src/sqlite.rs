//! The peers within SQLite: FTS5 for words, sqlite-vec for vectors.
//!
//! Both as somebody who knows them would use them: Porter's stems, any word may match but the most common, BM25
//! ranks; vectors of length 1 by distance, with AVX. One transaction fills a table, and each question is a prepared
//! statement.

use std::path::Path;

use rusqlite::{Connection, Statement, params};

use crate::{
    broken::{During as _, Result},
    exact::bytes,
};

/// Full text search over texts and whom they are about.
pub struct Words(Connection);

impl Words {
    /// Makes the table in a new file. A text's number is its place, from 0.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn make<'a>(path: &Path, texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<()> {
        let mut db = Connection::open(path).during("open SQLite")?;
        db.execute_batch("CREATE VIRTUAL TABLE words USING fts5(text, about, tokenize = 'porter unicode61')")
            .during("make the FTS5 table")?;
        let all = db.transaction().during("begin")?;
        {
            let mut insert = all.prepare("INSERT INTO words(rowid, text, about) VALUES (?, ?, ?)").during("prepare")?;
            for (place, (text, about)) in (0_i64..).zip(texts) {
                insert.execute(params![place, text, about]).during("fill the FTS5 table")?;
            }
        }
        all.commit().during("commit the FTS5 table")
    }

    /// Opens the table.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self(Connection::open(path).during("open SQLite")?))
    }

    /// Readies the question.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn question(&self) -> Result<Question<'_>> {
        let text = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?";
        Ok(Question(self.0.prepare(text).during("prepare a question to FTS5")?))
    }
}

/// Exact search over vectors.
pub struct Vectors(Connection);

impl Vectors {
    /// Makes the table in a new file. A vector's number is its place, from 0.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn make(path: &Path, vectors: &[Vec<f32>]) -> Result<()> {
        let mut db = Connection::open(path).during("open SQLite")?;
        let dims = vectors.first().map_or(1, Vec::len);
        db.execute_batch(&format!("CREATE VIRTUAL TABLE vectors USING vec0(vector float[{dims}])"))
            .during("make the sqlite-vec table")?;
        let all = db.transaction().during("begin")?;
        {
            let mut insert = all.prepare("INSERT INTO vectors(rowid, vector) VALUES (?, ?)").during("prepare")?;
            for (place, vector) in (0_i64..).zip(vectors) {
                insert.execute(params![place, bytes(vector)]).during("fill the sqlite-vec table")?;
            }
        }
        all.commit().during("commit the sqlite-vec table")
    }

    /// Opens the table.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self(Connection::open(path).during("open SQLite")?))
    }

    /// Readies the question.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn question(&self) -> Result<Question<'_>> {
        let text = "SELECT rowid FROM vectors WHERE vector MATCH ? AND k = ? ORDER BY distance";
        Ok(Question(self.0.prepare(text).during("prepare a question to sqlite-vec")?))
    }
}

/// A prepared question.
pub struct Question<'db>(Statement<'db>);

impl Question<'_> {
    /// The places of the `k` texts that match `text` best by words.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn by_words(&mut self, text: &str, k: usize) -> Result<Vec<usize>> {
        self.ask(params![any_word(text), k as i64])
    }

    /// The places of the `k` nearest vectors.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn by_vector(&mut self, vector: &[f32], k: usize) -> Result<Vec<usize>> {
        self.ask(params![bytes(vector), k as i64])
    }

    fn ask(&mut self, given: &[&dyn rusqlite::ToSql]) -> Result<Vec<usize>> {
        let rows = self.0.query_map(given, |row| row.get::<_, i64>(0)).during("ask SQLite")?;
        rows.map(|place| Ok(usize::try_from(place.during("read a row")?).unwrap_or(usize::MAX))).collect()
    }
}

/// Words that FTS5, which leaves none out by itself, would find in nearly every text and be slowed by.
const COMMON: [&str; 40] = [
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "has", "have",
    "how", "if", "in", "is", "it", "not", "of", "on", "or", "our", "that", "the", "to", "us", "was", "we", "what",
    "when", "which", "who", "why", "will", "with",
];

/// The question in the language of FTS5: any of its words that say something, none of them taken for an operator.
fn any_word(text: &str) -> String {
    let all = || text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let quoted = |word| format!("\"{word}\"");
    let telling: Vec<String> =
        all().filter(|word| !COMMON.contains(&word.to_lowercase().as_str())).map(quoted).collect();
    // a question of nothing but common words is still a question
    if telling.is_empty() { all().map(quoted).collect::<Vec<_>>().join(" OR ") } else { telling.join(" OR ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_find_what_was_put_in() {
        let dir = tempfile::tempdir().unwrap();
        let (words, vectors) = (dir.path().join("words.db"), dir.path().join("vectors.db"));
        Words::make(&words, [("paid late", "client/a"), ("the organ is tuned", "client/b")]).unwrap();
        let words = Words::open(&words).unwrap();
        let mut question = words.question().unwrap();
        assert_eq!(question.by_words("who tunes organs? \"AND\"", 5).unwrap(), [1]);
        assert_eq!(question.by_words("NOT late", 5).unwrap(), [0]);
        assert_eq!(question.by_words("what is the", 5).unwrap(), [1], "common words alone");
        let given: Vec<Vec<f32>> = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]].map(Vec::from).to_vec();
        Vectors::make(&vectors, &given).unwrap();
        let vectors = Vectors::open(&vectors).unwrap();
        assert_eq!(vectors.question().unwrap().by_vector(&[0.0, 1.0], 2).unwrap(), [1, 2]);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn sqlite_vec_is_as_quick_as_released() {
        let db = Connection::open_in_memory().unwrap();
        let told: String = db.query_row("SELECT vec_debug()", [], |row| row.get(0)).unwrap();
        assert!(told.contains("avx"), "{told}");
    }
}
