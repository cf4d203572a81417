//! One image layout (image-spec, image-layout.md): where its blobs are and what its index names.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

/// The largest index or manifest that is read; the distribution specification asks for 4 MiB at least.
const LARGEST_DOCUMENT: u64 = 4 << 20;

/// How deep indexes may name indexes.
const DEEPEST: usize = 4;

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) file: Arc<Path>,
    /// In bytes from the file's beginning.
    pub(crate) offset: u64,
    /// In bytes.
    pub(crate) size: u64,
}

/// What a layout holds.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// By digest, `sha256:...`.
    pub(crate) blobs: HashMap<String, Blob>,
    pub(crate) images: Vec<Named>,
}

/// An entry of a layout's index.
#[derive(Debug)]
pub(crate) struct Named {
    /// The reference in the entry's annotations.
    pub(crate) reference: String,
    pub(crate) digest: String,
    /// Its manifest and, if that is an index, those that the index names: digest and media type.
    pub(crate) manifests: Vec<(String, String)>,
}

/// Why a layout is not served.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The archive or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is no layout, or a damaged one.
    #[error("{path} is no image layout: {reason}")]
    Invalid {
        /// The archive or folder.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
}

// === impl Layout ===

impl Layout {
    /// Reads a layout: an archive when `path` is a file, else a folder.
    pub(crate) fn read(path: &Path) -> Result<Self, LayoutError> {
        let files = if path.is_dir() { files_of_folder(path) } else { files_of_archive(path) };
        let files = files.map_err(|source| LayoutError::Read { path: path.to_owned(), source })?;
        let invalid = |reason: String| LayoutError::Invalid { path: path.to_owned(), reason };
        let index = files.get("index.json").ok_or_else(|| invalid("it has no index.json".to_owned()))?;
        let index = index.document().map_err(|error| invalid(format!("index.json: {error}")))?;
        let blobs = files.into_iter().filter_map(|(name, blob)| {
            let (algorithm, encoded) = name.strip_prefix("blobs/")?.split_once('/')?;
            Some((format!("{algorithm}:{encoded}"), blob))
        });
        let mut layout = Self { blobs: blobs.collect(), images: Vec::new() };
        for entry in entries(&index) {
            let Some(reference) = reference_of(entry) else { continue };
            let digest = text(&entry["digest"]);
            let mut manifests = Vec::new();
            layout.follow(entry, DEEPEST, &mut manifests).map_err(&invalid)?;
            layout.images.push(Named { reference, digest, manifests });
        }
        Ok(layout)
    }

    /// Adds a descriptor's manifest, and if it is an index, the manifests in it that are there.
    fn follow(&self, descriptor: &Value, depth: usize, into: &mut Vec<(String, String)>) -> Result<(), String> {
        let (digest, media_type) = (text(&descriptor["digest"]), text(&descriptor["mediaType"]));
        let blob = self.blobs.get(&digest).ok_or_else(|| format!("blob {digest} is missing"))?;
        let document = blob.document().map_err(|error| format!("{digest}: {error}"))?;
        into.push((digest, media_type));
        if depth > 0 {
            // An index may name images of other platforms that were not exported.
            let present = entries(&document).filter(|entry| self.blobs.contains_key(&text(&entry["digest"])));
            present.into_iter().try_for_each(|entry| self.follow(entry, depth - 1, into))?;
        }
        Ok(())
    }
}

// === impl Blob ===

impl Blob {
    /// The JSON in it.
    fn document(&self) -> Result<Value, String> {
        if self.size > LARGEST_DOCUMENT {
            return Err(format!("{} bytes are too many for a document", self.size));
        }
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&self.file)?;
            file.seek(SeekFrom::Start(self.offset))?;
            let mut bytes = Vec::new();
            file.take(self.size).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error| error.to_string())?;
        serde_json::from_slice(&bytes).map_err(|error| error.to_string())
    }
}

/// Where the files of an archive begin and end in it; nothing is unpacked.
fn files_of_archive(path: &Path) -> io::Result<HashMap<String, Blob>> {
    let file: Arc<Path> = path.into();
    let mut archive = tar::Archive::new(File::open(path)?);
    let mut files = HashMap::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() {
            let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
            let blob = Blob { file: Arc::clone(&file), offset: entry.raw_file_position(), size: entry.size() };
            files.insert(name, blob);
        }
    }
    Ok(files)
}

fn files_of_folder(path: &Path) -> io::Result<HashMap<String, Blob>> {
    let mut files = HashMap::new();
    add_file(path, "index.json", &mut files)?;
    let Ok(algorithms) = std::fs::read_dir(path.join("blobs")) else { return Ok(files) };
    for algorithm in algorithms {
        let algorithm = algorithm?;
        for blob in std::fs::read_dir(algorithm.path())? {
            let names = [algorithm.file_name(), blob?.file_name()];
            let [algorithm, encoded] = names.map(|name| name.to_string_lossy().into_owned());
            add_file(path, &format!("blobs/{algorithm}/{encoded}"), &mut files)?;
        }
    }
    Ok(files)
}

fn add_file(folder: &Path, name: &str, files: &mut HashMap<String, Blob>) -> io::Result<()> {
    let file = folder.join(name);
    let size = file.metadata()?.len();
    files.insert(name.to_owned(), Blob { file: file.into(), offset: 0, size });
    Ok(())
}

/// The entries of an index; an image's manifest has none.
fn entries(document: &Value) -> impl Iterator<Item = &Value> {
    document["manifests"].as_array().into_iter().flatten()
}

/// The name of an index's entry: containerd's annotation holds a whole reference, the specification's may hold only a tag.
fn reference_of(entry: &Value) -> Option<String> {
    let annotation = |key: &str| entry["annotations"][key].as_str().map(str::to_owned);
    annotation("io.containerd.image.name").or_else(|| annotation("org.opencontainers.image.ref.name"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
