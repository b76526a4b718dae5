//! Damage of every kind, and whether it is undone exactly or refused untouched.

use super::*;

const A: &str = "runs/2026/11/22/01kaxw00000000000000000000.jsonl";
const B: &str = "runs/2026/11/22/01kaxw00000000000000000001.jsonl";

/// A journal of `groups` groups of three entries for two runs, with its histories written beside it.
fn store(groups: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    let (mut a, mut b) = (String::new(), String::new());
    for i in 0..groups {
        let of_a =
            [2 * i, 2 * i + 1].map(|n| format!("{{\"n\":{n},\"kind\":\"a\",\"text\":\"{}\"}}", "x".repeat(n % 97)));
        let of_b = format!("{{\"n\":{i},\"kind\":\"b\",\"text\":\"ü{}\"}}", "y".repeat(i % 31));
        journal.append(&[(A, &of_a[0]), (B, &of_b), (A, &of_a[1])]).unwrap();
        a.extend(of_a.iter().flat_map(|l| [l.as_str(), "\n"]));
        b.extend([of_b.as_str(), "\n"]);
    }
    for (path, text) in [(A, a), (B, b)] {
        std::fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
        std::fs::write(dir.path().join(path), text).unwrap();
    }
    dir
}

fn segment(root: &Path) -> Vec<u8> {
    std::fs::read(root.join(paths::segment(1))).unwrap()
}

fn hurt(root: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = segment(root);
    change(&mut bytes);
    std::fs::write(root.join(paths::segment(1)), &bytes).unwrap();
    bytes
}

fn known(root: &Path) -> Known {
    Known::gather(root, None, &named(root).unwrap())
}

#[test]
fn every_flipped_bit_of_an_acknowledged_entry_is_undone_exactly_even_without_its_history() {
    let dir = store(4);
    let good = segment(dir.path());
    let last_group = whole_ends(&good)[8];
    for at in (0..last_group).step_by(41) {
        hurt(dir.path(), |bytes| bytes[at] ^= 1 << (at % 8));
        let before = segment(dir.path());
        assert!(matches!(Journal::open(dir.path()), Err(JournalError::Damaged { .. })), "byte {at}");
        let mended = mend(dir.path(), &Known::default()).unwrap_or_else(|e| panic!("byte {at}: {e}"));
        assert_eq!(mended.len(), 1);
        assert!(segment(dir.path()) == good, "byte {at}");
        assert_eq!(std::fs::read(dir.path().join(&mended[0].kept)).unwrap(), before, "the damage is kept");
        assert_eq!(Journal::open(dir.path()).unwrap().1.entries.len(), 12);
    }
}

#[test]
fn a_lost_sector_comes_back_from_the_histories() {
    let dir = store(40);
    let good = segment(dir.path());
    for sector in 0..6 {
        hurt(dir.path(), |bytes| bytes[sector * 512..sector * 512 + 512].fill(0));
        let mended = mend(dir.path(), &known(dir.path())).unwrap_or_else(|e| panic!("sector {sector}: {e}"));
        assert!(mended[0].entries > 1, "{mended:?}");
        assert!(segment(dir.path()) == good, "sector {sector}");
        hurt(dir.path(), |bytes| bytes[sector * 512..sector * 512 + 512].fill(0xa5));
        mend(dir.path(), &known(dir.path())).unwrap_or_else(|e| panic!("sector {sector} of noise: {e}"));
        assert!(segment(dir.path()) == good, "sector {sector}");
    }
}

#[test]
fn what_no_history_knows_is_refused_and_nothing_is_changed() {
    let dir = store(40);
    std::fs::remove_file(dir.path().join(A)).unwrap();
    let bad = hurt(dir.path(), |bytes| bytes[1024..1536].fill(0));
    let error = mend(dir.path(), &known(dir.path())).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    assert!(segment(dir.path()) == bad);
    assert!(!dir.path().join(paths::QUARANTINE).exists());
    let all = stretches(dir.path()).unwrap();
    assert_eq!(all.len(), 1);
    assert!(all[0].offset <= 1024 && all[0].end >= 1536 && all[0].entries.0 > 1, "{all:?}");
}

