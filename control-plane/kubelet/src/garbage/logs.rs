//! Rotation of containers' logs: `0.log` is moved to `0.log.<time>`, the runtime opens a new one, and old ones go.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tracing::warn;

use crate::pod::Pods;
use crate::pod::effects::Shared;

/// As long as a log may become, in bytes.
const LONGEST: u64 = 10 << 20;
/// Files of one log, the one that is written included.
const MOST_FILES: usize = 5;

/// Rotates the logs of all running containers that are too long.
pub(super) async fn rotate(shared: &Shared, pods: &Pods) {
    for view in pods.list() {
        for container in view.containers.iter().filter(|container| container.is_running()) {
            let log = shared.folders.container_log(&view.pod, &container.name, container.attempt);
            if fs::metadata(&log).map_or(0, |metadata| metadata.len()) <= LONGEST {
                continue;
            }
            let moved = match make_way(&log, Timestamp::now()) {
                Ok(moved) => moved,
                Err(error) => {
                    warn!(log = %log.display(), %error, "a log could not be rotated");
                    continue;
                }
            };
            if let Err(error) = shared.runtime.reopen_log(&container.id).await {
                warn!(log = %log.display(), %error, "the runtime did not open a new log");
                // Else nobody would find what is written on.
                let _ = fs::rename(&moved, &log);
            }
        }
    }
}

/// Moves a log away and removes its oldest parts; gives its new name.
fn make_way(log: &Path, now: Timestamp) -> std::io::Result<PathBuf> {
    let old = rotated(log);
    for oldest in old.iter().take((old.len() + 2).saturating_sub(MOST_FILES)) {
        fs::remove_file(oldest)?;
    }
    let moved = PathBuf::from(format!("{}.{}", log.display(), now.strftime("%Y%m%d-%H%M%S")));
    fs::rename(log, &moved)?;
    Ok(moved)
}

/// Removes a log with all its parts.
pub(super) fn remove(log: &Path) {
    for part in rotated(log).into_iter().chain([log.to_owned()]) {
        let _ = fs::remove_file(part);
    }
}

/// The parts of a log that were moved away, oldest first.
fn rotated(log: &Path) -> Vec<PathBuf> {
    let prefix = format!("{}.", log.file_name().unwrap_or_default().to_string_lossy());
    let entries = log.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let of_log = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    let mut parts = of_log.map(|entry| entry.path()).collect::<Vec<_>>();
    parts.sort();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_files_of_a_log_are_kept_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("0.log");
        for second in 0..8 {
            fs::write(&log, second.to_string()).unwrap();
            make_way(&log, Timestamp::from_second(second).unwrap()).unwrap();
            fs::write(&log, "now").unwrap();
            assert!(rotated(&log).len() < MOST_FILES, "{:?}", rotated(&log));
        }
        let contents = rotated(&log).iter().map(|part| fs::read_to_string(part).unwrap()).collect::<Vec<_>>();
        assert_eq!(contents, ["4", "5", "6", "7"]);
        fs::write(folder.path().join("10.log"), "another").unwrap();
        remove(&log);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
