//! Files and folders of the node: is what is there what the pod says it is?

use std::fs::{self, DirBuilder, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::error::VolumeCause;

/// Checks what is at `path` against a `hostPath.type`; the types that end in `OrCreate` make it.
pub(super) fn check(path: &Path, expected: &str) -> Result<(), VolumeCause> {
    match expected {
        "DirectoryOrCreate" => {
            make(path, || DirBuilder::new().recursive(true).mode(0o755).create(path))?;
            expect(path, "directory", FileType::is_dir)
        }
        "FileOrCreate" => {
            make(path, || OpenOptions::new().write(true).create_new(true).mode(0o644).open(path).map(drop))?;
            expect(path, "file", FileType::is_file)
        }
        "Directory" => expect(path, "directory", FileType::is_dir),
        "File" => expect(path, "file", FileType::is_file),
        "Socket" => expect(path, "socket file", FileType::is_socket),
        "CharDevice" => expect(path, "character device", FileType::is_char_device),
        "BlockDevice" => expect(path, "block device", FileType::is_block_device),
        // No type: whatever is there, or the folder that the runtime makes.
        _ => Ok(()),
    }
}

fn make(path: &Path, create: impl FnOnce() -> io::Result<()>) -> Result<(), VolumeCause> {
    if path.exists() {
        return Ok(());
    }
    match create() {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(VolumeCause::file("make", path)(error)),
        _ => Ok(()),
    }
}

fn expect(path: &Path, expected: &'static str, is: fn(&FileType) -> bool) -> Result<(), VolumeCause> {
    match fs::metadata(path) {
        Ok(metadata) if is(&metadata.file_type()) => Ok(()),
        _ => Err(VolumeCause::HostPath { path: path.to_owned(), expected }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn what_is_there_must_be_what_the_pod_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("dir")).unwrap();
        fs::write(path("file"), "").unwrap();
        let _listener = UnixListener::bind(path("socket")).unwrap();
        let null = Path::new("/dev/null").to_owned();
        let table = [
            ("", path("absent"), None),
            ("Directory", path("dir"), None),
            ("Directory", path("file"), Some("directory")),
            ("Directory", path("absent"), Some("directory")),
            ("DirectoryOrCreate", path("new/deep"), None),
            ("DirectoryOrCreate", path("file"), Some("directory")),
            ("File", path("file"), None),
            ("File", path("dir"), Some("file")),
            ("FileOrCreate", path("new-file"), None),
            ("FileOrCreate", path("dir"), Some("file")),
            ("Socket", path("socket"), None),
            ("Socket", path("file"), Some("socket file")),
            ("CharDevice", null, None),
            ("CharDevice", path("file"), Some("character device")),
            ("BlockDevice", path("file"), Some("block device")),
        ];
        for (kind, path, wrong) in table {
            let message = wrong.map(|wrong| format!("hostPath type check failed: {} is not a {wrong}", path.display()));
            assert_eq!(check(&path, kind).err().map(|error| error.to_string()), message, "{kind}");
        }
        assert!(path("new/deep").is_dir() && path("new-file").is_file());
    }

    #[test]
    fn a_file_is_not_made_without_its_folder() {
        let error = check(Path::new("/nowhere/at/all"), "FileOrCreate").unwrap_err().to_string();
        assert!(error.starts_with("cannot make /nowhere/at/all: No such file"), "{error}");
    }
}
