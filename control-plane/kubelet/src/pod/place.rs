//! Where on the node the files of a pod are.

use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::spec;

/// Folders of the kubelet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// `<data directory>/pods`.
    pub pods: PathBuf,
    /// `/var/log/pods`, where log collectors look.
    pub logs: PathBuf,
}

// === impl Folders ===

impl Folders {
    /// The folder of everything that belongs to a pod but its logs.
    #[must_use]
    pub fn pod(&self, uid: &str) -> PathBuf {
        self.pods.join(uid)
    }

    /// The pod's log folder, `<namespace>_<name>_<uid>`.
    #[must_use]
    pub fn pod_logs(&self, pod: &Pod) -> PathBuf {
        self.logs.join(format!("{}_{}_{}", spec::namespace(pod), pod.name_any(), spec::uid(pod)))
    }

    /// The log of a container that was started `attempt` times before.
    #[must_use]
    pub fn container_log(&self, pod: &Pod, container: &str, attempt: u32) -> PathBuf {
        self.pod_logs(pod).join(super::container::log_path(container, attempt))
    }

    /// The pod's `/etc/hosts`.
    #[must_use]
    pub fn hosts_file(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("etc-hosts")
    }

    /// A new, empty file for the termination message of a container that was started `attempt` times before.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_message_file(&self, uid: &str, container: &str, attempt: u32) -> io::Result<PathBuf> {
        let folder = self.pod(uid).join("containers").join(container);
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{attempt}.message"));
        std::fs::write(&file, "")?;
        // Whatever user the container runs as may leave a message.
        set_mode(&file, 0o666)?;
        Ok(file)
    }
}

/// Sets permission bits, whatever the umask.
pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}
