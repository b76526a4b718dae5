//! Folders changed where they lie, against the library's own editor.

use std::collections::BTreeMap;

use gix::{
    ObjectId,
    bstr::BStr,
    objs::{
        Kind, Write as _,
        tree::{Editor, EntryKind},
    },
};
use proptest::prelude::*;

use super::{
    super::{folders::Folders, tree::Node},
    Store,
};

/// A few names that sort differently as files and as folders, and may stand for either.
fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "a.b", "a-b", "a0", "b", "runs", "é"]);
    prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"))
}

fn edits() -> impl Strategy<Value = Vec<(String, Option<u8>)>> {
    prop::collection::vec((path(), prop::option::weighted(0.7, 0..6u8)), 1..12)
}

/// The library leaves out what has an id of zeros.
fn node(content: u8) -> Node {
    let kind = if content == 5 { EntryKind::BlobExecutable } else { EntryKind::Blob };
    Node { mode: kind.into(), id: ObjectId::from([content + 1; 20]) }
}

/// What git would hold: a file takes the place of a folder, and a folder that of a file.
fn change(files: &mut BTreeMap<String, u8>, path: &str, content: Option<u8>) {
    files.retain(|other, _| other != path && !other.starts_with(&format!("{path}/")));
    if let Some(content) = content {
        files.retain(|other, _| !path.starts_with(&format!("{other}/")));
        files.insert(path.to_owned(), content);
    }
}

fn by_the_library(repo: &gix::Repository, files: &BTreeMap<String, u8>) -> ObjectId {
    let mut editor = Editor::new(gix::objs::Tree::empty(), &repo.objects, gix::hash::Kind::Sha1);
    for (path, content) in files {
        let node = node(*content);
        editor.upsert(path.split('/').map(BStr::new), node.mode.kind(), node.id).unwrap();
    }
    editor.write(|tree| repo.objects.write(tree)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_commit_of_a_group_has_the_tree_that_the_library_makes(
        before in edits(), groups in prop::collection::vec(edits(), 1..5),
    ) {
        let store = Store::new();
        let repo = store.repo.local().with_object_memory();
        let mut files = BTreeMap::new();
        before.iter().for_each(|(path, content)| change(&mut files, path, *content));
        let mut tree = by_the_library(&repo, &files);
        let mut folders = Folders::open(&store.repo, &repo, Some(tree)).unwrap();
        for group in groups {
            for (path, content) in &group {
                let was = files.get(path).map(|content| node(*content));
                prop_assert_eq!(folders.file(path).unwrap(), was, "{}", path);
                match content {
                    Some(content) => prop_assert_eq!(folders.put(path, node(*content)).unwrap(), was, "{}", path),
                    None => folders.remove(path).unwrap(),
                }
                change(&mut files, path, *content);
            }
            let mut told = Vec::new();
            let made = folders.write(&mut |bytes, earlier| {
                let id = repo.objects.write_buf(Kind::Tree, bytes).unwrap();
                told.push((id, earlier));
                Ok(id)
            }).unwrap();
            prop_assert_eq!(made, by_the_library(&repo, &files), "after {:?}", &group);
            // what changed is told with what was there before, so that it can be packed as a difference
            if made != tree && !files.is_empty() {
                prop_assert!(told.iter().any(|(id, earlier)| *id == made && earlier.is_none_or(|e| e == tree)));
            }
            tree = made;
        }
    }
}

#[test]
fn a_folder_that_can_not_be_read_is_damage_and_nothing_else() {
    let store = Store::new();
    let repo = store.repo.local().with_object_memory();
    let torn = repo.objects.write_buf(Kind::Tree, b"100644 a\0too short").unwrap();
    let error = Folders::open(&store.repo, &repo, Some(torn)).err().expect("an error");
    assert!(error.to_string().contains("cannot be read"), "{error}");
    let missing = Folders::open(&store.repo, &repo, Some(ObjectId::from([7; 20]))).err().expect("an error");
    assert!(missing.to_string().contains("it is missing"), "{missing}");
}
