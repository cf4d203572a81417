//! The cgroup hierarchies of this machine, as its mount table shows them: v2 alone, v1 alone, or v1 beside v2 (hybrid).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::CgroupError;

/// Files of a v1 `cpuset` group that must be filled in before it takes a process (cgroup-v1/cpusets.rst).
const COPIED_FROM_PARENT: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// All hierarchies of the machine; cheap to clone.
#[derive(Clone, Debug)]
pub struct Hierarchies(Arc<[Hierarchy]>);

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) mount_point: PathBuf,
    pub(super) version: Version,
}

/// Which interface a hierarchy has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Some controllers, named by the mount options; none for `name=systemd`.
    One { controllers: Vec<String> },
    /// Whatever controllers no hierarchy of v1 has.
    Two,
}

// === impl Hierarchies ===

impl Hierarchies {
    /// Reads the mount table of the calling process.
    ///
    /// # Errors
    /// When it cannot be read or shows no cgroup mount.
    pub fn discover() -> Result<Self, CgroupError> {
        let table = fs::read_to_string("/proc/self/mountinfo").map_err(CgroupError::MountTable)?;
        let found = parse(&table);
        if found.is_empty() { Err(CgroupError::NoHierarchy) } else { Ok(Self(found.into())) }
    }

    #[cfg(test)]
    pub(super) fn of(hierarchies: Vec<Hierarchy>) -> Self {
        Self(hierarchies.into())
    }

    /// The hierarchy of v1 that has a controller, or v2's.
    pub(super) fn with(&self, controller: &str) -> Option<&Hierarchy> {
        let has = |hierarchy: &&Hierarchy| match &hierarchy.version {
            Version::One { controllers } => controllers.iter().any(|has| has == controller),
            Version::Two => false,
        };
        self.0.iter().find(has).or_else(|| self.0.iter().find(|hierarchy| hierarchy.version == Version::Two))
    }

    /// The folders of one path in all hierarchies, v2 first: what is killed there is gone from the others.
    pub(super) fn folders(&self, path: &Path) -> impl Iterator<Item = PathBuf> {
        self.0.iter().map(move |hierarchy| hierarchy.mount_point.join(path))
    }

    /// Makes the folders of one path in all hierarchies, parents included.
    pub(super) fn create(&self, path: &Path) -> Result<(), CgroupError> {
        self.0.iter().try_for_each(|hierarchy| hierarchy.create(path))
    }
}

// === impl Hierarchy ===

impl Hierarchy {
    fn create(&self, path: &Path) -> Result<(), CgroupError> {
        let mut folder = self.mount_point.clone();
        for component in path.components() {
            if self.version == Version::Two {
                pass_on_controllers(&folder);
            }
            folder.push(component);
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(|source| changed("make", &folder, source))?,
            }
            if self.version != Version::Two {
                fill_in(&folder)?;
            }
        }
        Ok(())
    }
}

pub(super) fn changed(action: &'static str, path: &Path, source: io::Error) -> CgroupError {
    CgroupError::Change { action, path: path.to_owned(), source }
}

/// Lets the groups below have all controllers of v2, as far as the kernel allows it. What it does not allow shows when a
/// limit is set.
fn pass_on_controllers(folder: &Path) {
    let words = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
    let passed_on = words("cgroup.subtree_control");
    for controller in words("cgroup.controllers").split_whitespace() {
        if !passed_on.split_whitespace().any(|passed_on| passed_on == controller) {
            let _ = fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
}

fn fill_in(folder: &Path) -> Result<(), CgroupError> {
    for file in COPIED_FROM_PARENT {
        let (Some(parent), own) = (folder.parent(), folder.join(file)) else { continue };
        if let Ok(value) = fs::read(parent.join(file))
            && !value.trim_ascii().is_empty()
        {
            fs::write(&own, value).map_err(|source| changed("fill in", &own, source))?;
        }
    }
    Ok(())
}

/// Reads `/proc/<pid>/mountinfo` (proc_pid_mountinfo(5)): v2 first, each hierarchy where it is mounted first.
fn parse(table: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in table.lines() {
        let Some((mount, file_system)) = line.split_once(" - ") else { continue };
        let Some(mount_point) = mount.split_whitespace().nth(4).map(PathBuf::from) else { continue };
        let mut file_system = file_system.split_whitespace();
        let version = match file_system.next() {
            Some("cgroup2") => Version::Two,
            Some("cgroup") => Version::One { controllers: controllers(file_system.nth(1).unwrap_or_default()) },
            _ => continue,
        };
        if found.iter().all(|known| known.version != version) {
            let place = if version == Version::Two { 0 } else { found.len() };
            found.insert(place, Hierarchy { mount_point, version });
        }
    }
    found
}

/// Keeps of a v1 hierarchy's options those that say which hierarchy it is.
fn controllers(options: &str) -> Vec<String> {
    let names = |option: &&str| {
        !matches!(*option, "rw" | "ro" | "xattr" | "clone_children" | "noprefix" | "cpuset_v2_mode")
            && !option.starts_with("release_agent=")
    };
    options.split(',').filter(names).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(mount_point: &str, controllers: &[&str]) -> Hierarchy {
        let controllers = controllers.iter().map(|&name| name.to_owned()).collect();
        Hierarchy { mount_point: mount_point.into(), version: Version::One { controllers } }
    }

    fn two(mount_point: &str) -> Hierarchy {
        Hierarchy { mount_point: mount_point.into(), version: Version::Two }
    }

    #[test]
    fn the_hierarchies_are_read_from_the_mount_table() {
        let table = "\
            24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
            31 23 0:28 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n\
            40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/a,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n\
            50 24 0:29 / /mnt/again rw - cgroup cgroup rw,cpu,cpuacct\n";
        let expected = [
            two("/sys/fs/cgroup/unified"),
            one("/sys/fs/cgroup/cpu,cpuacct", &["cpu", "cpuacct"]),
            one("/sys/fs/cgroup/systemd", &["name=systemd"]),
        ];
        assert_eq!(parse(table), expected);
        assert_eq!(parse("29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"), [two("/sys/fs/cgroup")]);
        assert_eq!(parse("garbage\n- - -\n"), []);
    }

    #[test]
    fn a_controller_is_found_where_it_is_mounted() {
        let hybrid = Hierarchies::of(vec![two("/u"), one("/c", &["cpu", "cpuacct"])]);
        assert_eq!(hybrid.with("cpu").unwrap().mount_point, Path::new("/c"));
        assert_eq!(hybrid.with("memory").unwrap().mount_point, Path::new("/u"));
        assert!(Hierarchies::of(vec![one("/c", &["cpu"])]).with("memory").is_none());
    }
}
