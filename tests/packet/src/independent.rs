//! What a frame is by an independent packet crate: our rules, but read with somebody else's code.

use dataplane_common::{Family, Malformed, Outcome, Protocol, Statistic};
use etherparse::err::{self, Layer, LenError};
use etherparse::{
    Ethernet2Slice, IpAuthHeaderSlice, IpNumber, Ipv4Slice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice, LenSource, SingleVlanSlice, TcpHeaderSlice, UdpHeaderSlice, UdpSlice, ether_type, ip_number,
};

/// Which part of a packet its network header says it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    First,
    Later,
}

/// The crate's reading of a frame; nothing where the crate does not offer what our rules need.
pub(crate) fn reading(frame: &[u8]) -> Option<Statistic> {
    let Ok(ethernet) = Ethernet2Slice::from_slice_without_fcs(frame) else {
        return Some(bad_link(Malformed::TruncatedEthernet));
    };
    let mut carried = ethernet.payload();
    for _ in 0..2 {
        if is_vlan(carried.ether_type) {
            let Ok(tag) = SingleVlanSlice::from_slice(carried.payload) else {
                return Some(bad_link(Malformed::TruncatedVlan));
            };
            carried = tag.payload();
        }
    }
    match carried.ether_type {
        ether_type::IPV4 => ipv4(carried.payload),
        ether_type::IPV6 => ipv6(carried.payload),
        other if is_vlan(other) => Some(bad_link(Malformed::TooManyVlanTags)),
        _ => Some(Statistic::link(Outcome::NotIp)),
    }
}

fn is_vlan(ethertype: etherparse::EtherType) -> bool {
    matches!(ethertype, ether_type::VLAN_TAGGED_FRAME | ether_type::PROVIDER_BRIDGING)
}

const fn bad_link(malformed: Malformed) -> Statistic {
    Statistic::link(Outcome::Malformed(malformed))
}

fn ipv4(bytes: &[u8]) -> Option<Statistic> {
    let bad = |malformed| Some(Statistic::network(Family::Ipv4, malformed));
    let ip = match Ipv4Slice::from_slice(bytes) {
        Ok(ip) => ip,
        Err(err::ipv4::SliceError::Header(err::ipv4::HeaderError::UnexpectedVersion { .. })) => {
            return bad(Malformed::BadIpVersion);
        }
        Err(err::ipv4::SliceError::Header(err::ipv4::HeaderError::HeaderLengthSmallerThanHeader { .. })) => {
            return bad(Malformed::BadIpHeaderLength);
        }
        Err(err::ipv4::SliceError::Len(LenError { layer: Layer::Ipv4Header, required_len, .. })) => {
            return bad(if required_len == 20 { Malformed::TruncatedIp } else { Malformed::TruncatedIpOptions });
        }
        Err(err::ipv4::SliceError::Len(LenError { layer: Layer::Ipv4Packet, len_source, .. })) => {
            let by_header = len_source == LenSource::Ipv4HeaderTotalLen;
            return bad(if by_header { Malformed::BadIpLength } else { Malformed::TruncatedIpPayload });
        }
        // The crate reads an authentication header in IPv4, we do not.
        Err(err::ipv4::SliceError::Len(_) | err::ipv4::SliceError::Exts(_)) => return None,
    };
    let header = ip.header();
    if header.protocol() == ip_number::AUTH {
        return None;
    }
    let part = Part::new(header.fragments_offset().value(), header.more_fragments());
    let protocol = header.protocol();
    Some(packet(Family::Ipv4, protocol, part, ip.payload().payload))
}

fn ipv6(bytes: &[u8]) -> Option<Statistic> {
    let bad = |malformed| Some(Statistic::network(Family::Ipv6, malformed));
    let header = match Ipv6HeaderSlice::from_slice(bytes) {
        Ok(header) => header,
        Err(err::ipv6::HeaderSliceError::Len(_)) => return bad(Malformed::TruncatedIp),
        Err(err::ipv6::HeaderSliceError::Content(_)) => return bad(Malformed::BadIpVersion),
    };
    let Some(carried) = bytes[40..].get(..usize::from(header.payload_length())) else {
        return bad(Malformed::TruncatedIpPayload);
    };
    match follow(header.next_header(), carried)? {
        Ok((number, part, rest)) => Some(packet(Family::Ipv6, number, part, rest)),
        Err(malformed) => bad(malformed),
    }
}

/// Where a chain of extension headers ends: the number and the bytes of what follows, and which part of a packet it is.
type ChainEnd<'a> = (IpNumber, Part, &'a [u8]);

