//! Pods and the outside: both ways, errors, fragments, and what cannot be translated.

use dataplane_common::{DropReason, Hook, Path};
use test_support::packet::{Packet, icmp, ip, tcp, udp};

use super::scene::{Expect, FAMILIES, Family, HOST_MAC, OWN_MAC, POD_MAC, PORT, Scene};

/// An ICMP error: its name, and what makes a message it.
type NamedError = (&'static str, fn(Packet) -> Packet);

/// A packet that left: the kernel adds the neighbour's hardware address.
fn outside(packet: Packet) -> Expect {
    Expect::Redirect(Path::Translated, packet.ttl(63))
}

/// A packet that came back, as it reaches the pod.
fn at_pod(packet: Packet) -> Expect {
    Expect::Redirect(Path::Translated, packet.ttl(63).from_mac(HOST_MAC).to_mac(POD_MAC))
}

/// A packet at the uplink, sent to it.
fn arrived(packet: Packet) -> Packet {
    packet.to_mac(OWN_MAC)
}

#[test]
fn tcp_goes_out_under_the_nodes_address_and_comes_back() {
    Scene::play(|scene| {
        for family in FAMILIES {
            let out = |packet: fn(Packet) -> Packet| {
                let pair = ["pod:4000 -> outside:80", "node:61000 -> outside:80"];
                pair.map(|flow| packet(tcp(&family.flow(flow))))
            };
            let back = |packet: fn(Packet) -> Packet| {
                let pair = ["outside:80 -> node:61000", "outside:80 -> pod:4000"];
                pair.map(|flow| packet(tcp(&family.flow(flow))))
            };
            let [sent, expected] = out(|packet| packet.syn().mss(1460));
            scene.check(Hook::Pod, "SYN", &sent, &outside(expected));
            let [sent, expected] = back(|packet| packet.syn().ack().mss(1460));
            scene.check(Hook::Uplink, "SYN and ACK", &arrived(sent), &at_pod(expected));
            let [sent, expected] = out(|packet| packet.ack().psh().payload("GET / HTTP/1.1"));
            scene.check(Hook::Pod, "a request", &sent, &outside(expected));
            let [sent, expected] = back(|packet| packet.ack().payload(vec![7; 1400]));
            scene.check(Hook::Uplink, "an answer", &arrived(sent), &at_pod(expected));
        }
        assert_eq!(scene.flows().len(), 4, "two entries for each flow: {:?}", scene.flows());
    });
}

#[test]
fn udp_goes_out_under_the_nodes_address_and_comes_back() {
    Scene::play(|scene| {
        for family in FAMILIES {
            let (sent, expected) = ("pod:4000 -> outside:53", "node:61000 -> outside:53");
            let [sent, expected] = [sent, expected].map(|flow| udp(&family.flow(flow)).payload("question"));
            scene.check(Hook::Pod, "a question", &sent, &outside(expected));
            let pair = ["outside:53 -> node:61000", "outside:53 -> pod:4000"];
            let [sent, expected] = pair.map(|flow| udp(&family.flow(flow)).payload("answer"));
            scene.check(Hook::Uplink, "an answer", &arrived(sent), &at_pod(expected));
        }
    });
}

#[test]
fn a_datagram_without_checksum_gets_none() {
    Scene::play(|scene| {
        let pair = ["pod:4000 -> outside:53", "node:61000 -> outside:53"];
        let [sent, expected] = pair.map(|flow| udp(&Family::V4.flow(flow)).no_checksum().payload("question"));
        scene.check(Hook::Pod, "without", &sent, &outside(expected));
    });
}

#[test]
fn a_ping_has_its_identifier_translated() {
    Scene::play(|scene| {
        for family in FAMILIES {
            let sent = icmp(&family.flow("pod -> outside")).echo_request(7, 1).payload("abcdefgh");
            let expected = icmp(&family.flow("node -> outside")).echo_request(PORT, 1).payload("abcdefgh");
            scene.check(Hook::Pod, "a ping", &sent, &outside(expected));
            let sent = icmp(&family.flow("outside -> node")).echo_reply(PORT, 1).payload("abcdefgh");
            let expected = icmp(&family.flow("outside -> pod")).echo_reply(7, 1).payload("abcdefgh");
            scene.check(Hook::Uplink, "its reply", &arrived(sent), &at_pod(expected));
        }
    });
}

#[test]
fn a_port_belongs_to_one_flow_towards_one_receiver() {
    Scene::play(|scene| {
        for family in FAMILIES {
            let first = ["pod:4000 -> outside:80", "node:61000 -> outside:80"].map(|flow| udp(&family.flow(flow)));
            scene.check(Hook::Pod, "the first flow", &first[0], &outside(first[1].clone()));
            let second = udp(&family.flow("pod:4001 -> outside:80"));
            scene.check(Hook::Pod, "another one", &second, &Expect::Drop(DropReason::PortsExhausted));
            let elsewhere = ["pod:4001 -> outside:81", "node:61000 -> outside:81"].map(|flow| udp(&family.flow(flow)));
            scene.check(Hook::Pod, "to another port", &elsewhere[0], &outside(elsewhere[1].clone()));
            scene.check(Hook::Pod, "the first flow again", &first[0], &outside(first[1].clone()));
        }
    });
}

#[test]
fn flows_to_one_receiver_get_different_ports() {
    Scene::play(|scene| {
        scene.masquerade(61_000..=61_015);
        for port in 4000..4016 {
            let sent = udp(&Family::V4.flow(&format!("pod:{port} -> outside:80")));
            assert_eq!(scene.run(Hook::Pod, &sent).action, test_support::program::ClassifierAction::Redirect, "{port}");
        }
        let mut ports: Vec<_> = scene.flows().iter().map(|flow| flow.translated.source_port).collect();
        ports.retain(|port| (61_000..=61_015).contains(&u16::from_be_bytes(*port)));
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 16, "{ports:?}");
    });
}

