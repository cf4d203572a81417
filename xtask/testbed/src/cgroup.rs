//! Cgroups in every hierarchy of the machine at once.
//!
//! A machine has the one hierarchy of cgroup v2, at `/sys/fs/cgroup`, or beside it several of v1 (the hybrid layout,
//! with v2 at `/sys/fs/cgroup/unified`). Container runtimes use whichever controller hierarchies there are, and
//! programs attached to cgroups see v2 only, so each cgroup of ours is the same path in all of them. Killing and
//! freezing go through v2, which every process is in either way.
//!
//! Kernel: `cgroup.kill` is from 5.14, `cgroup.freeze` from 5.2.

mod hierarchy;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use hierarchy::Hierarchies;

/// How long killed or frozen processes get to be gone or still, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A cgroup: the same path in every hierarchy.
#[derive(Clone, Debug)]
pub struct Cgroup {
    hierarchies: Hierarchies,
    /// Relative to each hierarchy's mount point.
    path: PathBuf,
}

/// What could not be done with a cgroup.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The machine shows no cgroup v2.
    #[error("no cgroup v2 is mounted on this machine: `mount -t cgroup2 none /sys/fs/cgroup` mounts it")]
    NoUnifiedHierarchy,
    /// The mount table cannot be read.
    #[error("cannot read /proc/self/mountinfo: {0}")]
    MountTable(#[source] io::Error),
    /// A file or folder of the hierarchy refused.
    #[error("cannot {action} cgroup {path}: {source}")]
    Change {
        /// What was tried.
        action: &'static str,
        /// The folder in one hierarchy.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It did not become so in time.
    #[error("cgroup {path} is not {state} after {} seconds", PATIENCE.as_secs())]
    TimedOut {
        /// The folder in the v2 hierarchy.
        path: PathBuf,
        /// What was waited for.
        state: &'static str,
    },
}

// === impl Cgroup ===

impl Cgroup {
    /// The cgroup with this path, existing or not.
    pub(crate) fn at(hierarchies: &Hierarchies, path: impl Into<PathBuf>) -> Self {
        Self { hierarchies: hierarchies.clone(), path: path.into() }
    }

    /// A cgroup below this one, existing or not.
    pub fn child(&self, name: &str) -> Self {
        Self { hierarchies: self.hierarchies.clone(), path: self.path.join(name) }
    }

    /// Makes the folders, parents included.
    pub(crate) fn create(&self) -> Result<(), CgroupError> {
        self.hierarchies.create(&self.path)
    }

    /// Passes all controllers of v2 on to the cgroups below, as far as that is allowed. From then on a process can only
    /// be in those below (cgroup-v2.rst, no internal process constraint).
    ///
    /// Containers need the controllers for their limits, plain hosts do not. So what cannot be passed on (in a
    /// container's cgroup with processes in it) is left for the container runtime to report.
    pub(crate) fn pass_on_controllers(&self) {
        let folder = self.unified();
        let controllers = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
        for controller in controllers.split_whitespace() {
            let _ = fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }

    /// The folder in the v2 hierarchy, where programs attach.
    pub fn unified(&self) -> PathBuf {
        self.hierarchies.unified().join(&self.path)
    }

    /// The files that take a process into the cgroup when `0` is written to them by that process.
    pub(crate) fn open_members(&self) -> Result<Vec<File>, CgroupError> {
        let open = |folder: PathBuf| {
            let file = OpenOptions::new().write(true).open(folder.join("cgroup.procs"));
            file.map_err(|source| CgroupError::Change { action: "join", path: folder, source })
        };
        self.folders().map(open).collect()
    }

    /// Process ids of the members, without those of cgroups below, as seen from the machine.
    pub fn processes(&self) -> Vec<u32> {
        let members = fs::read_to_string(self.unified().join("cgroup.procs")).unwrap_or_default();
        members.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Stops every process of the cgroup and of those below, and waits until they stand still.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        self.write("freeze", "cgroup.freeze", "1")?;
        self.wait_for("frozen 1", "frozen")
    }

    /// Lets frozen processes go on.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.write("thaw", "cgroup.freeze", "0")?;
        self.wait_for("frozen 0", "thawed")
    }

    /// Whether the cgroup stands still, because it or one above it was frozen.
    pub fn is_frozen(&self) -> bool {
        self.has_event("frozen 1").unwrap_or(false)
    }

    /// Kills every process of the cgroup and of those below, frozen ones too, and waits until they are gone.
    ///
    /// A cgroup that does not exist has nobody to kill.
    pub fn kill(&self) -> Result<(), CgroupError> {
        if !self.unified().exists() {
            return Ok(());
        }
        self.write("kill", "cgroup.kill", "1")?;
        self.wait_for("populated 0", "empty")
    }

    /// Removes the cgroup and those below in every hierarchy. One that is gone already is no error.
    pub(crate) fn remove(&self) -> Result<(), CgroupError> {
        self.folders().try_for_each(|folder| remove_folder(&folder))
    }

    fn folders(&self) -> impl Iterator<Item = PathBuf> {
        self.hierarchies.roots().map(|root| root.join(&self.path))
    }

    fn write(&self, action: &'static str, file: &str, value: &str) -> Result<(), CgroupError> {
        let path = self.unified();
        fs::write(path.join(file), value).map_err(|source| CgroupError::Change { action, path, source })
    }

    /// Waits for a line of `cgroup.events`; a cgroup that was removed meanwhile is as good as empty.
    fn wait_for(&self, line: &str, state: &'static str) -> Result<(), CgroupError> {
        let came = wait_until(|| self.has_event(line).unwrap_or(true));
        came.ok_or_else(|| CgroupError::TimedOut { path: self.unified(), state })
    }

    fn has_event(&self, line: &str) -> io::Result<bool> {
        let events = fs::read_to_string(self.unified().join("cgroup.events"))?;
        Ok(events.lines().any(|has| has == line))
    }
}

/// Top-level cgroups of ours, in whatever hierarchy.
pub(crate) fn top_level_names(hierarchies: &Hierarchies) -> Vec<String> {
    let entries = hierarchies.roots().filter_map(|root| fs::read_dir(root).ok()).flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Removes a cgroup folder and the folders below. Folders only: a cgroup's files go with it.
fn remove_folder(folder: &Path) -> Result<(), CgroupError> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    below.map(|entry| entry.path()).try_for_each(|path| remove_folder(&path))?;
    let mut last = Ok(());
    // A v1 hierarchy is busy a little longer than v2 calls it populated: until the killed tasks are reaped.
    wait_until(|| {
        last = fs::remove_dir(folder);
        !matches!(&last, Err(error) if error.kind() == io::ErrorKind::ResourceBusy)
    });
    match last {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(CgroupError::Change { action: "remove", path: folder.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Asks until the answer is yes; nothing when it never was.
fn wait_until(mut condition: impl FnMut() -> bool) -> Option<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(200);
    while !condition() {
        if Instant::now() > deadline {
            return None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    Some(())
}
