//! Files that change all at once, under the eyes of those who read them.
//!
//! ```text
//! volume/..2026_11_24_10_00_00.41/app.conf    the files, in a folder that never changes
//! volume/..data -> ..2026_11_24_10_00_00.41   renamed over: the one moment of change
//! volume/app.conf -> ..data/app.conf          what containers open
//! ```
//!
//! The layout and its names are those of Kubernetes' `AtomicWriter`: programs watch `..data` to learn of changes.
//! A crash leaves at worst a folder or a link that nobody points to; the next write removes it.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::VolumeCause;
use super::payload::{File, Payload};

/// The link to the folder that is in force.
const DATA: &str = "..data";

/// The link before it is renamed to [`DATA`].
const NEW_DATA: &str = "..data_tmp";

/// How many folders may be made in one second.
const ATTEMPTS: u32 = 10_000;

/// Makes the files of `folder` those of the payload, and says whether that changed anything. `group` owns them all and
/// may read them, where there is one.
pub(super) fn write(folder: &Path, payload: &Payload, group: Option<u32>) -> Result<bool, VolumeCause> {
    let current = fs::read_link(folder.join(DATA)).ok();
    let is_same = current.as_ref().is_some_and(|current| holds(&folder.join(current), payload));
    if !is_same {
        let new = new_folder(folder)?;
        fill(&new, payload, group)?;
        point(folder, &new)?;
    }
    // After a crash the links may be missing although the data is there.
    link_names(folder, payload)?;
    remove_stale(folder, payload)?;
    Ok(!is_same)
}

/// Whether the folder has exactly these files with these contents.
fn holds(folder: &Path, payload: &Payload) -> bool {
    let mut found = BTreeSet::new();
    if list(folder, Path::new(""), &mut found).is_err() {
        return false;
    }
    let wanted: BTreeSet<PathBuf> = payload.files().map(|(path, _)| PathBuf::from(path)).collect();
    found == wanted
        && payload.files().all(|(path, file)| fs::read(folder.join(path)).is_ok_and(|is| is == file.content))
}

fn list(folder: &Path, below: &Path, into: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            list(folder, &path, into)?;
        } else {
            into.insert(path);
        }
    }
    Ok(())
}

fn new_folder(folder: &Path) -> Result<PathBuf, VolumeCause> {
    let stamp = Timestamp::now().strftime("..%Y_%m_%d_%H_%M_%S").to_string();
    let mut last = None;
    for attempt in 0..ATTEMPTS {
        let path = folder.join(format!("{stamp}.{attempt}"));
        match DirBuilder::new().mode(0o755).create(&path) {
            Ok(()) => return set_mode(&path, 0o755).map(|()| path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = Some(error),
            Err(error) => return Err(VolumeCause::file("make", &path)(error)),
        }
    }
    let error = last.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into());
    Err(VolumeCause::file("make", &folder.join(stamp))(error))
}

fn fill(folder: &Path, payload: &Payload, group: Option<u32>) -> Result<(), VolumeCause> {
    let mut folders = BTreeSet::from([folder.to_owned()]);
    for (path, file) in payload.files() {
        let parents = Path::new(path).ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
        let mut parents: Vec<_> = parents.map(|parent| folder.join(parent)).collect();
        parents.reverse();
        for parent in parents {
            if folders.insert(parent.clone()) {
                DirBuilder::new().create(&parent).map_err(VolumeCause::file("make", &parent))?;
                set_mode(&parent, 0o755)?;
            }
        }
        create(&folder.join(path), file, group)?;
    }
    if let Some(group) = group {
        for folder in folders {
            chown(&folder, None, Some(group)).map_err(VolumeCause::file("change the group of", &folder))?;
            set_mode(&folder, 0o2755)?;
        }
    }
    Ok(())
}

fn create(path: &Path, file: &File, group: Option<u32>) -> Result<(), VolumeCause> {
    // Nobody may read it before it has its owner and mode.
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = opened.and_then(|mut opened| opened.write_all(&file.content));
    written.map_err(VolumeCause::file("write", path))?;
    if file.user.is_some() || group.is_some() {
        lchown(path, file.user, group).map_err(VolumeCause::file("change the owner of", path))?;
    }
    // What a group owns its members can read, whatever the mode says.
    set_mode(path, if group.is_some() { file.mode | 0o440 } else { file.mode })
}

fn set_mode(path: &Path, mode: u32) -> Result<(), VolumeCause> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(VolumeCause::file("change the mode of", path))
}

/// The change: from here on, whoever opens a file opens the new one.
fn point(folder: &Path, new: &Path) -> Result<(), VolumeCause> {
    let (temporary, data) = (folder.join(NEW_DATA), folder.join(DATA));
    let name = new.file_name().unwrap_or_default();
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(VolumeCause::file("remove", &temporary)(error));
        }
        _ => {}
    }
    symlink(name, &temporary).map_err(VolumeCause::file("make", &temporary))?;
    fs::rename(&temporary, &data).map_err(VolumeCause::file("replace", &data))
}

/// The first parts of the files' paths: what stands in the volume's own folder.
fn names(payload: &Payload) -> BTreeSet<&str> {
    payload.files().filter_map(|(path, _)| path.split('/').next()).collect()
}

fn link_names(folder: &Path, payload: &Payload) -> Result<(), VolumeCause> {
    for name in names(payload) {
        let link = folder.join(name);
        let target = Path::new(DATA).join(name);
        if fs::read_link(&link).ok().as_ref() == Some(&target) {
            continue;
        }
        symlink(&target, &link).map_err(VolumeCause::file("make", &link))?;
    }
    Ok(())
}

