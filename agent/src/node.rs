//! What the agent reads from a Node object. Anything wrong in it degrades to "not there" with a reason, and never
//! takes away what other objects say.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use k8s_openapi::api::core::v1::Node;

/// A node of the cluster, as far as routing goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its addresses in the cluster (`InternalIP`), in the object's order.
    pub addresses: Vec<IpAddr>,
    /// The networks of its pods, at most one of each family, in the object's order.
    pub pod_networks: Vec<IpNetwork>,
    /// What could not be used of the object.
    pub complaints: Vec<String>,
}

// === impl NodeView ===

impl From<&Node> for NodeView {
    fn from(node: &Node) -> Self {
        let mut view = Self { name: node.metadata.name.clone().unwrap_or_default(), ..Self::default() };
        let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
        for address in addresses.filter(|address| address.type_ == "InternalIP") {
            match address.address.parse() {
                Ok(address) => view.addresses.push(address),
                Err(_) => view.complaints.push(format!("its InternalIP {:?} is no IP address", address.address)),
            }
        }
        let spec = node.spec.as_ref();
        let several = spec.and_then(|spec| spec.pod_cidrs.clone()).filter(|cidrs| !cidrs.is_empty());
        let single =
            || spec.and_then(|spec| spec.pod_cidr.clone()).filter(|cidr| !cidr.is_empty()).map(|cidr| vec![cidr]);
        for text in several.or_else(single).unwrap_or_default() {
            view.add_network(&text);
        }
        view
    }
}

impl NodeView {
    /// Its first address of the other one's family: the next hop to it.
    pub fn address_like(&self, network: IpNetwork) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| address.is_ipv4() == network.is_ipv4())
    }

    fn add_network(&mut self, text: &str) {
        let Some(network) =
            text.parse::<IpNetwork>().ok().filter(|network| text.contains('/') && is_canonical(*network))
        else {
            self.complaints.push(format!("its pod CIDR {text:?} is no network"));
            return;
        };
        if self.pod_networks.iter().any(|other| other.is_ipv4() == network.is_ipv4()) {
            self.complaints.push(format!("its pod CIDR {text} is the second of its family and is not used"));
            return;
        }
        self.pod_networks.push(network);
    }
}

/// Whether no bit is set beyond the prefix.
fn is_canonical(network: IpNetwork) -> bool {
    network.ip() == network.network()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view(spec: serde_json::Value, addresses: &[(&str, &str)]) -> NodeView {
        let addresses: Vec<_> = addresses.iter().map(|(kind, it)| json!({ "type": kind, "address": it })).collect();
        let node = json!({ "metadata": { "name": "n1" }, "spec": spec, "status": { "addresses": addresses } });
        NodeView::from(&serde_json::from_value::<Node>(node).unwrap())
    }

    #[test]
    fn networks_and_internal_addresses_are_read_in_order() {
        let spec = json!({ "podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00:10:244:1::/64"] });
        let view = view(
            spec,
            &[
                ("Hostname", "n1"),
                ("InternalIP", "192.168.77.11"),
                ("InternalIP", "fd00:77::11"),
                ("ExternalIP", "1.2.3.4"),
            ],
        );
        assert_eq!(view.pod_networks, ["10.244.1.0/24", "fd00:10:244:1::/64"].map(|text| text.parse().unwrap()));
        assert_eq!(view.addresses, ["192.168.77.11", "fd00:77::11"].map(|text| text.parse::<IpAddr>().unwrap()));
        assert_eq!(view.complaints, Vec::<String>::new());
        assert_eq!(view.address_like(view.pod_networks[1]), Some(view.addresses[1]));
    }

    #[test]
    fn a_node_without_the_list_has_the_single_network_and_one_without_both_none() {
        let networks = |spec| view(spec, &[]).pod_networks.len();
        assert_eq!(networks(json!({ "podCIDR": "10.244.1.0/24" })), 1);
        assert_eq!(networks(json!({ "podCIDR": "" })), 0);
        assert_eq!(networks(json!({})), 0);
    }

    #[test]
    fn what_is_wrong_is_left_out_and_said() {
        for (networks, addresses, word) in [
            (json!(["10.244.1.0"]), vec![], "no network"),
            (json!(["10.244.1.7/24"]), vec![], "no network"),
            (json!(["nonsense"]), vec![], "no network"),
            (json!(["10.1.0.0/24", "10.2.0.0/24"]), vec![], "second of its family"),
            (json!([]), vec![("InternalIP", "n1.example")], "no IP address"),
        ] {
            let view = view(json!({ "podCIDRs": networks }), &addresses);
            assert_eq!(view.complaints.len(), 1, "{view:?}");
            assert!(view.complaints[0].contains(word), "{view:?}");
        }
    }
}
