//! The lowest layer of most images: busybox with its applets, and the few files that programs expect of a system.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::tree::Tree;
use crate::workshop::ImageError;

/// Debian's package busybox-static puts it there.
const PROGRAM: &str = "/bin/busybox";

/// Users that images of the catalog run as; numbers as in Debian.
const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nginx:x:101:101:nginx:/nonexistent:/bin/false
redis:x:999:999:redis:/data:/bin/false
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
";

const GROUP: &str = "\
root:x:0:
daemon:x:1:
adm:x:4:
tty:x:5:
www-data:x:33:
nginx:x:101:
redis:x:999:
nogroup:x:65534:
";

/// The layer.
pub(crate) fn layer() -> Result<Tree, ImageError> {
    let failed = |source| ImageError::Read { path: PathBuf::from(PROGRAM), source };
    let mut tree = Tree::default();
    tree.file("bin/busybox", 0o755, fs::read(PROGRAM).map_err(failed)?);
    let listed = Command::new(PROGRAM).arg("--list-full").output().map_err(failed)?;
    for applet in String::from_utf8_lossy(&listed.stdout).lines().filter(|applet| *applet != "bin/busybox") {
        tree.symlink(applet, "/bin/busybox");
    }
    for folder in ["dev", "etc", "home", "mnt", "proc", "run", "sys", "usr/bin", "usr/local/bin", "var/lib", "var/log"]
    {
        tree.folder(folder, 0o755);
    }
    tree.folder("root", 0o700);
    tree.folder("tmp", 0o1777);
    tree.folder("var/tmp", 0o1777);
    tree.file("etc/passwd", 0o644, PASSWD);
    tree.file("etc/group", 0o644, GROUP);
    tree.file("etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nhosts: files dns\n");
    Ok(tree)
}
