//! The folders that volumes are: on the node's disk, or file systems in memory of their own.

use std::ffi::CString;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::Path;

use rustix::mount::{MountFlags, mount};

use super::error::VolumeCause;
use super::mount_table::MountTable;

/// Who may do what in a new folder.
#[derive(Clone, Copy)]
pub(super) struct Access {
    /// Permission bits.
    pub(super) mode: u32,
    /// The group that owns it, and what is made in it.
    pub(super) group: Option<u32>,
}

/// The set-group-id bit: what is made in the folder has the folder's group.
const SET_GROUP: u32 = 0o2000;

// === impl Access ===

impl Access {
    fn bits(self) -> u32 {
        self.mode | if self.group.is_some() { SET_GROUP } else { 0 }
    }
}

/// Makes a folder, unless it is there: then it stays as the pod's containers have left it.
pub(super) fn on_disk(path: &Path, access: Access) -> Result<(), VolumeCause> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(path);
    make_parents(parent)?;
    // Complete before it has its name: a crash between the steps leaves no folder with the wrong owner.
    let temporary = parent.join(format!("..new~{}", path.file_name().unwrap_or_default().to_string_lossy()));
    match fs::remove_dir_all(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(VolumeCause::file("remove", &temporary)(error));
        }
        _ => {}
    }
    fs::create_dir(&temporary).map_err(VolumeCause::file("make", &temporary))?;
    if access.group.is_some() {
        chown(&temporary, None, access.group).map_err(VolumeCause::file("change the group of", &temporary))?;
    }
    let set = fs::set_permissions(&temporary, Permissions::from_mode(access.bits()));
    set.map_err(VolumeCause::file("change the mode of", &temporary))?;
    fs::rename(&temporary, path).map_err(VolumeCause::file("make", path))
}

/// Mounts a file system in memory of at most `size` bytes, unless it is mounted. What is in it never reaches the disk
/// (but for swap) and is gone with the mount.
pub(super) fn in_memory(path: &Path, access: Access, size: i64, mounts: &MountTable) -> Result<(), VolumeCause> {
    if mounts.has(path) {
        return Ok(());
    }
    make_parents(path)?;
    let group = access.group.map(|group| format!(",gid={group}")).unwrap_or_default();
    let options = CString::new(format!("size={size},mode={:o}{group}", access.bits())).unwrap_or_default();
    let flags = MountFlags::NODEV | MountFlags::NOSUID;
    mount("tmpfs", path, "tmpfs", flags, options.as_c_str()).map_err(VolumeCause::file("mount a tmpfs on", path))
}

/// Makes the folders above a volume. Nobody but root needs to pass: containers get the volume itself.
fn make_parents(path: &Path) -> Result<(), VolumeCause> {
    DirBuilder::new().recursive(true).mode(0o750).create(path).map_err(VolumeCause::file("make", path))
}