#[test]
fn damage_in_two_places_is_undone_in_both_or_in_none() {
    let dir = store(40);
    let good = segment(dir.path());
    let hit = |bytes: &mut Vec<u8>| [700..900, 5_000..5_300].into_iter().for_each(|r| bytes[r].fill(0));
    hurt(dir.path(), hit);
    assert_eq!(mend(dir.path(), &known(dir.path())).unwrap().len(), 2);
    assert!(segment(dir.path()) == good);
    let bad = hurt(dir.path(), hit);
    let text = std::fs::read_to_string(dir.path().join(A)).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').take(12).collect();
    std::fs::write(dir.path().join(A), lines.concat()).unwrap();
    assert!(mend(dir.path(), &known(dir.path())).is_err());
    assert!(segment(dir.path()) == bad);
}

#[test]
fn a_torn_tail_is_no_damage_and_a_whole_journal_has_none() {
    let dir = store(5);
    assert_eq!(stretches(dir.path()).unwrap(), []);
    hurt(dir.path(), |bytes| {
        let ends = whole_ends(bytes);
        bytes[ends[12] + 3..ends[13]].fill(0);
    });
    assert_eq!(stretches(dir.path()).unwrap(), [], "the last group was never known durable");
    let (_, found) = Journal::open(dir.path()).unwrap();
    assert_eq!((found.entries.len(), found.repairs.len()), (13, 1));
}

fn whole_ends(bytes: &[u8]) -> Vec<usize> {
    cairn_store_layout::journal::whole_entries(bytes).iter().map(|w| w.offset + w.len).collect()
}

/// The lines that a journal holds for a file.
fn held(root: &Path, file: &str) -> Vec<String> {
    let (_, found) = Journal::open(root).unwrap();
    found.entries.into_iter().filter(|e| e.to == file).map(|e| e.line).collect()
}

#[test]
fn accepted_loss_keeps_all_that_follows_without_a_gap_and_tells_the_rest() {
    let dir = store(40);
    let good = (held(dir.path(), A), held(dir.path(), B));
    // nobody has A any more, B is in the work tree
    std::fs::remove_file(dir.path().join(A)).unwrap();
    let bad = hurt(dir.path(), |bytes| bytes[2048..2560].fill(0));
    let loss = salvage(dir.path(), JournalOptions::default(), &known(dir.path()), |_| 0, "t").unwrap();
    assert_eq!(std::fs::read(dir.path().join(&loss.kept).join("00000001.jsonl")).unwrap(), bad);
    assert!(loss.entries > 0 && loss.places.len() == 2 && loss.places[1].contains(A), "{loss:?}");
    let (a, b) = (held(dir.path(), A), held(dir.path(), B));
    assert_eq!(b, good.1, "the gap is closed from the work tree");
    assert!(!a.is_empty() && a.len() < good.0.len() && good.0.starts_with(&a), "{} of {}", a.len(), good.0.len());
    let (mut journal, found) = Journal::open(dir.path()).unwrap();
    assert!(found.entries[0].n > 120, "numbers are never used twice");
    journal.append(&[(A, "{\"n\":99}")]).unwrap();
    assert_eq!(Journal::open(dir.path()).unwrap().1.entries.len(), found.entries.len() + 1);
}

#[test]
fn what_is_in_a_commit_is_no_loss() {
    let dir = store(40);
    [A, B].iter().for_each(|file| std::fs::remove_file(dir.path().join(file)).unwrap());
    hurt(dir.path(), |bytes| bytes[..512].fill(0));
    let in_commit = |file: &str| if file == A { 8 } else { 4 };
    let loss = salvage(dir.path(), JournalOptions::default(), &known(dir.path()), in_commit, "t").unwrap();
    assert_eq!(loss.places.len(), 1, "{loss:?}");
    assert_eq!((held(dir.path(), A).len(), held(dir.path(), B).len()), (72, 36));
}

#[test]
fn a_salvage_that_was_cut_short_is_ended_or_undone() {
    let dir = store(5);
    let (old, new) = (dir.path().join(paths::JOURNAL), dir.path().join(paths::JOURNAL_NEW));
    std::fs::create_dir(&new).unwrap();
    std::fs::write(new.join("00000002.jsonl"), "half").unwrap();
    assert_eq!(Journal::open(dir.path()).unwrap().1.entries.len(), 15, "the old one is still there");
    assert!(!new.exists());
    std::fs::rename(&old, &new).unwrap();
    assert_eq!(Journal::open(dir.path()).unwrap().1.entries.len(), 15, "the new one takes its place");
    assert!(!new.exists());
}
