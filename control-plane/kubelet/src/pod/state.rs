//! What the kubelet knows of one pod: what the runtime has of it, what is under way, and what went wrong.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use super::backoff::{Backoff, Retry};
use crate::runtime::{Container, Sandbox};

/// Everything that [`super::plan`] and [`crate::status`] look at beside the pod itself.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The pod's sandboxes, newest first.
    pub sandboxes: Vec<Sandbox>,
    /// Its containers, newest first.
    pub containers: Vec<Container>,
    /// Whether its volumes are set up.
    pub has_volumes: bool,
    /// What is under way.
    pub busy: HashSet<Task>,
    /// What failed, and when it is tried again.
    pub retries: HashMap<Task, Retry>,
    /// Why a container does not run, by its name.
    pub waiting: BTreeMap<String, Waiting>,
    /// Pauses between restarts, by the container's name.
    pub backoffs: BTreeMap<String, Backoff>,
    /// By when containers that are being stopped are killed, by the runtime's id.
    pub deadlines: HashMap<String, Timestamp>,
    /// What probes say, by the runtime's id.
    pub health: HashMap<String, Health>,
    /// Sandboxes that were stopped and have given back their network.
    pub stopped: HashSet<String>,
    /// Termination messages, by the runtime's id.
    pub messages: HashMap<String, String>,
    /// Why the kubelet itself ends the pod.
    pub ending: Option<Ending>,
    /// Whether the pod is gone from the API.
    pub is_gone: bool,
}

/// Something that takes a while and is done once at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Volumes are set up.
    SetUpVolumes,
    /// Volumes are brought up to date.
    RefreshVolumes,
    /// Volumes are torn down.
    TearDownVolumes,
    /// A sandbox is created.
    CreateSandbox,
    /// A sandbox is stopped.
    StopSandbox(String),
    /// The container of this name is started.
    Start(String),
    /// The container of this id is stopped.
    Stop(String),
}

/// Why a container waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Kubernetes' word, such as `ErrImagePull`.
    pub reason: String,
    /// The details.
    pub message: String,
}

/// What probes say of a running container. Without a probe of a kind, a running container passes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether the start-up probe passed.
    pub started: bool,
    /// Whether the readiness probe passed.
    pub ready: bool,
    /// The probe that failed too often, which ends the container.
    pub failure: Option<ProbeFailure>,
}

/// A probe that failed too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeFailure {
    /// `liveness` or `startup`.
    pub probe: &'static str,
    /// The grace period that the probe asks for instead of the pod's.
    pub grace: Option<Duration>,
}

/// Why the kubelet ends a pod that nobody deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Kubernetes' word, such as `DeadlineExceeded`.
    pub reason: String,
    /// The details.
    pub message: String,
    /// When that was decided.
    pub at: Timestamp,
}

// === impl State ===

impl State {
    /// The sandbox that containers are started in, if it runs.
    #[must_use]
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first().filter(|sandbox| sandbox.ready && !self.stopped.contains(&sandbox.id))
    }

    /// The newest container of a name.
    #[must_use]
    pub fn newest(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The newest container of a name but one.
    #[must_use]
    pub fn previous(&self, name: &str) -> Option<&Container> {
        self.containers.iter().filter(|container| container.name == name).nth(1)
    }

    /// What probes say of a container.
    #[must_use]
    pub fn health(&self, container: &Container) -> Health {
        let unprobed = || Health { started: container.is_running(), ready: container.is_running(), failure: None };
        self.health.get(&container.id).cloned().unwrap_or_else(unprobed)
    }

    /// Takes in what was learned of a container, which may be new.
    pub fn put_container(&mut self, container: Container) {
        match self.containers.iter_mut().find(|known| known.id == container.id) {
            Some(known) => *known = container,
            None => self.containers.push(container),
        }
        self.containers.sort_by_key(|container| Reverse((container.attempt, container.created_at)));
    }

    /// Takes in what was learned of a sandbox, which may be new.
    pub fn put_sandbox(&mut self, sandbox: Sandbox) {
        match self.sandboxes.iter_mut().find(|known| known.id == sandbox.id) {
            Some(known) => *known = sandbox,
            None => self.sandboxes.push(sandbox),
        }
        self.sandboxes.sort_by_key(|sandbox| Reverse((sandbox.attempt, sandbox.created_at)));
    }
}

// === impl Waiting ===

impl Waiting {
    /// A reason with its details.
    pub fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }
}
