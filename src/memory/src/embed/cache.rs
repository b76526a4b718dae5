//! Vectors that were paid for, kept by text: `.cairn/cache/embeddings/<digest of the embedder's id>.f16`.
//!
//! The first line of the file is JSON and names the format, the embedder and the length of its
//! vectors. Records follow, all of one size: 16 bytes of digest of the text, the numbers in half
//! precision, 4 bytes of BLAKE3 over both. The file only grows, one locked write for each answer, so
//! that a kernel and a command may share it; what a killed process left half written is cut off by
//! the next writer and skipped by readers. A record that fails its check counts as absent.
//!
//! Vectors are rounded to half precision whether they come from the cache or from the embedder, so
//! that a question is answered alike the first and the second time.
//!
//! **Bounds.** A file that reaches [`CachedEmbedder::BYTES_MAX`] is cut to its newer half; of
//! embedders that are not used any more the files of the three used last are kept.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use cairn_store_layout::paths;
use half::f16;
use serde::{Deserialize, Serialize};

use super::{EmbedError, Embedder, TextDigest, checked};

const FORMAT: u32 = 1;
const CHECK: usize = 4;
const FILES_MAX: usize = 4;
/// The longest first line.
const HEAD_BYTES_MAX: usize = 4096;

/// An embedder whose answers are kept on disk.
pub struct CachedEmbedder {
    inner: Arc<dyn Embedder>,
    path: PathBuf,
    bytes_max: u64,
    open: Mutex<Option<Open>>,
}

/// The file as this process knows it.
struct Open {
    file: File,
    dims: usize,
    /// The length of the first line.
    head: u64,
    /// Up to where it was read.
    upto: u64,
    /// Where the record of each text begins.
    places: HashMap<TextDigest, u64>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    id: String,
    dims: usize,
}

impl CachedEmbedder {
    /// The most bytes of one file: 340,000 vectors of 768 numbers.
    pub const BYTES_MAX: u64 = 512 << 20;

    /// Keeps the answers of `inner` below the store at `root`. Reads nothing yet.
    #[must_use]
    pub fn new(root: &Path, inner: Arc<dyn Embedder>) -> Self {
        Self::bounded(root, inner, Self::BYTES_MAX)
    }

    /// The same with another bound.
    #[must_use]
    pub fn bounded(root: &Path, inner: Arc<dyn Embedder>, bytes_max: u64) -> Self {
        let name = blake3::hash(inner.id().as_bytes()).to_hex();
        let path = dir(root).join(format!("{}.f16", &name[..16]));
        Self { inner, path, bytes_max, open: Mutex::new(None) }
    }