#[test]
fn errors_about_a_flow_reach_the_pod_and_quote_its_own_packet() {
    Scene::play(|scene| {
        for family in FAMILIES {
            let flows = ["pod:4000 -> outside:80", "node:61000 -> outside:80"];
            let [sent, seen] = flows.map(|flow| tcp(&family.flow(flow)).ack().payload(vec![1; 600]));
            scene.check(Hook::Pod, "TCP", &sent, &outside(seen.clone()));
            let errors: [NamedError; 3] = [
                ("unreachable", |packet| packet.unreachable(1)),
                ("too big", |packet| packet.too_big(1300)),
                ("expired", |packet| packet.time_exceeded()),
            ];
            // With all of the quoted header, and with as little of it as IPv4 demands.
            let shortest = if family == Family::V4 { 28 } else { 48 };
            for ((name, error), limit) in errors.into_iter().flat_map(|error| [(error, 200), (error, shortest)]) {
                let arriving = error(icmp(&family.flow("router -> node"))).quoting(&seen, limit);
                let expected = error(icmp(&family.flow("router -> pod"))).quoting(&sent, limit);
                let about = format!("{name}, {limit} bytes quoted");
                scene.check(Hook::Uplink, &about, &arrived(arriving), &at_pod(expected));
            }
            let datagram = ["pod:4000 -> outside:53", "node:61000 -> outside:53"];
            let [sent, seen] = datagram.map(|flow| udp(&family.flow(flow)).payload("question"));
            scene.check(Hook::Pod, "UDP", &sent, &outside(seen.clone()));
            let arriving = icmp(&family.flow("outside -> node")).unreachable(3).quoting(&seen, 100);
            let expected = icmp(&family.flow("outside -> pod")).unreachable(3).quoting(&sent, 100);
            scene.check(Hook::Uplink, "port unreachable", &arrived(arriving), &at_pod(expected));
            let sent = icmp(&family.flow("pod -> outside")).echo_request(7, 1);
            let seen = icmp(&family.flow("node -> outside")).echo_request(PORT, 1);
            scene.check(Hook::Pod, "a ping", &sent, &outside(seen.clone()));
            let arriving = icmp(&family.flow("router -> node")).time_exceeded().quoting(&seen, 100);
            let expected = icmp(&family.flow("router -> pod")).time_exceeded().quoting(&sent, 100);
            scene.check(Hook::Uplink, "a ping that expired", &arrived(arriving), &at_pod(expected));
        }
    });
}

#[test]
fn errors_that_a_pod_sends_quote_what_the_outside_has_sent() {
    Scene::play(|scene| {
        for family in FAMILIES {
            let asked = ["pod:4000 -> outside:53", "node:61000 -> outside:53"].map(|flow| udp(&family.flow(flow)));
            scene.check(Hook::Pod, "a question", &asked[0], &outside(asked[1].clone()));
            let answers = ["outside:53 -> node:61000", "outside:53 -> pod:4000"];
            let [arriving, delivered] = answers.map(|flow| udp(&family.flow(flow)).payload("late"));
            let sent = icmp(&family.flow("pod -> outside")).unreachable(3).quoting(&delivered, 100);
            let expected = icmp(&family.flow("node -> outside")).unreachable(3).quoting(&arriving, 100);
            scene.check(Hook::Pod, "nobody waits for it", &sent, &outside(expected));
            let unknown = udp(&family.flow("outside:1 -> pod:2"));
            let sent = icmp(&family.flow("pod -> outside")).unreachable(3).quoting(&unknown, 100);
            scene.check(Hook::Pod, "about an unknown flow", &sent, &Expect::Drop(DropReason::UnknownFlow));
        }
    });
}

#[test]
fn errors_about_the_nodes_own_packets_go_to_the_node() {
    Scene::play(|scene| {
        for family in FAMILIES {
            for own in ["node:40000 -> outside:80", "node:61000 -> outside:80"] {
                let quoted = tcp(&family.flow(own)).ack();
                let error = icmp(&family.flow("router -> node")).unreachable(1).quoting(&quoted, 100);
                scene.check(Hook::Uplink, own, &arrived(error), &Expect::Stack);
            }
        }
    });
}

