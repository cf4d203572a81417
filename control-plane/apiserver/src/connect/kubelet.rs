//! Where a node's kubelet listens, and how it is asked.

use http::StatusCode;
use sheave_api::Document;
use sheave_api::view::View as _;

use super::connector::Destination;
use crate::call::{self, Call};
use crate::status::StatusError;

/// Kubeadm's `--kubelet-preferred-address-types`: addresses first, because names need a resolver that knows them.
const PREFERRED: &[&str] = &["InternalIP", "ExternalIP", "InternalDNS", "ExternalDNS", "Hostname"];
const PORT: u16 = 10250;

/// The kubelet of the node that a pod is bound to.
///
/// # Errors
/// 400 for a pod without a node.
pub(super) fn of_pod(call: &Call, pod: &Document, is_verified: bool) -> Result<Destination, StatusError> {
    let node = pod.text("spec.nodeName");
    if node.is_empty() {
        return Err(StatusError::bad_request(format!("pod {} does not have a host assigned", call.name())));
    }
    let node = self::node(call, node)?;
    Ok(Destination::Kubelet { host: host(&node)?, port: port(&node), is_verified })
}

/// A node by name.
///
/// # Errors
/// 404.
pub(super) fn node(call: &Call, name: &str) -> Result<Document, StatusError> {
    call::decode(&call.of_kind("", "v1", "nodes", Some(name))?.entry()?)
}

/// The address at which a node is reached.
///
/// # Errors
/// 500 for a node that has told none.
pub(super) fn host(node: &Document) -> Result<String, StatusError> {
    let addresses = node.list("status.addresses");
    let of_type = |wanted: &&str| addresses.iter().find(|address| address.text("type") == *wanted);
    let found = PREFERRED.iter().find_map(of_type).map(|address| address.text("address").to_owned());
    found.filter(|address| !address.is_empty()).ok_or_else(|| {
        let message = "no preferred addresses found; known addresses: []";
        StatusError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    })
}

/// The port of a node's kubelet.
pub(super) fn port(node: &Document) -> u16 {
    let told = node.int("status.daemonEndpoints.kubeletEndpoint.Port");
    told.and_then(|port| u16::try_from(port).ok()).filter(|&port| port > 0).unwrap_or(PORT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_reached_at_its_internal_address_and_told_port() {
        let node = json!({"status": {
            "addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "192.0.2.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10251}}}});
        assert_eq!((host(&node).unwrap().as_str(), port(&node)), ("192.0.2.1", 10251));
        let silent = json!({"status": {}});
        assert_eq!(port(&silent), 10250);
        assert!(host(&silent).unwrap_err().message().contains("no preferred addresses"));
    }
}
