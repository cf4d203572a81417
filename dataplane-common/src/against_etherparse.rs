//! The packet views and the checksum arithmetic against an independent packet crate.

use etherparse::checksum::Sum16BitWords;
use etherparse::{
    IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6Header, PacketBuilder, PacketBuilderStep,
    TcpHeader, VlanId,
};
use proptest::collection::vec;
use proptest::prelude::*;
use zerocopy::network_endian::U16;

use crate::{
    ChecksumUpdate, EtherType, Family, Fragment, IpFamily, Ipv4, Ipv6, Link, Network, Outcome, PacketBytes, Protocol,
    Statistic, TcpFlags, Transport, checksum, classify,
};

/// What a packet's lower layers have in the tests.
#[derive(Clone, Debug)]
struct Headers {
    /// Up to two VLAN tags.
    tags: Vec<u16>,
    is_ipv6: bool,
    /// Addresses; IPv4 uses the first four bytes.
    source: [u8; 16],
    destination: [u8; 16],
    hops: u8,
    /// Words of IPv4 options.
    option_words: usize,
}

fn headers() -> impl Strategy<Value = Headers> {
    let tags = vec(0..0x1000_u16, 0..=2);
    let addresses = any::<([u8; 16], [u8; 16])>();
    (tags, any::<bool>(), addresses, any::<u8>(), 0..=10_usize).prop_map(
        |(tags, is_ipv6, (source, destination), hops, option_words)| Headers {
            tags,
            is_ipv6,
            source,
            destination,
            hops,
            option_words,
        },
    )
}

// === impl Headers ===

impl Headers {
    fn builder(&self) -> PacketBuilderStep<IpHeaders> {
        let ethernet = PacketBuilder::ethernet2([1; 6], [2; 6]);
        let id = |number: u16| VlanId::try_new(number).unwrap();
        match self.tags[..] {
            [] => ethernet.ip(self.ip()),
            [one] => ethernet.single_vlan(id(one)).ip(self.ip()),
            [outer, inner, ..] => ethernet.double_vlan(id(outer), id(inner)).ip(self.ip()),
        }
    }

    fn ip(&self) -> IpHeaders {
        if self.is_ipv6 {
            let (source, destination) = (self.source, self.destination);
            let header = Ipv6Header { hop_limit: self.hops, source, destination, ..Ipv6Header::default() };
            return IpHeaders::Ipv6(header, Ipv6Extensions::default());
        }
        let addresses = [self.source, self.destination].map(|address| *address.first_chunk::<4>().unwrap());
        let mut header = Ipv4Header::new(0, self.hops, IpNumber::TCP, addresses[0], addresses[1]).unwrap();
        header.options = vec![1; self.option_words * 4].as_slice().try_into().unwrap();
        IpHeaders::Ipv4(header, Ipv4Extensions::default())
    }

    /// Checks all views of lower layers on the built frame, and gives the transport to `check`.
    fn check(&self, frame: &[u8], check: impl FnOnce(Transport<'_>)) {
        let link = Link::parse(frame).unwrap();
        assert_eq!(link.network, 14 + 4 * self.tags.len());
        if self.is_ipv6 {
            assert_eq!(link.ethertype, EtherType::IPV6);
            let network = self.check_network::<Ipv6>(frame, link, self.source, self.destination);
            assert_eq!(network.header.hop_limit(), self.hops);
            check(Transport::parse(frame, &network).unwrap());
        } else {
            assert_eq!(link.ethertype, EtherType::IPV4);
            let [source, destination] = [self.source, self.destination].map(|address| *address.first_chunk().unwrap());
            let network = self.check_network::<Ipv4>(frame, link, source, destination);
            assert_eq!(network.header.time_to_live(), self.hops);
            assert_eq!(network.header.header_length(), 20 + 4 * self.option_words);
            check(Transport::parse(frame, &network).unwrap());
        }
    }

    fn check_network<'a, F: IpFamily<Address: std::fmt::Debug>>(
        &self,
        frame: &'a [u8],
        link: Link,
        source: F::Address,
        destination: F::Address,
    ) -> Network<'a, F> {
        let network = F::parse(frame, link.network).unwrap();
        assert_eq!((F::source(network.header), F::destination(network.header)), (source, destination));
        assert_eq!((network.fragment, network.end), (Fragment::Whole, frame.len()));
        network
    }

    fn family(&self) -> Family {
        if self.is_ipv6 { Family::Ipv6 } else { Family::Ipv4 }
    }
}

