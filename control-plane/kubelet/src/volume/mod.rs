//! Volumes of pods: made before a container starts, kept up to date, removed after the pod.
//!
//! ```text
//! <pods>/<uid>/volumes/kubernetes.io~<kind>/<volume>            the volumes, but for those of the node
//! <pods>/<uid>/volume-subpaths/<volume>/<container>/<index>     parts of volumes, mounted by themselves
//! ```
//!
//! First everything that a pod's volumes need is fetched, then pure functions say what is to be in them
//! ([`payload`]), then the file system is made so. All three steps may be repeated at any time, also after a crash.

mod atomic;
mod error;
mod folder;
mod host_path;
mod kind;
mod mount_table;
mod mounts;
mod payload;
mod sub_path;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_cri::v1 as cri;
use k8s_openapi::api::core::v1::{Container, Pod, Volume};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::spawn_blocking;

pub use error::{MountError, SubPathError, VolumeCause, VolumeError};
use folder::Access;
use kind::{Kind, token_wishes};
use mount_table::{MountTable, unmount_below};
use mounts::Places;
use payload::{Inputs, Payload, fs_group};

use crate::resource::{Capacity, Resource, pod::total_memory_limit};
use crate::source::{Objects, Sources, Token, TokenError, TokenWish};

/// Work on the volumes of one pod is done one after another; this many pods may be worked on at once.
const LOCKS: usize = 16;

/// The permission bits of folders that containers write to.
const OPEN: u32 = 0o777;

/// The permission bits of folders that containers only read.
const CLOSED: u32 = 0o755;

/// The volumes of this node's pods. Cheap to clone.
#[derive(Clone)]
pub struct Volumes(Arc<Inner>);

struct Inner {
    pods: PathBuf,
    sources: Sources,
    allocatable: Capacity,
    locks: [Mutex<()>; LOCKS],
}

/// What was fetched for the volumes of a pod.
struct Fetched {
    pod: Pod,
    objects: Objects,
    tokens: BTreeMap<TokenWish, Result<Token, TokenError>>,
}

/// Which of a pod's volumes to look at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    /// Those whose content comes from the API server.
    Files,
}

// === impl Volumes ===

impl Volumes {
    /// Keeps volumes below `pods`, each pod's in the folder of its UID. `allocatable` is what the node allows pods.
    #[must_use]
    pub fn new(pods: PathBuf, sources: Sources, allocatable: Capacity) -> Self {
        let locks = std::array::from_fn(|_| Mutex::new(()));
        Self(Arc::new(Inner { pods, sources, allocatable, locks }))
    }

    /// Makes all volumes of the pod, or finds them. Containers may start when this succeeds; until then the caller waits
    /// and tries again.
    ///
    /// # Errors
    /// One for each volume that is not there; each is a warning event.
    pub async fn set_up(&self, pod: &Pod) -> Result<(), Vec<VolumeError>> {
        self.update(pod, Scope::All).await
    }

    /// Brings volumes that come from the API server up to date: ConfigMaps, Secrets, fields of the pod, tokens. To be
    /// called when [`Sources::changes`] names the pod, when the pod itself changes, and once a minute for tokens.
    ///
    /// # Errors
    /// One for each volume that could not be brought up to date and keeps its old content; each is a warning event.
    pub async fn refresh(&self, pod: &Pod) -> Result<(), Vec<VolumeError>> {
        self.update(pod, Scope::Files).await
    }

