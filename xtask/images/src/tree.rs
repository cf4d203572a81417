//! A file tree in memory, and the tar archive of it that is always the same.
//!
//! No time, no user name and no order of a disk goes into the archive, so that its digest depends on the files alone.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use tar::{EntryType, Header};

/// Permissions of a folder that nobody has described.
const FOLDER_MODE: u32 = 0o755;

/// Files, folders and links by path, `usr/bin/env`, without a leading slash.
#[derive(Clone, Debug, Default)]
pub struct Tree(BTreeMap<String, Entry>);

/// One thing in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    kind: Kind,
    /// Permission bits.
    mode: u32,
    user: u64,
    group: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Folder,
    File(Vec<u8>),
    /// A symbolic link and what it says.
    Symlink(String),
}

/// What went wrong with a tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// An archive could not be read.
    #[error("cannot read the archive: {0}")]
    Read(#[source] io::Error),
    /// An archive could not be written.
    #[error("cannot write {path} into the archive: {source}")]
    Write {
        /// The path in the tree.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An archive holds a kind of file that no image of ours needs.
    #[error("{path} is a {kind}: only files, folders and links go into images")]
    Unsupported {
        /// The path in the archive.
        path: String,
        /// What it is.
        kind: String,
    },
    /// A hard link to something that did not come before it.
    #[error("{path} is a hard link to {target}, which is not in the archive")]
    Dangling {
        /// The link.
        path: String,
        /// What it names.
        target: String,
    },
}

// === impl Tree ===

impl Tree {
    /// Adds a folder with these permissions.
    pub fn folder(&mut self, path: &str, mode: u32) {
        self.insert(path, Entry { kind: Kind::Folder, mode, user: 0, group: 0 });
    }

    /// Adds a file of root with these permissions.
    pub fn file(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.insert(path, Entry { kind: Kind::File(bytes.into()), mode, user: 0, group: 0 });
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) {
        self.insert(path, Entry { kind: Kind::Symlink(target.to_owned()), mode: 0o777, user: 0, group: 0 });
    }

    /// The bytes of a file.
    pub fn read(&self, path: &str) -> Option<&[u8]> {
        match &self.0.get(path)?.kind {
            Kind::File(bytes) => Some(bytes),
            Kind::Folder | Kind::Symlink(_) => None,
        }
    }

    /// All paths, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Adds what a tar archive holds and `wanted` says yes to. Hard links become copies.
    pub fn add_archive(&mut self, archive: impl Read, wanted: impl Fn(&str) -> bool) -> Result<(), TreeError> {
        let mut archive = tar::Archive::new(archive);
        for entry in archive.entries().map_err(TreeError::Read)? {
            let mut entry = entry.map_err(TreeError::Read)?;
            let path = clean(&String::from_utf8_lossy(&entry.path_bytes()));
            if path.is_empty() || !wanted(&path) {
                continue;
            }
            let target = entry.link_name_bytes().map(|target| String::from_utf8_lossy(&target).into_owned());
            let kind = match entry.header().entry_type() {
                EntryType::Directory => Kind::Folder,
                EntryType::Symlink => Kind::Symlink(target.unwrap_or_default()),
                EntryType::Link => self.linked(&path, &target.unwrap_or_default())?,
                EntryType::Regular => {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).map_err(TreeError::Read)?;
                    Kind::File(bytes)
                }
                kind => return Err(TreeError::Unsupported { path, kind: format!("{kind:?}") }),
            };
            let header = entry.header();
            let mode = header.mode().map_err(TreeError::Read)? & 0o7777;
            let (user, group) = (header.uid().map_err(TreeError::Read)?, header.gid().map_err(TreeError::Read)?);
            self.insert(&path, Entry { kind, mode, user, group });
        }
        Ok(())
    }

    /// Writes the tree as a tar archive.
    pub fn write(&self, to: impl Write) -> Result<(), TreeError> {
        let mut builder = tar::Builder::new(to);
        for (path, entry) in &self.0 {
            entry.write(path, &mut builder).map_err(|source| TreeError::Write { path: path.clone(), source })?;
        }
        let finished = builder.into_inner().and_then(|mut to| to.flush());
        finished.map_err(|source| TreeError::Write { path: "the end".to_owned(), source })
    }

    /// Adds an entry, and the folders above it that are not there yet.
    fn insert(&mut self, path: &str, entry: Entry) {
        let path = clean(path);
        for (end, _) in path.match_indices('/') {
            let folder = Entry { kind: Kind::Folder, mode: FOLDER_MODE, user: 0, group: 0 };
            self.0.entry(path[..end].to_owned()).or_insert(folder);
        }
        self.0.insert(path, entry);
    }

    fn linked(&self, path: &str, target: &str) -> Result<Kind, TreeError> {
        let found = self.0.get(&clean(target)).map(|entry| entry.kind.clone());
        found.ok_or_else(|| TreeError::Dangling { path: path.to_owned(), target: target.to_owned() })
    }
}

