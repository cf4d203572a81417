//! Making images, and knowing when one need not be made again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::catalog::{Contents, Image};
use crate::debian::{self, DebianError};
use crate::oci::{Archive, ArchiveError, Digest, Reference};
use crate::tree::Tree;
use crate::{busybox, program};

/// Part of every image's inputs: raise it when the same inputs come to give another archive.
const RECIPE_VERSION: u32 = 1;

/// Where images are made.
#[derive(Clone, Debug)]
pub struct Workshop {
    folder: PathBuf,
    programs: PathBuf,
}

/// An image that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The OCI archive.
    pub archive: PathBuf,
    /// Whether it was made just now, rather than found.
    pub is_new: bool,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Something that goes in.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something of the workshop's own.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Debian's packages.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

// === impl Workshop ===

impl Workshop {
    /// A workshop that keeps archives in `folder` and finds this workspace's programs, built already, in `programs`.
    pub fn new(folder: impl Into<PathBuf>, programs: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), programs: programs.into() }
    }

    /// The folder of all archives, as `--image-dir` wants it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the image, unless it is there and nothing of what goes in has changed.
    pub fn ensure(&self, image: &Image) -> Result<Built, ImageError> {
        let archive = self.folder.join(format!("{}.tar", image.name));
        let record = self.folder.join(format!(".{}.inputs", image.name));
        let inputs = self.inputs(image)?.to_string();
        if archive.is_file() && fs::read_to_string(&record).is_ok_and(|recorded| recorded == inputs) {
            return Ok(Built { archive, is_new: false });
        }
        let write = |path: &Path, source| ImageError::Write { path: path.to_owned(), source };
        fs::create_dir_all(&self.folder).map_err(|source| write(&self.folder, source))?;
        let references: Vec<_> = image.references.iter().map(|reference| Reference::of(reference)).collect();
        let mut contents = Archive::default();
        contents.add_image(&references, &self.layers(image)?, &image.start)?;
        contents.write(&archive)?;
        fs::write(&record, inputs).map_err(|source| write(&record, source))?;
        Ok(Built { archive, is_new: true })
    }

    /// A digest of all that goes into an image but Debian's packages, of which it holds the names: a new version of a
    /// package alone makes no new image.
    fn inputs(&self, image: &Image) -> Result<Digest, ImageError> {
        let mut inputs = format!("{RECIPE_VERSION} {image:?}");
        for contents in image.layers {
            if let Contents::Program { binary, .. } = contents {
                inputs.push_str(&Digest::of(&read(&self.programs.join(binary))?).to_string());
            }
        }
        Ok(Digest::of(inputs.as_bytes()))
    }

    fn layers(&self, image: &Image) -> Result<Vec<Tree>, ImageError> {
        image.layers.iter().map(|contents| self.layer(*contents)).collect()
    }

    fn layer(&self, contents: Contents) -> Result<Tree, ImageError> {
        let mut tree = Tree::default();
        match contents {
            Contents::Busybox => return busybox::layer(),
            Contents::Program { binary, path, .. } => {
                return program::layer(&self.programs.join(binary), path, &self.folder);
            }
            Contents::Packages { packages, without } => {
                let request = Contents::request(packages, without);
                return Ok(debian::layer(request, &self.folder.join(".debian"))?);
            }
            Contents::Files(files) => files.iter().for_each(|(path, text)| tree.file(path, 0o644, *text)),
            Contents::Links(links) => links.iter().for_each(|(path, target)| tree.symlink(path, target)),
            Contents::Folders(folders) => folders.iter().for_each(|path| tree.folder(path, 0o1777)),
        }
        Ok(tree)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ImageError> {
    fs::read(path).map_err(|source| ImageError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Start;

    const IMAGE: Image = Image {
        name: "tool",
        references: &["tool"],
        layers: &[
            Contents::Program { package: "tools", binary: "tool", path: "bin/tool" },
            Contents::Files(&[("etc/motd", "hello\n")]),
        ],
        start: Start { entrypoint: &["/bin/tool"], ..Start::NOTHING },
    };

    #[test]
    fn an_image_is_made_again_only_when_what_goes_in_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let workshop = Workshop::new(folder.path().join("images"), folder.path());
        let ensure = || workshop.ensure(&IMAGE).unwrap();
        fs::write(folder.path().join("tool"), "one").unwrap();
        assert!(ensure().is_new);
        let first = fs::read(ensure().archive).unwrap();
        assert!(!ensure().is_new);
        fs::write(folder.path().join("tool"), "two").unwrap();
        assert!(ensure().is_new);
        fs::write(folder.path().join("tool"), "one").unwrap();
        assert_eq!(fs::read(ensure().archive).unwrap(), first, "the same inputs give the same bytes");
    }

    #[test]
    fn a_program_that_was_not_built_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let workshop = Workshop::new(folder.path(), folder.path());
        let error = workshop.ensure(&IMAGE).unwrap_err().to_string();
        assert!(error.contains("/tool"), "{error}");
    }
}
