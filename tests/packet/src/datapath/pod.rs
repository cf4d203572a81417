//! What pods send.

use dataplane_common::{DropReason, Hook, Malformed, Path};
use test_support::packet::{Layer, Packet, frame, icmp, ip, tcp, udp};
use test_support::program::{At, LOOPBACK};

use super::scene::{Expect, FAMILIES, Family, HOST_MAC, OTHER_MAC, PEER_MAC, Scene, UPLINK_MAC};

/// The packet as it reaches the other pod of the node.
fn at_peer(packet: &Packet) -> Packet {
    packet.clone().ttl(63).from_mac(HOST_MAC).to_mac(PEER_MAC)
}

/// The packet as it leaves for the other node.
fn on_wire(packet: &Packet) -> Packet {
    packet.clone().ttl(63).from_mac(UPLINK_MAC).to_mac(OTHER_MAC)
}

type Row = (&'static str, Packet, fn(&Packet) -> Expect);

fn check(rows: impl Fn(Family) -> Vec<Row> + Sync) {
    Scene::play(|scene| {
        for family in FAMILIES {
            for (name, packet, expect) in rows(family) {
                scene.check(Hook::Pod, name, &packet, &expect(&packet));
            }
        }
    });
}

#[test]
fn a_pod_reaches_pods_of_its_node_past_the_stack() {
    let delivered: fn(&Packet) -> Expect = |packet| Expect::Redirect(Path::Pod, at_peer(packet));
    check(|family| {
        let ports = family.flow("pod:4000 -> peer:80");
        let plain = family.flow("pod -> peer");
        let quoted = udp(&family.flow("peer:53 -> pod:4000")).payload("lost");
        let mut rows: Vec<Row> = vec![
            ("SYN", tcp(&ports).syn().mss(1460), delivered),
            ("data", tcp(&ports).ack().psh().payload("GET /"), delivered),
            ("a full packet", tcp(&ports).ack().payload(vec![7; 1400]), delivered),
            ("a datagram", udp(&ports).payload("question"), delivered),
            ("a ping", icmp(&plain), delivered),
            ("an ICMP error", icmp(&plain).unreachable(3).quoting(&quoted, 60), delivered),
            ("any other protocol", ip(&plain, 132).payload([0; 12]), delivered),
            ("a long-lived one", udp(&ports).ttl(255), |packet| Expect::Redirect(Path::Pod, at_peer(packet).ttl(254))),
            ("the last hop but one", udp(&ports).ttl(2), |packet| Expect::Redirect(Path::Pod, at_peer(packet).ttl(1))),
        ];
        let fragments = udp(&ports).payload(vec![1; 3000]).fragments(1400);
        rows.extend(fragments.into_iter().map(|fragment| ("a fragment", fragment, delivered)));
        if family == Family::V4 {
            rows.push(("IP options", udp(&ports).ip_options(&[7, 7, 4, 0, 0, 0, 0]), delivered));
            rows.push(("no checksum", udp(&ports).no_checksum().payload("x"), delivered));
        } else {
            rows.push(("extension headers", udp(&ports).hop_by_hop().destination_options(), delivered));
        }
        rows
    });
}

#[test]
fn a_pod_reaches_other_nodes_and_their_pods_by_the_next_hop() {
    let sent: fn(&Packet) -> Expect = |packet| Expect::Redirect(Path::Network, on_wire(packet));
    check(|family| {
        vec![
            ("a pod", tcp(&family.flow("pod:4000 -> remote:80")).syn(), sent),
            ("a pod by UDP", udp(&family.flow("pod:4000 -> remote:53")).payload("x"), sent),
            ("a pod by ping", icmp(&family.flow("pod -> remote")), sent),
            ("the node itself", tcp(&family.flow("pod:4000 -> other:10250")).syn(), sent),
            ("the node by ping", icmp(&family.flow("pod -> other")), sent),
        ]
    });
}

#[test]
fn this_node_is_reached_through_the_stack() {
    let stack: fn(&Packet) -> Expect = |_| Expect::Stack;
    check(|family| {
        vec![
            ("TCP", tcp(&family.flow("pod:4000 -> node:10250")).syn(), stack),
            ("UDP", udp(&family.flow("pod:4000 -> node:53")), stack),
            ("a ping", icmp(&family.flow("pod -> node")), stack),
            ("the last hop", icmp(&family.flow("pod -> node")).ttl(1), stack),
        ]
    });
}

#[test]
fn what_has_expired_or_is_too_large_goes_to_the_stack_unchanged() {
    let stack: fn(&Packet) -> Expect = |_| Expect::Stack;
    check(|family| {
        let (near, far) = (family.flow("pod:4000 -> peer:80"), family.flow("pod:4000 -> remote:80"));
        vec![
            ("expired, to a pod here", udp(&near).ttl(1), stack),
            ("expired, to a pod there", udp(&far).ttl(1), stack),
            ("expired long ago", udp(&far).ttl(0), stack),
            ("too large for the pod", udp(&near).payload(vec![0; 1501 - 28]), stack),
            ("too large for the next hop", udp(&far).payload(vec![0; 1401 - 28]), stack),
        ]
    });
}

#[test]
fn a_packet_that_will_be_taken_apart_is_measured_by_its_parts() {
    Scene::play(|scene| {
        for family in FAMILIES {
            let flow = family.flow("pod:4000 -> remote:80");
            let large = tcp(&flow).ack().payload(vec![7; 3000]);
            let header = if family == Family::V4 { 40 } else { 60 };
            let fitting = At { segment_size: 1400 - header, ..LOOPBACK };
            let sent = Expect::Redirect(Path::Network, on_wire(&large));
            scene.check_at(Hook::Pod, "parts that fit", &large, fitting, &sent);
            let too_large = At { segment_size: 1401 - header, ..LOOPBACK };
            scene.check_at(Hook::Pod, "parts that do not", &large, too_large, &Expect::Stack);
        }
    });
}

#[test]
fn a_pod_speaks_only_for_itself() {
    let spoofed: fn(&Packet) -> Expect = |_| Expect::Drop(DropReason::SourceAddress);
    check(|family| {
        vec![
            ("as another pod", tcp(&family.flow("peer:4000 -> pod:80")).syn(), spoofed),
            ("as nobody", udp(&family.flow("nobody:4000 -> peer:80")), spoofed),
            ("as the node", udp(&family.flow("node:4000 -> peer:80")), spoofed),
            ("as somebody outside", icmp(&family.flow("outside -> peer")), spoofed),
            ("as another pod, outside", icmp(&family.flow("peer -> outside")), spoofed),
        ]
    });
}

#[test]
fn what_leads_nowhere_is_dropped_with_its_reason() {
    check(|family| {
        let flow = family.flow("pod:4000 -> peer:80");
        let everybody = if family == Family::V4 { "10.244.1.2 -> 224.0.0.251" } else { "fe80::1234 -> ff02::16" };
        vec![
            ("an address without pod", udp(&family.flow("pod:4000 -> nobody:80")), |_| {
                Expect::Drop(DropReason::NoEndpoint)
            }),
            ("to everybody", icmp(everybody), |_| Expect::Drop(DropReason::Multicast)),
            ("a VLAN tag", udp(&flow).vlan(7), |_| Expect::Drop(DropReason::Vlan)),
            ("not IP", frame(0x88cc).payload([0; 40]), |_| Expect::Drop(DropReason::NotIp)),
            ("cut off", udp(&flow).payload([0; 40]).truncate(70), |_| {
                Expect::Drop(DropReason::Malformed(Malformed::TruncatedIpPayload))
            }),
            ("another version", udp(&flow).patch(Layer::Network, 0, &[0x15]), |_| {
                Expect::Drop(DropReason::Malformed(Malformed::BadIpVersion))
            }),
        ]
    });
}

#[test]
fn ipv6_does_not_speak_for_ipv4() {
    check(|_| {
        let mapped: fn(&Packet) -> Expect = |_| Expect::Drop(DropReason::MappedAddress);
        vec![
            ("as the pod's IPv4 address", udp("[::ffff:10.244.1.2]:1 -> [::ffff:10.244.1.3]:2"), mapped),
            ("to an IPv4 pod", udp("[fd00:10:244:1::2]:1 -> [::ffff:10.244.1.3]:2"), mapped),
        ]
    });
}

#[test]
fn who_asks_for_the_gateway_is_answered_by_the_stack() {
    check(|_| {
        let stack: fn(&Packet) -> Expect = |_| Expect::Stack;
        let solicitation = || icmp("fe80::1234 -> ff02::1:ff00:1").icmp_message(135, 0, [0; 4]).payload([0; 16]);
        vec![
            ("ARP", frame(0x0806).payload([0; 28]), stack),
            ("a neighbour solicitation", solicitation().ttl(255), stack),
            ("a neighbour advertisement", icmp("fe80::1234 -> fe80::1").icmp_message(136, 0, [0; 4]).ttl(255), stack),
            ("a solicitation from afar", solicitation().ttl(254), |_| Expect::Drop(DropReason::Multicast)),
        ]
    });
}

#[test]
fn a_pod_without_entry_sends_nothing_and_is_not_reached() {
    Scene::play(|scene| {
        scene.datapath.borrow_mut().remove_endpoint(1).unwrap();
        for family in FAMILIES {
            let sent = udp(&family.flow("pod:4000 -> peer:80"));
            scene.check(Hook::Pod, "sent", &sent, &Expect::Drop(DropReason::SourceAddress));
            let received = udp(&family.flow("remote:80 -> pod:4000")).to_mac([0; 6]);
            scene.check(Hook::Uplink, "received", &received, &Expect::Drop(DropReason::NoEndpoint));
        }
    });
}

#[test]
fn a_neighbour_that_is_not_known_yet_is_left_to_the_kernel() {
    Scene::play(|scene| {
        for family in FAMILIES {
            let address = family.address("other");
            let mut datapath = scene.datapath.borrow_mut();
            let known = datapath.next_hops().unwrap().into_iter().find(|hop| hop.address == address).unwrap();
            datapath.set_neighbour(&sheave_agent::datapath::Neighbour { mac: None, ..known }).unwrap();
            drop(datapath);
            let packet = udp(&family.flow("pod:4000 -> remote:80"));
            let unaddressed = Expect::Redirect(Path::Network, packet.clone().ttl(63));
            scene.check(Hook::Pod, "unresolved", &packet, &unaddressed);
        }
    });
}

#[test]
fn destinations_that_know_pods_see_their_addresses() {
    check(|family| {
        let sent: fn(&Packet) -> Expect = |packet| Expect::Redirect(Path::Network, packet.clone().ttl(63));
        vec![("a friend", tcp(&family.flow("pod:4000 -> friend:80")).syn(), sent)]
    });
}
