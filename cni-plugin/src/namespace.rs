//! The container's network namespace: opened once, judged, and handed to the agent as an open file, so that no path can
//! come to mean something else in between and the agent need not see the runtime's files.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::error::{CniError, Code};

/// File system of namespaces (`NSFS_MAGIC`, linux/magic.h).
const NSFS: u64 = 0x6e73_6673;
/// The namespace of this process.
const OWN: &str = "/proc/self/ns/net";

/// Opens it.
///
/// # Errors
/// Code 3 when there is none at the path, code 4 when what is there is no namespace or the host's own.
pub(crate) fn open(path: &Path) -> Result<File, CniError> {
    let file = File::open(path).map_err(|error| {
        let code = if error.kind() == ErrorKind::NotFound { Code::UnknownContainer } else { Code::Io };
        CniError::new(code, format!("cannot open the network namespace {}: {error}", path.display()))
    })?;
    let wrong = |what: &str| CniError::new(Code::InvalidVariable, format!("CNI_NETNS is {}: {what}", path.display()));
    let is_namespace = rustix::fs::fstatfs(&file).is_ok_and(|found| u64::try_from(found.f_type) == Ok(NSFS));
    if !is_namespace {
        return Err(wrong("there is no namespace mounted at this path"));
    }
    if is_own(&file) {
        return Err(wrong("that is the namespace of the node itself, which must not become a pod's"));
    }
    Ok(file)
}

fn is_own(file: &File) -> bool {
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let own = std::fs::metadata(OWN).map(identity);
    matches!((own, file.metadata().map(identity)), (Ok(own), Ok(given)) if own == given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_namespace_is_an_unknown_container_and_anything_else_a_wrong_variable() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(open(&folder.path().join("none")).unwrap_err().code, Code::UnknownContainer);
        assert_eq!(open(&file).unwrap_err().code, Code::InvalidVariable);
        assert!(open(Path::new(OWN)).unwrap_err().message.contains("of the node itself"));
    }
}