// === impl Entry ===

impl Entry {
    fn write<W: Write>(&self, path: &str, to: &mut tar::Builder<W>) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_mode(self.mode);
        header.set_uid(self.user);
        header.set_gid(self.group);
        header.set_mtime(0);
        header.set_size(0);
        match &self.kind {
            Kind::Folder => {
                header.set_entry_type(EntryType::Directory);
                to.append_data(&mut header, format!("{path}/"), io::empty())
            }
            Kind::File(bytes) => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(bytes.len() as u64);
                to.append_data(&mut header, path, bytes.as_slice())
            }
            Kind::Symlink(target) => {
                header.set_entry_type(EntryType::Symlink);
                to.append_link(&mut header, path, target)
            }
        }
    }
}

/// A path as trees write it: no `.` in front, no slash at either end.
fn clean(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(tree: &Tree) -> Vec<u8> {
        let mut bytes = Vec::new();
        tree.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_order_of_adding_does_not_show() {
        let (mut one, mut other) = (Tree::default(), Tree::default());
        one.file("bin/a", 0o755, "a");
        one.symlink("bin/b", "a");
        other.symlink("bin/b", "a");
        other.file("/bin/a", 0o755, "a");
        assert_eq!(written(&one), written(&other));
    }

    #[test]
    fn an_archive_is_read_back_as_it_was_written() {
        let mut tree = Tree::default();
        tree.folder("tmp", 0o1777);
        tree.file(&format!("deep/{}/file", "long".repeat(40)), 0o4755, vec![7; 2000]);
        tree.symlink("link", "deep");
        let mut read = Tree::default();
        read.add_archive(written(&tree).as_slice(), |_| true).unwrap();
        assert_eq!(read.0, tree.0);
    }

    #[test]
    fn folders_above_a_file_come_before_it() {
        let mut tree = Tree::default();
        tree.file("usr/share/x", 0o644, "");
        assert_eq!(tree.paths().collect::<Vec<_>>(), ["usr", "usr/share", "usr/share/x"]);
    }

    #[test]
    fn what_is_not_wanted_stays_out_and_hard_links_become_copies() {
        let header = |kind, size| {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(size);
            header.set_mode(0o755);
            header.set_uid(0);
            header.set_gid(0);
            header
        };
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header(EntryType::Regular, 1), "./usr/bin/perl", &b"p"[..]).unwrap();
        builder.append_link(&mut header(EntryType::Link, 0), "./usr/bin/perl5", "./usr/bin/perl").unwrap();
        builder.append_data(&mut header(EntryType::Regular, 1), "./usr/share/doc/perl", &b"d"[..]).unwrap();
        let archive = builder.into_inner().unwrap();
        let mut tree = Tree::default();
        tree.add_archive(archive.as_slice(), |path| !path.starts_with("usr/share/doc")).unwrap();
        assert_eq!(tree.read("usr/bin/perl5"), Some(&b"p"[..]));
        assert!(tree.paths().all(|path| !path.contains("doc")));
    }
}
