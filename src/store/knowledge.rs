//! Files of knowledge and the policies of memory, as they lie in the work tree.
//!
//! A file that is broken, too large, a link or no text is a problem with a sentence, and hurts no other. Nothing
//! larger than knowledge may be is read at all.

use std::{collections::BTreeMap, io, path::Path};

use cairn_store_layout::definition::{
    Knowledge, MEMORY_POLICY, MemoryPolicy, Problem,
    knowledge::{FOLDERS, KNOWLEDGE_BYTES_MAX, KNOWLEDGE_FILES_MAX},
    nearest,
};

use super::{disk, inbox};

/// The folder.
const KNOWLEDGE: &str = "knowledge";
/// Schemas of entities lie beside; they are read elsewhere.
const KINDS: &str = "kinds";

/// All knowledge that can be used, by id, and what is wrong with the rest.
#[derive(Debug, Default)]
pub struct KnowledgeFiles {
    /// What can be used.
    pub knowledge: Vec<Knowledge>,
    /// Files that can not.
    pub problems: Vec<Problem>,
}

/// Reads `knowledge/{rules,templates,preferences,examples}/*.md` below `root`.
///
/// # Errors
/// When a folder can not be listed.
pub fn read(root: &Path) -> io::Result<KnowledgeFiles> {
    let mut files = KnowledgeFiles::default();
    let mut found: BTreeMap<String, Knowledge> = BTreeMap::new();
    for (folder, kind) in entries(root, KNOWLEDGE)? {
        let path = format!("{KNOWLEDGE}/{folder}");
        if !FOLDERS.contains(&folder.as_str()) {
            if folder != KINDS {
                files.problems.push(stray(&path, &folder));
            }
            continue;
        }
        if !kind.is_dir() {
            files.problems.push(Problem::new(&path, None, "this is no folder; what it leads to is not followed"));
            continue;
        }
        for (name, kind) in entries(root, &path)? {
            let file = format!("{path}/{name}");
            if !kind.is_file() {
                let message = "this is no file; a folder or a link is not followed";
                files.problems.push(Problem::new(file, None, message));
                continue;
            }
            match read_file(root, &file) {
                Ok(Some(knowledge)) => drop(found.insert(knowledge.id.clone(), knowledge)),
                Ok(None) => {}
                Err(problem) => files.problems.push(problem),
            }
        }
    }
    if found.len() > KNOWLEDGE_FILES_MAX {
        let message =
            format!("there are {} pieces of knowledge; the first {KNOWLEDGE_FILES_MAX} are used", found.len());
        files.problems.push(Problem::new(KNOWLEDGE, None, message).hint("remove what is not used: cairn mem audit"));
    }
    files.knowledge = found.into_values().take(KNOWLEDGE_FILES_MAX).collect();
    Ok(files)
}

/// Reads `policies/memory.toml` below `root`; a store without one has the policy that does nothing.
///
/// # Errors
/// The problem that keeps it from being used.
pub fn policy(root: &Path) -> Result<MemoryPolicy, Problem> {
    let problem = |message: String| Problem::new(MEMORY_POLICY, None, message);
    let path = root.join(MEMORY_POLICY);
    if std::fs::symlink_metadata(&path).is_ok_and(|meta| !meta.is_file()) {
        return Err(problem("this is no file; what it leads to is not followed".to_owned()));
    }
    let Some(bytes) = inbox::bytes(&path).map_err(|e| problem(format!("can not be read: {e}")))? else {
        return Ok(MemoryPolicy::default());
    };
    let text = String::from_utf8(bytes).map_err(|_| problem("this is not UTF-8 text".to_owned()))?;
    MemoryPolicy::parse(MEMORY_POLICY, &text)
}

fn read_file(root: &Path, file: &str) -> Result<Option<Knowledge>, Problem> {
    let path = root.join(file);
    // its bytes are of no interest when there are too many; one that grows meanwhile is cut, and does not read
    let size = std::fs::symlink_metadata(&path).map_or(0, |meta| meta.len());
    if size > KNOWLEDGE_BYTES_MAX as u64 {
        let message = format!("the file has {size} bytes; knowledge has at most {KNOWLEDGE_BYTES_MAX}");
        return Err(Problem::new(file, None, message).hint("split it into files that each say one thing"));
    }
    match inbox::bytes(&path) {
        Ok(Some(bytes)) => Knowledge::parse(file, &bytes).map(Some),
        // an editor's, and gone again
        Ok(None) => Ok(None),
        Err(e) => Err(Problem::new(file, None, format!("can not be read: {e}"))),
    }
}

fn stray(path: &str, folder: &str) -> Problem {
    let problem = Problem::new(path, None, "nothing is looked for here");
    match nearest(folder, FOLDERS) {
        Some(near) => problem.hint(format!("did you mean {KNOWLEDGE}/{near}?")),
        None => problem.hint(format!("knowledge lies in {}, or {KINDS}", FOLDERS.join(", "))),
    }
}

/// What a folder holds, hidden files and those of editors left out; nothing when it is not there.
fn entries(root: &Path, folder: &str) -> io::Result<Vec<(String, std::fs::FileType)>> {
    let listing = match disk::list(&root.join(folder)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in listing {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !name.starts_with('.') && !name.ends_with('~') {
            found.push((name, entry.file_type()?));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "+++\norigin = { person = \"Astrid\", day = 2026-11-20 }\n+++\nSay so.\n";

    #[test]
    fn a_hostile_file_is_a_problem_and_hurts_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let put = |path: &str, bytes: &[u8]| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        put("knowledge/rules/good.md", RULE.as_bytes());
        put("knowledge/rules/huge.md", &vec![b'x'; KNOWLEDGE_BYTES_MAX + 1]);
        put("knowledge/rules/binary.md", &[0, 159, 146, 150]);
        put("knowledge/rules/notes.txt", b"x");
        put("knowledge/rule/late.md", RULE.as_bytes());
        put("knowledge/kinds/client.json", b"{}");
        put("knowledge/rules/.swp", b"x");
        put("knowledge/examples/deep/a.md", RULE.as_bytes());
        put("outside.md", RULE.as_bytes());
        std::os::unix::fs::symlink(root.join("outside.md"), root.join("knowledge/rules/link.md")).unwrap();
        std::os::unix::fs::symlink(root, root.join("knowledge/templates")).unwrap();
        let read = read(root).unwrap();
        let ids: Vec<&str> = read.knowledge.iter().map(|k| k.id.as_str()).collect();
        assert_eq!(ids, ["rules/good"]);
        let about: Vec<&str> = read.problems.iter().map(|p| p.file.as_str()).collect();
        assert_eq!(
            about,
            [
                "knowledge/examples/deep",
                "knowledge/rule",
                "knowledge/rules/binary.md",
                "knowledge/rules/huge.md",
                "knowledge/rules/link.md",
                "knowledge/rules/notes.txt",
                "knowledge/templates",
            ]
        );
        assert_eq!(read.problems[1].hint.as_deref(), Some("did you mean knowledge/rules?"));
    }

    #[test]
    fn a_store_without_a_policy_forgets_nothing_and_a_broken_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert!(policy(dir.path()).unwrap().is_empty());
        std::fs::create_dir(dir.path().join("policies")).unwrap();
        std::fs::write(dir.path().join(MEMORY_POLICY), "[[forgot]]\n").unwrap();
        let told = policy(dir.path()).unwrap_err().to_string();
        assert!(told.contains("policies/memory.toml:1:3: unknown key `forgot`") && told.contains("`forget`"), "{told}");
    }
}
