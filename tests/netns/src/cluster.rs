//! Nodes with the pod network that the agent would set up: the datapath on each, and the kernel's routes beside it.

use std::net::IpAddr;
use std::path::PathBuf;

use sheave_agent::datapath::{AttachMode, Config, Datapath, Endpoint, Masquerading, Neighbour, NodeRoute, Uplink};
use sheave_agent::maps::Sizes;
use test_support::bpffs::BpfFs;
use test_support::testbed::{Host, Mtu, Node, Profile, Topology, pod_networks};

/// A topology whose pods are connected by the kernel programs.
pub(crate) struct Cluster {
    pub(crate) topology: Topology,
    members: Vec<Member>,
}

/// One node's datapath.
struct Member {
    datapath: Datapath,
    files: BpfFs,
}

/// The ports for masquerade: outside the kernel's own 32768 to 60999.
const PORTS: std::ops::RangeInclusive<u16> = 61_000..=65_000;

// === impl Cluster ===

impl Cluster {
    /// Three nodes with two pods each and a client outside, on links of 1500 bytes.
    pub(crate) fn build(label: &str) -> Self {
        Self::with(label, Mtu::ETHERNET, AttachMode::Auto)
    }

    /// The same with uplinks of another size; pods keep their 1500 bytes.
    pub(crate) fn with(label: &str, uplinks: Mtu, attach: AttachMode) -> Self {
        let builder = Topology::builder(label).profile(Profile::Wire).nodes(3).pods_per_node(2).client();
        let topology = builder.build().unwrap();
        if uplinks != Mtu::ETHERNET {
            let hosts = topology.nodes().iter().map(|node| &**node).chain([topology.client()]);
            hosts.for_each(|host| topology.set_mtu(host, uplinks).unwrap());
        }
        let members = (1..=3).map(|node| Member::set_up(&topology, node, uplinks, attach)).collect();
        Self { topology, members }
    }

    /// The folder of a node's pins, for processes of this machine.
    pub(crate) fn pins(&self, node: u8) -> PathBuf {
        let own = self.members[usize::from(node) - 1].files.path();
        let process = std::process::id().to_string();
        PathBuf::from(own.to_str().unwrap().replace("self", &process)).join("sheave")
    }

    /// Fails if a program has dropped anything but what hosts send to everybody.
    pub(crate) fn assert_nothing_dropped(&self) {
        for (number, member) in self.members.iter().enumerate() {
            let mut drops = member.datapath.drops().unwrap();
            drops.retain(|(_, reason, _)| *reason != dataplane_common::DropReason::Multicast);
            assert_eq!(drops, [], "node {}", number + 1);
        }
    }

    /// Packets that went a way, over all nodes.
    pub(crate) fn packets(&self, path: dataplane_common::Path) -> u64 {
        let traffic = self.members.iter().flat_map(|member| member.datapath.traffic().unwrap());
        traffic.filter(|(_, of, _)| *of == path).map(|(_, _, traffic)| traffic.packets).sum()
    }
}

// === impl Member ===

impl Member {
    fn set_up(topology: &Topology, number: u8, mtu: Mtu, attach: AttachMode) -> Self {
        let node = topology.node(number);
        let files = BpfFs::new().unwrap();
        let config = Config { pins: files.path().join("sheave"), sizes: Sizes::default(), attach };
        let mut datapath = node.run(|| Datapath::open(config)).unwrap();
        for pod in node.pods() {
            let endpoint = Endpoint {
                id: index(node, &pod.node_interface()),
                interface: index(node, &pod.node_interface()),
                addresses: pod.addresses().ips().to_vec(),
                mac: pod.addresses().mac.0,
                host_mac: pod.addresses().peer_mac().0,
                mtu: 1500,
            };
            node.run(|| datapath.add_endpoint(&endpoint)).unwrap();
        }
        let mtu = u16::try_from(mtu.0).unwrap();
        let interface = index(node, Host::UPLINK);
        let (addresses, pod_networks) = (node.addresses().ips().to_vec(), pod_networks(number).to_vec());
        let uplink = Uplink { interface, mtu, addresses, pod_networks };
        node.run(|| datapath.set_uplink(&uplink)).unwrap();
        for other in (1..=3).filter(|other| *other != number) {
            connect(&mut datapath, topology, (other, interface, mtu), node);
        }
        let [IpAddr::V4(ipv4), IpAddr::V6(ipv6)] = node.addresses().ips() else { panic!("one of each family") };
        let masquerading = Masquerading { ipv4: Some(ipv4), ipv6: Some(ipv6), ports: PORTS, exclusions: Vec::new() };
        datapath.set_masquerade(&masquerading).unwrap();
        Self { datapath, files }
    }
}

/// Makes another node known, and node 2's hardware address as well: that of node 3 is left to the kernel.
fn connect(datapath: &mut Datapath, topology: &Topology, (other, interface, mtu): (u8, u32, u16), node: &Node) {
    let addresses = topology.node(other).addresses();
    let route = NodeRoute { addresses: addresses.ips().to_vec(), pod_networks: pod_networks(other).to_vec() };
    datapath.set_node(&route).unwrap();
    if other == 3 {
        return;
    }
    for address in addresses.ips() {
        let (mac, source_mac) = (Some(addresses.mac.0), node.addresses().mac.0);
        let neighbour = Neighbour { address, interface, mtu, mac, source_mac };
        assert!(datapath.set_neighbour(&neighbour).unwrap(), "{address} is a next hop");
    }
}

fn index(node: &Node, interface: &str) -> u32 {
    node.network().links(async |links| links.index(interface).await).unwrap()
}

/// Bytes in which a lost or doubled piece shows.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}
