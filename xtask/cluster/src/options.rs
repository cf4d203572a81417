//! What is asked for.

use std::path::{Path, PathBuf};

use crate::error::Cause;

/// Folders that a node has for itself, so that it does not see the machine's.
const HIDDEN: [&str; 5] = ["/run", "/var/lib", "/var/log", "/sys", "/proc"];

/// A cluster to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name: 1 to 20 of a-z, 0-9 and `-`.
    pub name: String,
    /// How long it stays.
    pub lifetime: Lifetime,
    /// How many nodes.
    pub nodes: usize,
    /// The port on the machine's own 127.0.0.1 where the API answers; 0: one that is free.
    pub port: u16,
    /// What runs in it.
    pub programs: Programs,
    /// More arguments for `sheave server`.
    pub server_arguments: Vec<String>,
    /// More arguments for `sheave node`.
    pub node_arguments: Vec<String>,
}

/// How long a cluster stays.
#[derive(Clone, Debug)]
pub enum Lifetime {
    /// Until the [`crate::Cluster`] is dropped, or this process ends.
    ThisProcess,
    /// Until it is removed by name. What its hosts write is in this folder.
    UntilRemoved {
        /// Not on an overlay file system.
        data: PathBuf,
    },
}

/// The programs of a cluster, as paths that its nodes see too.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `sheave`.
    pub sheave: PathBuf,
    /// The folder of image archives.
    pub images: PathBuf,
    /// kubectl, for asking the server.
    pub kubectl: PathBuf,
}

// === impl Programs ===

impl Programs {
    /// Says which of them nodes would not see.
    pub(crate) fn check(&self) -> Result<(), Cause> {
        [&self.sheave, &self.images].into_iter().try_for_each(|path| visible_in_nodes(path))
    }
}

fn visible_in_nodes(path: &Path) -> Result<(), Cause> {
    let hidden = HIDDEN.into_iter().find(|folder| path.starts_with(folder));
    hidden.map_or(Ok(()), |hidden| Err(Cause::Hidden { path: path.to_owned(), hidden }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_in_a_folder_that_nodes_have_for_themselves_is_refused() {
        for (path, is_visible) in
            [("/root/sheave/target/sheave", true), ("/var/lib/ci/target/sheave", false), ("/running/sheave", true)]
        {
            assert_eq!(visible_in_nodes(Path::new(path)).is_ok(), is_visible, "{path}");
        }
    }
}
