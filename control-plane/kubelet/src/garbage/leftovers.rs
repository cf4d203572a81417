//! What is left of pods that the node has not got any more: folders, logs, cgroups, sandboxes.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use tracing::{debug, warn};

use crate::pod::Pods;
use crate::pod::effects::Shared;
use crate::pod::effects::remove::remove_folder;

/// Removes what belongs to no pod of the node. A pod that is being set up is known before anything of it is made.
pub(super) async fn remove(shared: &Shared, pods: &Pods) {
    if !pods.is_complete() {
        return;
    }
    let known = || {
        let listed = shared.observer.pods().into_iter().map(|(uid, _)| uid);
        listed.chain(pods.uids()).collect::<HashSet<_>>()
    };
    for uid in entries(&shared.folders.pods).into_iter().filter(|uid| !known().contains(uid)) {
        debug!(uid, "a folder of a pod that is no more");
        let removed = match shared.volumes.tear_down(&uid).await {
            Ok(()) => remove_folder(&shared.folders.pod(&uid)),
            Err(error) => Err(error),
        };
        complain(&uid, removed);
    }
    for name in entries(&shared.folders.logs) {
        let uid = name.rsplit('_').next().unwrap_or_default().to_owned();
        if !known().contains(&uid) {
            complain(&uid, remove_folder(&shared.folders.logs.join(&name)));
        }
    }
    for uid in shared.cgroups.pods().into_iter().filter(|uid| !known().contains(uid)) {
        if let Err(error) = shared.cgroups.remove(&uid).await {
            warn!(uid, %error, "a pod's cgroup could not be removed");
        }
    }
    remove_old_sandboxes(shared, pods).await;
}

/// A sandbox that was replaced and holds no container any more.
async fn remove_old_sandboxes(shared: &Shared, pods: &Pods) {
    for view in pods.list() {
        let Some(newest) = &view.sandbox else { continue };
        for sandbox in view.sandboxes.iter().filter(|sandbox| sandbox.id != newest.id && !sandbox.ready) {
            let is_used = view.containers.iter().any(|container| container.sandbox == sandbox.id);
            if !is_used && let Err(error) = shared.runtime.remove_sandbox(&sandbox.id).await {
                warn!(sandbox.id, %error, "an old sandbox could not be removed");
            }
        }
    }
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn complain(uid: &str, removed: std::io::Result<()>) {
    if let Err(error) = removed {
        warn!(uid, %error, "what is left of a pod could not be removed");
    }
}
