//! A link on the way is smaller than the pods' own: everybody finds out, and nothing is lost for long.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use rustix::net::sockopt::{set_ip_mtu_discover, set_ipv6_mtu_discover};
use sheave_agent::datapath::AttachMode;
use test_support::testbed::{Host, Mtu};
use test_support::traffic::{echo_by_tcp, echo_by_udp};
use test_support::{eventually, require_root};

use crate::cluster::{Cluster, pattern};

const PATIENCE: Duration = Duration::from_secs(10);

/// Smaller than the pods' 1500 bytes, and what IPv6 demands at least.
const UPLINKS: Mtu = Mtu(1400);

#[test]
fn pods_find_out_how_large_packets_may_be() {
    require_root!();
    let cluster = Cluster::with("pmtu", UPLINKS, AttachMode::Auto);
    let (pod, remote) = (cluster.topology.node(1).pod(1), cluster.topology.node(2).pod(1));
    for to in [&**remote, cluster.topology.client()] {
        for address in to.addresses().ips() {
            let bytes = pattern(200_000);
            let echo = echo_by_tcp(pod, to, address, &bytes, PATIENCE);
            assert!(echo.unwrap_or_else(|error| panic!("TCP to {address}: {error}")) == bytes, "{address}");
            assert_kernel_refuses(pod, address, 1450);
            // The sender's own kernel splits what it knows to be too large.
            let bytes = pattern(1450);
            let echo = eventually!(within: 10s, echo_by_udp(pod, to, address, &bytes, Duration::from_secs(1)), "UDP");
            assert_eq!(echo, bytes, "{address}");
        }
    }
    cluster.assert_nothing_dropped();
}

/// Sends datagrams that must not be split until the sender's kernel knows that they are too large.
fn assert_kernel_refuses(from: &Host, address: IpAddr, length: usize) {
    let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    let socket = from.run(|| UdpSocket::bind((any, 0))).unwrap();
    if address.is_ipv4() {
        set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DO).unwrap();
    } else {
        set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::DO).unwrap();
    }
    socket.connect((address, 9)).unwrap();
    let is_refused = || match socket.send(&pattern(length)) {
        Err(error) => error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error()),
        Ok(_) => false,
    };
    eventually!(within: 10s, is_refused(), "{length} bytes to {address} still leave as one packet");
}
