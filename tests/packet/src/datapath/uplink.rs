//! What arrives from the network.

use dataplane_common::{DropReason, Hook, Path};
use test_support::packet::{Packet, frame, icmp, ip, tcp, udp};

use super::scene::{Expect, FAMILIES, Family, HOST_MAC, OWN_MAC, POD_MAC, Scene};

type Row = (&'static str, Packet, fn(&Packet) -> Expect);

fn check(rows: impl Fn(Family) -> Vec<Row> + Sync) {
    Scene::play(|scene| {
        for family in FAMILIES {
            for (name, packet, expect) in rows(family) {
                let packet = packet.to_mac(OWN_MAC);
                scene.check(Hook::Uplink, name, &packet, &expect(&packet));
            }
        }
    });
}

/// The packet as it reaches the pod.
fn at_pod(packet: &Packet) -> Packet {
    packet.clone().ttl(63).from_mac(HOST_MAC).to_mac(POD_MAC)
}

#[test]
fn packets_to_pods_are_delivered_past_the_stack() {
    let delivered: fn(&Packet) -> Expect = |packet| Expect::Redirect(Path::Pod, at_pod(packet));
    check(|family| {
        let quoted = udp(&family.flow("pod:4000 -> remote:53")).payload("lost");
        let mut rows: Vec<Row> = vec![
            ("from a pod of another node", tcp(&family.flow("remote:80 -> pod:4000")).syn(), delivered),
            ("from another node", icmp(&family.flow("other -> pod")), delivered),
            ("from outside", tcp(&family.flow("outside:4000 -> pod:80")).syn(), delivered),
            (
                "an ICMP error of a router",
                icmp(&family.flow("router -> pod")).too_big(1300).quoting(&quoted, 60),
                delivered,
            ),
            ("any other protocol", ip(&family.flow("remote -> pod"), 132).payload([0; 12]), delivered),
        ];
        let fragments = udp(&family.flow("remote:53 -> pod:4000")).payload(vec![1; 3000]).fragments(1400);
        rows.extend(fragments.into_iter().map(|fragment| ("a fragment", fragment, delivered)));
        rows
    });
}

#[test]
fn what_is_for_nobody_here_goes_to_the_stack() {
    let stack: fn(&Packet) -> Expect = |_| Expect::Stack;
    check(|family| {
        vec![
            ("the node's own", tcp(&family.flow("outside:4000 -> node:22")).syn(), stack),
            ("a ping of the node", icmp(&family.flow("outside -> node")), stack),
            ("an answer to the node, at a masquerade port", udp(&family.flow("outside:53 -> node:61000")), stack),
            ("an echo reply to the node", icmp(&family.flow("outside -> node")).echo_reply(61_000, 1), stack),
            ("to be routed", udp(&family.flow("outside:1 -> router:2")), stack),
            ("ARP", frame(0x0806).payload([0; 28]), stack),
            ("a VLAN tag", udp(&family.flow("outside:1 -> pod:2")).vlan(7), stack),
            ("cut off", udp(&family.flow("outside:1 -> pod:2")).payload([0; 40]).truncate(70), stack),
            ("expired on the way to a pod", udp(&family.flow("remote:1 -> pod:2")).ttl(1), stack),
        ]
    });
}

#[test]
fn an_address_without_pod_is_no_address() {
    check(|family| {
        vec![("nobody", udp(&family.flow("remote:1 -> nobody:2")), |_| Expect::Drop(DropReason::NoEndpoint))]
    });
}

#[test]
fn frames_for_others_are_let_alone() {
    Scene::play(|scene| {
        for family in FAMILIES {
            let flooded = udp(&family.flow("remote:1 -> pod:2")).to_mac([2, 9, 9, 9, 9, 9]);
            scene.check(Hook::Uplink, "flooded", &flooded, &Expect::Stack);
        }
    });
}

#[test]
fn ipv6_from_the_network_does_not_speak_for_ipv4() {
    check(|_| {
        vec![("mapped", udp("[fd00:99::1]:1 -> [::ffff:10.244.1.2]:2"), |_| Expect::Drop(DropReason::MappedAddress))]
    });
}
