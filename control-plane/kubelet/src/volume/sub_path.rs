//! Parts of volumes, mounted by themselves.
//!
//! A container can put links into a volume while the node looks at it. So a sub-path is opened by the kernel with
//! `RESOLVE_BENEATH`: no link, absolute or with `..`, leads out of the volume (CVE-2017-1002101, CVE-2021-25741). The
//! open file itself, not its path, is then mounted at a place that containers cannot reach.
//!
//! Kernel: `openat2` is from 5.6.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};

use super::error::SubPathError;
use super::mount_table::MountTable;

/// How often the kernel is asked again when the volume is being changed under its hands.
const ATTEMPTS: u32 = 100;

/// Mounts what is at `sub_path` of the volume on `target`, which it makes: a file or a folder, as the sub-path is one.
/// A sub-path that is not there becomes a folder. What an earlier container had mounted on the target is replaced.
pub(super) fn bind(volume: &Path, sub_path: &str, target: &Path) -> Result<(), SubPathError> {
    let part = open(volume, sub_path)?;
    let failed = |action| move |source: io::Error| SubPathError::System { action, path: sub_path.to_owned(), source };
    let is_folder = File::from(part.try_clone().map_err(failed("open"))?).metadata().map_err(failed("open"))?.is_dir();
    clear(target).map_err(failed("make room for"))?;
    make_target(target, is_folder).map_err(failed("make a mount point for"))?;
    let open = format!("/proc/self/fd/{}", part.as_raw_fd());
    mount_bind(open, target).map_err(io::Error::from).map_err(failed("mount"))
}

/// Opens what is at `sub_path`, making folders that are missing, and never leaves the volume.
fn open(volume: &Path, sub_path: &str) -> Result<OwnedFd, SubPathError> {
    let parts = parts(sub_path).ok_or_else(|| SubPathError::Invalid(sub_path.to_owned()))?;
    let system = |action| move |source: io::Error| SubPathError::System { action, path: sub_path.to_owned(), source };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(volume, flags, Mode::empty());
    let root = root.map_err(io::Error::from).map_err(system("open the volume of"))?;
    let mode = fs::metadata(volume).map_err(system("open the volume of"))?.permissions().mode();
    let error = |action, errno: Errno| match errno {
        Errno::XDEV | Errno::LOOP => SubPathError::Escapes(sub_path.to_owned()),
        other => SubPathError::System { action, path: sub_path.to_owned(), source: other.into() },
    };
    let mut below = PathBuf::new();
    let mut opened = open_beneath(&root, Path::new(".")).map_err(|errno| error("open", errno))?;
    for part in parts {
        below.push(part);
        opened = match open_beneath(&root, &below) {
            Err(Errno::NOENT) => {
                match mkdirat(&opened, part, Mode::from_raw_mode(mode & 0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(error("make", errno)),
                }
                // A link that leads nowhere is still a link: it was not made here and is not followed.
                open_beneath(&root, &below).map_err(|errno| error("open", errno))?
            }
            opened => opened.map_err(|errno| error("open", errno))?,
        };
    }
    Ok(opened)
}

fn open_beneath(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut attempt = 0;
    loop {
        match openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // The kernel could not tell whether `..` stayed inside while something was renamed (openat2(2)).
            Err(Errno::AGAIN) if attempt < ATTEMPTS => attempt += 1,
            result => return result,
        }
    }
}

/// The components of a relative path without `..`.
fn parts(sub_path: &str) -> Option<Vec<&str>> {
    if sub_path.is_empty() || sub_path.contains('\0') {
        return None;
    }
    let part = |component| match component {
        Component::Normal(part) => part.to_str(),
        Component::CurDir => Some("."),
        Component::ParentDir | Component::RootDir | Component::Prefix(_) => None,
    };
    Path::new(sub_path).components().map(part).collect()
}