    /// What a container mounts of its pod's volumes, which are set up. `variables` are the container's, for
    /// `subPathExpr`.
    ///
    /// # Errors
    /// A mount that cannot be made: the container's `CreateContainerConfigError`.
    pub async fn mounts(
        &self,
        pod: &Pod,
        container: &Container,
        variables: &[(String, String)],
    ) -> Result<Vec<cri::Mount>, MountError> {
        let _lock = self.lock(uid(pod)).await;
        let places = self.places(uid(pod));
        let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.clone()).unwrap_or_default();
        let (container, variables) = (container.clone(), variables.to_vec());
        blocking(move || mounts::make(&places, &volumes, &container, &variables)).await
    }

    /// Unmounts and removes everything of the pod's volumes and ends what is watched for it. Its containers are gone by
    /// then. May be repeated, also for a pod of which only the folder is left.
    ///
    /// # Errors
    /// Something stays mounted or cannot be removed; nothing below a mount is ever removed.
    pub async fn tear_down(&self, uid: &str) -> io::Result<()> {
        self.0.sources.forget(uid);
        let _lock = self.lock(uid).await;
        let places = self.places(uid);
        blocking(move || {
            for folder in [places.sub_paths, places.volumes] {
                unmount_below(&folder)?;
                match std::fs::remove_dir_all(&folder) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }

    async fn update(&self, pod: &Pod, scope: Scope) -> Result<(), Vec<VolumeError>> {
        let fetched = self.fetch(pod).await;
        let _lock = self.lock(uid(pod)).await;
        let places = self.places(uid(pod));
        let allocatable = self.0.allocatable;
        let errors = blocking(move || apply(&fetched, &places.volumes, &allocatable, scope)).await;
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    async fn fetch(&self, pod: &Pod) -> Fetched {
        let mut tokens = BTreeMap::new();
        for wish in volumes(pod).iter().flat_map(token_wishes) {
            let token = self.0.sources.token(pod, &wish).await;
            tokens.insert(wish, token);
        }
        Fetched { pod: pod.clone(), objects: self.0.sources.objects(pod).await, tokens }
    }

    fn places(&self, uid: &str) -> Places {
        // A UID comes from the API server or from a file; neither may lead out of the folder.
        let pod = self.0.pods.join(uid.replace('/', "_"));
        Places { volumes: pod.join("volumes"), sub_paths: pod.join("volume-subpaths") }
    }

    async fn lock(&self, uid: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        uid.hash(&mut hasher);
        let index = usize::try_from(hasher.finish()).unwrap_or(usize::MAX) % LOCKS;
        self.0.locks[index].lock().await
    }
}

impl std::fmt::Debug for Volumes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Volumes").field("pods", &self.0.pods).finish_non_exhaustive()
    }
}

/// Makes the file system as it should be, volume by volume.
fn apply(fetched: &Fetched, folder: &Path, allocatable: &Capacity, scope: Scope) -> Vec<VolumeError> {
    let make = |volume: &Volume| {
        let made = make(fetched, volume, folder, allocatable, scope);
        made.err().map(|cause| VolumeError { volume: volume.name.clone(), cause })
    };
    volumes(&fetched.pod).iter().filter_map(make).collect()
}

fn make(
    fetched: &Fetched,
    volume: &Volume,
    folder: &Path,
    allocatable: &Capacity,
    scope: Scope,
) -> Result<(), VolumeCause> {
    let kind = Kind::of(volume);
    let path = kind.path(folder, &volume.name);
    let group = fs_group(&fetched.pod);
    let table = || MountTable::read().map_err(VolumeCause::file("read", Path::new("/proc/self/mountinfo")));
    match kind {
        Kind::EmptyDir { .. } | Kind::HostPath { .. } if scope == Scope::Files => Ok(()),
        Kind::EmptyDir { in_memory: false, .. } => folder::on_disk(&path, Access { mode: OPEN, group }),
        Kind::EmptyDir { in_memory: true, size_limit } => {
            let size = memory_size(&fetched.pod, size_limit, allocatable);
            folder::in_memory(&path, Access { mode: OPEN, group }, size, &table()?)
        }
        Kind::HostPath { path, expected } => host_path::check(path, expected),
        Kind::Files { sources, mode, in_memory, .. } => {
            let inputs = Inputs { pod: &fetched.pod, objects: &fetched.objects, tokens: &fetched.tokens, allocatable };
            // Nothing is made before its content is known.
            let payload = Payload::of(&inputs, &sources, mode)?;
            let access = Access { mode: CLOSED, group };
            if in_memory {
                folder::in_memory(&path, access, memory_size(&fetched.pod, None, allocatable), &table()?)?;
            } else {
                folder::on_disk(&path, access)?;
            }
            atomic::write(&path, &payload, group).map(drop)
        }
        Kind::Unsupported(kind) => Err(VolumeCause::Unsupported(kind)),
    }
}

/// How large a volume in memory may grow, in bytes: what counts against the pod cannot exceed the pod's own limit.
fn memory_size(pod: &Pod, limit: Option<i64>, allocatable: &Capacity) -> i64 {
    let of_pod = pod.spec.as_ref().and_then(total_memory_limit);
    let limits = [Some(allocatable.of(Resource::Memory).value()), of_pod, limit];
    limits.into_iter().flatten().filter(|limit| *limit > 0).min().unwrap_or(i64::MAX)
}

fn volumes(pod: &Pod) -> &[Volume] {
    pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default()
}

fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// Runs file-system work where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        // The runtime is going away, or the work has panicked and said so: there is nothing to return.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
