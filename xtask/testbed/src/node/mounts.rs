//! The mount table of a node: the machine's files, with everything of its own that a node has to have.
//!
//! A node begins with a copy of the machine's mounts and then hides what two nodes must not share. Its writes to
//! `/etc` and `/opt` (where CNI keeps configuration and plugins) go to an overlay of its own, `/var/lib` and `/var/log`
//! are folders of its own, `/run` an empty tmpfs, `/proc`, `/sys`, the cgroup hierarchies and `/sys/fs/bpf` are mounted afresh and
//! show the node's namespaces. In the end the whole tree is shared (`mount --make-rshared /`), as the kubelet's
//! hostPath propagation expects of a node.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags,
};

use crate::cgroup::Hierarchies;

/// Folders that a node mounts afresh. The machine's mounts there are detached first: a copy of a network namespace's
/// bind mount in `/run/netns` would keep that namespace alive as long as the node, and programs that look for the cgroup
/// hierarchies in the mount table would find two of each.
const HIDDEN: [&str; 5] = ["/run", "/var/lib", "/var/log", "/sys", "/proc"];

/// Folders that a node changes without its neighbours seeing it.
const OVERLAID: [&str; 2] = ["/etc", "/opt"];

/// A mount that did not come about.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// mount(2) or one of its kin.
    #[error("cannot mount {what} on {target}: {source}")]
    Mount {
        /// What was to be mounted.
        what: String,
        /// Where.
        target: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A mount of the machine could not be taken out of the node.
    #[error("cannot detach {target}: {source}")]
    Detach {
        /// The mount point.
        target: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A folder or file that a mount needs.
    #[error("cannot prepare {path}: {source}")]
    Prepare {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Takes the calling thread's mount namespace from a copy of the machine's to a node's, as far as that needs no
/// process in the node: all but `/proc` and the cgroups.
pub(super) fn hide_machine(data: &Path) -> Result<(), MountError> {
    change_propagation(MountPropagationFlags::PRIVATE)?;
    detach_hidden()?;
    for folder in OVERLAID {
        overlay(data, folder)?;
    }
    for (own, folder) in [("var-lib", "/var/lib"), ("var-log", "/var/log")] {
        let own = prepare(&data.join(own))?;
        mounted(rustix::mount::mount_bind(&own, folder), &own.display(), folder)?;
    }
    mount("tmpfs", "/run", Some("mode=755"))?;
    prepare(Path::new("/run/netns"))?;
    mount("sysfs", "/sys", None)?;
    mount("bpf", "/sys/fs/bpf", None)
}

/// Mounts `/proc`. The caller must be a process of the node, whose processes it shows. Makes one system call.
pub(super) fn mount_proc() -> io::Result<()> {
    Ok(rustix::mount::mount(c"proc", c"/proc", c"proc", MountFlags::NOSUID | MountFlags::NODEV, None)?)
}

/// Mounts the cgroup hierarchies, and makes all mounts shared. The caller must be in the node's cgroup namespace.
pub(super) fn mount_cgroups(hierarchies: &Hierarchies) -> Result<(), MountError> {
    if !hierarchies.legacy().is_empty() {
        mount("tmpfs", "/sys/fs/cgroup", Some("mode=755"))?;
    }
    let unified = prepare(hierarchies.unified())?;
    mount("cgroup2", &unified, None)?;
    for hierarchy in hierarchies.legacy() {
        let mount_point = prepare(&hierarchy.mount_point)?;
        mount("cgroup", &mount_point, Some(&hierarchy.options))?;
        link_controllers(&mount_point, &hierarchy.options)?;
    }
    change_propagation(MountPropagationFlags::SHARED)
}

/// Writes the files that name the node.
pub(super) fn write_identity(host_name: &str) -> Result<(), MountError> {
    let hosts = format!("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\t{host_name}\n");
    for (file, content) in [("/etc/hostname", format!("{host_name}\n")), ("/etc/hosts", hosts)] {
        fs::write(file, content).map_err(|source| MountError::Prepare { path: file.into(), source })?;
    }
    Ok(())
}

/// Puts an overlay over a folder, writes going below `data`.
fn overlay(data: &Path, folder: &str) -> Result<(), MountError> {
    let own = data.join(folder.trim_start_matches('/'));
    let (upper, work) = (prepare(&own.join("upper"))?, prepare(&own.join("work"))?);
    let mount = || -> io::Result<()> {
        let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_set_string(&context, "source", "overlay")?;
        rustix::mount::fsconfig_set_string(&context, "lowerdir", folder)?;
        rustix::mount::fsconfig_set_string(&context, "upperdir", upper.as_path())?;
        rustix::mount::fsconfig_set_string(&context, "workdir", work.as_path())?;
        rustix::mount::fsconfig_create(&context)?;
        let mounted = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        Ok(rustix::mount::move_mount(&mounted, "", CWD, folder, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
    };
    let what =
        || format!("an overlay that keeps its changes in {} (which must not be an overlay itself)", own.display());
    mount().map_err(|source| MountError::Mount { what: what(), target: folder.into(), source })
}

/// Detaches the machine's mounts on and below the hidden folders, the innermost first.
fn detach_hidden() -> Result<(), MountError> {
    let path = PathBuf::from("/proc/self/mountinfo");
    // Of the calling thread: a process's other threads may be in another mount namespace.
    let table = fs::read_to_string("/proc/thread-self/mountinfo");
    let table = table.map_err(|source| MountError::Prepare { path, source })?;
    for mount_point in table.lines().rev().filter_map(hidden_mount_point) {
        match rustix::mount::unmount(&mount_point, UnmountFlags::DETACH) {
            // Gone already together with the one that it was mounted on.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(MountError::Detach { target: mount_point, source: error.into() }),
        }
    }
    Ok(())
}

/// The mount point of a line of the mount table, when it is in a hidden folder.
fn hidden_mount_point(line: &str) -> Option<PathBuf> {
    let mount_point = PathBuf::from(unescape(line.split_whitespace().nth(4)?));
    HIDDEN.iter().any(|folder| mount_point.starts_with(folder)).then_some(mount_point)
}

/// Undoes the octal escapes of blanks and backslashes in a mount table (proc_pid_mountinfo(5)).
fn unescape(text: &str) -> String {
    let mut pieces = text.split('\\');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(char::from(byte));
                plain.push_str(&piece[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(piece);
            }
        }
    }
    plain
}

/// Gives each controller of a combined hierarchy its own name, as systemd does: `cpu -> cpu,cpuacct`.
fn link_controllers(mount_point: &Path, options: &str) -> Result<(), MountError> {
    let (Some(parent), true) = (mount_point.parent(), options.contains(',')) else { return Ok(()) };
    for controller in options.split(',') {
        let link = parent.join(controller);
        if !link.exists() {
            symlink(mount_point, &link).map_err(|source| MountError::Prepare { path: link, source })?;
        }
    }
    Ok(())
}

fn prepare(folder: &Path) -> Result<PathBuf, MountError> {
    let made = fs::create_dir_all(folder).map(|()| folder.to_owned());
    made.map_err(|source| MountError::Prepare { path: folder.to_owned(), source })
}

fn mount(file_system: &str, target: impl AsRef<Path>, options: Option<&str>) -> Result<(), MountError> {
    let target = target.as_ref();
    let options = options.and_then(|options| CString::new(options).ok());
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mounted(rustix::mount::mount(file_system, target, file_system, flags, options.as_deref()), &file_system, target)
}

fn change_propagation(propagation: MountPropagationFlags) -> Result<(), MountError> {
    let changed = rustix::mount::mount_change("/", propagation | MountPropagationFlags::REC);
    mounted(changed, &format_args!("the {propagation:?} flag"), "/")
}

fn mounted(
    result: rustix::io::Result<()>,
    what: &dyn std::fmt::Display,
    target: impl AsRef<Path>,
) -> Result<(), MountError> {
    result.map_err(|error| MountError::Mount {
        what: what.to_string(),
        target: target.as_ref().to_owned(),
        source: error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_in_hidden_folders_are_detached() {
        let line = |mount_point: &str| format!("36 35 98:0 / {mount_point} rw shared:1 - ext4 /dev/sda rw");
        for (mount_point, hidden) in [
            ("/run", true),
            ("/run/netns/sheave-dev-n1", true),
            ("/var/lib/some\\040folder", true),
            ("/runner", false),
            ("/var/library", false),
            ("/", false),
        ] {
            assert_eq!(hidden_mount_point(&line(mount_point)).is_some(), hidden, "{mount_point}");
        }
        assert_eq!(hidden_mount_point("cut off"), None);
    }

    #[test]
    fn escapes_of_the_mount_table_are_undone() {
        for (escaped, plain) in [("a\\040b", "a b"), ("a\\134b", "a\\b"), ("plain", "plain"), ("odd\\9", "odd\\9")] {
            assert_eq!(unescape(escaped), plain);
        }
    }
}
