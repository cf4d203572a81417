//! Which namespaces a pod has of its own, which it shares with the node, and which its containers share.

use k8s_cri::v1::{NamespaceMode, NamespaceOption};
use k8s_openapi::api::core::v1::{Pod, PodSpec};

/// The namespaces of a pod. `target` is the container id whose processes an ephemeral container sees.
pub(super) fn namespace_options(pod: &Pod, target: Option<&str>) -> NamespaceOption {
    let spec = pod.spec.as_ref();
    let on_node = |field: fn(&PodSpec) -> Option<bool>| spec.and_then(field).unwrap_or(false);
    let pod_or_node = |is_nodes: bool| if is_nodes { NamespaceMode::Node } else { NamespaceMode::Pod };
    let pid = if target.is_some() {
        NamespaceMode::Target
    } else if on_node(|spec| spec.host_pid) {
        NamespaceMode::Node
    } else if on_node(|spec| spec.share_process_namespace) {
        NamespaceMode::Pod
    } else {
        NamespaceMode::Container
    };
    NamespaceOption {
        network: pod_or_node(on_node(|spec| spec.host_network)).into(),
        ipc: pod_or_node(on_node(|spec| spec.host_ipc)).into(),
        pid: pid.into(),
        target_id: target.unwrap_or_default().to_owned(),
        userns_options: None,
    }
}
