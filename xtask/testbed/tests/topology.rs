//! What a topology's hosts can do with each other.

#![expect(clippy::unwrap_used, reason = "a step of a test that fails is a panic with its message")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use test_support::traffic::{echo_by_tcp, echo_by_udp};
use test_support::{eventually, require_root};
use testbed::{Host, Mtu, NetworkNamespace, Offload, Profile, Topology};

/// Long enough for any packet that comes at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// Short enough to wait for a packet that must not come.
const SILENCE: Duration = Duration::from_millis(300);

#[test]
fn every_host_reaches_every_other_by_tcp_and_udp_over_both_families() {
    require_root!();
    let topology = Topology::builder("reach").nodes(2).pods_per_node(1).client().server().build().unwrap();
    let (one, two) = (topology.node(1), topology.node(2));
    let hosts: [&Host; 4] = [one, two, one.pod(1), two.pod(1)];
    for from in hosts {
        for to in hosts.into_iter().filter(|to| to.name() != from.name()) {
            for address in to.addresses().ips() {
                for bytes in [vec![1], vec![2; 20_000]] {
                    let case = format!("{} bytes from {} to {address}", bytes.len(), from.name());
                    assert_eq!(echo_by_tcp(from, to, address, &bytes, PATIENCE).expect(&case), bytes, "TCP, {case}");
                    assert_eq!(echo_by_udp(from, to, address, &bytes, PATIENCE).expect(&case), bytes, "UDP, {case}");
                }
            }
        }
    }
    for address in topology.server().addresses().ips() {
        let (client, server) = (topology.client(), topology.server());
        assert_eq!(echo_by_tcp(client, server, address, b"hello", PATIENCE).unwrap(), b"hello", "{address}");
    }
}

#[test]
fn the_wire_profile_has_no_offload_on_either_end_of_an_uplink_and_the_fast_one_has() {
    require_root!();
    for (profile, offload) in [(Profile::Wire, Offload::OFF), (Profile::Fast, Offload::ON)] {
        let topology =
            Topology::builder("profile").profile(profile).nodes(1).pods_per_node(1).client().build().unwrap();
        let (node, pod) = (topology.node(1), topology.node(1).pod(1));
        assert_eq!(Offload::get(&node.network(), Host::UPLINK).unwrap(), offload, "{profile:?}");
        assert_eq!(Offload::get(topology.fabric(), "n1").unwrap(), offload, "{profile:?}");
        assert_eq!(Offload::get(topology.fabric(), "client").unwrap(), offload, "{profile:?}");
        assert_eq!(Offload::get(&pod.network(), Host::UPLINK).unwrap(), Offload::ON, "pods keep theirs");
        assert_eq!(Offload::get(&node.network(), &pod.node_interface()).unwrap(), Offload::ON, "pods keep theirs");
    }
}

#[test]
fn on_the_wire_packets_are_cut_to_the_mtu_and_with_offload_they_are_not() {
    require_root!();
    let (sent, mtu) = (vec![7; 500_000], 1400);
    for (profile, cut) in [(Profile::Wire, true), (Profile::Fast, false)] {
        let topology = Topology::builder("mtu").profile(profile).mtu(Mtu(mtu)).nodes(2).build().unwrap();
        let (from, to) = (topology.node(1), topology.node(2));
        assert_eq!(echo_by_tcp(from, to, to.addresses().ipv4.into(), &sent, PATIENCE).unwrap().len(), sent.len());
        let packets = packets_received(topology.fabric(), "n1");
        assert_eq!(packets * u64::from(mtu) >= 500_000, cut, "{packets} packets, {profile:?}");
    }
}

#[test]
fn a_path_with_a_smaller_mtu_can_be_made() {
    require_root!();
    let topology = Topology::builder("small").nodes(1).client().build().unwrap();
    let (node, client) = (topology.node(1), topology.client());
    topology.set_mtu(client, Mtu(1280)).unwrap();
    assert_eq!(client.network().links(async |links| links.mtu(Host::UPLINK).await).unwrap(), Mtu(1280));
    assert_eq!(topology.fabric().links(async |links| links.mtu("client").await).unwrap(), Mtu(1280));
    assert_eq!(node.network().links(async |links| links.mtu(Host::UPLINK).await).unwrap(), Mtu::ETHERNET);
}

#[test]
fn a_node_that_is_cut_off_is_silent_for_all_until_it_is_connected_again() {
    require_root!();
    let topology = Topology::builder("cut").nodes(3).build().unwrap();
    let (one, two, three) = (topology.node(1), topology.node(2), topology.node(3));
    let to_one: IpAddr = one.addresses().ipv4.into();
    let to_three: IpAddr = three.addresses().ipv4.into();
    assert_eq!(echo_by_udp(two, one, to_one, b"a", PATIENCE).unwrap(), b"a");
    one.cut_off().unwrap();
    assert!(echo_by_udp(two, one, to_one, b"a", SILENCE).is_err(), "n1 still hears");
    assert!(echo_by_udp(one, three, to_three, b"a", SILENCE).is_err(), "n1 still speaks");
    assert_eq!(echo_by_udp(two, three, to_three, b"a", PATIENCE).expect("the others are cut off too"), b"a");
    one.reconnect().unwrap();
    eventually!(within: 10s, echo_by_udp(two, one, to_one, b"a", SILENCE), "n1 is still cut off");
}

#[tokio::test]
async fn sockets_of_several_hosts_work_in_one_runtime() {
    require_root!();
    let topology = Topology::builder("tokio").nodes(2).build().unwrap();
    let (one, two) = (topology.node(1), topology.node(2));
    let address = SocketAddr::new(two.addresses().ipv6.into(), 80);
    let listener = two.listen(address).unwrap();
    let (connected, accepted) = tokio::join!(one.connect(address), listener.accept());
    assert_eq!(accepted.unwrap().1, connected.unwrap().local_addr().unwrap());
    let socket = two.bind((two.addresses().ipv4, 53)).unwrap();
    one.bind((one.addresses().ipv4, 54)).unwrap().send_to(b"a", (two.addresses().ipv4, 53)).await.unwrap();
    let mut buffer = [0; 8];
    assert_eq!(socket.recv_from(&mut buffer).await.unwrap(), (1, (one.addresses().ipv4, 54).into()));
}

#[test]
fn two_topologies_side_by_side_do_not_see_each_other() {
    require_root!();
    let first = Topology::builder("side").nodes(1).client().build().unwrap();
    let second = Topology::builder("side").nodes(1).client().build().unwrap();
    let address = first.node(1).addresses().ipv4.into();
    assert_eq!(second.node(1).addresses().ips()[0], address, "they have the same addresses");
    // The echo server runs in the first only: somebody who crossed over would be answered.
    assert!(echo_by_udp(second.client(), first.node(1), address, b"a", SILENCE).is_err());
    assert_eq!(echo_by_udp(first.client(), first.node(1), address, b"a", PATIENCE).unwrap(), b"a");
}

/// How many packets an interface has received, by proc_pid_net(5).
fn packets_received(network: &NetworkNamespace, interface: &str) -> u64 {
    let table = network.run(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap()).unwrap();
    let mut rows = table.lines().filter_map(|line| line.trim().split_once(':'));
    let (_, counters) = rows.find(|(name, _)| *name == interface).expect("the interface is there");
    counters.split_whitespace().nth(1).unwrap().parse().unwrap()
}