/// Unmounts and removes what an earlier container has had there.
fn clear(target: &Path) -> io::Result<()> {
    while MountTable::read()?.has(target) {
        unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
    }
    let removed = match fs::symlink_metadata(target) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir(target),
        Ok(_) => fs::remove_file(target),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn make_target(target: &Path, is_folder: bool) -> io::Result<()> {
    if is_folder {
        return fs::create_dir_all(target);
    }
    fs::create_dir_all(target.parent().unwrap_or(target))?;
    OpenOptions::new().write(true).create_new(true).mode(0o640).open(target).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    /// Where an open file is, whatever led there.
    fn place(open: &OwnedFd) -> PathBuf {
        fs::read_link(format!("/proc/self/fd/{}", open.as_raw_fd())).unwrap()
    }

    fn volume() -> (tempfile::TempDir, PathBuf) {
        let outside = tempfile::tempdir().unwrap();
        let volume = outside.path().canonicalize().unwrap().join("volume");
        fs::create_dir(&volume).unwrap();
        fs::write(outside.path().join("secret"), "").unwrap();
        fs::create_dir(outside.path().join("dir")).unwrap();
        (outside, volume)
    }

    #[test]
    fn links_inside_are_followed_and_links_outside_are_not() {
        let (outside, volume) = volume();
        fs::create_dir(volume.join("..v1")).unwrap();
        fs::write(volume.join("..v1/file"), "").unwrap();
        symlink("..v1", volume.join("..data")).unwrap();
        symlink("..data/file", volume.join("file")).unwrap();
        symlink("../secret", volume.join("up")).unwrap();
        symlink(outside.path().join("secret"), volume.join("absolute")).unwrap();
        symlink("../dir", volume.join("up-dir")).unwrap();
        symlink("loop", volume.join("loop")).unwrap();
        symlink("nowhere", volume.join("dangling")).unwrap();
        symlink("/proc/self/root", volume.join("magic")).unwrap();
        assert_eq!(place(&open(&volume, "file").unwrap()), volume.join("..v1/file"));
        assert_eq!(place(&open(&volume, "./new/deep/").unwrap()), volume.join("new/deep"));
        for path in ["up", "absolute", "up-dir", "up-dir/x", "loop", "magic/etc", "file/x", "dangling", "dangling/x"] {
            let error = open(&volume, path).unwrap_err();
            let is_clear = matches!(error, SubPathError::Escapes(_) | SubPathError::System { .. });
            assert!(is_clear, "{path}: {error}");
        }
        assert!(!outside.path().join("dir/x").exists() && !volume.join("nowhere").exists());
    }

    #[test]
    fn paths_that_are_not_inside_as_written_are_refused() {
        let (_outside, volume) = volume();
        for path in ["", "/etc", "..", "a/../b", "../volume"] {
            let error = open(&volume, path).unwrap_err().to_string();
            let expected = format!("subPath \"{path}\" must be a relative path and must not contain '..'");
            assert_eq!(error, expected);
        }
    }

    proptest! {
        /// Whatever links a container leaves behind, what is opened is inside or nothing is.
        #[test]
        fn nothing_outside_is_ever_opened(
            links in prop::collection::vec(("[ab]", "(/|)((\\.\\./|a/|b/|\\./){0,4})(a|b|secret|dir)?"), 0..5),
            path in "((a|b|c)/){0,3}(a|b|c|secret|dir)",
        ) {
            let (outside, volume) = volume();
            fs::create_dir(volume.join("c")).unwrap();
            for (index, (name, target)) in links.iter().enumerate() {
                let folder = if index % 2 == 0 { volume.clone() } else { volume.join("c") };
                // Some of these links cannot be made: no target, or the name is taken.
                let _ = symlink(target, folder.join(name));
            }
            if let Ok(opened) = open(&volume, &path) {
                prop_assert!(place(&opened).starts_with(&volume), "{links:?} {path}");
            }
            let mut left: Vec<_> = fs::read_dir(outside.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
            left.sort();
            prop_assert_eq!(left, ["dir", "secret", "volume"]);
        }
    }

    #[test]
    fn a_part_is_mounted_and_mounted_anew_for_the_next_container() {
        test_support::require_root!();
        let (outside, volume) = volume();
        fs::write(volume.join("file"), "content").unwrap();
        let target = outside.path().canonicalize().unwrap().join("targets/0");
        bind(&volume, "file", &target).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(fs::read_to_string(&target).unwrap(), "content");
        bind(&volume, "folder", &target).unwrap_or_else(|error| panic!("{error}"));
        fs::write(target.join("written"), "").unwrap();
        assert!(volume.join("folder/written").exists());
        super::super::mount_table::unmount_below(outside.path()).unwrap();
        assert!(fs::read_dir(&target).unwrap().next().is_none());
    }
}
