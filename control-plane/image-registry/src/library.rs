//! All images of a folder: by name, and their blobs by digest.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;

use crate::layout::{Blob, Layout, LayoutError};
use crate::reference::Repository;

/// The images of a folder. What is in the folder is looked at again when something asked for is not there.
#[derive(Debug)]
pub struct Library {
    folder: PathBuf,
    shelves: RwLock<Shelves>,
}

/// A manifest to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) digest: String,
    pub(crate) media_type: String,
    pub(crate) blob: Blob,
}

/// Why something is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// No image is called so.
    Repository,
    /// The image has no such tag or digest.
    Manifest,
    /// No image has such a blob.
    Blob,
}

/// What was found, in one state of the folder.
#[derive(Debug, Default)]
struct Shelves {
    repositories: BTreeMap<Repository, Tags>,
    blobs: HashMap<String, Blob>,
    /// The folder's entries when it was read.
    entries: BTreeMap<PathBuf, SystemTime>,
}

#[derive(Debug, Default)]
struct Tags {
    /// Digest by tag.
    tags: BTreeMap<String, String>,
    /// Media type by digest, of all manifests of the repository.
    manifests: BTreeMap<String, String>,
}

// === impl Library ===

impl Library {
    /// Reads the folder. One that is not there is empty until it is.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        let library = Self { folder: folder.to_owned(), shelves: RwLock::default() };
        library.refresh();
        library
    }

    /// How many names of images there are, tags counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shelves.read().repositories.values().map(|repository| repository.tags.len()).sum()
    }

    /// Whether there is no image.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A manifest by tag or digest. Without a registry, any that has a repository of that path will do.
    pub(crate) fn manifest(&self, registry: Option<&str>, path: &str, reference: &str) -> Result<Manifest, Missing> {
        self.look(|shelves| shelves.manifest(registry, path, reference))
    }

    /// A blob by digest.
    pub(crate) fn blob(&self, digest: &str) -> Result<Blob, Missing> {
        self.look(|shelves| shelves.blobs.get(digest).cloned().ok_or(Missing::Blob))
    }

    /// All tags of a repository, in order.
    pub(crate) fn tags(&self, registry: Option<&str>, path: &str) -> Result<Vec<String>, Missing> {
        self.look(|shelves| {
            let (_, repository) = shelves.find(registry, path).ok_or(Missing::Repository)?;
            Ok(repository.tags.keys().cloned().collect())
        })
    }

    /// Looks, and looks once more when the folder has changed.
    fn look<T>(&self, find: impl Fn(&Shelves) -> Result<T, Missing>) -> Result<T, Missing> {
        let found = find(&self.shelves.read());
        if found.is_err() && self.refresh() { find(&self.shelves.read()) } else { found }
    }

    /// Reads the folder again when it has changed; says whether it has.
    fn refresh(&self) -> bool {
        let entries = entries_of(&self.folder);
        if self.shelves.read().entries == entries {
            return false;
        }
        let mut shelves = Shelves { entries, ..Shelves::default() };
        for path in shelves.entries.keys().cloned().collect::<Vec<_>>() {
            if let Err(error) = shelves.add(&path) {
                tracing::warn!("{error}: its images are left out");
            }
        }
        *self.shelves.write() = shelves;
        true
    }
}

// === impl Shelves ===

impl Shelves {
    fn add(&mut self, path: &Path) -> Result<(), LayoutError> {
        let layout = Layout::read(path)?;
        self.blobs.extend(layout.blobs);
        for image in layout.images {
            let (repository, tag) = Repository::parse(&image.reference);
            let repository = self.repositories.entry(repository).or_default();
            repository.tags.insert(tag, image.digest);
            repository.manifests.extend(image.manifests);
        }
        Ok(())
    }

    fn find(&self, registry: Option<&str>, path: &str) -> Option<(&Repository, &Tags)> {
        match registry {
            Some(registry) => self.repositories.get_key_value(&Repository::new(registry, path)),
            None => self
                .repositories
                .iter()
                .find(|(repository, _)| repository.path == path || **repository == Repository::new("docker.io", path)),
        }
    }

    fn manifest(&self, registry: Option<&str>, path: &str, reference: &str) -> Result<Manifest, Missing> {
        let (_, repository) = self.find(registry, path).ok_or(Missing::Repository)?;
        let digest = repository.tags.get(reference).map_or(reference, String::as_str);
        let (digest, media_type) = repository.manifests.get_key_value(digest).ok_or(Missing::Manifest)?;
        let blob = self.blobs.get(digest).cloned().ok_or(Missing::Manifest)?;
        Ok(Manifest { digest: digest.clone(), media_type: media_type.clone(), blob })
    }
}

/// Archives and layout folders, with the time of their last change. Hidden entries are somebody's working files.
fn entries_of(folder: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_image = |path: &PathBuf| {
        let is_hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        !is_hidden && (path.extension().is_some_and(|extension| extension == "tar") || path.join("index.json").exists())
    };
    let changed = |path: PathBuf| {
        let index = path.join("index.json");
        let of = if path.is_dir() { &index } else { &path };
        let time = of.metadata().and_then(|metadata| metadata.modified()).ok()?;
        Some((path, time))
    };
    entries.filter(is_image).filter_map(changed).collect()
}

/// For a lookup's answer that is shared between tasks.
pub(crate) type Shared = Arc<Library>;
