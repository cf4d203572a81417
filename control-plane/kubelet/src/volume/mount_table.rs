//! The mounts that this process sees, and undoing those below a folder.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

/// Mount points in the order in which they were mounted.
pub(super) struct MountTable(Vec<PathBuf>);

// === impl MountTable ===

impl MountTable {
    /// Reads the mount table of the calling process.
    pub(super) fn read() -> io::Result<Self> {
        Ok(Self::parse(&fs::read("/proc/self/mountinfo")?))
    }

    /// Whether something is mounted there.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.0.iter().any(|mounted| mounted == path)
    }

    /// What is mounted at a folder or below it.
    pub(super) fn below<'a>(&'a self, folder: &'a Path) -> impl DoubleEndedIterator<Item = &'a Path> {
        self.0.iter().map(PathBuf::as_path).filter(move |mounted| mounted.starts_with(folder))
    }

    /// The fifth field of each line, with its octal escapes (proc_pid_mountinfo(5)).
    fn parse(table: &[u8]) -> Self {
        let lines = table.split(|&byte| byte == b'\n');
        let points = lines.filter_map(|line| line.split(|&byte| byte == b' ').nth(4));
        Self(points.map(|point| PathBuf::from(OsString::from_vec(unescape(point)))).collect())
    }
}

/// Unmounts everything at a folder and below it, the last mounted first. What somebody still uses lives on for them only.
pub(super) fn unmount_below(folder: &Path) -> io::Result<()> {
    for path in MountTable::read()?.below(folder).rev() {
        match unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            // Already gone, with the mount above it or by somebody else's hand.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            unmounted => unmounted?,
        }
    }
    match MountTable::read()?.below(folder).next() {
        Some(left) => Err(io::Error::other(format!("{} is still mounted", left.display()))),
        None => Ok(()),
    }
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'\\').then(|| after.get(..3)).flatten();
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &after[3..];
            }
            None => {
                plain.push(first);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let table = b"24 1 8:1 / / rw - ext4 /dev/vda rw\n\
                      30 24 0:28 / /data/pods/a rw shared:9 - tmpfs tmpfs rw\n\
                      31 24 0:28 / /data/pods/a/with\\040space rw - tmpfs tmpfs rw\n\
                      32 24 0:28 / /data/pods/ab rw - tmpfs tmpfs rw\nshort\n";
        let table = MountTable::parse(table);
        let below: Vec<_> = table.below(Path::new("/data/pods/a")).collect();
        assert_eq!(below, [Path::new("/data/pods/a"), Path::new("/data/pods/a/with space")]);
        assert!(table.has(Path::new("/data/pods/ab")) && !table.has(Path::new("/data")));
        assert_eq!(unescape(b"a\\134b\\9"), b"a\\b\\9");
    }
}
