//! What the embedded engine needs of a disk. A seam so that tests can be the disk that fails, fills up, or loses power.

use std::fmt::Debug;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::fs::{Advice, SeekFrom, fadvise, seek};
use rustix::io::Errno;

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

/// Bytes that are filled with zeros ahead of what is written.
const AHEAD: u64 = 4 << 20;

/// A file of the local file system, locked against other processes for as long as it is open.
///
/// The engine makes its file long and then fills it. Each flush of a page that has never been written makes the file
/// system write its own journal too, and wait for another thread to do it: on a busy machine that is milliseconds. So the
/// next few mebibytes are written with zeros first; they cost one flush in a few thousand a little more.
#[derive(Debug)]
pub(crate) struct FileDisk {
    path: PathBuf,
    file: File,
    /// Everything before has been written to, everything behind is a hole. Held while it moves, so that no zeros can hit
    /// what somebody else has just written.
    filled: Mutex<u64>,
}

// === impl FileDisk ===

impl FileDisk {
    /// Opens a file, which must exist, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |error: io::Error| OpenError::Disk { path: path.to_owned(), source: error };
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        let filled = Mutex::new(end_of_data(&file).map_err(failed)?);
        let disk = Self { path: path.to_owned(), file, filled };
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
        let disk = Self { path: path.to_owned(), file, filled: Mutex::new(0) };
        disk.lock()?;
        disk.set_len(0).map_err(failed)?;
        Ok(disk)
    }

    /// Makes sure that a write up to `end` and the next ones hit what has been written before.
    fn fill_ahead(&self, end: u64) {
        let mut filled = self.filled.lock();
        if end <= *filled {
            return;
        }
        // A write far out leaves a hole behind it.
        let from = end.saturating_sub(AHEAD).max(*filled);
        let until = self.len().unwrap_or(end).min(end + AHEAD);
        // Without room for the zeros there may still be room for the write itself.
        let is_filled = fill_with_zeros(&self.file, from, until).is_ok();
        *filled = if is_filled { until.max(end) } else { end };
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
        self.fill_ahead(offset + bytes.len() as u64);
        self.file.write_all_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut filled = self.filled.lock();
        self.file.set_len(len)?;
        *filled = len.min(*filled);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn forget_cached(&self) -> io::Result<()> {
        Ok(fadvise(&self.file, 0, None, Advice::DontNeed)?)
    }
}

fn fill_with_zeros(file: &File, mut from: u64, until: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    while from < until {
        let length = ZEROS.len().min(usize::try_from(until - from).unwrap_or(ZEROS.len()));
        file.write_all_at(&ZEROS[..length], from)?;
        from += length as u64;
    }
    Ok(())
}

/// Where the hole at the end of a file begins.
fn end_of_data(file: &File) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let mut end = 0;
    while end < len {
        match seek(file, SeekFrom::Data(end)) {
            Ok(data) => end = seek(file, SeekFrom::Hole(data))?,
            Err(Errno::NXIO) => break,
            // Where holes cannot be told from data, all is data.
            Err(_) => return Ok(len),
        }
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is done to a disk: a write of so many bytes at an offset, another length, or another process.
    #[derive(Clone, Debug)]
    enum Action {
        Write(u32, u16),
        SetLen(u32),
        Reopen,
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            8 => (0u32..24 << 20, 1u16..).prop_map(|(offset, length)| Action::Write(offset, length)),
            2 => (0u32..24 << 20).prop_map(Action::SetLen),
            2 => Just(Action::Reopen),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn zeros_written_ahead_never_hit_data(actions in prop::collection::vec(action(), 1..20)) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("file");
            let mut disk = FileDisk::create(&path).expect("the file is made");
            let mut expected = Vec::new();
            for (number, action) in actions.into_iter().enumerate() {
                match action {
                    Action::Write(offset, length) => {
                        let (start, end) = (offset as usize, offset as usize + usize::from(length));
                        let bytes = vec![u8::try_from(number + 1).expect("few"); usize::from(length)];
                        disk.write(u64::from(offset), &bytes).expect("there is room");
                        expected.resize(end.max(expected.len()), 0);
                        expected[start..end].copy_from_slice(&bytes);
                    }
                    Action::SetLen(len) => {
                        disk.set_len(u64::from(len)).expect("there is room");
                        expected.resize(len as usize, 0);
                    }
                    Action::Reopen => {
                        drop(disk);
                        disk = FileDisk::open(&path).expect("the file is there");
                    }
                }
            }
            prop_assert_eq!(disk.len().expect("a length"), expected.len() as u64);
            let mut found = vec![0; expected.len()];
            disk.read(0, &mut found).expect("the file can be read");
            prop_assert!(found == expected);
        }
    }
}
