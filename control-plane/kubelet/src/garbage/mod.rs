//! Clean-up: dead containers, sandboxes, folders and cgroups of pods that are no more, images when the disk fills up,
//! and logs that grow too long.

pub mod images;
mod leftovers;
mod logs;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::images::{Candidate, Disk};
use crate::pod::Pods;
use crate::pod::effects::Shared;
use crate::runtime::Container;

/// How often logs are measured.
const LOGS_EVERY: Duration = Duration::from_secs(10);
/// How often dead containers and what is left of pods are looked for, in rounds of [`LOGS_EVERY`].
const CONTAINERS_EVERY: u32 = 6;
/// How often images are, in the same rounds.
const IMAGES_EVERY: u32 = 30;
/// Dead containers of each name that a pod keeps, for `kubectl logs --previous`.
const DEAD_KEPT: usize = 1;

/// Cleans up.
pub struct Garbage {
    shared: Shared,
    pods: Pods,
    seen: HashMap<String, Candidate>,
}

// === impl Garbage ===

impl Garbage {
    /// A clean-up of what `pods` leave behind.
    #[must_use]
    pub fn new(shared: Shared, pods: Pods) -> Self {
        Self { shared, pods, seen: HashMap::new() }
    }

    /// Cleans up until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        for round in 1u32.. {
            tokio::select! {
                () = tokio::time::sleep(LOGS_EVERY) => {}
                () = stop.cancelled() => return,
            }
            logs::rotate(&self.shared, &self.pods).await;
            if round % CONTAINERS_EVERY == 0 {
                self.remove_dead_containers().await;
                leftovers::remove(&self.shared, &self.pods).await;
            }
            if round % IMAGES_EVERY == 0
                && let Err(error) = self.remove_images().await
            {
                warn!(%error, "images could not be cleaned up");
            }
        }
    }

    async fn remove_dead_containers(&self) {
        for view in self.pods.list() {
            for container in superfluous(&view.containers) {
                debug!(container.id, container.name, "a dead container is removed");
                if let Err(error) = self.shared.runtime.remove_container(&container.id).await {
                    warn!(container.id, %error, "a dead container could not be removed");
                }
                logs::remove(&self.shared.folders.container_log(&view.pod, &container.name, container.attempt));
            }
        }
    }

    async fn remove_images(&mut self) -> Result<(), crate::runtime::RuntimeError> {
        let now = Timestamp::now();
        let (listed, containers) =
            tokio::try_join!(self.shared.runtime.list_images(), self.shared.runtime.containers())?;
        let in_use = containers.iter().flat_map(|container| {
            let spec = container.image.as_ref().map(|image| image.image.clone());
            spec.into_iter().chain([container.image_ref.clone(), container.image_id.clone()])
        });
        let names = in_use.collect::<HashSet<_>>();
        let has = |image: &k8s_cri::v1::Image| {
            let aliases = std::iter::once(&image.id).chain(&image.repo_tags).chain(&image.repo_digests);
            aliases.into_iter().any(|name| names.contains(name))
        };
        let kept = |image: &k8s_cri::v1::Image| image.pinned || self.shared.keeps_image(image);
        let in_use = listed.iter().filter(|image| has(image)).map(|image| image.id.clone()).collect::<HashSet<_>>();
        let removable = listed.iter().filter(|image| !kept(image)).collect::<Vec<_>>();
        self.seen.retain(|id, _| removable.iter().any(|image| image.id == *id));
        for image in removable {
            let new = Candidate { id: image.id.clone(), size: image.size, since: now, used: Timestamp::MIN };
            let seen = self.seen.entry(image.id.clone()).or_insert(new);
            if in_use.contains(&image.id) {
                seen.used = now;
            }
        }
        let Some(disk) = self.disk().await else { return Ok(()) };
        for id in images::choose(self.seen.values().cloned().collect(), &in_use, disk, now) {
            info!(image = id, "an image is removed: the disk is filling up");
            self.shared.runtime.remove_image(&id).await?;
        }
        Ok(())
    }

    /// The file system that images are on.
    async fn disk(&self) -> Option<Disk> {
        let filesystems = self.shared.runtime.image_filesystems().await.ok()?;
        let mount_point = filesystems.into_iter().find_map(|filesystem| filesystem.fs_id)?.mountpoint;
        let disk = rustix::fs::statvfs(mount_point.as_str()).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Some(Disk { size: bytes(disk.f_blocks), free: bytes(disk.f_bavail) })
    }
}

/// Dead containers of a pod beyond those that it keeps; `containers` are newest first.
fn superfluous(containers: &[Container]) -> Vec<&Container> {
    let mut kept: HashMap<&str, usize> = HashMap::new();
    let dead = containers.iter().filter(|container| container.has_ended());
    dead.filter(|container| {
        let count = kept.entry(&container.name).or_default();
        *count += 1;
        *count > DEAD_KEPT
    })
    .collect()
}
