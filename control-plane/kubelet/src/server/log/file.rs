//! A log file that grows, and is renamed and made anew while it is read.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, SeekFrom};

use super::tail;

/// An open log.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// Which file it is, to see when another has taken its place.
    inode: u64,
    buffer: BytesMut,
    /// Bytes of the buffer in which there is no line feed.
    searched: usize,
}

/// Bytes read at once.
const READ: usize = 32 * 1024;
/// A longer line is handed on in pieces. Runtimes cut lines at 16 KiB.
const LONGEST: usize = 1024 * 1024;

// === impl LogFile ===

impl LogFile {
    pub(super) async fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path).await?;
        let inode = file.metadata().await?.ino();
        Ok(Self { path: path.to_owned(), file, inode, buffer: BytesMut::new(), searched: 0 })
    }

    /// Goes to the last `lines` lines.
    pub(super) async fn skip_to_last(&mut self, lines: usize) -> io::Result<()> {
        let start = tail::start_of_last(&mut self.file, lines).await?;
        self.file.seek(SeekFrom::Start(start)).await?;
        self.buffer.clear();
        self.searched = 0;
        Ok(())
    }

    /// The next line with its line feed; none at the end of what is there. A line that is still being written is only
    /// handed out where `is_final` says that nothing will follow.
    pub(super) async fn next_line(&mut self, is_final: bool) -> io::Result<Option<BytesMut>> {
        loop {
            let found = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
            if let Some(at) = found {
                let line = self.buffer.split_to(self.searched + at + 1);
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() >= LONGEST {
                self.searched = 0;
                return Ok(Some(self.buffer.split()));
            }
            self.buffer.reserve(READ);
            let count = (&mut self.file).take(READ as u64).read_buf(&mut self.buffer).await?;
            if count == 0 {
                let rest = is_final && !self.buffer.is_empty();
                if rest {
                    self.searched = 0;
                }
                return Ok(rest.then(|| self.buffer.split()));
            }
        }
    }

    /// Whether another file has the name by now; it is then read from its beginning. Only asked at the end of this one.
    pub(super) async fn move_on(&mut self) -> io::Result<bool> {
        match tokio::fs::metadata(&self.path).await {
            Ok(now) if now.ino() == self.inode => {
                let position = self.file.stream_position().await?;
                if now.size() >= position {
                    return Ok(false);
                }
                // Cut short in place: what was read is gone, so it begins again.
                self.file.seek(SeekFrom::Start(0)).await?;
            }
            // The runtime writes to the old file until it is told to open the new one, which comes after.
            Ok(_) => *self = Self::open(&self.path).await?,
            // Between the rename and the new file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        self.buffer.clear();
        self.searched = 0;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    async fn read(file: &mut LogFile) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = file.next_line(false).await.unwrap() {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
        }
        lines
    }

    #[tokio::test]
    async fn a_growing_file_gives_whole_lines_and_a_renamed_one_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let mut writer = fs::File::create(&path).unwrap();
        writer.write_all(b"one\ntw").unwrap();
        let mut file = LogFile::open(&path).await.unwrap();
        assert_eq!(read(&mut file).await, ["one\n"]);
        writer.write_all(b"o\n").unwrap();
        assert_eq!(read(&mut file).await, ["two\n"]);
        assert!(!file.move_on().await.unwrap());
        fs::rename(&path, folder.path().join("0.log.old")).unwrap();
        assert!(!file.move_on().await.unwrap());
        writer.write_all(b"three\n").unwrap();
        assert_eq!(read(&mut file).await, ["three\n"]);
        fs::write(&path, "four\n").unwrap();
        assert!(file.move_on().await.unwrap());
        assert_eq!(read(&mut file).await, ["four\n"]);
    }

    #[tokio::test]
    async fn a_last_line_without_its_end_is_handed_out_when_nothing_follows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        fs::write(&path, "one\nhalf").unwrap();
        let mut file = LogFile::open(&path).await.unwrap();
        assert_eq!(read(&mut file).await, ["one\n"]);
        assert_eq!(file.next_line(true).await.unwrap().unwrap(), "half");
        assert_eq!(file.next_line(true).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_file_cut_short_in_place_begins_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        fs::write(&path, "a long line\n").unwrap();
        let mut file = LogFile::open(&path).await.unwrap();
        assert_eq!(read(&mut file).await, ["a long line\n"]);
        fs::OpenOptions::new().write(true).truncate(true).open(&path).unwrap().write_all(b"new\n").unwrap();
        assert!(file.move_on().await.unwrap());
        assert_eq!(read(&mut file).await, ["new\n"]);
    }
}
