//! The journal as a whole: what is appended is found again, and what must not be lost is not.

use super::*;

fn lines(n: usize) -> Vec<(String, String)> {
    (0..n)
        .map(|i| (format!("runs/{}.jsonl", i % 3), format!("{{\"n\":{i},\"text\":\"{}\"}}", "x".repeat(i % 50))))
        .collect()
}

fn append(journal: &mut Journal, lines: &[(String, String)]) {
    let lines: Vec<_> = lines.iter().map(|(to, line)| (to.as_str(), line.as_str())).collect();
    journal.append(&lines).expect("appended");
}

#[test]
fn what_was_appended_is_found_again_also_over_several_segments() {
    let dir = tempfile::tempdir().unwrap();
    let all = lines(700);
    for part in all.chunks(333) {
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        append(&mut journal, part);
    }
    let big = vec![("runs/big.jsonl".to_owned(), "y".repeat(SEGMENT_BYTES))];
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    append(&mut journal, &big);
    append(&mut journal, &lines(2));
    let (_, found) = Journal::open(dir.path()).unwrap();
    assert_eq!(found.entries.len(), 703);
    assert_eq!(found.entries[699].line, all[699].1);
    assert!(found.repairs.is_empty());
    assert_eq!(segments::numbers(&dir.path().join(paths::JOURNAL)).unwrap().len(), 3);
}

#[test]
fn what_a_stopped_kernel_left_is_written_synced_and_named_before_it_is_relied_upon() {
    use std::{cell::RefCell, rc::Rc};

    use crate::store::disk::{Observer, Op, Verdict, observe};

    #[derive(Default)]
    struct Seen(RefCell<Vec<String>>);
    impl Observer for Seen {
        fn before(&self, op: &Op<'_>) -> Verdict {
            let seen = match op {
                Op::Write { bytes, .. } => format!("write {}", String::from_utf8_lossy(bytes)),
                Op::SyncData { .. } => "sync".to_owned(),
                Op::SyncDir { path } => format!("name {}", path.ends_with(paths::JOURNAL)),
                _ => return Verdict::Go,
            };
            self.0.borrow_mut().push(seen);
            Verdict::Go
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    append(&mut journal, &lines(2));
    append(&mut journal, &lines(1));
    drop(journal);
    let seen = Rc::new(Seen::default());
    let _observing = observe(seen.clone());
    Journal::open(dir.path()).unwrap();
    let seen = seen.0.borrow();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen[0].starts_with("write {\"n\":3,"), "{seen:?}");
    assert_eq!(seen[1..], ["sync", "name true"]);
}

#[test]
fn a_torn_tail_is_kept_reported_and_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    append(&mut journal, &lines(5));
    journal.file.write_at(b"{\"n\":6,\"p\":\"12", journal.offset as u64).unwrap();
    let (mut journal, found) = Journal::open(dir.path()).unwrap();
    assert_eq!((found.entries.len(), found.repairs.len()), (5, 1));
    assert_eq!(std::fs::read(dir.path().join(&found.repairs[0].kept)).unwrap(), b"{\"n\":6,\"p\":\"12");
    append(&mut journal, &lines(1));
    let (_, found) = Journal::open(dir.path()).unwrap();
    assert_eq!((found.entries.len(), found.repairs.len()), (6, 0));
}

#[test]
fn damage_to_something_acknowledged_is_refused_and_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    append(&mut journal, &lines(5));
    append(&mut journal, &lines(1));
    let path = dir.path().join(paths::segment(1));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(Journal::open(dir.path()), Err(JournalError::Damaged { n: 1, .. })));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_journal_that_is_never_done_forgets_its_old_segments() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { segment_bytes: 4096 };
    let (mut journal, _) = Journal::open_with(dir.path(), options).unwrap();
    for _ in 0..40 {
        append(&mut journal, &lines(5));
    }
    assert!(journal.segment > 5);
    journal.forget_before(1).unwrap();
    assert_eq!(journal.oldest, 1, "the first entry is still needed");
    journal.forget_before(100).unwrap();
    let kept = Journal::open_with(dir.path(), options).unwrap().1.entries;
    assert!((50..100).contains(&kept[0].n), "begins with {}", kept[0].n);
    assert_eq!(kept.last().unwrap().n, 200);
    // and once more by a kernel that found it so
    let (mut journal, _) = Journal::open_with(dir.path(), options).unwrap();
    journal.forget_before(1_000).unwrap();
    assert_eq!(journal.oldest, journal.segment, "the current one stays");
    append(&mut journal, &lines(1));
    assert_eq!(Journal::open_with(dir.path(), options).unwrap().1.entries.last().unwrap().n, 201);
}

#[test]
fn forgetting_keeps_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    journal.forget().unwrap();
    assert_eq!(journal.segment, 1, "a short journal is not worth it");
    append(&mut journal, &[("runs/a.jsonl".to_owned(), "z".repeat(SEGMENT_BYTES / 2))]);
    journal.forget().unwrap();
    append(&mut journal, &lines(3));
    let (journal, found) = Journal::open(dir.path()).unwrap();
    assert_eq!(found.entries.iter().map(|e| e.n).collect::<Vec<_>>(), [2, 3, 4, 5]);
    assert_eq!((journal.oldest, journal.segment), (2, 2));
}

#[test]
fn what_stays_needed_is_carried_on_and_keeps_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let options = JournalOptions { segment_bytes: 4096 };
    let (mut journal, _) = Journal::open_with(dir.path(), options).unwrap();
    let parked = |n: u64| ("runs/parked.jsonl".to_owned(), format!("{{\"n\":{n},\"kind\":\"kept.{n}\"}}"));
    append(&mut journal, &[parked(0), parked(1), parked(2)]);
    let needed = std::collections::BTreeMap::from([("runs/parked.jsonl".to_owned(), 1)]);
    assert_eq!(journal.carry(&needed, u64::MAX).unwrap(), None, "there is nothing to forget");
    let mut carried = 0;
    for _ in 0..60 {
        append(&mut journal, &lines(5));
        if let Some(first) = journal.carry(&needed, u64::MAX).unwrap() {
            journal.forget_before(first).unwrap();
            carried += 1;
        }
        assert!(journal.segment - journal.oldest <= 2, "{} to {}", journal.oldest, journal.segment);
    }
    assert!(carried > 3 && journal.segment > 8);
    let kept = Journal::open_with(dir.path(), options).unwrap().1.entries;
    let of_parked: BTreeSet<&str> =
        kept.iter().filter(|e| e.to == "runs/parked.jsonl").map(|e| e.line.as_str()).collect();
    // the record that a commit has is carried no further
    assert_eq!(of_parked, BTreeSet::from([parked(1).1.as_str(), parked(2).1.as_str()]));
    assert!(kept[0].n > 200, "begins with {}", kept[0].n);
    let once = kept.iter().filter(|e| e.line == parked(1).1).count();
    assert!(once <= 2, "{once} copies");
    // what others need holds all that follows it
    let (mut journal, found) = Journal::open_with(dir.path(), options).unwrap();
    assert_eq!(journal.carry(&needed, found.entries[0].n).unwrap(), None);
    // more than it would free is not carried
    let big: Vec<_> = (3..80).map(parked).collect();
    append(&mut journal, &big);
    append(&mut journal, &lines(30));
    assert_eq!(journal.carry(&needed, u64::MAX).unwrap(), None);
}
