//! What an observer sees and may do.

use std::{cell::RefCell, io, rc::Rc, time::Duration};

use super::*;

/// Notes every call by a word and judges writes and reads by a list.
#[derive(Default)]
struct Notes {
    seen: RefCell<Vec<String>>,
    verdicts: RefCell<Vec<Verdict>>,
}

impl Observer for Notes {
    fn before(&self, op: &Op<'_>) -> Verdict {
        match op {
            Op::Write { .. } | Op::Read { .. } | Op::SyncData { .. } => {
                self.verdicts.borrow_mut().pop().unwrap_or(Verdict::Go)
            }
            _ => Verdict::Go,
        }
    }

    fn after(&self, op: &Op<'_>, result: Result<(), &io::Error>) {
        let word = format!("{op:?}").split_whitespace().next().unwrap_or_default().to_owned();
        let taken = if let Op::Write { bytes, .. } = op { bytes.len().to_string() } else { String::new() };
        let end = result.err().map_or(String::new(), |e| format!("!{}", e.raw_os_error().unwrap_or(0)));
        self.seen.borrow_mut().push(format!("{word}{taken}{end}"));
    }

    fn pause(&self, duration: Duration) {
        self.seen.borrow_mut().push(format!("pause {duration:?}"));
    }

    fn random(&self) -> Option<u128> {
        Some(7 << 64)
    }
}

fn watched(verdicts: &[Verdict]) -> (Rc<Notes>, Observing) {
    let notes = Rc::new(Notes::default());
    *notes.verdicts.borrow_mut() = verdicts.iter().rev().copied().collect();
    let observing = observe(notes.clone());
    (notes, observing)
}

#[test]
fn an_observer_sees_every_call_of_a_durable_write_and_gives_the_names() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let (notes, observing) = watched(&[]);
    crate::store::fsutil::write(&path, b"12345").unwrap();
    pause(Duration::from_secs(3600));
    drop(observing);
    let seen = notes.seen.borrow().join(" ");
    assert_eq!(seen, "Create Write5 SyncAll Rename SyncDir pause 3600s");
    read(&path).unwrap();
    assert_eq!(notes.seen.borrow().len(), 6, "nobody watches any more");
}

#[test]
fn a_short_write_goes_on_and_a_failed_one_leaves_what_was_taken() {
    const ENOSPC: i32 = 28;
    let dir = tempfile::tempdir().unwrap();
    let (notes, _observing) = watched(&[Verdict::Short(2), Verdict::Go, Verdict::Short(1), Verdict::Fail(ENOSPC)]);
    let file = DiskFile::create_new(&dir.path().join("a"), 0o666).unwrap();
    file.write_at(b"whole", 0).unwrap();
    assert_eq!(file.write_at(b"part", 5).unwrap_err().raw_os_error(), Some(ENOSPC));
    assert_eq!(read(file.path()).unwrap(), b"wholep");
    assert_eq!(notes.seen.borrow().join(" "), "Create Write2 Write3 Write1 Write0!28 Read");
}

#[test]
fn a_signal_is_outlived_by_reads_and_writes_and_never_by_a_sync() {
    const EINTR: i32 = 4;
    let dir = tempfile::tempdir().unwrap();
    let (_notes, observing) = watched(&[Verdict::Fail(EINTR), Verdict::Go, Verdict::Fail(EINTR), Verdict::Go]);
    let file = DiskFile::create_new(&dir.path().join("a"), 0o666).unwrap();
    file.write_at(b"x", 0).unwrap();
    assert_eq!(read(file.path()).unwrap(), b"x");
    drop(observing);
    let (notes, _observing) = watched(&[Verdict::Fail(EINTR)]);
    assert_eq!(file.sync_data().unwrap_err().kind(), io::ErrorKind::Interrupted);
    assert_eq!(*notes.seen.borrow(), ["SyncData!4"]);
    let forever = [Verdict::Fail(EINTR); 20];
    let (_notes, _observing) = watched(&forever);
    assert_eq!(file.write_at(b"y", 0).unwrap_err().kind(), io::ErrorKind::Interrupted, "not for ever");
}

#[test]
fn an_unfinished_file_goes_and_a_taken_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    drop(Temporary::new_in(dir.path(), 0o666).unwrap());
    Temporary::new_in(dir.path(), 0o666).unwrap().persist_new(&path).unwrap();
    let taken = Temporary::new_in(dir.path(), 0o666).unwrap().persist_new(&path);
    assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(list(dir.path()).unwrap().len(), 1);
}
