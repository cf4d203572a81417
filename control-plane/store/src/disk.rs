//! What the embedded engine needs of a disk. A seam so that tests can be the disk that fails, fills up, or loses power.

use std::fmt::Debug;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};

use crate::OpenError;

/// A file, as the embedded engine uses it: one user, positioned reads and writes, an explicit flush.
pub trait Disk: Debug + Send + Sync + 'static {
    /// How errors name the file.
    fn path(&self) -> &Path;

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether nothing has ever been written.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `bytes` from `offset`; fails if the file ends before.
    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`. Need not be durable, nor in order with other writes, before [`Self::sync`].
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts or extends with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes all writes durable. After an error the effect of every write since the last success is unknown.
    fn sync(&self) -> io::Result<()>;

    /// Makes later reads come from the device. After a failed `sync` Linux may hold pages that it takes for clean and
    /// that the device never got.
    fn forget_cached(&self) -> io::Result<()>;
}

/// A file of the local file system, locked against other processes for as long as it is open.
#[derive(Debug)]
pub(crate) struct FileDisk {
    path: PathBuf,
    file: File,
}

// === impl FileDisk ===

impl FileDisk {
    /// Opens a file, which must exist, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |error: io::Error| OpenError::Disk { path: path.to_owned(), source: error };
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        let disk = Self { path: path.to_owned(), file };
        disk.lock()?;
        // What an earlier process could not flush must not be mistaken for durable.
        disk.forget_cached().map_err(failed)?;
        Ok(disk)
    }

    /// Makes an empty file that only its owner may read: the values include Secrets.
    pub(crate) fn create(path: &Path) -> Result<Self, OpenError> {
        let failed = |error: io::Error| OpenError::Disk { path: path.to_owned(), source: error };
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(failed)?;
        let disk = Self { path: path.to_owned(), file };
        disk.lock()?;
        disk.set_len(0).map_err(failed)?;
        Ok(disk)
    }

    fn lock(&self) -> Result<(), OpenError> {
        self.file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse { path: self.path.clone() },
            TryLockError::Error(source) => OpenError::Disk { path: self.path.clone(), source },
        })
    }
}

impl Disk for FileDisk {
    fn path(&self) -> &Path {
        &self.path
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn forget_cached(&self) -> io::Result<()> {
        Ok(fadvise(&self.file, 0, None, Advice::DontNeed)?)
    }
}
