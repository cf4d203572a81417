//! Removing what a topology leaves on the machine, always by name: after a normal end, a panic, a half-finished build,
//! and for owners that were killed.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cgroup::{self, Cgroup, CgroupError, Hierarchies};
use crate::name::{ClusterName, HostName};
use crate::namespace::{self, NamespaceError};

/// Everything a topology has on the machine. Dropping it removes that.
#[derive(Debug)]
pub(crate) struct Remains {
    name: ClusterName,
    data: PathBuf,
    hierarchies: Hierarchies,
    removed_on_drop: bool,
}

/// All that could not be removed; the rest is gone.
#[derive(Debug)]
pub struct CleanupError {
    name: ClusterName,
    failures: Vec<Failure>,
}

/// One thing that stays.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A cgroup or a process in it.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// A network namespace's name.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The folder of what nodes wrote.
    #[error("cannot remove {path}: {source}")]
    Data {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Removes a persistent topology, running or crashed: every process, namespace, cgroup, mount and folder of it.
///
/// `data` is the folder that it was built with. A topology that is gone already is no error.
pub fn remove(name: &ClusterName, data: &Path) -> Result<(), CleanupError> {
    let hierarchies = Hierarchies::discover();
    let hierarchies = hierarchies.map_err(|error| CleanupError { name: name.clone(), failures: vec![error.into()] })?;
    Remains::kept(name, data, &hierarchies).remove()
}

/// Removes what killed processes left, and nothing of live ones or of persistent clusters.
///
/// Two processes may sweep at once: what one finds gone already is no error. What cannot be removed is reported and
/// left to the next sweep.
pub(crate) fn sweep(hierarchies: &Hierarchies) {
    for name in named_on_machine(hierarchies) {
        if name.owner().is_some_and(|owner| !owner.is_alive()) {
            let swept = Remains::kept(&name, &default_data(&name), hierarchies).remove();
            if let Err(error) = swept {
                eprintln!("{error}");
            }
        }
    }
}

/// Where a topology's nodes write unless the builder says otherwise.
pub(crate) fn default_data(name: &ClusterName) -> PathBuf {
    std::env::temp_dir().join(name.to_string())
}

/// The cgroup that holds a topology's hosts.
pub(crate) fn cgroup_of(name: &ClusterName, hierarchies: &Hierarchies) -> Cgroup {
    Cgroup::at(hierarchies, name.to_string())
}

/// Makes that cgroup, with all controllers for the hosts in it.
pub(crate) fn create_cgroup(name: &ClusterName, hierarchies: &Hierarchies) -> Result<(), CgroupError> {
    Cgroup::at(hierarchies, "").pass_on_controllers();
    let cgroup = cgroup_of(name, hierarchies);
    cgroup.create()?;
    cgroup.pass_on_controllers();
    Ok(())
}

/// Clusters that have left a cgroup, a namespace or a folder with their name.
fn named_on_machine(hierarchies: &Hierarchies) -> HashSet<ClusterName> {
    let cgroups = cgroup::top_level_names(hierarchies);
    let folders = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    let folders = folders.filter_map(|entry| entry.file_name().into_string().ok());
    let by_folder = cgroups.into_iter().chain(folders).filter_map(|folder| ClusterName::from_folder(&folder));
    let hosts = namespace::names();
    let by_host = hosts.iter().filter_map(|host| Some(HostName::parse(host)?.cluster().clone()));
    by_folder.chain(by_host).collect()
}

// === impl Remains ===

impl Remains {
    pub(crate) fn new(name: &ClusterName, data: &Path, hierarchies: &Hierarchies) -> Self {
        let mut remains = Self::kept(name, data, hierarchies);
        remains.removed_on_drop = true;
        remains
    }

    /// Those of a topology that this value shall not end.
    pub(crate) fn kept(name: &ClusterName, data: &Path, hierarchies: &Hierarchies) -> Self {
        let (name, data, hierarchies) = (name.clone(), data.to_owned(), hierarchies.clone());
        Self { name, data, hierarchies, removed_on_drop: false }
    }

    pub(crate) fn keep(&mut self) {
        self.removed_on_drop = false;
    }

    /// Removes everything, going on after failures. Processes go first: they keep all else in use.
    pub(crate) fn remove(&mut self) -> Result<(), CleanupError> {
        self.removed_on_drop = false;
        let cgroup = cgroup_of(&self.name, &self.hierarchies);
        let mut failures: Vec<Failure> = Vec::new();
        failures.extend(cgroup.kill().err().map(Failure::from));
        failures.extend(cgroup.remove().err().map(Failure::from));
        let ours = |host: &String| HostName::parse(host).is_some_and(|host| *host.cluster() == self.name);
        let removed = namespace::names().into_iter().filter(ours).map(|host| namespace::remove(&host));
        failures.extend(removed.filter_map(Result::err).map(Failure::from));
        failures.extend(remove_folder(&self.data).err());
        if failures.is_empty() { Ok(()) } else { Err(CleanupError { name: self.name.clone(), failures }) }
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        if self.removed_on_drop
            && let Err(error) = self.remove()
        {
            // A drop has nobody to give its error to; the next build's sweep tries again.
            eprintln!("{error}");
        }
    }
}

// === impl CleanupError ===

impl CleanupError {
    /// What stays, one entry for each thing.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }
}

impl fmt::Display for CleanupError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} is not wholly removed", self.name)?;
        self.failures.iter().try_for_each(|failure| write!(formatter, "; {failure}"))
    }
}

impl std::error::Error for CleanupError {}

fn remove_folder(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Failure::Data { path: path.to_owned(), source }),
        _ => Ok(()),
    }
}
