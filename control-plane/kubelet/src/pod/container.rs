//! A container of a pod as CRI wants it described.

use std::collections::HashMap;

use k8s_cri::v1 as cri;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::sandbox::pod_labels;
use super::spec::{self, container_hash};
use crate::runtime::labels;

/// Where a termination message is looked for unless the container says so.
const TERMINATION_MESSAGE_PATH: &str = "/dev/termination-log";

/// What of a container was looked up or made before it can be created.
#[derive(Clone, Debug, Default)]
pub struct ContainerParts {
    /// The image as the runtime knows it.
    pub image: String,
    /// Program, replacing the image's.
    pub command: Vec<String>,
    /// Arguments, replacing the image's.
    pub args: Vec<String>,
    /// The environment.
    pub environment: Vec<cri::KeyValue>,
    /// What is mounted.
    pub mounts: Vec<cri::Mount>,
    /// Devices of the node.
    pub devices: Vec<cri::Device>,
    /// Limits.
    pub resources: Option<cri::LinuxContainerResources>,
    /// Rights.
    pub security_context: Option<cri::LinuxContainerSecurityContext>,
}

/// A container that was started `attempt` times before.
#[must_use]
pub fn config(pod: &Pod, container: &Container, attempt: u32, parts: ContainerParts) -> cri::ContainerConfig {
    let mut labels = pod_labels(pod);
    labels.insert(labels::CONTAINER_NAME.to_owned(), container.name.clone());
    cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata { name: container.name.clone(), attempt }),
        image: Some(cri::ImageSpec { image: parts.image, ..cri::ImageSpec::default() }),
        command: parts.command,
        args: parts.args,
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: parts.environment,
        mounts: parts.mounts,
        devices: parts.devices,
        labels,
        annotations: annotations(pod, container, attempt),
        log_path: log_path(&container.name, attempt),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        tty: container.tty == Some(true),
        linux: Some(cri::LinuxContainerConfig { resources: parts.resources, security_context: parts.security_context }),
        ..cri::ContainerConfig::default()
    }
}

/// The container's log, relative to the pod's log folder.
#[must_use]
pub fn log_path(container: &str, attempt: u32) -> String {
    format!("{container}/{attempt}.log")
}

/// Where in the container its termination message is looked for.
#[must_use]
pub fn termination_message_path(container: &Container) -> &str {
    let path = container.termination_message_path.as_deref().filter(|path| !path.is_empty());
    path.unwrap_or(TERMINATION_MESSAGE_PATH)
}

fn annotations(pod: &Pod, container: &Container, attempt: u32) -> HashMap<String, String> {
    let policy = container.termination_message_policy.as_deref().unwrap_or("File");
    [
        (labels::CONTAINER_HASH, container_hash(container)),
        (labels::RESTART_COUNT, attempt.to_string()),
        (labels::TERMINATION_MESSAGE_PATH, termination_message_path(container).to_owned()),
        (labels::TERMINATION_MESSAGE_POLICY, policy.to_owned()),
        (labels::TERMINATION_GRACE_PERIOD, spec::grace_period(pod).as_secs().to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}
