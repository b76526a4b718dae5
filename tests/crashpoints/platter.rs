//! The disk of the tests, tested: what it may leave and what it may never leave.

use std::rc::Rc;

use crate::shared::{
    change::Change,
    image::{Image, Node},
    platter::{Leaves, Platter},
};

fn create(path: &str) -> Change {
    Change::Create { path: path.to_owned() }
}

fn write(path: &str, offset: u64, bytes: &[u8]) -> Change {
    Change::Write { path: path.to_owned(), offset, bytes: bytes.to_vec() }
}

fn sync(path: &str) -> Change {
    Change::Sync { path: path.to_owned() }
}

fn sync_dir(path: &str) -> Change {
    Change::SyncDir { path: path.to_owned() }
}

fn rename(from: &str, to: &str) -> Change {
    Change::Rename { from: from.to_owned(), to: to.to_owned() }
}

fn after(changes: &[Change]) -> Platter {
    let mut image = Image::default();
    for folder in ["a", "b"] {
        image.names.insert(folder.to_owned(), Node::Dir);
    }
    image.names.insert("a/old".to_owned(), Node::File(Rc::new(b"old".to_vec())));
    let mut platter = Platter::holding(&image);
    changes.iter().for_each(|change| platter.follow(change));
    platter
}

fn left(platter: &Platter, leaves: Leaves, path: &str) -> Option<Vec<u8>> {
    platter.image(leaves).expect("an image").file(path).map(<[u8]>::to_vec)
}

/// All that 200 cuts leave of a file.
fn all(platter: &Platter, path: &str) -> std::collections::BTreeSet<Option<Vec<u8>>> {
    (0..200).map(|seed| left(platter, Leaves::Some(seed), path)).collect()
}

#[test]
fn a_file_is_safe_only_with_its_name_and_its_bytes() {
    let unsynced = after(&[create("a/f"), write("a/f", 0, b"text")]);
    assert_eq!(left(&unsynced, Leaves::Nothing, "a/f"), None);
    assert_eq!(left(&unsynced, Leaves::Everything, "a/f"), Some(b"text".to_vec()));
    assert_eq!(left(&unsynced, Leaves::ZeroTail, "a/f"), Some(vec![0; 4]));
    let expected = [None, Some(vec![]), Some(vec![0; 4]), Some(b"text".to_vec())];
    assert_eq!(all(&unsynced, "a/f"), expected.into());
    let named = after(&[create("a/f"), write("a/f", 0, b"text"), sync_dir("a")]);
    assert_eq!(left(&named, Leaves::Nothing, "a/f"), Some(vec![]));
    let synced = after(&[create("a/f"), write("a/f", 0, b"text"), sync("a/f")]);
    assert_eq!(left(&synced, Leaves::Nothing, "a/f"), None, "syncing a file does not sync its name");
    let both = after(&[create("a/f"), write("a/f", 0, b"text"), sync("a/f"), sync_dir("a")]);
    assert_eq!(all(&both, "a/f"), [Some(b"text".to_vec())].into());
    assert!(both.image(Leaves::Torn(1)).is_none(), "no page is unsynced");
}

#[test]
fn a_rename_is_whole_and_one_between_folders_may_leave_both_names() {
    let changes = [create("a/t"), write("a/t", 0, b"new"), sync("a/t"), rename("a/t", "a/old")];
    let platter = after(&changes);
    assert_eq!(all(&platter, "a/old"), [Some(b"old".to_vec()), Some(b"new".to_vec())].into());
    let moved = after(&[create("a/t"), sync_dir("a"), rename("a/t", "b/t")]);
    for seed in 0..200 {
        let image = moved.image(Leaves::Some(seed)).expect("an image");
        assert!(image.file("a/t").is_some() || image.file("b/t").is_some(), "lost");
    }
    let both = (0..200).any(|seed| {
        let image = moved.image(Leaves::Some(seed)).expect("an image");
        image.file("a/t").is_some() && image.file("b/t").is_some()
    });
    assert!(both);
}

#[test]
fn pages_are_lost_one_by_one_and_the_last_may_be_torn() {
    let platter = after(&[create("a/f"), sync_dir("a"), write("a/f", 0, &[1; 8192])]);
    let second_alone = [vec![0; 4096], vec![1; 4096]].concat();
    assert!(all(&platter, "a/f").contains(&Some(second_alone)));
    let torn = left(&platter, Leaves::Torn(5), "a/f").expect("a file");
    let ones = torn[4096..].iter().filter(|b| **b == 1).count();
    assert!(ones < 4096 && ones % 512 == 0 && torn.len() == 8192, "{ones} bytes of the last page are new");
    let over = after(&[write("a/old", 1, b"X"), write("a/old", 2, b"Y")]);
    let expected = [b"old", b"oXd", b"oXY"].map(|bytes| Some(bytes.to_vec()));
    assert_eq!(all(&over, "a/old"), expected.into(), "an earlier version of a page may be the one that is left");
}

#[test]
fn a_folder_takes_along_what_is_in_it() {
    let make = Change::MakeDir { path: "b/c".to_owned() };
    let platter = after(&[make, create("b/c/f"), sync_dir("b/c")]);
    assert_eq!(left(&platter, Leaves::Nothing, "b/c/f"), None);
    let mut platter = platter;
    platter.follow(&sync_dir("b"));
    assert_eq!(left(&platter, Leaves::Nothing, "b/c/f"), Some(vec![]));
    platter.follow(&Change::Unlink { path: "b/c/f".to_owned() });
    assert_eq!(all(&platter, "b/c/f"), [None, Some(vec![])].into());
    platter.follow(&Change::SyncFs);
    assert_eq!(all(&platter, "b/c/f"), [None].into());
}
