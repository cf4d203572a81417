//! The pod network until the project's own exists: Debian's CNI plugins, and routes between nodes. A stand-in.
//!
//! Each node has a veth pair for each pod (`ptp`) with an address of the node's range (`host-local`); all hosts of the
//! cluster route each range to its node. IPv4 only. Nothing is translated, so pods reach pods, nodes and the server, and
//! nobody else.

use std::fs;
use std::path::Path;

use serde_json::json;
use testbed::{Host, Node};

use crate::control::NodeState;
use crate::error::{Cause, with_file};
use crate::machine;

/// What the stand-in is called wherever it shows.
pub(crate) const STAND_IN: &str = "a stand-in of Debian's CNI plugins, IPv4 only";

/// Where Debian's package containernetworking-plugins puts them.
const PACKAGED: &str = "/usr/lib/cni";

/// Connects the pods of all nodes.
pub(crate) fn connect(nodes: &[Node], server: &Node, states: &[NodeState]) -> Result<(), Cause> {
    for node in nodes {
        let name = machine::node_name(node);
        let Some(range) = states.iter().find(|state| state.name == name).and_then(|state| state.pod_cidr.as_deref())
        else {
            continue;
        };
        configure(&node.root()?, range)?;
        for other in nodes.iter().filter(|other| other.name() != node.name()).chain([server]) {
            route(other, range, node)?;
        }
    }
    Ok(())
}

/// Puts plugins and their configuration into a node. The configuration comes last: with it the node is ready.
fn configure(root: &Path, range: &str) -> Result<(), Cause> {
    let (plugins, configuration) = (root.join("opt/cni/bin"), root.join("etc/cni/net.d"));
    for folder in [&plugins, &configuration] {
        with_file(folder, |folder| fs::create_dir_all(folder))?;
    }
    for plugin in ["ptp", "host-local"] {
        let to = plugins.join(plugin);
        if !to.exists() {
            with_file(&Path::new(PACKAGED).join(plugin), |from| fs::copy(from, &to))?;
        }
    }
    let file = configuration.join("90-stand-in.conflist");
    let partial = configuration.join(".stand-in.partial");
    with_file(&partial, |partial| fs::write(partial, conflist(range)))?;
    with_file(&file, |file| fs::rename(&partial, file))
}

fn conflist(range: &str) -> String {
    let list = json!({
        "cniVersion": "0.4.0",
        "name": "stand-in",
        "plugins": [{
            "type": "ptp",
            "ipam": { "type": "host-local", "ranges": [[{ "subnet": range }]], "routes": [{ "dst": "0.0.0.0/0" }] },
        }],
    });
    format!("{list:#}\n")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_holds_the_nodes_range() {
        let list: serde_json::Value = serde_json::from_str(&conflist("10.244.3.0/24")).unwrap();
        assert_eq!(list["plugins"][0]["ipam"]["ranges"][0][0]["subnet"], "10.244.3.0/24");
    }
}
