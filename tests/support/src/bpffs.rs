//! A BPF file system of a test's own, mounted nowhere: it is reached by a descriptor, and gone with it.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// The file system.
#[derive(Debug)]
pub struct BpfFs {
    root: OwnedFd,
}

// === impl BpfFs ===

impl BpfFs {
    /// Makes an empty one (fsopen(2), kernel 5.2).
    ///
    /// # Errors
    /// Without the rights to mount.
    pub fn new() -> io::Result<Self> {
        let context = fsopen("bpf", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&context)?;
        let root = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        Ok(Self { root })
    }

    /// Its root folder, for this process.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.root.as_raw_fd()))
    }
}
