//! A state of a folder: what is in it, from the folder's root. Read from a disk and laid out on one.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::Path,
    rc::Rc,
    time::SystemTime,
};

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Dir,
    File(Rc<Vec<u8>>),
}

/// All names below a root, parents before children.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) names: BTreeMap<String, Node>,
}

impl Image {
    /// Reads what is below `root`.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let mut image = Self::default();
        image.read_below(root, "")?;
        Ok(image)
    }

    fn read_below(&mut self, root: &Path, folder: &str) -> io::Result<()> {
        for entry in fs::read_dir(root.join(folder))? {
            let entry = entry?;
            let name = entry.file_name().into_string().map_err(|_| io::ErrorKind::InvalidData)?;
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if entry.file_type()?.is_dir() {
                self.names.insert(path.clone(), Node::Dir);
                self.read_below(root, &path)?;
            } else {
                self.names.insert(path, Node::File(Rc::new(fs::read(entry.path())?)));
            }
        }
        Ok(())
    }

    /// Makes what is below `root` this and nothing else. Names of one file share it again. After a
    /// power cut locks are older than the machine's start: `locks_at` gives their time.
    pub(crate) fn lay_out(&self, root: &Path, locks_at: Option<SystemTime>) -> io::Result<()> {
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        let mut first: HashMap<*const Vec<u8>, &str> = HashMap::new();
        for (name, node) in &self.names {
            let path = root.join(name);
            let Node::File(bytes) = node else {
                fs::create_dir(path)?;
                continue;
            };
            if let Some(other) = first.get(&Rc::as_ptr(bytes)) {
                fs::hard_link(root.join(other), path)?;
                continue;
            }
            first.insert(Rc::as_ptr(bytes), name);
            fs::write(&path, bytes.as_slice())?;
            if let Some(at) = locks_at.filter(|_| name.ends_with(".lock")) {
                fs::File::options().write(true).open(&path)?.set_modified(at)?;
            }
        }
        Ok(())
    }

    pub(crate) fn file(&self, name: &str) -> Option<&[u8]> {
        match self.names.get(name)? {
            Node::File(bytes) => Some(bytes),
            Node::Dir => None,
        }
    }

    /// The same for the same names and bytes.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for (name, node) in &self.names {
            hasher.update(name.as_bytes());
            match node {
                Node::Dir => drop(hasher.update(b"\0d")),
                Node::File(bytes) => {
                    hasher.update(b"\0f");
                    hasher.update(&(bytes.len() as u64).to_le_bytes());
                    hasher.update(bytes);
                }
            }
        }
        *hasher.finalize().as_bytes()
    }
}
