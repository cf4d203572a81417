//! The cgroup hierarchies of this machine, as its mount table shows them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::CgroupError;

/// Controllers of v1 whose new groups accept no process before these files are filled in (cgroup-v1/cpusets.rst).
const COPIED_FROM_PARENT: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// All hierarchies of the machine; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Hierarchies(Arc<Layout>);

/// One mounted hierarchy of cgroup v1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LegacyHierarchy {
    /// Where it is mounted.
    pub(crate) mount_point: PathBuf,
    /// Mount options that name it: `cpu,cpuacct` or `name=systemd`.
    pub(crate) options: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Layout {
    unified: PathBuf,
    legacy: Vec<LegacyHierarchy>,
}

// === impl Hierarchies ===

impl Hierarchies {
    /// Reads the mount table of the calling process.
    pub(crate) fn discover() -> Result<Self, CgroupError> {
        let table = fs::read_to_string("/proc/self/mountinfo").map_err(CgroupError::MountTable)?;
        parse(&table).map(|layout| Self(Arc::new(layout))).ok_or(CgroupError::NoUnifiedHierarchy)
    }

    /// Mount point of cgroup v2.
    pub(crate) fn unified(&self) -> &Path {
        &self.0.unified
    }

    /// The hierarchies of cgroup v1, none on a machine that has only v2.
    pub(crate) fn legacy(&self) -> &[LegacyHierarchy] {
        &self.0.legacy
    }

    /// Mount points of all hierarchies.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.unified()).chain(self.legacy().iter().map(|hierarchy| hierarchy.mount_point.as_path()))
    }

    /// Makes the folders of one path in all hierarchies.
    pub(super) fn create(&self, path: &Path) -> Result<(), CgroupError> {
        let mut folder = PathBuf::new();
        for component in path.components() {
            folder.push(component);
            for root in self.roots() {
                make(&root.join(&folder))?;
            }
        }
        Ok(())
    }
}

/// Makes one folder and fills in what it needs before it takes a process.
fn make(folder: &Path) -> Result<(), CgroupError> {
    let failed = |source| CgroupError::Change { action: "make", path: folder.to_owned(), source };
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(failed)?,
    }
    for file in COPIED_FROM_PARENT {
        let (Some(parent), own) = (folder.parent(), folder.join(file)) else { continue };
        // In v2 an empty file means the parent's value and there is nothing to copy.
        if let Ok(value) = fs::read(parent.join(file))
            && !value.trim_ascii().is_empty()
        {
            fs::write(own, value).map_err(failed)?;
        }
    }
    Ok(())
}

/// Reads `/proc/<pid>/mountinfo` (proc_pid_mountinfo(5)).
fn parse(table: &str) -> Option<Layout> {
    let mut unified = None;
    let mut legacy: Vec<LegacyHierarchy> = Vec::new();
    for line in table.lines() {
        let Some((mount, file_system)) = line.split_once(" - ") else { continue };
        let Some(mount_point) = mount.split_whitespace().nth(4).map(PathBuf::from) else { continue };
        let mut file_system = file_system.split_whitespace();
        match file_system.next() {
            // Some machines show v2 twice; the first is where everybody looks.
            Some("cgroup2") => unified = unified.or(Some(mount_point)),
            Some("cgroup") => {
                let options = naming_options(file_system.nth(1).unwrap_or_default());
                if legacy.iter().all(|known| known.options != options) {
                    legacy.push(LegacyHierarchy { mount_point, options });
                }
            }
            _ => {}
        }
    }
    Some(Layout { unified: unified?, legacy })
}

/// Keeps of a v1 hierarchy's options those that say which hierarchy it is.
fn naming_options(options: &str) -> String {
    let names = |option: &&str| {
        !matches!(*option, "rw" | "ro" | "xattr" | "clone_children" | "noprefix" | "cpuset_v2_mode")
            && !option.starts_with("release_agent=")
    };
    options.split(',').filter(names).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legacy(mount_point: &str, options: &str) -> LegacyHierarchy {
        LegacyHierarchy { mount_point: mount_point.into(), options: options.into() }
    }

    #[test]
    fn the_layout_is_read_from_the_mount_table() {
        let table = "\
            24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
            31 23 0:28 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n\
            40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/a,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n\
            50 24 0:29 / /mnt/again rw - cgroup cgroup rw,cpu,cpuacct\n";
        let layout = parse(table).unwrap();
        assert_eq!(layout.unified, PathBuf::from("/sys/fs/cgroup/unified"));
        assert_eq!(
            layout.legacy,
            [legacy("/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct"), legacy("/sys/fs/cgroup/systemd", "name=systemd")]
        );
    }

    #[test]
    fn a_machine_with_only_version_2_has_no_legacy_hierarchies() {
        let layout = parse("29 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n").unwrap();
        assert_eq!(layout, Layout { unified: "/sys/fs/cgroup".into(), legacy: Vec::new() });
    }

    #[test]
    fn without_version_2_there_is_no_layout() {
        assert_eq!(parse("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"), None);
        assert_eq!(parse("garbage\n- - -\n"), None);
    }
}