    /// The file is opened when first used, and opened anew when it was replaced or removed.
    fn open(&self) -> Result<MutexGuard<'_, Option<Open>>, EmbedError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_some_and(|open| !open.is_at(&self.path)) {
            *open = None;
        }
        if open.is_none() {
            *open = self.read_head()?;
        }
        if let Some(open) = open.as_mut() {
            open.catch_up().map_err(|e| self.failed("read", &e))?;
        }
        Ok(open)
    }

    /// Opens a file that is there and ours; `None` when there is none.
    fn read_head(&self) -> Result<Option<Open>, EmbedError> {
        let file = match OpenOptions::new().read(true).append(true).open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.failed("open", &e)),
        };
        let mut bytes = vec![0; HEAD_BYTES_MAX];
        let read = file.read_at(&mut bytes, 0).map_err(|e| self.failed("read", &e))?;
        let line = bytes[..read].iter().position(|b| *b == b'\n');
        let head = line.and_then(|end| serde_json::from_slice::<Head>(&bytes[..end]).ok());
        match (line, head) {
            (Some(end), Some(head)) if head.format == FORMAT && head.id == self.inner.id() && head.dims > 0 => {
                let head_bytes = end as u64 + 1;
                Ok(Some(Open { file, dims: head.dims, head: head_bytes, upto: head_bytes, places: HashMap::new() }))
            }
            _ => {
                tracing::warn!(path = %self.path.display(), "a cache of vectors can not be read; it is begun anew");
                fs::remove_file(&self.path).map_err(|e| self.failed("remove", &e))?;
                Ok(None)
            }
        }
    }

    /// Makes the file with its first line, for vectors of this length.
    fn create(&self, dims: usize) -> Result<Open, EmbedError> {
        let dir = self.path.parent().expect("a file in a folder");
        fs::create_dir_all(dir).map_err(|e| self.failed("create the folder of", &e))?;
        keep_newest(dir, FILES_MAX - 1);
        let head = Head { format: FORMAT, id: self.inner.id().to_owned(), dims };
        let mut line = serde_json::to_vec(&head).expect("numbers and text are JSON");
        line.push(b'\n');
        // Whole or not at all, and never in place of one that another process made meanwhile.
        let made = tempfile::NamedTempFile::new_in(dir).and_then(|mut new| {
            new.write_all(&line)?;
            match new.persist_noclobber(&self.path) {
                Ok(_) => Ok(()),
                Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
                Err(e) => Err(e.error),
            }
        });
        made.map_err(|e| self.failed("create", &e))?;
        let mut open = self.read_head()?.ok_or_else(|| EmbedError("the cache of vectors vanished".to_owned()))?;
        open.catch_up().map_err(|e| self.failed("read", &e))?;
        Ok(open)
    }

    fn append(&self, vectors: &[(TextDigest, &[f32])]) -> Result<(), EmbedError> {
        let Some((_, first)) = vectors.first() else { return Ok(()) };
        let mut open = self.open()?;
        if open.is_none() {
            *open = Some(self.create(first.len())?);
        }
        let file = open.as_mut().expect("made above");
        if vectors.iter().any(|(_, values)| values.len() != file.dims) {
            return Err(EmbedError(format!(
                "vectors of {} numbers, where `{}` gave {} before: the model behind this name was changed; give it another name, or remove {}",
                first.len(),
                self.inner.id(),
                file.dims,
                self.path.display()
            )));
        }
        let mut bytes = Vec::with_capacity(vectors.len() * file.record());
        for (digest, values) in vectors {
            let begin = bytes.len();
            bytes.extend(digest.0);
            bytes.extend(values.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()));
            let check = check(&bytes[begin..]);
            bytes.extend(check);
        }
        file.append(&bytes).map_err(|e| self.failed("write", &e))?;
        if file.upto > self.bytes_max {
            *open = None;
            self.halve().map_err(|e| self.failed("shorten", &e))?;
        }
        Ok(())
    }

    /// Keeps the newer half of the file.
    fn halve(&self) -> std::io::Result<()> {
        let Some(open) = self.read_head().map_err(|e| std::io::Error::other(e.0))? else { return Ok(()) };
        open.file.lock()?;
        let record = open.record() as u64;
        let records = (open.file.metadata()?.len() - open.head) / record;
        let mut new = tempfile::NamedTempFile::new_in(self.path.parent().expect("a file in a folder"))?;
        let mut old = BufReader::new(&open.file);
        old.seek(SeekFrom::Start(0))?;
        std::io::copy(&mut (&mut old).take(open.head), &mut new)?;
        old.seek(SeekFrom::Start(open.head + records / 2 * record))?;
        std::io::copy(&mut old.take((records - records / 2) * record), &mut new)?;
        // Who waits for the lock finds the old file replaced, and loses at worst what it wrote to the cache.
        new.persist(&self.path).map_err(|e| e.error)?;
        Ok(())
    }

    fn look_up(&self, texts: &[&str]) -> Result<Vec<Option<Vec<f32>>>, EmbedError> {
        let open = self.open()?;
        let Some(open) = open.as_ref() else { return Ok(vec![None; texts.len()]) };
        Ok(texts.iter().map(|text| open.read(&TextDigest::of(text))).collect())
    }

    fn failed(&self, what: &str, error: &std::io::Error) -> EmbedError {
        EmbedError(format!("could not {what} {}: {error}", self.path.display()))
    }
}

impl Embedder for CachedEmbedder {
    fn id(&self) -> &str {
        self.inner.id()
    }

    fn dims(&self) -> usize {
        let known = self.inner.dims();
        if known > 0 { known } else { self.open().ok().and_then(|open| Some(open.as_ref()?.dims)).unwrap_or(0) }
    }

