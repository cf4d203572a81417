//! What a plan's actions do: thin, and each ends with what was learned.

mod admit;
mod hook;
pub(crate) mod remove;
mod sandbox;
mod start;
mod stop;
mod volumes;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use kube::Client;
use tokio::sync::watch;

pub use start::StartError;

use super::dns::ClusterDns;
use super::place::Folders;
use super::state::{State, Task};
use crate::event::Recorder;
use crate::image::Images;
use crate::pod::admission::{Admitted, Room};
use crate::probe::Prober;
use crate::resource::{Capacity, PodCgroups};
use crate::runtime::{Container, Observer, Runtime, Sandbox};
use crate::source::Sources;
use crate::volume::Volumes;

/// What all pods of the node share. Cheap to clone.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

/// See [`Shared`].
pub struct Inner {
    /// The API server.
    pub client: Client,
    /// The container runtime.
    pub runtime: Runtime,
    /// What it does.
    pub observer: Observer,
    /// Probes.
    pub prober: Prober,
    /// Images.
    pub images: Images,
    /// Events.
    pub recorder: Recorder,
    /// Folders of the kubelet.
    pub folders: Folders,
    /// The node's name in the API.
    pub node_name: String,
    /// The node's host name.
    pub hostname: String,
    /// The node's addresses, the preferred family first.
    pub node_addresses: Vec<IpAddr>,
    /// The cluster's DNS.
    pub dns: ClusterDns,
    /// The file with the node's own DNS.
    pub resolv_conf: PathBuf,
    /// What pods read from the API server.
    pub sources: Sources,
    /// Their volumes.
    pub volumes: Volumes,
    /// Pods that have a place here.
    pub admitted: Admitted,
    /// How much room there is.
    pub room: Room,
    /// Labels that the node registered with.
    pub labels: BTreeMap<String, String>,
    /// The image of sandboxes, which is never removed.
    pub sandbox_image: String,
    /// The pods' cgroups.
    pub cgroups: PodCgroups,
    /// What the node allows pods.
    pub allocatable: Capacity,
    /// The node's memory, in bytes.
    pub node_memory: i64,
    /// Folder of the node's seccomp profiles.
    pub seccomp_profiles: PathBuf,
    /// The runtime's name, the scheme of container ids.
    pub runtime_name: String,
    /// Why the runtime's network is not ready; none when it is.
    pub network: watch::Receiver<Option<String>>,
}

/// How an action ended.
#[derive(Debug)]
pub enum Outcome {
    /// Volumes are set up, or not.
    VolumesSetUp(Result<(), String>),
    /// Volumes say what the API server says now, or not.
    VolumesRefreshed(Result<(), String>),
    /// Volumes are torn down, or not.
    VolumesTornDown(Result<(), String>),
    /// There is a new sandbox, or not.
    SandboxCreated(Result<Sandbox, String>),
    /// A sandbox is stopped, or not.
    SandboxStopped(String, Result<(), String>),
    /// A container runs, or not.
    Started(String, Result<Box<Container>, Box<StartError>>),
    /// A container has ended, or not.
    Stopped(String, Result<(), String>),
}

// === impl Shared ===

impl Shared {
    /// Shares what is given.
    #[must_use]
    pub fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// The host name of a pod.
    fn pod_hostname(&self, pod: &k8s_openapi::api::core::v1::Pod) -> String {
        super::hosts::hostname(pod, &self.hostname, &self.dns.domain)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("node", &self.node_name).finish_non_exhaustive()
    }
}

impl std::ops::Deref for Shared {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

// === impl Outcome ===

impl Outcome {
    /// The task that has ended.
    #[must_use]
    pub fn task(&self) -> Task {
        match self {
            Self::VolumesSetUp(_) => Task::SetUpVolumes,
            Self::VolumesRefreshed(_) => Task::RefreshVolumes,
            Self::VolumesTornDown(_) => Task::TearDownVolumes,
            Self::SandboxCreated(_) => Task::CreateSandbox,
            Self::SandboxStopped(id, _) => Task::StopSandbox(id.clone()),
            Self::Started(name, _) => Task::Start(name.clone()),
            Self::Stopped(id, _) => Task::Stop(id.clone()),
        }
    }

    /// Whether it failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        match self {
            Self::SandboxCreated(result) => result.is_err(),
            Self::Started(_, result) => result.is_err(),
            Self::VolumesSetUp(result)
            | Self::VolumesRefreshed(result)
            | Self::VolumesTornDown(result)
            | Self::SandboxStopped(_, result)
            | Self::Stopped(_, result) => result.is_err(),
        }
    }

    /// Takes what was learned into the pod's state.
    pub fn apply(self, state: &mut State) {
        match self {
            Self::VolumesSetUp(Ok(())) => state.has_volumes = true,
            Self::VolumesTornDown(Ok(())) => state.has_volumes = false,
            Self::SandboxCreated(Ok(sandbox)) => state.put_sandbox(sandbox),
            Self::SandboxStopped(id, Ok(())) => {
                state.sandboxes.iter_mut().filter(|sandbox| sandbox.id == id).for_each(|sandbox| sandbox.ready = false);
                state.stopped.insert(id);
            }
            Self::Started(name, Ok(container)) => {
                state.waiting.remove(&name);
                state.put_container(*container);
            }
            Self::Started(name, Err(error)) => {
                let error = *error;
                state.waiting.extend(error.waiting.map(|waiting| (name, waiting)));
                error.container.into_iter().for_each(|container| state.put_container(container));
            }
            Self::VolumesSetUp(Err(_))
            | Self::VolumesRefreshed(_)
            | Self::VolumesTornDown(Err(_))
            | Self::SandboxCreated(Err(_))
            | Self::SandboxStopped(_, Err(_))
            | Self::Stopped(..) => {}
        }
    }
}
