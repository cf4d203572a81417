//! Everybody reaches everybody: every pair of places, by every protocol, in small and in large, in both families.

use std::net::{IpAddr, TcpListener, TcpStream};
use std::time::Duration;

use dataplane_common::Path;
use sheave_agent::datapath::AttachMode;
use test_support::require_root;
use test_support::testbed::{Host, Mtu};
use test_support::traffic::{echo_by_tcp, echo_by_udp, ping};

use crate::cluster::{Cluster, pattern};

const PATIENCE: Duration = Duration::from_secs(10);

/// What fits one packet; what takes several: segments for TCP, fragments for the others.
const SMALL: usize = 100;
const LARGE_STREAM: usize = 200_000;
const LARGE_DATAGRAM: usize = 4_000;

/// Sends by every protocol, small and large, to every address of `to`.
fn assert_reaches(name: &str, from: &Host, to: &Host) {
    for address in to.addresses().ips() {
        for length in [SMALL, LARGE_STREAM] {
            let bytes = pattern(length);
            let echo = echo_by_tcp(from, to, address, &bytes, PATIENCE);
            assert!(echo.unwrap_or_else(|error| panic!("{name}: TCP to {address}: {error}")) == bytes, "{name}");
        }
        for length in [SMALL, LARGE_DATAGRAM] {
            let bytes = pattern(length);
            let about = |protocol: &str, error| panic!("{name}: {length} bytes by {protocol} to {address}: {error}");
            let echo = echo_by_udp(from, to, address, &bytes, PATIENCE).unwrap_or_else(|error| about("UDP", error));
            assert_eq!(echo, bytes, "{name}: {address}");
            let echo = ping(from, address, &bytes, PATIENCE).unwrap_or_else(|error| about("ping", error));
            assert_eq!(echo, bytes, "{name}: {address}");
        }
    }
}

fn assert_all_pairs_reach_each_other(cluster: &Cluster) {
    let topology = &cluster.topology;
    let (here, there, far) = (topology.node(1), topology.node(2), topology.node(3));
    let (pod, client) = (here.pod(1), topology.client());
    let pairs: [(&str, &Host, &Host); 9] = [
        ("pod to pod on its node", pod, here.pod(2)),
        ("pod to pod on another node", pod, there.pod(1)),
        ("pod to pod on a node whose hardware address only the kernel knows", pod, far.pod(1)),
        ("pod to its node", pod, here),
        ("node to its pod", here, pod),
        ("pod to another node", pod, there),
        ("another node to a pod", there, pod),
        ("node to node", here, there),
        ("pod to outside", pod, client),
    ];
    for (name, from, to) in pairs {
        assert_reaches(name, from, to);
    }
    cluster.assert_nothing_dropped();
    for path in [Path::Pod, Path::Network, Path::Translated] {
        assert!(cluster.packets(path) > 100, "{path:?}: {} packets", cluster.packets(path));
    }
}

#[test]
fn all_pairs_reach_each_other_by_every_protocol() {
    require_root!();
    assert_all_pairs_reach_each_other(&Cluster::build("pairs"));
}

#[test]
fn all_pairs_reach_each_other_with_the_attachment_of_older_kernels() {
    require_root!();
    assert_all_pairs_reach_each_other(&Cluster::with("clsact", Mtu::ETHERNET, AttachMode::Clsact));
}

#[test]
fn receivers_see_pods_as_pods_and_the_outside_sees_their_node() {
    require_root!();
    let cluster = Cluster::build("sources");
    let (here, there) = (cluster.topology.node(1), cluster.topology.node(2));
    let (pod, client) = (here.pod(1), cluster.topology.client());
    for family in 0..2 {
        let own = |host: &Host| host.addresses().ips()[family];
        assert_eq!(seen_source(pod, there.pod(1), own(there.pod(1))), own(pod), "from another pod");
        assert_eq!(seen_source(pod, here, own(here)), own(pod), "from the pod's node");
        assert_eq!(seen_source(pod, there, own(there)), own(pod), "from another node");
        assert_eq!(seen_source(pod, client, own(client)), own(here), "from outside");
    }
}

/// The address from which a connection seems to come.
fn seen_source(from: &Host, to: &Host, address: IpAddr) -> IpAddr {
    let listener = to.run(|| TcpListener::bind((address, 0))).unwrap();
    let server = listener.local_addr().unwrap();
    let _connection = from.run(|| TcpStream::connect_timeout(&server, PATIENCE)).unwrap();
    listener.accept().unwrap().1.ip()
}