/// Follows a chain, header by header: the crate's own walk reads data of later fragments as if it were headers.
fn follow(mut number: IpNumber, mut rest: &[u8]) -> Option<Result<ChainEnd<'_>, Malformed>> {
    let mut part = None;
    for position in 0.. {
        let is_extension = matches!(
            number,
            ip_number::IPV6_HOP_BY_HOP
                | ip_number::IPV6_ROUTE
                | ip_number::IPV6_DEST_OPTIONS
                | ip_number::IPV6_FRAG
                | ip_number::AUTH
        );
        match number {
            _ if !is_extension => break,
            _ if position == 8 => return Some(Err(Malformed::TooManyExtensions)),
            ip_number::IPV6_HOP_BY_HOP if position > 0 => return Some(Err(Malformed::MisplacedExtension)),
            ip_number::IPV6_FRAG if part.is_some() => return Some(Err(Malformed::MisplacedExtension)),
            ip_number::IPV6_FRAG => {
                let Ok(header) = Ipv6FragmentHeaderSlice::from_slice(rest) else {
                    return Some(Err(Malformed::TruncatedExtension));
                };
                let found = Part::new(header.fragment_offset().value(), header.more_fragments());
                (number, rest, part) = (header.next_header(), &rest[8..], Some(found));
                if found == Part::Later {
                    break;
                }
            }
            ip_number::AUTH => match IpAuthHeaderSlice::from_slice(rest) {
                Ok(header) => (number, rest) = (header.next_header(), &rest[header.slice().len()..]),
                Err(err::ip_auth::HeaderSliceError::Len(error)) if error.required_len > 12 => {
                    return Some(Err(Malformed::TruncatedExtension));
                }
                // The crate demands a sequence number, which the kernel does not look for either.
                Err(_) => return None,
            },
            _ => {
                let Ok(header) = Ipv6RawExtHeaderSlice::from_slice(rest) else {
                    return Some(Err(Malformed::TruncatedExtension));
                };
                (number, rest) = (header.next_header(), &rest[header.slice().len()..]);
            }
        }
    }
    Some(Ok((number, part.unwrap_or(Part::Whole), rest)))
}

fn packet(family: Family, number: IpNumber, part: Part, carried: &[u8]) -> Statistic {
    let protocol = match (number, family) {
        (ip_number::TCP, _) => Protocol::Tcp,
        (ip_number::UDP, _) => Protocol::Udp,
        (ip_number::ICMP, Family::Ipv4) => Protocol::Icmpv4,
        (ip_number::IPV6_ICMP, Family::Ipv6) => Protocol::Icmpv6,
        (_, _) => Protocol::Other,
    };
    let fault = match protocol {
        _ if part == Part::Later => None,
        Protocol::Tcp => tcp(carried),
        Protocol::Udp => udp(carried, part),
        Protocol::Icmpv4 | Protocol::Icmpv6 => (carried.len() < 8).then_some(Malformed::TruncatedTransport),
        Protocol::Other | Protocol::Unknown => None,
    };
    let outcome = match (fault, part, protocol) {
        (Some(fault), _, _) => Outcome::Malformed(fault),
        (None, Part::First, _) => Outcome::FirstFragment,
        (None, Part::Later, _) => Outcome::LaterFragment,
        (None, Part::Whole, Protocol::Other) => Outcome::OtherProtocol,
        (None, Part::Whole, _) => Outcome::Transport,
    };
    Statistic { family, protocol, outcome }
}

fn tcp(bytes: &[u8]) -> Option<Malformed> {
    match TcpHeaderSlice::from_slice(bytes) {
        Ok(_) => None,
        Err(err::tcp::HeaderSliceError::Len(_)) => Some(Malformed::TruncatedTransport),
        Err(err::tcp::HeaderSliceError::Content(_)) => Some(Malformed::BadTcpHeaderLength),
    }
}

fn udp(bytes: &[u8], part: Part) -> Option<Malformed> {
    let Ok(header) = UdpHeaderSlice::from_slice(bytes) else { return Some(Malformed::TruncatedTransport) };
    // The crate takes a length of 0 as "all of it", which is for jumbograms.
    let too_short = header.length() < 8;
    let too_long = part == Part::Whole && UdpSlice::from_slice(bytes).is_err();
    (too_short || too_long).then_some(Malformed::BadUdpLength)
}

// === impl Part ===

impl Part {
    fn new(offset: u16, more: bool) -> Self {
        match (offset, more) {
            (0, false) => Self::Whole,
            (0, true) => Self::First,
            (_, _) => Self::Later,
        }
    }
}
