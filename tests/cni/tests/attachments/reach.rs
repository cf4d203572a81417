//! Packets between pods, nodes and the outside, on two nodes with their agents.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use cni_tests::{Lab, Pod};
use test_support::require_root;
use testbed::Host;

use crate::lab;

/// Long enough for any packet that comes at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Somebody with sockets.
enum Party<'a> {
    Pod(&'a Pod<'a>),
    Host(&'a Host),
}

impl Party<'_> {
    fn bind(&self, like: IpAddr) -> UdpSocket {
        let any: SocketAddr = if like.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
        let socket = match self {
            Self::Pod(pod) => pod.run(|| UdpSocket::bind(any)),
            Self::Host(host) => host.run(|| UdpSocket::bind(any)),
        };
        let socket = socket.unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }
}

/// Sends a datagram there and back; gives whom the receiver saw.
fn echo(from: &Party<'_>, to: &Party<'_>, address: IpAddr) -> IpAddr {
    let (server, client) = (to.bind(address), from.bind(address));
    let sent = [7; 1000];
    client.send_to(&sent, (address, server.local_addr().unwrap().port())).unwrap();
    let mut buffer = [0; 2000];
    let (length, sender) =
        server.recv_from(&mut buffer).unwrap_or_else(|error| panic!("nothing came to {address}: {error}"));
    server.send_to(&buffer[..length], sender).unwrap();
    let length = client.recv(&mut buffer).unwrap_or_else(|error| panic!("no answer from {address}: {error}"));
    assert_eq!(buffer[..length], sent);
    sender.ip()
}

#[test]
fn every_pod_reaches_every_pod_and_node_under_its_own_address() {
    require_root!();
    let lab = lab("reach", 2);
    let pods = [lab.pod(1, "a"), lab.pod(1, "b"), lab.pod(2, "c")];
    for from in &pods {
        for to in pods.iter().filter(|to| to.name() != from.name()) {
            for (address, own) in to.addresses().iter().zip(from.addresses()) {
                assert_eq!(echo(&Party::Pod(from), &Party::Pod(to), *address), *own);
            }
        }
        for node in [1, 2].map(|number| lab.node(number)) {
            for (address, own) in node.addresses().ips().iter().zip(from.addresses()) {
                assert_eq!(echo(&Party::Pod(from), &Party::Host(node), *address), *own, "pod to node");
            }
            for (address, own) in from.addresses().iter().zip(node.addresses().ips()) {
                assert_eq!(echo(&Party::Host(node), &Party::Pod(from), *address), own, "node to pod");
            }
        }
    }
}

#[test]
fn pods_go_on_while_the_agent_is_killed_and_started_again() {
    require_root!();
    let lab = lab("goes-on", 2);
    let (here, there) = (lab.pod(1, "here"), lab.pod(2, "there"));
    let check = |lab: &Lab| {
        for address in there.addresses() {
            echo(&Party::Pod(&here), &Party::Pod(&there), *address);
        }
        assert_eq!(lab.topology().nodes().len(), 2);
    };
    for _ in 0..3 {
        lab.kill_agent(lab.node(1));
        check(&lab);
        lab.start_agent(lab.node(1));
        check(&lab);
        lab.wait_until_ready(lab.node(1));
        check(&lab);
    }
}
