//! What the runtime knows of a sandbox and of a container, as the rest of the kubelet wants to know it.

use std::collections::HashMap;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_cri::v1 as cri;

use super::labels;

/// The namespaces of a pod, and the container that holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// The runtime's id.
    pub id: String,
    /// How many sandboxes the pod had before.
    pub attempt: u32,
    /// Whether it runs.
    pub ready: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// The pod's addresses; none on the node's own network.
    pub addresses: Vec<IpAddr>,
}

/// A container that was created, whatever became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The runtime's id.
    pub id: String,
    /// The sandbox that it is in; CRI tells only in lists.
    pub sandbox: String,
    /// Its name in the pod.
    pub name: String,
    /// How many containers of this name the pod had before: the restart count.
    pub attempt: u32,
    /// What became of it.
    pub state: ContainerState,
    /// When it was created.
    pub created_at: Timestamp,
    /// The image's name as the runtime has it.
    pub image: String,
    /// The image's digest or id.
    pub image_id: String,
    /// Hash of what makes it another container.
    pub hash: String,
    /// Log file, relative to the pod's log folder or absolute as the runtime says.
    pub log_path: String,
    /// Host path of the file for the termination message, if there is one.
    pub termination_message: Option<String>,
    /// Whether the log's end is the message when the file has none.
    pub message_from_log: bool,
}

/// What became of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Created, not started.
    Created,
    /// Started, not ended.
    Running {
        /// When it was started.
        started_at: Timestamp,
    },
    /// Ended.
    Exited {
        /// When it was started; the epoch if it never was.
        started_at: Timestamp,
        /// When it ended.
        finished_at: Timestamp,
        /// Exit code, 128 and the signal's number for a killed one.
        exit_code: i32,
        /// The runtime's word, such as `OOMKilled`.
        reason: String,
        /// What the runtime says about it.
        message: String,
    },
    /// The runtime has lost it.
    Unknown,
}

// === impl Sandbox ===

impl From<cri::PodSandboxStatus> for Sandbox {
    fn from(status: cri::PodSandboxStatus) -> Self {
        let ready = status.state() == cri::PodSandboxState::SandboxReady;
        let network = status.network.unwrap_or_default();
        let additional = network.additional_ips.iter().map(|address| address.ip.as_str());
        let addresses = std::iter::once(network.ip.as_str()).chain(additional);
        let addresses = addresses.filter_map(|address| address.parse().ok()).collect();
        let attempt = status.metadata.map(|metadata| metadata.attempt).unwrap_or_default();
        Self { id: status.id, attempt, ready, created_at: timestamp(status.created_at), addresses }
    }
}

// === impl Container ===

impl Container {
    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.state, ContainerState::Running { .. })
    }

    /// Whether it has ended, or is lost and will be taken for ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.state, ContainerState::Exited { .. } | ContainerState::Unknown)
    }

    /// Its exit code, once it has ended.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        match self.state {
            ContainerState::Exited { exit_code, .. } => Some(exit_code),
            ContainerState::Created | ContainerState::Running { .. } | ContainerState::Unknown => None,
        }
    }

    /// When it ended; for one that never ran or is lost, when it was created.
    #[must_use]
    pub fn ended_at(&self) -> Timestamp {
        match self.state {
            ContainerState::Exited { finished_at, .. } => finished_at,
            ContainerState::Created | ContainerState::Running { .. } | ContainerState::Unknown => self.created_at,
        }
    }
}

impl From<cri::ContainerStatus> for Container {
    fn from(status: cri::ContainerStatus) -> Self {
        let state = state(&status);
        let annotation = |key: &str| status.annotations.get(key).map(String::as_str);
        let metadata = status.metadata.clone().unwrap_or_default();
        let attempt =
            annotation(labels::RESTART_COUNT).and_then(|count| count.parse().ok()).unwrap_or(metadata.attempt);
        let path = annotation(labels::TERMINATION_MESSAGE_PATH).filter(|path| !path.is_empty());
        let message = path.and_then(|path| status.mounts.iter().find(|mount| mount.container_path == path));
        Self {
            sandbox: String::new(),
            name: status.labels.get(labels::CONTAINER_NAME).cloned().unwrap_or(metadata.name),
            attempt,
            hash: annotation(labels::CONTAINER_HASH).unwrap_or_default().to_owned(),
            termination_message: message.map(|mount| mount.host_path.clone()),
            message_from_log: annotation(labels::TERMINATION_MESSAGE_POLICY) == Some("FallbackToLogsOnError"),
            created_at: timestamp(status.created_at),
            image: status.image.map(|image| image.image).unwrap_or_default(),
            image_id: status.image_ref,
            id: status.id,
            log_path: status.log_path,
            state,
        }
    }
}

fn state(status: &cri::ContainerStatus) -> ContainerState {
    match status.state() {
        cri::ContainerState::ContainerCreated => ContainerState::Created,
        cri::ContainerState::ContainerRunning => ContainerState::Running { started_at: timestamp(status.started_at) },
        cri::ContainerState::ContainerExited => ContainerState::Exited {
            started_at: timestamp(status.started_at),
            finished_at: timestamp(status.finished_at),
            exit_code: status.exit_code,
            reason: status.reason.clone(),
            message: status.message.clone(),
        },
        cri::ContainerState::ContainerUnknown => ContainerState::Unknown,
    }
}

/// Nanoseconds since the epoch; what is out of range is the epoch.
fn timestamp(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or_default()
}

/// The pod that labels name: UID, namespace and name.
pub(super) fn pod_of(labels: &HashMap<String, String>) -> Option<(String, String, String)> {
    let label = |key: &str| labels.get(key).cloned();
    Some((label(labels::POD_UID)?, label(labels::POD_NAMESPACE)?, label(labels::POD_NAME)?))
}
