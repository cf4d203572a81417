//! The cgroups of pods: `<root>/kubepods/[burstable|besteffort/]pod<uid>`, the same path in every hierarchy.
//!
//! The names are those of Kubernetes with the `cgroupfs` driver. Container runtimes make the containers' groups below
//! the pod's and leave the pod's behind; both are removed here once the pod is gone.

mod hierarchy;
mod limits;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, sleep};

pub use hierarchy::Hierarchies;
use limits::apply;

use super::amount::{Capacity, Resource};
use super::container::shares;
use super::pod::{PodLimits, total_request};
use super::qos::{Qos, qos};

/// How long a killed group's processes get to be gone: a v1 hierarchy is busy until they are reaped.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before a busy folder is tried again.
const RETRY: Duration = Duration::from_millis(20);

const ALL_QOS: [Qos; 3] = [Qos::Guaranteed, Qos::Burstable, Qos::BestEffort];

/// The cgroups of this node's pods; cheap to clone.
#[derive(Clone, Debug)]
pub struct PodCgroups {
    hierarchies: Hierarchies,
    /// `<root>/kubepods`, relative to each hierarchy's mount point.
    base: PathBuf,
}

/// What could not be done with a cgroup.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No hierarchy is mounted.
    #[error("no cgroup hierarchy is mounted: `mount -t cgroup2 none /sys/fs/cgroup` mounts one")]
    NoHierarchy,
    /// The mount table cannot be read.
    #[error("cannot read /proc/self/mountinfo: {0}")]
    MountTable(#[source] io::Error),
    /// A file or folder of the hierarchy refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Change {
        /// What was tried.
        action: &'static str,
        /// The file or folder in one hierarchy.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A process would not go.
    #[error("cgroup {} still has processes after {} seconds", .0.display(), PATIENCE.as_secs())]
    Busy(PathBuf),
}

// === impl PodCgroups ===

impl PodCgroups {
    /// Those below `cgroup_root`, a path relative to the hierarchies' mount points; `/` for the mount points themselves.
    #[must_use]
    pub fn new(hierarchies: Hierarchies, cgroup_root: &Path) -> Self {
        let relative = cgroup_root.strip_prefix("/").unwrap_or(cgroup_root);
        Self { hierarchies, base: relative.join("kubepods") }
    }

    /// Makes the groups above the pods' and gives all pods together the weight of the node's CPUs.
    ///
    /// # Errors
    /// Where the hierarchy refuses: mostly for want of root's rights.
    pub fn set_up(&self, allocatable: &Capacity) -> Result<(), CgroupError> {
        self.hierarchies.create(&self.base)?;
        let all = PodLimits { cpu_shares: shares(Some(allocatable.of(Resource::Cpu))), ..PodLimits::default() };
        apply(&self.hierarchies, &self.base, &all)?;
        for qos in [Qos::Burstable, Qos::BestEffort] {
            self.hierarchies.create(&self.folder(qos))?;
        }
        self.share(&[])
    }

    /// Weighs burstable pods against guaranteed ones: as much as they request together. Best effort gets the rest.
    ///
    /// # Errors
    /// Where the hierarchy refuses.
    pub fn share(&self, pods: &[&Pod]) -> Result<(), CgroupError> {
        let burstable = pods.iter().filter(|pod| qos(pod) == Qos::Burstable).filter_map(|pod| pod.spec.as_ref());
        let requested =
            burstable.filter_map(|spec| total_request(spec, Resource::Cpu)).reduce(|sum, one| sum.plus(&one));
        for (qos, requested) in [(Qos::Burstable, requested), (Qos::BestEffort, None)] {
            let limits = PodLimits { cpu_shares: shares(requested), ..PodLimits::default() };
            apply(&self.hierarchies, &self.folder(qos), &limits)?;
        }
        Ok(())
    }

    /// What CRI calls the pod's `cgroup_parent`: the path from the mount points, with a slash in front.
    #[must_use]
    pub fn parent(&self, pod: &Pod) -> String {
        Path::new("/").join(self.path(pod)).display().to_string()
    }

    /// Makes the pod's group, or finds it, and sets its limits. `pids` is the node's limit for each pod.
    ///
    /// # Errors
    /// Where the hierarchy refuses.
    pub fn create(&self, pod: &Pod, pids: Option<i64>) -> Result<(), CgroupError> {
        let path = self.path(pod);
        self.hierarchies.create(&path)?;
        apply(&self.hierarchies, &path, &PodLimits::of(pod, pids))
    }

    /// Removes the group of a pod and everything below it in every hierarchy; what still runs in it is killed. A group
    /// that is gone is no error.
    ///
    /// # Errors
    /// Where a hierarchy refuses, or processes stay.
    pub async fn remove(&self, uid: &str) -> Result<(), CgroupError> {
        let name = pod_folder(uid);
        let paths = ALL_QOS.map(|qos| self.folder(qos).join(&name));
        for folder in paths.iter().flat_map(|path| self.hierarchies.folders(path)) {
            if folder.exists() {
                kill(&folder);
                remove_folder(&folder).await?;
            }
        }
        Ok(())
    }

    /// The uids of all pods that have a group, running or not: after a restart, of those to look after or to remove.
    #[must_use]
    pub fn pods(&self) -> BTreeSet<String> {
        let folders = ALL_QOS.map(|qos| self.folder(qos));
        let folders = folders.iter().flat_map(|path| self.hierarchies.folders(path));
        let entries = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| name.strip_prefix("pod").map(str::to_owned)).collect()
    }

    fn path(&self, pod: &Pod) -> PathBuf {
        self.folder(qos(pod)).join(pod_folder(pod.metadata.uid.as_deref().unwrap_or_default()))
    }

    fn folder(&self, qos: Qos) -> PathBuf {
        qos.folder().map_or_else(|| self.base.clone(), |folder| self.base.join(folder))
    }
}

/// A uid comes from the API server or from a file; neither may lead out of the folder.
fn pod_folder(uid: &str) -> String {
    format!("pod{}", uid.replace('/', "_"))
}

/// Kills what runs in a group and below it. Hierarchies of v1 cannot; each process is in v2's as well.
///
/// Kernel: `cgroup.kill` is from 5.14.
fn kill(folder: &Path) {
    let file = folder.join("cgroup.kill");
    if file.exists()
        && let Err(error) = fs::write(&file, "1")
    {
        tracing::warn!(path = %file.display(), %error, "cannot kill what is left of a pod");
    }
}

/// Removes a group's folder and those below. Folders only: a group's files go with it.
async fn remove_folder(folder: &Path) -> Result<(), CgroupError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match remove_tree(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::ResourceBusy => {
                return Err(CgroupError::Change { action: "remove", path: folder.to_owned(), source: error });
            }
            Err(_) if Instant::now() > deadline => return Err(CgroupError::Busy(folder.to_owned())),
            Err(_) => sleep(RETRY).await,
        }
    }
}

fn remove_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            match remove_tree(&entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests;
