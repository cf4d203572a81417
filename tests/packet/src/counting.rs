//! The XDP program that counts: each packet passes unchanged and is counted as what it is.

use dataplane_common::{Family, Malformed, Outcome, Protocol, Statistic};
use test_support::packet::{Layer, Packet, frame, icmp, ip, tcp, udp};

use crate::subject::Subject;

/// Rows: what the packet is, the packet, its counter.
type Rows = Vec<(&'static str, Packet, Statistic)>;

/// Flows that most rows use.
const V4: &str = "10.244.0.3:40000 -> 10.96.0.1:443";
const V6: &str = "[fd00:244::3]:40000 -> [fd00:96::1]:443";
const HOSTS_V4: &str = "10.244.0.3 -> 10.96.0.1";
const HOSTS_V6: &str = "fd00:244::3 -> fd00:96::1";

/// Numbers of protocols, and the EtherType of IPv4, in the network's byte order.
const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
const NO_NEXT_HEADER: u8 = 59;
const IPV4_TYPE: u16 = 0x0800;
const IPV6_TYPE: u16 = 0x86dd;

fn check(rows: Rows) {
    let Some(subject) = Subject::load() else { return };
    for (name, packet, expected) in rows {
        subject.check(name, &packet, expected);
    }
}

const fn v4(protocol: Protocol, outcome: Outcome) -> Statistic {
    Statistic { family: Family::Ipv4, protocol, outcome }
}

const fn v6(protocol: Protocol, outcome: Outcome) -> Statistic {
    Statistic { family: Family::Ipv6, protocol, outcome }
}

const fn bad_v4(protocol: Protocol, malformed: Malformed) -> Statistic {
    v4(protocol, Outcome::Malformed(malformed))
}

const fn bad_v6(protocol: Protocol, malformed: Malformed) -> Statistic {
    v6(protocol, Outcome::Malformed(malformed))
}

const fn not_ip() -> Statistic {
    Statistic::link(Outcome::NotIp)
}

const fn bad_link(malformed: Malformed) -> Statistic {
    Statistic::link(Outcome::Malformed(malformed))
}

#[test]
fn whole_packets_are_counted_by_family_and_protocol() {
    use Outcome::{OtherProtocol, Transport};
    let quoted = udp(V4).payload("lost");
    check(vec![
        ("SYN", tcp(V4).syn().mss(1460), v4(Protocol::Tcp, Transport)),
        ("data", tcp(V4).ack().psh().payload("GET / HTTP/1.1"), v4(Protocol::Tcp, Transport)),
        ("FIN with all 40 bytes of options", tcp(V4).fin().tcp_options(&[1; 40]), v4(Protocol::Tcp, Transport)),
        ("a datagram", udp(V4).payload("question"), v4(Protocol::Udp, Transport)),
        ("an empty datagram", udp(V4), v4(Protocol::Udp, Transport)),
        ("a datagram without checksum", udp(V4).no_checksum().payload("x"), v4(Protocol::Udp, Transport)),
        ("a ping", icmp(HOSTS_V4), v4(Protocol::Icmpv4, Transport)),
        ("an ICMP error", icmp(HOSTS_V4).unreachable(3).quoting(&quoted, 28), v4(Protocol::Icmpv4, Transport)),
        ("SYN over IPv6", tcp(V6).syn(), v6(Protocol::Tcp, Transport)),
        ("a datagram over IPv6", udp(V6).payload("question"), v6(Protocol::Udp, Transport)),
        ("a ping over IPv6", icmp(HOSTS_V6), v6(Protocol::Icmpv6, Transport)),
        ("packet too big", icmp(HOSTS_V6).too_big(1400).quoting(&tcp(V6).ack(), 1232), v6(Protocol::Icmpv6, Transport)),
        ("a frame of 3 kB", tcp(V4).ack().payload([7; 3000]), v4(Protocol::Tcp, Transport)),
        ("a frame of several buffers", tcp(V4).ack().payload([7; 8900]), v4(Protocol::Tcp, Transport)),
        ("SCTP", ip(HOSTS_V4, SCTP).payload([0; 12]), v4(Protocol::Other, OtherProtocol)),
        (
            "ICMPv6 in IPv4 is just another protocol",
            ip(HOSTS_V4, 58).payload([0; 8]),
            v4(Protocol::Other, OtherProtocol),
        ),
        ("ICMP in IPv6 is just another protocol", ip(HOSTS_V6, 1).payload([0; 8]), v6(Protocol::Other, OtherProtocol)),
        ("nothing after IPv6", ip(HOSTS_V6, NO_NEXT_HEADER), v6(Protocol::Other, OtherProtocol)),
    ]);
}

#[test]
fn frames_that_are_not_ip_are_counted_as_that() {
    check(vec![
        ("ARP", frame(0x0806).payload([0; 28]), not_ip()),
        ("LLDP", frame(0x88cc).payload([0; 40]), not_ip()),
        ("an 802.3 frame with a length", frame(46).payload([0; 46]), not_ip()),
        ("nothing but an Ethernet header", frame(0x0806), not_ip()),
        ("ARP in a VLAN", frame(0x0806).vlan(9).payload([0; 28]), not_ip()),
    ]);
}

#[test]
fn vlan_tags_are_read_up_to_two() {
    check(vec![
        ("one tag", tcp(V4).syn().vlan(100), v4(Protocol::Tcp, Outcome::Transport)),
        ("a tag with only a priority", udp(V4).vlan(0), v4(Protocol::Udp, Outcome::Transport)),
        ("QinQ", tcp(V6).syn().provider_vlan(7).vlan(100), v6(Protocol::Tcp, Outcome::Transport)),
        ("two customer's tags", udp(V6).vlan(7).vlan(100), v6(Protocol::Udp, Outcome::Transport)),
        ("three tags", tcp(V4).vlan(1).vlan(2).vlan(3), bad_link(Malformed::TooManyVlanTags)),
        ("cut within the first tag", tcp(V4).vlan(1).truncate(17), bad_link(Malformed::TruncatedVlan)),
        ("cut before the first tag", tcp(V4).vlan(1).truncate(14), bad_link(Malformed::TruncatedVlan)),
        ("cut within the second tag", tcp(V4).vlan(1).vlan(2).truncate(21), bad_link(Malformed::TruncatedVlan)),
        ("cut after the tag", tcp(V4).vlan(1).truncate(18), bad_v4(Protocol::Unknown, Malformed::TruncatedIp)),
    ]);
}

#[test]
fn ipv4_headers_are_checked() {
    use Malformed::{
        BadIpHeaderLength, BadIpLength, BadIpVersion, TruncatedIp, TruncatedIpOptions, TruncatedIpPayload,
    };
    let unknown = |malformed| bad_v4(Protocol::Unknown, malformed);
    let options = || tcp(V4).syn().ip_options(&[7, 7, 4, 0, 0, 0, 0]);
    let network = Layer::Network;
    check(vec![
        ("options", options(), v4(Protocol::Tcp, Outcome::Transport)),
        ("all 40 bytes of options", udp(V4).ip_options(&[1; 40]), v4(Protocol::Udp, Outcome::Transport)),
        ("padded to Ethernet's minimum", udp(V4).pad(60), v4(Protocol::Udp, Outcome::Transport)),
        ("cut after Ethernet", tcp(V4).truncate(14), unknown(TruncatedIp)),
        ("cut one byte later", tcp(V4).truncate(15), unknown(TruncatedIp)),
        ("cut within the header", tcp(V4).truncate(33), unknown(TruncatedIp)),
        ("cut after the header", tcp(V4).truncate(34), unknown(TruncatedIpPayload)),
        ("cut within the options", options().truncate(41), unknown(TruncatedIpOptions)),
        ("cut before the options", options().truncate(34), unknown(TruncatedIpOptions)),
        ("cut after the options", options().truncate(42), unknown(TruncatedIpPayload)),
        ("cut by the last byte", udp(V4).payload("12345").truncate(46), unknown(TruncatedIpPayload)),
        ("version 6", tcp(V4).patch(network, 0, &[0x65]), unknown(BadIpVersion)),
        ("version 0", tcp(V4).patch(network, 0, &[0x05]), unknown(BadIpVersion)),
        ("a header of four words", tcp(V4).patch(network, 0, &[0x44]), unknown(BadIpHeaderLength)),
        ("a header of no words", tcp(V4).patch(network, 0, &[0x40]), unknown(BadIpHeaderLength)),
        ("a length below the header", tcp(V4).patch(network, 2, &[0, 19]), unknown(BadIpLength)),
        ("a length below header and options", options().patch(network, 2, &[0, 27]), unknown(BadIpLength)),
        ("the largest length", tcp(V4).patch(network, 2, &[0xff, 0xff]), unknown(TruncatedIpPayload)),
        ("IPv6 under IPv4's EtherType", frame(IPV4_TYPE).payload(&tcp(V6).bytes()[14..]), unknown(BadIpVersion)),
    ]);
}

#[test]
fn ipv6_headers_are_checked() {
    use Malformed::{BadIpVersion, TruncatedIp, TruncatedIpPayload};
    let unknown = |malformed| bad_v6(Protocol::Unknown, malformed);
    check(vec![
        ("padded", udp(V6).pad(80), v6(Protocol::Udp, Outcome::Transport)),
        ("cut after Ethernet", tcp(V6).truncate(14), unknown(TruncatedIp)),
        ("cut within the header", tcp(V6).truncate(53), unknown(TruncatedIp)),
        ("cut after the header", tcp(V6).truncate(54), unknown(TruncatedIpPayload)),
        ("cut by the last byte", tcp(V6).truncate(73), unknown(TruncatedIpPayload)),
        ("version 4", tcp(V6).patch(Layer::Network, 0, &[0x40]), unknown(BadIpVersion)),
        (
            "IPv4 under IPv6's EtherType",
            frame(IPV6_TYPE).payload(&tcp(V4).payload([0; 40]).bytes()[14..]),
            unknown(BadIpVersion),
        ),
        (
            "a payload length of 0, as jumbograms have",
            tcp(V6).patch(Layer::Network, 4, &[0, 0]),
            bad_v6(Protocol::Tcp, Malformed::TruncatedTransport),
        ),
    ]);
}

#[test]
fn extension_headers_are_followed() {
    use Malformed::{MisplacedExtension, TooManyExtensions, TruncatedExtension, TruncatedIpPayload};
    let unknown = |malformed| bad_v6(Protocol::Unknown, malformed);
    let eight = || (0..8).fold(tcp(V6), |packet, _| packet.destination_options());
    check(vec![
        ("hop-by-hop", tcp(V6).hop_by_hop(), v6(Protocol::Tcp, Outcome::Transport)),
        ("destination options", udp(V6).destination_options(), v6(Protocol::Udp, Outcome::Transport)),
        ("a routing header", tcp(V6).routing(), v6(Protocol::Tcp, Outcome::Transport)),
        ("an authentication header", udp(V6).authentication(), v6(Protocol::Udp, Outcome::Transport)),
        (
            "the whole recommended chain",
            tcp(V6)
                .hop_by_hop()
                .destination_options()
                .routing()
                .fragment(0, false)
                .authentication()
                .destination_options(),
            v6(Protocol::Tcp, Outcome::Transport),
        ),
        (
            "the longest destination options",
            udp(V6).extension(60, &longest_options()),
            v6(Protocol::Udp, Outcome::Transport),
        ),
        ("eight headers", eight(), v6(Protocol::Tcp, Outcome::Transport)),
        ("nine headers", eight().destination_options(), unknown(TooManyExtensions)),
        ("ping behind hop-by-hop", icmp(HOSTS_V6).hop_by_hop(), v6(Protocol::Icmpv6, Outcome::Transport)),
        (
            "ESP ends the chain",
            ip(HOSTS_V6, 50).hop_by_hop().payload([0; 16]),
            v6(Protocol::Other, Outcome::OtherProtocol),
        ),
        (
            "nothing behind hop-by-hop",
            ip(HOSTS_V6, NO_NEXT_HEADER).hop_by_hop(),
            v6(Protocol::Other, Outcome::OtherProtocol),
        ),
        ("hop-by-hop second", tcp(V6).destination_options().hop_by_hop(), unknown(MisplacedExtension)),
        ("two fragment headers", tcp(V6).fragment(0, false).fragment(0, false), unknown(MisplacedExtension)),
        (
            "an extension longer than the packet",
            udp(V6).extension(60, &[200, 0, 0, 0, 0, 0, 0]),
            unknown(TruncatedExtension),
        ),
        ("an extension header of one byte", ip(HOSTS_V6, 60).payload([6]), unknown(TruncatedExtension)),
        (
            "a fragment header of seven bytes",
            ip(HOSTS_V6, 44).payload([6, 0, 0, 0, 0, 0, 0]),
            unknown(TruncatedExtension),
        ),
        ("an extension in Ethernet's padding", ip(HOSTS_V6, 60).pad(80), unknown(TruncatedExtension)),
        ("cut within a chain", tcp(V6).hop_by_hop().routing().truncate(70), unknown(TruncatedIpPayload)),
        (
            "TCP cut off behind a chain",
            ip(HOSTS_V6, TCP).hop_by_hop().payload([0; 19]),
            bad_v6(Protocol::Tcp, Malformed::TruncatedTransport),
        ),
    ]);
}

/// Destination options of 2048 bytes, the most that a header's length can say, full of padding.
fn longest_options() -> Vec<u8> {
    let mut rest = vec![255];
    // PadN of at most 257 bytes each, then Pad1.
    for _ in 0..7 {
        rest.extend([1, 255]);
        rest.extend([0; 255]);
    }
    rest.resize(2047, 0);
    rest
}

#[test]
fn fragments_are_told_apart() {
    use Outcome::{FirstFragment, LaterFragment, Transport};
    let split_v4 = udp(V4).payload([7; 2000]).fragments(1024);
    let split_v6 = tcp(V6).hop_by_hop().payload([7; 2000]).fragments(1024);
    check(vec![
        ("the first of two", split_v4[0].clone(), v4(Protocol::Udp, FirstFragment)),
        ("the last of two", split_v4[1].clone(), v4(Protocol::Udp, LaterFragment)),
        (
            "a fragment with more to come",
            ip(HOSTS_V4, TCP).payload([7; 64]).fragment(1480, true),
            v4(Protocol::Tcp, LaterFragment),
        ),
        ("don't fragment is no fragment", tcp(V4).dont_fragment(), v4(Protocol::Tcp, Transport)),
        (
            "a later fragment shorter than TCP's header",
            ip(HOSTS_V4, TCP).payload([7; 8]).fragment(16, false),
            v4(Protocol::Tcp, LaterFragment),
        ),
        (
            "a first fragment without the whole TCP header (RFC 1858)",
            ip(HOSTS_V4, TCP).payload([7; 8]).fragment(0, true),
            bad_v4(Protocol::Tcp, Malformed::TruncatedTransport),
        ),
        (
            "a first fragment of another protocol",
            ip(HOSTS_V4, SCTP).payload([7; 8]).fragment(0, true),
            v4(Protocol::Other, FirstFragment),
        ),
        ("the first of two over IPv6", split_v6[0].clone(), v6(Protocol::Tcp, FirstFragment)),
        ("the last of two over IPv6", split_v6[1].clone(), v6(Protocol::Tcp, LaterFragment)),
        ("an atomic fragment is whole (RFC 6946)", udp(V6).fragment(0, false), v6(Protocol::Udp, Transport)),
        (
            "a later fragment whose bytes look like an extension header",
            ip(HOSTS_V6, 60).fragment(1024, false).payload([200; 16]),
            v6(Protocol::Other, LaterFragment),
        ),
        (
            "a first fragment with an extension header behind the fragment header",
            udp(V6).fragment(0, true).destination_options().payload([7; 64]),
            v6(Protocol::Udp, FirstFragment),
        ),
    ]);
}

#[test]
fn transport_headers_are_checked() {
    use Malformed::{BadTcpHeaderLength, BadUdpLength, TruncatedTransport};
    let transport = Layer::Transport;
    check(vec![
        ("no TCP at all", ip(HOSTS_V4, TCP), bad_v4(Protocol::Tcp, TruncatedTransport)),
        ("TCP of 19 bytes", ip(HOSTS_V4, TCP).payload([0; 19]), bad_v4(Protocol::Tcp, TruncatedTransport)),
        ("TCP in Ethernet's padding", ip(HOSTS_V4, TCP).pad(60), bad_v4(Protocol::Tcp, TruncatedTransport)),
        ("TCP of four words", tcp(V4).patch(transport, 12, &[0x40]), bad_v4(Protocol::Tcp, BadTcpHeaderLength)),
        (
            "TCP options beyond the packet",
            tcp(V4).patch(transport, 12, &[0xf0]),
            bad_v4(Protocol::Tcp, TruncatedTransport),
        ),
        (
            "TCP options beyond the packet, over IPv6",
            tcp(V6).patch(transport, 12, &[0x60]),
            bad_v6(Protocol::Tcp, TruncatedTransport),
        ),
        ("UDP of 7 bytes", ip(HOSTS_V4, UDP).payload([0; 7]), bad_v4(Protocol::Udp, TruncatedTransport)),
        ("UDP of length 7", udp(V4).patch(transport, 4, &[0, 7]), bad_v4(Protocol::Udp, BadUdpLength)),
        ("UDP of length 0", udp(V6).patch(transport, 4, &[0, 0]), bad_v6(Protocol::Udp, BadUdpLength)),
        (
            "UDP longer than the packet",
            udp(V4).payload("abc").patch(transport, 4, &[0, 12]),
            bad_v4(Protocol::Udp, BadUdpLength),
        ),
        (
            "UDP shorter than the packet",
            udp(V4).payload("abc").patch(transport, 4, &[0, 9]),
            v4(Protocol::Udp, Outcome::Transport),
        ),
        (
            "ICMP of 7 bytes",
            ip(HOSTS_V4, 1).payload([8, 0, 0, 0, 0, 0, 0]),
            bad_v4(Protocol::Icmpv4, TruncatedTransport),
        ),
        (
            "ICMPv6 of 7 bytes",
            ip(HOSTS_V6, 58).payload([128, 0, 0, 0, 0, 0, 0]),
            bad_v6(Protocol::Icmpv6, TruncatedTransport),
        ),
    ]);
}

#[test]
fn garbage_is_counted_and_passed() {
    check(vec![
        ("zeros", frame(0).payload([0; 46]), not_ip()),
        ("ones", frame(0xffff).payload([0xff; 46]), not_ip()),
        (
            "ones under IPv4's EtherType",
            frame(IPV4_TYPE).payload([0xff; 46]),
            bad_v4(Protocol::Unknown, Malformed::BadIpVersion),
        ),
        (
            "ones under IPv6's EtherType",
            frame(IPV6_TYPE).payload([0xff; 46]),
            bad_v6(Protocol::Unknown, Malformed::BadIpVersion),
        ),
        ("zeros under VLAN's EtherType", frame(0x8100).payload([0; 46]), not_ip()),
    ]);
}

/// At every boundary of headers, one byte before and one after: the kernel and the host's model agree.
#[test]
fn packets_cut_at_every_boundary_are_counted_as_the_model_says() {
    let Some(subject) = Subject::load() else { return };
    let packets = [
        tcp(V4).syn().mss(1460).provider_vlan(7).vlan(8).ip_options(&[1; 8]).payload("data"),
        udp(V4).payload("data"),
        icmp(HOSTS_V4).payload("data"),
        tcp(V6).syn().vlan(8).hop_by_hop().routing().fragment(0, true).destination_options().payload("data"),
        udp(V6).authentication().payload("data"),
        icmp(HOSTS_V6).payload("data"),
    ];
    for packet in packets {
        for boundary in packet.boundaries() {
            for length in (boundary.max(15) - 1)..=boundary + 1 {
                let cut = packet.clone().truncate(length);
                let expected = dataplane_common::classify(cut.bytes().as_slice());
                subject.check(&format!("cut to {length} bytes"), &cut, expected);
            }
        }
    }
}

/// The kernel refuses programs at a million; a program that comes near loads on one kernel and not on the next.
#[test]
fn the_verifier_is_far_from_its_limit() {
    let Some(subject) = Subject::load() else { return };
    if let Some(instructions) = subject.verified_instructions() {
        println!("{instructions} instructions");
        assert!(instructions < 50_000, "the verifier followed {instructions} instructions");
    }
}
