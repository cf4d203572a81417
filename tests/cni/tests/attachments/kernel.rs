//! What of pods is in a node's kernel.

use cni_tests::Lab;
use testbed::Node;

/// Everything of pods that a node's kernel, and its agent, have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traces {
    pub(crate) interfaces: Vec<String>,
    /// Destinations of the agent's routes to the node's own pods.
    pub(crate) routes: Vec<String>,
    pub(crate) neighbours: usize,
    pub(crate) pinned_links: usize,
    /// Entries of the map of addresses, without those of nodes.
    pub(crate) addresses_used: u64,
    pub(crate) endpoints: usize,
    /// Entries in use of the map of owners of addresses.
    pub(crate) owners: u64,
}

impl Traces {
    pub(crate) fn of(lab: &Lab, node: &Node) -> Self {
        let lines = |script: &str| -> Vec<String> {
            let output = node.command("sh").unwrap().args(["-c", script]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
        };
        let status = lab.status(node).expect("the agent answers");
        let owners = status["maps"]
            .as_array()
            .unwrap()
            .iter()
            .find(|map| map["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("owners")));
        Self {
            interfaces: lines("ls /sys/class/net | grep ^shv"),
            routes: lines(
                "{ ip route show proto 83; ip -6 route show proto 83; } | grep 'dev shv' | awk '{ print $1 }'",
            ),
            neighbours: lines("ip neigh show nud permanent | grep 'dev shv'").len(),
            pinned_links: lines("ls /sys/fs/bpf/sheave/links | grep ^pod-").len(),
            addresses_used: status["addressesUsed"].as_u64().unwrap(),
            endpoints: status["endpoints"].as_array().unwrap().len(),
            owners: owners.map_or(0, |map| map["used"].as_u64().unwrap()),
        }
    }

    /// Whether the traces are those of so many pods, beside what the node had without any.
    pub(crate) fn are_of(&self, pods: usize, without: &Self) -> bool {
        let addresses = u64::try_from(pods * 2).unwrap();
        let lists = self.interfaces.len() == pods && self.routes.len() == pods * 2 && self.neighbours == pods * 2;
        let agent =
            self.addresses_used == addresses && self.endpoints == pods && self.owners == without.owners + addresses;
        lists && agent && self.pinned_links == pods
    }
}
