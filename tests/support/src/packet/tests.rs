//! The builder against an independent decoder.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use super::*;

/// Decodes a frame and checks its IPv4 header's and its transport's checksums.
fn assert_sound(name: &str, packet: &Packet) {
    let bytes = packet.bytes();
    let sliced = SlicedPacket::from_ethernet(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    let Some(transport) = &sliced.transport else { panic!("{name}: no transport header") };
    let (expected, found) = match (&sliced.net, transport) {
        (Some(NetSlice::Ipv4(ip)), TransportSlice::Tcp(tcp)) => {
            let header = ip.header();
            assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum(), "{name}");
            (tcp.calc_checksum_ipv4(header.source(), header.destination()).unwrap(), tcp.checksum())
        }
        (Some(NetSlice::Ipv4(ip)), TransportSlice::Udp(udp)) => {
            let header = udp.to_header();
            (header.calc_checksum_ipv4(&ip.header().to_header(), udp.payload()).unwrap(), header.checksum)
        }
        (Some(NetSlice::Ipv6(ip)), TransportSlice::Tcp(tcp)) => {
            let header = ip.header();
            (tcp.calc_checksum_ipv6(header.source(), header.destination()).unwrap(), tcp.checksum())
        }
        (Some(NetSlice::Ipv6(ip)), TransportSlice::Udp(udp)) => {
            let header = udp.to_header();
            (header.calc_checksum_ipv6(&ip.header().to_header(), udp.payload()).unwrap(), header.checksum)
        }
        (_, TransportSlice::Icmpv4(icmp)) => (icmp.icmp_type().calc_checksum(icmp.payload()), icmp.header().checksum),
        (Some(NetSlice::Ipv6(ip)), TransportSlice::Icmpv6(icmp)) => {
            let header = ip.header();
            let sum = icmp.icmp_type().calc_checksum(header.source(), header.destination(), icmp.payload());
            (sum.unwrap(), icmp.header().checksum)
        }
        (net, transport) => panic!("{name}: {net:?} {transport:?}"),
    };
    assert_eq!(expected, found, "{name}");
}

#[test]
fn an_independent_decoder_finds_every_length_and_checksum_right() {
    let lost = udp("10.0.0.1:4000 -> 10.96.0.1:53").payload("question");
    let lost6 = udp("[fd00::1]:4000 -> [fd00::2]:53").payload("question");
    let v4 = "10.0.0.1:4000 -> 10.96.0.1:80";
    let v6 = "[fd00::1]:4000 -> [fd00:10::1]:80";
    for (name, packet) in [
        ("syn", tcp(v4).syn().mss(1460)),
        ("data", tcp(v4).ack().psh().sequence(7).acknowledgement(9).payload("odd")),
        ("fin", tcp(v4).fin().ack().ttl(1).traffic_class(0xb8).dont_fragment().identification(77)),
        ("rst in VLANs", tcp(v4).rst().provider_vlan(7).vlan(8)),
        ("options", tcp(v4).syn().ip_options(&[7, 7, 4, 0, 0, 0, 0])),
        ("udp", udp(v4).payload("hello")),
        ("v6 syn", tcp(v6).syn().flow_label(0xabcde).traffic_class(3)),
        ("v6 chain", udp(v6).hop_by_hop().destination_options().routing().authentication().payload("x")),
        ("ping", icmp("10.0.0.1 -> 10.0.0.2").echo_request(1, 2).payload("ping")),
        ("pong", icmp("fd00::1 -> fd00::2").echo_reply(1, 2).payload("ping")),
        ("unreachable", icmp("10.0.0.9 -> 10.0.0.1").unreachable(3).quoting(&lost, 28)),
        ("too big", icmp("10.0.0.9 -> 10.0.0.1").too_big(1400).quoting(&lost, 28)),
        ("v6 too big", icmp("fd00::9 -> fd00::1").too_big(1400).quoting(&lost6, 1232)),
        ("v6 expired", icmp("fd00::9 -> fd00::1").time_exceeded().quoting(&lost6, 1232)),
    ] {
        assert_sound(name, &packet);
    }
}

#[test]
fn boundaries_are_where_headers_end() {
    for (name, packet, boundaries) in [
        ("tcp", tcp("10.0.0.1:1 -> 10.0.0.2:2"), vec![14, 34, 54]),
        ("options", tcp("10.0.0.1:1 -> 10.0.0.2:2").ip_options(&[1, 1, 1, 1]).mss(9), vec![14, 34, 38, 62]),
        ("qinq", udp("10.0.0.1:1 -> 10.0.0.2:2").provider_vlan(1).vlan(2), vec![14, 18, 22, 42, 50]),
        ("chain", udp("[::1]:1 -> [::2]:2").hop_by_hop().routing(), vec![14, 54, 62, 86, 94]),
        ("arp", frame(0x0806), vec![14]),
    ] {
        assert_eq!(packet.boundaries(), boundaries, "{name}");
    }
}

#[test]
fn fragments_put_together_are_the_packet() {
    for packet in [
        udp("10.0.0.1:1 -> 10.0.0.2:2").payload([7; 3000]),
        udp("[fd00::1]:1 -> [fd00::2]:2").hop_by_hop().destination_options().payload([7; 3000]),
    ] {
        let fragments = packet.fragments(1024);
        let carried = |packet: &Packet| packet.bytes()[packet.offset_of(Layer::Transport)..].to_vec();
        let together: Vec<u8> = fragments.iter().flat_map(carried).collect();
        let whole = packet.bytes();
        assert_eq!(fragments.len(), 3);
        assert!(whole.ends_with(&together), "{fragments:?}");
        assert!(fragments.iter().all(|fragment| SlicedPacket::from_ethernet(&fragment.bytes()).is_ok()));
    }
}

#[test]
fn faults_apply_in_the_order_in_which_they_are_said() {
    let packet = udp("10.0.0.1:1 -> 10.0.0.2:2").patch(Layer::Network, 0, &[0x65]).truncate(15).pad(60);
    let bytes = packet.bytes();
    assert_eq!((bytes.len(), bytes[14], bytes[15]), (60, 0x65, 0));
}

#[test]
fn a_difference_names_the_header_and_marks_the_bytes() {
    let expected = tcp("10.0.0.1:1 -> 10.0.0.2:80").syn().bytes();
    let actual = tcp("10.0.0.1:1 -> 10.0.0.2:81").syn().bytes();
    assert_eq!(difference(&expected, &expected), None);
    let text = difference(&expected, &actual).unwrap();
    for part in ["expected tcp: 1 -> 80, [\"SYN\"]", "got tcp: 1 -> 81", "^^"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
#[should_panic(expected = "mixes IPv4 and IPv6")]
fn a_flow_of_two_families_is_refused() {
    let _ = tcp("10.0.0.1:1 -> [::1]:2");
}