/// Removes names that are no longer wanted and folders that are no longer pointed to.
fn remove_stale(folder: &Path, payload: &Payload) -> Result<(), VolumeCause> {
    let current = fs::read_link(folder.join(DATA)).unwrap_or_default();
    let wanted = names(payload);
    for entry in fs::read_dir(folder).map_err(VolumeCause::file("read", folder))?.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        let shown = name.to_string_lossy();
        let removed = if shown.starts_with("..") {
            let is_in_use = shown == DATA || Path::new(&name) == current;
            if is_in_use {
                Ok(())
            } else if is_link {
                fs::remove_file(&path)
            } else {
                fs::remove_dir_all(&path)
            }
        } else if wanted.contains(&*shown) || !is_link {
            Ok(())
        } else {
            fs::remove_file(&path)
        };
        removed.map_err(VolumeCause::file("remove", &path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with(".."))
            .collect();
        names.sort();
        names
    }

    fn hidden_folders(folder: &Path) -> usize {
        let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
        entries.filter(|entry| entry.file_type().unwrap().is_dir()).count()
    }

    fn write_files(folder: &Path, files: &[(&str, &str)]) -> bool {
        write(folder, &Payload::from_files(files), None).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn files_appear_change_and_go_by_one_rename() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(write_files(folder, &[("a", "1"), ("sub/dir/b", "2")]));
        assert_eq!(files(folder), ["a", "sub"]);
        assert_eq!(fs::read_to_string(folder.join("sub/dir/b")).unwrap(), "2");
        assert_eq!(fs::read_link(folder.join("a")).unwrap(), Path::new("..data/a"));
        let before = fs::read_link(folder.join(DATA)).unwrap();
        assert!(!write_files(folder, &[("a", "1"), ("sub/dir/b", "2")]));
        assert_eq!(fs::read_link(folder.join(DATA)).unwrap(), before, "nothing changed, so nothing moves");
        assert!(write_files(folder, &[("a", "3"), ("c", "4")]));
        assert_eq!(files(folder), ["a", "c"]);
        assert_eq!(fs::read_to_string(folder.join("a")).unwrap(), "3");
        assert_eq!(hidden_folders(folder), 1);
        assert!(write_files(folder, &[]));
        assert_eq!(files(folder), Vec::<String>::new());
    }

    #[test]
    fn an_open_file_keeps_its_content_over_a_change() {
        use std::io::Read as _;
        let folder = tempfile::tempdir().unwrap();
        write_files(folder.path(), &[("a", "old")]);
        let mut open = fs::File::open(folder.path().join("a")).unwrap();
        write_files(folder.path(), &[("a", "new")]);
        let mut content = String::new();
        open.read_to_string(&mut content).unwrap();
        assert_eq!(content, "old");
    }

    /// Every state that a crash can leave between two steps of a write is repaired by the next.
    #[test]
    fn what_a_crash_leaves_is_put_right() {
        type Crash = fn(&Path);
        let crashes: [(&str, Crash); 5] = [
            ("a folder that nobody points to", |folder| {
                fs::create_dir(folder.join("..2020_01_01_00_00_00.0")).unwrap();
                fs::write(folder.join("..2020_01_01_00_00_00.0/a"), "half").unwrap();
            }),
            ("a link that was not yet renamed", |folder| symlink("..2020", folder.join(NEW_DATA)).unwrap()),
            ("a name that was not yet made", |folder| fs::remove_file(folder.join("b")).unwrap()),
            ("a name that was not yet removed", |folder| symlink("..data/old", folder.join("old")).unwrap()),
            ("data that points nowhere", |folder| {
                fs::remove_file(folder.join(DATA)).unwrap();
                symlink("..gone", folder.join(DATA)).unwrap();
            }),
        ];
        for (case, crash) in crashes {
            for next in [[("a", "1"), ("b", "2")], [("a", "1"), ("b", "other")]] {
                let folder = tempfile::tempdir().unwrap();
                write_files(folder.path(), &[("a", "1"), ("b", "2")]);
                crash(folder.path());
                write_files(folder.path(), &next);
                assert_eq!(files(folder.path()), ["a", "b"], "{case}");
                assert_eq!(fs::read_to_string(folder.path().join("b")).unwrap(), next[1].1, "{case}");
                assert_eq!(hidden_folders(folder.path()), 1, "{case}");
                assert!(!folder.path().join(NEW_DATA).is_symlink(), "{case}");
            }
        }
    }

    #[test]
    fn modes_are_as_asked_whatever_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let mut payload = Payload::from_files(&[("sub/a", "1")]);
        payload.set_mode_for_test("sub/a", 0o466);
        write(folder.path(), &payload, None).unwrap_or_else(|error| panic!("{error}"));
        let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("sub"), mode("sub/a")), (0o755, 0o466));
    }

    #[test]
    fn a_group_owns_and_reads_everything() {
        use std::os::unix::fs::MetadataExt as _;
        test_support::require_root!();
        let folder = tempfile::tempdir().unwrap();
        let mut payload = Payload::from_files(&[("sub/a", "1")]);
        payload.set_mode_for_test("sub/a", 0o400);
        write(folder.path(), &payload, Some(2000)).unwrap_or_else(|error| panic!("{error}"));
        for (path, mode) in [("sub", 0o2755), ("sub/a", 0o440), ("..data", 0o2755)] {
            let is = fs::metadata(folder.path().join(path)).unwrap();
            assert_eq!((is.gid(), is.mode() & 0o7777), (2000, mode), "{path}");
        }
    }
}