#[test]
fn fragments_follow_the_first_one_both_ways() {
    Scene::play(|scene| {
        for family in FAMILIES {
            let out = ["pod:4000 -> outside:53", "node:61000 -> outside:53"];
            let back = ["outside:53 -> node:61000", "outside:53 -> pod:4000"];
            for (hook, flows) in [(Hook::Pod, out), (Hook::Uplink, back)] {
                let [sent, expected] = flows.map(|flow| udp(&family.flow(flow)).payload(vec![5; 3000]).fragments(1400));
                assert_eq!(sent.len(), 3);
                for (position, (sent, expected)) in sent.into_iter().zip(expected).enumerate() {
                    let name = format!("fragment {position}");
                    match hook {
                        Hook::Pod => scene.check(hook, &name, &sent, &outside(expected)),
                        Hook::Uplink => scene.check(hook, &name, &arrived(sent), &at_pod(expected)),
                    }
                }
            }
        }
    });
}

#[test]
fn a_later_fragment_without_a_first_one_is_nobodys() {
    Scene::play(|scene| {
        for family in FAMILIES {
            let fragment = |flow: &str| udp(&family.flow(flow)).payload(vec![5; 3000]).fragments(1400).remove(1);
            let sent = fragment("pod:4000 -> outside:53");
            scene.check(Hook::Pod, "from a pod", &sent, &Expect::Drop(DropReason::UnknownFragment));
            let arriving = arrived(fragment("outside:53 -> node:61000"));
            scene.check(Hook::Uplink, "to the node", &arriving, &Expect::Stack);
        }
    });
}

#[test]
fn what_has_no_ports_cannot_be_translated() {
    Scene::play(|scene| {
        for family in FAMILIES {
            let plain = family.flow("pod -> outside");
            let untranslatable = Expect::Drop(DropReason::Untranslatable);
            scene.check(Hook::Pod, "SCTP", &ip(&plain, 132).payload([0; 12]), &untranslatable);
            let message = icmp(&plain).icmp_message(if family == Family::V4 { 13 } else { 139 }, 0, [0; 4]);
            scene.check(Hook::Pod, "another ICMP message", &message, &untranslatable);
            let unknown = Expect::Drop(DropReason::UnknownFlow);
            scene.check(Hook::Pod, "an echo reply", &icmp(&plain).echo_reply(1, 1), &unknown);
            let answer = tcp(&family.flow("pod:80 -> outside:4000")).syn().ack();
            scene.check(Hook::Pod, "an answer to nothing", &answer, &unknown);
        }
    });
}

#[test]
fn what_is_too_large_for_the_uplink_must_not_be_split_by_the_stack() {
    Scene::play(|scene| {
        let large = udp(&Family::V4.flow("pod:4000 -> outside:53")).payload(vec![0; 1501 - 28]);
        let unfragmentable = Expect::StackAs(large.clone().dont_fragment());
        scene.check(Hook::Pod, "IPv4", &large, &unfragmentable);
        let large = udp(&Family::V6.flow("pod:4000 -> outside:53")).payload(vec![0; 1501 - 48]);
        scene.check(Hook::Pod, "IPv6", &large, &Expect::Stack);
        let expired = udp(&Family::V4.flow("pod:4000 -> outside:53")).dont_fragment().ttl(1);
        scene.check(Hook::Pod, "expired", &expired, &Expect::Stack);
        assert_eq!(scene.flows(), [], "what the stack answers begins no flow");
    });
}

#[test]
fn answers_to_somebody_outside_who_knows_the_pod_are_not_translated() {
    Scene::play(|scene| {
        for family in FAMILIES {
            let delivered = |packet: &Packet| {
                Expect::Redirect(Path::Pod, packet.clone().ttl(63).from_mac(HOST_MAC).to_mac(POD_MAC))
            };
            let plain = |packet: &Packet| Expect::Redirect(Path::Network, packet.clone().ttl(63));
            let openers = [
                (
                    tcp(&family.flow("outside:4000 -> pod:80")).syn(),
                    tcp(&family.flow("pod:80 -> outside:4000")).syn().ack(),
                ),
                (udp(&family.flow("outside:4000 -> pod:53")), udp(&family.flow("pod:53 -> outside:4000"))),
                (
                    icmp(&family.flow("outside -> pod")).echo_request(9, 1),
                    icmp(&family.flow("pod -> outside")).echo_reply(9, 1),
                ),
            ];
            for (opener, answer) in openers {
                let opener = arrived(opener);
                scene.check(Hook::Uplink, "the opener", &opener, &delivered(&opener));
                scene.check(Hook::Pod, "the answer", &answer, &plain(&answer));
            }
        }
        assert_eq!(scene.flows().len(), 6, "one entry for each flow");
    });
}
