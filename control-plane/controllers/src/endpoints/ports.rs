//! Which port of a pod a port of a Service means.

use k8s_openapi::api::core::v1::{Container, Pod, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The number of the pod's port that `port` leads to; `None` if the pod has no port of that name.
///
/// A name is looked up among the containers that serve: ordinary ones, then sidecars (init containers that go on).
pub(super) fn target_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => containers(pod).find_map(|container| named_port(container, name, port)),
    }
}

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.iter();
    let sidecars = spec.clone().flat_map(|spec| spec.init_containers.iter().flatten());
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    spec.flat_map(|spec| &spec.containers).chain(sidecars)
}

fn named_port(container: &Container, name: &str, wanted: &ServicePort) -> Option<i32> {
    let mut ports = container.ports.iter().flatten();
    let found = ports.find(|port| {
        port.name.as_deref() == Some(name) && protocol(port.protocol.as_ref()) == protocol(wanted.protocol.as_ref())
    });
    found.map(|port| port.container_port)
}

/// The protocol, which is TCP unless it is said.
pub(super) fn protocol(protocol: Option<&String>) -> &str {
    protocol.map_or("TCP", String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_port_is_found_by_number_or_by_name_and_protocol() {
        let pod: Pod = serde_json::from_value(json!({"spec": {
            "containers": [{"name": "a", "ports": [
                {"name": "web", "containerPort": 8080}, {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            ]}],
            "initContainers": [
                {"name": "b", "restartPolicy": "Always", "ports": [{"name": "proxy", "containerPort": 15001}]},
                {"name": "c", "ports": [{"name": "setup", "containerPort": 1}]},
            ],
        }}))
        .unwrap();
        for (what, port, expected) in [
            ("no target is the same port", json!({"port": 80}), Some(80)),
            ("a number", json!({"port": 80, "targetPort": 9090}), Some(9090)),
            ("a name", json!({"port": 80, "targetPort": "web"}), Some(8080)),
            ("a name of another protocol", json!({"port": 80, "targetPort": "dns"}), None),
            ("the name and its protocol", json!({"port": 80, "targetPort": "dns", "protocol": "UDP"}), Some(53)),
            ("a sidecar's", json!({"port": 80, "targetPort": "proxy"}), Some(15001)),
            ("a container that has ended", json!({"port": 80, "targetPort": "setup"}), None),
        ] {
            let port = serde_json::from_value(port).unwrap();
            assert_eq!(target_port(&pod, &port), expected, "{what}");
        }
    }
}
