//! What keeps a pod's volumes from being there, in the words of Kubernetes' events.

use std::io;
use std::path::{Path, PathBuf};

use crate::environment::field::FieldError;
use crate::source::{SourceError, TokenError};

/// Why one volume of a pod is not there. Its text is the message of the warning event.
#[derive(Debug, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume \"{volume}\" : {cause}")]
pub struct VolumeError {
    /// The volume's name in the pod.
    pub volume: String,
    /// What went wrong.
    #[source]
    pub cause: VolumeCause,
}

/// What went wrong with a volume.
#[derive(Debug, thiserror::Error)]
pub enum VolumeCause {
    /// A ConfigMap or Secret cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A ConfigMap has not the key.
    #[error("configmap references non-existent config key: {0}")]
    NoConfigMapKey(String),
    /// A Secret has not the key.
    #[error("references non-existent secret key: {0}")]
    NoSecretKey(String),
    /// A service-account token cannot be had.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The downward API cannot tell something.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A file's path would lead out of the volume.
    #[error("invalid path \"{0}\": it must be relative and must not contain '..'")]
    Path(String),
    /// What is on the node is not what the pod says it is.
    #[error("hostPath type check failed: {} is not a {expected}", path.display())]
    HostPath {
        /// The path on the node.
        path: PathBuf,
        /// As Kubernetes says it: `directory`, `socket file`, ...
        expected: &'static str,
    },
    /// A sort of volume that nothing here can mount.
    #[error("no volume plugin matched: {0} volumes are not supported on this node")]
    Unsupported(&'static str),
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why a container's mounts cannot be made: its `CreateContainerConfigError`.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// A mount names a volume that the pod does not have.
    #[error("cannot find volume \"{volume}\" to mount into container \"{container}\"")]
    NoVolume {
        /// The name.
        volume: String,
        /// The container.
        container: String,
    },
    /// A variable of `subPathExpr` has no value.
    #[error(
        "failed to expand subPath for volumeMount \"{volume}\" of container \"{container}\": missing value for \"{variable}\""
    )]
    Variable {
        /// The volume.
        volume: String,
        /// The container.
        container: String,
        /// The variable.
        variable: String,
    },
    /// The sub-path is absolute or leads out of the volume, by itself or by a link in the volume.
    #[error("failed to prepare subPath for volumeMount \"{volume}\" of container \"{container}\": {cause}")]
    SubPath {
        /// The volume.
        volume: String,
        /// The container.
        container: String,
        /// What went wrong.
        #[source]
        cause: SubPathError,
    },
    /// The runtime cannot do it.
    #[error(
        "recursiveReadOnly of volumeMount \"{volume}\" of container \"{container}\": recursive read-only mount is not supported by runtime"
    )]
    RecursiveReadOnly {
        /// The volume.
        volume: String,
        /// The container.
        container: String,
    },
}

/// Why a part of a volume cannot be mounted by itself.
#[derive(Debug, thiserror::Error)]
pub enum SubPathError {
    /// As written, it is no path inside.
    #[error("subPath \"{0}\" must be a relative path and must not contain '..'")]
    Invalid(String),
    /// A link leads out of the volume.
    #[error("subpath \"{0}\" not within volume path")]
    Escapes(String),
    /// The system refused.
    #[error("cannot {action} subPath \"{path}\": {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The sub-path.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

// === impl VolumeError ===

impl VolumeError {
    /// The reason of the event.
    pub const REASON: &'static str = "FailedMount";
}

// === impl VolumeCause ===

impl VolumeCause {
    /// For use with `map_err`.
    pub(super) fn file<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source: source.into() }
    }
}
