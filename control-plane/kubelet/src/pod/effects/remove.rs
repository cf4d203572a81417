//! Removing what is left of a pod that is over and gone.

use std::io;
use std::path::Path;

use k8s_openapi::api::core::v1::Pod;
use tracing::{debug, warn};

use super::Shared;
use crate::pod::spec;
use crate::pod::state::State;

// === impl Shared ===

impl Shared {
    /// Removes sandboxes, containers, logs and files of a pod. What cannot be removed now is left to the clean-up.
    pub(crate) async fn remove_pod(&self, pod: &Pod, state: &State) {
        for sandbox in &state.sandboxes {
            if let Err(error) = self.runtime.remove_sandbox(&sandbox.id).await {
                warn!(pod = spec::full_name(pod), %error, "a sandbox could not be removed");
            }
        }
        if let Err(error) = self.tear_down_volumes(pod).await {
            warn!(pod = spec::full_name(pod), error, "volumes could not be torn down");
            return;
        }
        for folder in [self.folders.pod_logs(pod), self.folders.pod(&spec::uid(pod))] {
            if let Err(error) = remove_folder(&folder) {
                warn!(pod = spec::full_name(pod), folder = %folder.display(), %error, "a folder could not be removed");
            }
        }
        if let Err(error) = self.cgroups.remove(&spec::uid(pod)).await {
            warn!(pod = spec::full_name(pod), %error, "its cgroup could not be removed");
        }
        debug!(pod = spec::full_name(pod), "nothing is left");
    }
}

/// Removes a folder, unless something is mounted below it: what is there belongs to somebody else.
pub(crate) fn remove_folder(folder: &Path) -> io::Result<()> {
    if is_mounted_below(folder)? {
        return Err(io::Error::other("something is mounted in it"));
    }
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads this process's mount table; its fifth column is where something is mounted, with octal escapes.
fn is_mounted_below(folder: &Path) -> io::Result<bool> {
    let table = std::fs::read_to_string("/proc/self/mountinfo")?;
    let folder = format!("{}/", folder.display()).replace(' ', "\\040");
    Ok(table.lines().filter_map(|line| line.split(' ').nth(4)).any(|target| format!("{target}/").starts_with(&folder)))
}