    fn floor(&self) -> f32 {
        self.inner.floor()
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut found = match self.look_up(texts) {
            Ok(found) => found,
            Err(why) => {
                // A cache that fails costs money, not answers.
                tracing::warn!(%why, "vectors are asked for again");
                vec![None; texts.len()]
            }
        };
        let mut missing: Vec<&str> = texts.iter().zip(&found).filter(|(_, v)| v.is_none()).map(|(t, _)| *t).collect();
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            let mut made: HashMap<&str, Vec<f32>> = HashMap::new();
            for (text, vector) in missing.iter().zip(checked(self.inner.as_ref(), &missing)?) {
                made.insert(text, vector.iter().map(|x| f16::from_f32(*x).to_f32()).collect());
            }
            let records: Vec<(TextDigest, &[f32])> =
                made.iter().map(|(text, vector)| (TextDigest::of(text), vector.as_slice())).collect();
            if let Err(why) = self.append(&records) {
                if made.values().any(|v| v.len() != self.dims()) {
                    return Err(why);
                }
                tracing::warn!(%why, "vectors were not kept; they will be asked for again");
            }
            for (text, slot) in texts.iter().zip(&mut found).filter(|(_, slot)| slot.is_none()) {
                *slot = made.get(text).cloned();
            }
        }
        Ok(found.into_iter().map(|vector| vector.expect("found, or made just now")).collect())
    }

    fn costs(&self) -> bool {
        true
    }

    fn at_hand(&self, texts: &[&str]) -> Result<Vec<Option<Vec<f32>>>, EmbedError> {
        self.look_up(texts)
    }

    fn keep(&self, vectors: &[(TextDigest, &[f32])]) -> Result<(), EmbedError> {
        let new: Vec<(TextDigest, &[f32])> = {
            let open = self.open()?;
            let known = |digest: &TextDigest| open.as_ref().is_some_and(|open| open.places.contains_key(digest));
            vectors.iter().filter(|(digest, _)| !known(digest)).copied().collect()
        };
        self.append(&new)
    }
}

impl Open {
    fn record(&self) -> usize {
        size_of::<TextDigest>() + self.dims * 2 + CHECK
    }

    /// Tells whether the path still names the file that is open.
    fn is_at(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        match (self.file.metadata(), fs::metadata(path)) {
            (Ok(ours), Ok(there)) => ours.ino() == there.ino() && ours.dev() == there.dev() && there.len() >= self.upto,
            _ => false,
        }
    }

    /// Takes note of the whole records that came since the last look.
    fn catch_up(&mut self) -> std::io::Result<()> {
        let len = self.file.metadata()?.len();
        let record = self.record();
        let fresh = len.saturating_sub(self.upto) / record as u64;
        if fresh == 0 {
            return Ok(());
        }
        let mut file = BufReader::with_capacity(1 << 16, &self.file);
        file.seek(SeekFrom::Start(self.upto))?;
        let mut digest = [0; size_of::<TextDigest>()];
        let rest = i64::try_from(record - digest.len()).expect("a record is small");
        for _ in 0..fresh {
            file.read_exact(&mut digest)?;
            self.places.insert(TextDigest(digest), self.upto);
            file.seek_relative(rest)?;
            self.upto += record as u64;
        }
        Ok(())
    }

    /// Reads one record, if there is a sound one.
    fn read(&self, digest: &TextDigest) -> Option<Vec<f32>> {
        let mut bytes = vec![0; self.record()];
        self.file.read_exact_at(&mut bytes, *self.places.get(digest)?).ok()?;
        let (body, sum) = bytes.split_at(bytes.len() - CHECK);
        let sound = body.starts_with(&digest.0) && check(body) == sum;
        let numbers = body[digest.0.len()..].chunks_exact(2);
        sound.then(|| numbers.map(|two| f16::from_le_bytes([two[0], two[1]]).to_f32()).collect())
    }

    /// Writes whole records after the last whole one.
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.lock()?;
        let written = self.append_locked(bytes);
        self.file.unlock()?;
        written
    }

    fn append_locked(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let len = self.file.metadata()?.len();
        let torn = (len.saturating_sub(self.head)) % self.record() as u64;
        if torn > 0 {
            self.file.set_len(len - torn)?;
        }
        self.file.write_all(bytes)?;
        self.catch_up()
    }
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    blake3::hash(bytes).as_bytes()[..CHECK].try_into().expect("a hash has 32 bytes")
}

fn dir(root: &Path) -> PathBuf {
    root.join(paths::CACHE).join("embeddings")
}

/// Removes the caches of embedders that were used the longest ago.
fn keep_newest(dir: &Path, keep: usize) {
    let Ok(listing) = fs::read_dir(dir) else { return };
    let age =
        |item: fs::DirEntry| Some((item.metadata().ok()?.modified().unwrap_or(SystemTime::UNIX_EPOCH), item.path()));
    let mut files: Vec<(SystemTime, PathBuf)> = listing.flatten().filter_map(age).collect();
    files.sort_unstable_by(|a, b| b.cmp(a));
    for (_, path) in files.into_iter().skip(keep) {
        if let Err(why) = fs::remove_file(&path) {
            tracing::warn!(%why, path = %path.display(), "an old cache of vectors stays where it is");
        }
    }
}
