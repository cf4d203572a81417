//! Container images made without a registry and without a container runtime.
//!
//! An [`Image`] is a row of the [`catalog`]: its references, the layers it consists of, and how it starts. A
//! [`Workshop`] turns rows into OCI archives, from static binaries of this workspace and from Debian's packages with
//! their dependencies. An archive is made again only when something that goes into it has changed, and the same inputs
//! give the same bytes.
//!
//! # Adding an image
//! One row in `catalog.rs`.

mod busybox;
mod catalog;
mod debian;
mod oci;
mod program;
mod tree;
mod workshop;

pub use catalog::{Contents, Image, Start, all, find};
pub use debian::DebianError;
pub use oci::{Archive, ArchiveError, Digest, Reference};
pub use tree::{Entry, Tree, TreeError};
pub use workshop::{Built, ImageError, Workshop};