proptest! {
    #[test]
    fn tcp_reads_as_it_was_built(
        headers in headers(),
        ports in any::<(u16, u16)>(),
        numbers in any::<(u32, u32)>(),
        flags in any::<(bool, bool, bool, bool, bool)>(),
        option_words in 0..=10_usize,
        data in vec(any::<u8>(), 0..64),
    ) {
        let mut built = TcpHeader::new(ports.0, ports.1, numbers.0, 0xffff);
        built.acknowledgment_number = numbers.1;
        (built.fin, built.syn, built.rst, built.psh, built.ack) = flags;
        built.set_options_raw(&vec![1; option_words * 4]).unwrap();
        let mut frame = Vec::new();
        headers.builder().tcp_header(built).write(&mut frame, &data).unwrap();
        headers.check(&frame, |transport| {
            let Transport::Tcp(tcp) = transport else { panic!("{transport:?}") };
            assert_eq!((tcp.source(), tcp.destination()), ports);
            assert_eq!((tcp.sequence(), tcp.acknowledgement()), numbers);
            assert_eq!(tcp.header_length(), 20 + option_words * 4);
            let has = |flag| tcp.flags().contains(flag);
            let found = (has(TcpFlags::FIN), has(TcpFlags::SYN), has(TcpFlags::RST), has(TcpFlags::PSH), has(TcpFlags::ACK));
            assert_eq!(found, flags);
        });
        let expected = Statistic { family: headers.family(), protocol: Protocol::Tcp, outcome: Outcome::Transport };
        prop_assert_eq!(classify(frame.as_slice()), expected);
    }

    #[test]
    fn udp_reads_as_it_was_built(headers in headers(), ports in any::<(u16, u16)>(), data in vec(any::<u8>(), 0..64)) {
        let mut frame = Vec::new();
        headers.builder().udp(ports.0, ports.1).write(&mut frame, &data).unwrap();
        headers.check(&frame, |transport| {
            let Transport::Udp(udp) = transport else { panic!("{transport:?}") };
            assert_eq!((udp.source(), udp.destination(), udp.length()), (ports.0, ports.1, 8 + data.len()));
        });
    }

    #[test]
    fn icmp_reads_as_it_was_built(headers in headers(), id in any::<u16>(), sequence in any::<u16>()) {
        let (mut frame, is_ipv6) = (Vec::new(), headers.is_ipv6);
        let builder = headers.builder();
        if is_ipv6 {
            builder.icmpv6_echo_request(id, sequence).write(&mut frame, b"ping").unwrap();
        } else {
            builder.icmpv4_echo_request(id, sequence).write(&mut frame, b"ping").unwrap();
        }
        let [[a, b], [c, d]] = [id.to_be_bytes(), sequence.to_be_bytes()];
        headers.check(&frame, |transport| match transport {
            Transport::Icmpv4(icmp) if !is_ipv6 => {
                assert_eq!((icmp.message_type(), icmp.code(), icmp.rest()), (8, 0, [a, b, c, d]));
            }
            Transport::Icmpv6(icmp) if is_ipv6 => {
                assert_eq!((icmp.message_type(), icmp.code(), icmp.rest()), (128, 0, [a, b, c, d]));
            }
            other => panic!("{other:?}"),
        });
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in vec(any::<u8>(), 0..256), ethertype in any::<Option<bool>>()) {
        let mut bytes = bytes;
        if let (Some(is_ipv6), true) = (ethertype, bytes.len() > 14) {
            bytes[12..14].copy_from_slice(if is_ipv6 { &[0x86, 0xdd] } else { &[0x08, 0x00] });
            bytes[14] = bytes[14] & 0x0f | if is_ipv6 { 0x60 } else { 0x40 };
        }
        prop_assert!((classify(bytes.as_slice()).index() as usize) < Statistic::COUNT);
    }

    #[test]
    fn a_slice_is_read_only_within_its_bounds(bytes in vec(any::<u8>(), 0..64), offset in 0..80_usize) {
        let fits = offset + 4 <= bytes.len();
        prop_assert_eq!(bytes.as_slice().read::<[u8; 4]>(offset).is_some(), fits);
        prop_assert_eq!(bytes.as_slice().has(offset + 4), fits);
    }

    #[test]
    fn checksums_are_those_of_the_crate(bytes in vec(any::<u8>(), 0..128)) {
        let expected = Sum16BitWords::new().add_slice(&bytes).ones_complement().to_be();
        prop_assert_eq!(checksum(&bytes), expected);
    }

    #[test]
    fn an_updated_ipv4_checksum_is_the_computed_one(headers in headers(), new in any::<[u8; 4]>(), hops in any::<u8>()) {
        let IpHeaders::Ipv4(mut header, _) = (Headers { is_ipv6: false, ..headers }).ip() else { unreachable!() };
        let old_checksum = U16::new(header.calc_header_checksum());
        let update = ChecksumUpdate::new()
            .replace(header.source, new)
            .replace([header.time_to_live, header.protocol.0], [hops, header.protocol.0]);
        (header.source, header.time_to_live) = (new, hops);
        prop_assert_eq!(update.apply(old_checksum).get(), header.calc_header_checksum());
    }

    #[test]
    fn an_updated_transport_checksum_is_the_computed_one(
        headers in headers(),
        ports in any::<(u16, u16)>(),
        address in any::<[u8; 16]>(),
        port in any::<u16>(),
        data in vec(any::<u8>(), 0..64),
        is_udp in any::<bool>(),
    ) {
        let build = |headers: &Headers, ports: (u16, u16)| {
            let (mut frame, builder) = (Vec::new(), headers.builder());
            if is_udp {
                builder.udp(ports.0, ports.1).write(&mut frame, &data).unwrap();
            } else {
                builder.tcp(ports.0, ports.1, 7, 9).write(&mut frame, &data).unwrap();
            }
            frame
        };
        let checksum_of = |headers: &Headers, frame: &[u8]| {
            let mut found = 0;
            headers.check(frame, |transport| {
                found = match transport {
                    Transport::Tcp(tcp) => tcp.checksum(),
                    Transport::Udp(udp) => udp.checksum(),
                    other => panic!("{other:?}"),
                };
            });
            U16::new(found)
        };
        let translated = Headers { destination: address, ..headers.clone() };
        let before = checksum_of(&headers, &build(&headers, ports));
        let after = checksum_of(&translated, &build(&translated, (ports.0, port)));
        let update = ChecksumUpdate::new().replace(ports.1.to_be_bytes(), port.to_be_bytes());
        let update = if headers.is_ipv6 {
            update.replace(headers.destination, address)
        } else {
            update.replace(*headers.destination.first_chunk::<4>().unwrap(), *address.first_chunk::<4>().unwrap())
        };
        let updated = if is_udp { update.apply_udp(before) } else { update.apply(before) };
        prop_assert_eq!(updated, after);
    }
}
