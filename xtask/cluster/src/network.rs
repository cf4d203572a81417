//! The pod network: the project's own, installed as on any Kubernetes, by its manifest and kubectl.

use testbed::{Host, Node};

use crate::control::{Kubectl, NodeState};
use crate::error::Cause;
use crate::machine;

/// What is installed.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/sheave.yaml");
/// What only this cluster knows: where its API server is before anything answers for the `kubernetes` service.
const CLUSTER: &str = "sheave-cluster";

/// Installs the network, or brings it up to date.
pub(crate) fn install(kubectl: &Kubectl, server: &Node) -> Result<(), Cause> {
    let namespace = ["--namespace", "kube-system"];
    let known = kubectl.run(&[
        "get",
        "configmap",
        CLUSTER,
        "--ignore-not-found",
        "--output=name",
        namespace[0],
        namespace[1],
    ])?;
    if known.is_empty() {
        let address = format!("--from-literal=apiServer={}", machine::api_on_fabric(server));
        kubectl.run(&["create", "configmap", CLUSTER, &address, namespace[0], namespace[1]])?;
    }
    kubectl.run(&["apply", "--filename", MANIFEST]).map(drop)
}

/// Lets the server's host reach pods, which `kubectl proxy` and its like need: it is no node, so no agent does it.
pub(crate) fn route_from_server(server: &Host, nodes: &[Node], states: &[NodeState]) -> Result<(), Cause> {
    for node in nodes {
        let name = machine::node_name(node);
        let state = states.iter().find(|state| state.name == name);
        if let Some(range) = state.and_then(|state| state.pod_cidr.as_deref()) {
            route(server, range, node)?;
        }
    }
    Ok(())
}

/// Routes a node's range to it.
fn route(on: &Host, range: &str, to: &Node) -> Result<(), Cause> {
    let gateway = to.addresses().ipv4.to_string();
    let command = on.command("ip")?.args(["route", "replace", range, "via", &gateway]);
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Cause::Program { command: format!("ip route replace {range} via {gateway}"), message })
}
