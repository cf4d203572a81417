//! The sandbox of a pod as CRI wants it described.

use std::collections::HashMap;

use k8s_cri::v1 as cri;
use k8s_openapi::api::core::v1::{ContainerPort, Pod};
use kube::ResourceExt as _;

use super::spec;
use crate::runtime::labels;
use crate::security;

/// What of a sandbox depends on the node rather than on the pod.
#[derive(Clone, Debug, Default)]
pub struct SandboxPlace {
    /// The pod's host name.
    pub hostname: String,
    /// Folder of the pod's logs.
    pub log_directory: String,
    /// The pod's `resolv.conf`.
    pub dns: cri::DnsConfig,
    /// The cgroup below which the pod's containers live.
    pub cgroup_parent: String,
}

/// Sandbox number `attempt` of a pod.
#[must_use]
pub fn config(pod: &Pod, attempt: u32, place: SandboxPlace) -> cri::PodSandboxConfig {
    let metadata =
        cri::PodSandboxMetadata { name: pod.name_any(), uid: spec::uid(pod), namespace: spec::namespace(pod), attempt };
    // Without a UTS namespace of its own a sandbox has no name to set, and runc refuses to.
    let hostname = if spec::is_on_host_network(pod) { String::new() } else { place.hostname };
    cri::PodSandboxConfig {
        metadata: Some(metadata),
        hostname,
        log_directory: place.log_directory,
        dns_config: Some(place.dns),
        port_mappings: port_mappings(pod),
        labels: pod_labels(pod),
        annotations: pod.annotations().clone().into_iter().collect(),
        linux: Some(cri::LinuxPodSandboxConfig {
            cgroup_parent: place.cgroup_parent,
            security_context: Some(security::sandbox_context(pod)),
            sysctls: security::sysctls(pod),
            ..cri::LinuxPodSandboxConfig::default()
        }),
        windows: None,
    }
}

/// Labels by which the pod is found again, and its own.
#[must_use]
pub fn pod_labels(pod: &Pod) -> HashMap<String, String> {
    let own = pod.labels().clone().into_iter();
    let ours = [
        (labels::POD_NAME, pod.name_any()),
        (labels::POD_NAMESPACE, spec::namespace(pod)),
        (labels::POD_UID, spec::uid(pod)),
    ];
    own.chain(ours.map(|(key, value)| (key.to_owned(), value))).collect()
}

/// Ports of the node that lead to the pod; on the node's network there is nothing to lead.
fn port_mappings(pod: &Pod) -> Vec<cri::PortMapping> {
    if spec::is_on_host_network(pod) {
        return Vec::new();
    }
    let containers = spec::containers(pod);
    let ports = containers.iter().flat_map(|spec| spec.container.ports.iter().flatten());
    ports.filter(|port| port.host_port.is_some_and(|port| port > 0)).map(port_mapping).collect()
}

fn port_mapping(port: &ContainerPort) -> cri::PortMapping {
    let protocol = match port.protocol.as_deref() {
        Some("UDP") => cri::Protocol::Udp,
        Some("SCTP") => cri::Protocol::Sctp,
        Some(_) | None => cri::Protocol::Tcp,
    };
    cri::PortMapping {
        protocol: protocol.into(),
        container_port: port.container_port,
        host_port: port.host_port.unwrap_or_default(),
        host_ip: port.host_ip.clone().unwrap_or_default(),
    }
}
