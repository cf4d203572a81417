//! The network layer of a test packet: IPv4 with options, IPv6 with extension headers.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::checksum::Sum16BitWords;

use super::Packet;

/// Numbers of IPv6 extension headers.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// What a frame carries.
#[derive(Clone, Debug)]
pub(super) enum Network {
    Ipv4(Ipv4),
    Ipv6(Ipv6),
    /// Not IP: only the EtherType.
    Other(u16),
}

/// An IPv4 header; length and checksum are computed.
#[derive(Clone, Debug)]
pub(super) struct Ipv4 {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    traffic_class: u8,
    pub(super) identification: u16,
    dont_fragment: bool,
    pub(super) more_fragments: bool,
    /// In bytes, a multiple of 8.
    pub(super) fragment_offset: usize,
    time_to_live: u8,
    options: Vec<u8>,
}

/// An IPv6 header with its extension headers; lengths and the chain of numbers are computed.
#[derive(Clone, Debug)]
pub(super) struct Ipv6 {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    traffic_class: u8,
    flow_label: u32,
    hop_limit: u8,
    pub(super) extensions: Vec<Extension>,
}

/// An extension header: its number, and all its bytes but the first, which is the next header's number.
#[derive(Clone, Debug)]
pub(super) struct Extension {
    pub(super) number: u8,
    pub(super) rest: Vec<u8>,
}

// === impl Packet ===

impl Packet {
    /// How many routers may pass the packet on: IPv4's time to live, IPv6's hop limit. 64 unless said otherwise.
    #[track_caller]
    #[must_use]
    pub fn ttl(mut self, hops: u8) -> Self {
        match &mut self.network {
            Network::Ipv4(header) => header.time_to_live = hops,
            Network::Ipv6(header) => header.hop_limit = hops,
            Network::Other(_) => panic!("a frame that is not IP has no time to live"),
        }
        self
    }

    /// The byte that IPv4 calls type of service and IPv6 traffic class: six bits of DSCP, two of ECN.
    #[track_caller]
    #[must_use]
    pub fn traffic_class(mut self, class: u8) -> Self {
        match &mut self.network {
            Network::Ipv4(header) => header.traffic_class = class,
            Network::Ipv6(header) => header.traffic_class = class,
            Network::Other(_) => panic!("a frame that is not IP has no traffic class"),
        }
        self
    }

    /// IPv6's flow label, 20 bits.
    #[track_caller]
    #[must_use]
    pub fn flow_label(mut self, label: u32) -> Self {
        self.ipv6().flow_label = label & 0xf_ffff;
        self
    }

    /// IPv4's "don't fragment".
    #[track_caller]
    #[must_use]
    pub fn dont_fragment(mut self) -> Self {
        self.ipv4().dont_fragment = true;
        self
    }

    /// IPv4's identification, which all fragments of a packet share.
    #[track_caller]
    #[must_use]
    pub fn identification(mut self, identification: u16) -> Self {
        self.ipv4().identification = identification;
        self
    }

    /// IPv4's options, padded with "end of options" to whole words; at most 40 bytes.
    #[track_caller]
    #[must_use]
    pub fn ip_options(mut self, options: &[u8]) -> Self {
        assert!(options.len() <= 40, "IPv4 has room for 40 bytes of options, not {}", options.len());
        let mut padded = options.to_vec();
        padded.resize(options.len().next_multiple_of(4), 0);
        self.ipv4().options = padded;
        self
    }

    /// Makes the packet claim to be a fragment, `offset` bytes into its original, without splitting anything.
    ///
    /// IPv6 gets a fragment header behind the extension headers that were said before. See [`Packet::fragments`] for
    /// really splitting a packet.
    #[track_caller]
    #[must_use]
    pub fn fragment(mut self, offset: usize, more: bool) -> Self {
        assert!(offset.is_multiple_of(8), "fragment offsets are multiples of 8 bytes, {offset} is not");
        match &mut self.network {
            Network::Ipv4(header) => {
                header.fragment_offset = offset;
                header.more_fragments = more;
            }
            Network::Ipv6(header) => header.extensions.push(Extension::fragment(offset, more)),
            Network::Other(_) => panic!("a frame that is not IP has no fragments"),
        }
        self
    }

    /// Adds an IPv6 hop-by-hop header of 8 bytes with nothing but padding.
    #[track_caller]
    #[must_use]
    pub fn hop_by_hop(self) -> Self {
        self.extension(HOP_BY_HOP, &Extension::PADDING)
    }

    /// Adds IPv6 destination options of 8 bytes with nothing but padding.
    #[track_caller]
    #[must_use]
    pub fn destination_options(self) -> Self {
        self.extension(DESTINATION_OPTIONS, &Extension::PADDING)
    }

    /// Adds an IPv6 routing header of 24 bytes with one address, all segments visited.
    #[track_caller]
    #[must_use]
    pub fn routing(self) -> Self {
        let mut rest = vec![2, 0, 0, 0, 0, 0, 0];
        rest.extend(Ipv6Addr::LOCALHOST.octets());
        self.extension(ROUTING, &rest)
    }

    /// Adds an IPv6 authentication header of 24 bytes (RFC 4302: its length counts words of 4 bytes, less two).
    #[track_caller]
    #[must_use]
    pub fn authentication(self) -> Self {
        let mut rest = vec![4];
        rest.resize(23, 0);
        self.extension(AUTHENTICATION, &rest)
    }

    /// Adds any IPv6 extension header; `rest` is all of it but its first byte, the next header's number.
    #[track_caller]
    #[must_use]
    pub fn extension(mut self, number: u8, rest: &[u8]) -> Self {
        self.ipv6().extensions.push(Extension { number, rest: rest.to_vec() });
        self
    }

    #[track_caller]
    fn ipv4(&mut self) -> &mut Ipv4 {
        match &mut self.network {
            Network::Ipv4(header) => header,
            Network::Ipv6(_) | Network::Other(_) => panic!("only an IPv4 packet has this"),
        }
    }

    #[track_caller]
    fn ipv6(&mut self) -> &mut Ipv6 {
        match &mut self.network {
            Network::Ipv6(header) => header,
            Network::Ipv4(_) | Network::Other(_) => panic!("only an IPv6 packet has this"),
        }
    }
}

// === impl Network ===

impl Network {
    pub(super) const fn ethertype(&self) -> u16 {
        match self {
            Self::Ipv4(_) => 0x0800,
            Self::Ipv6(_) => 0x86dd,
            Self::Other(ethertype) => *ethertype,
        }
    }

    /// The length of the header with options or extension headers.
    pub(super) fn header_length(&self) -> usize {
        match self {
            Self::Ipv4(header) => 20 + header.options.len(),
            Self::Ipv6(header) => 40 + header.extensions.iter().map(Extension::length).sum::<usize>(),
            Self::Other(_) => 0,
        }
    }

    /// Where headers end, counted from the first byte of this layer.
    pub(super) fn boundaries(&self) -> Vec<usize> {
        match self {
            Self::Ipv4(_) => vec![20, self.header_length()],
            Self::Ipv6(header) => {
                let mut end = 40;
                let extensions = header.extensions.iter().map(|extension| {
                    end += extension.length();
                    end
                });
                [40].into_iter().chain(extensions.collect::<Vec<_>>()).collect()
            }
            Self::Other(_) => Vec::new(),
        }
    }

    /// The layer with what it carries, which is of the given protocol.
    #[track_caller]
    pub(super) fn bytes(&self, protocol: u8, carried: &[u8]) -> Vec<u8> {
        match self {
            Self::Ipv4(header) => header.bytes(protocol, carried),
            Self::Ipv6(header) => header.bytes(protocol, carried),
            Self::Other(_) => carried.to_vec(),
        }
    }

    /// The sum over the pseudo header (RFC 9293 section 3.1, RFC 8200 section 8.1), to which the segment is added.
    #[track_caller]
    pub(super) fn pseudo_header(&self, protocol: u8, length: usize) -> Sum16BitWords {
        let sum = match self {
            Self::Ipv4(header) => {
                Sum16BitWords::new().add_slice(&header.source.octets()).add_slice(&header.destination.octets())
            }
            Self::Ipv6(header) => {
                Sum16BitWords::new().add_slice(&header.source.octets()).add_slice(&header.destination.octets())
            }
            Self::Other(_) => panic!("a frame that is not IP has no pseudo header"),
        };
        sum.add_2bytes([0, protocol]).add_2bytes(sixteen_bits(length).to_be_bytes())
    }
}

/// A length as a header's field has it.
#[track_caller]
pub(super) fn sixteen_bits(length: usize) -> u16 {
    match u16::try_from(length) {
        Ok(length) => length,
        Err(_) => panic!("a length of {length} bytes does not fit its field of 16 bits"),
    }
}

// === impl Ipv4 ===

impl Ipv4 {
    pub(super) const fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self {
            source,
            destination,
            traffic_class: 0,
            identification: 0,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset: 0,
            time_to_live: 64,
            options: Vec::new(),
        }
    }

    #[track_caller]
    fn bytes(&self, protocol: u8, carried: &[u8]) -> Vec<u8> {
        let length = 20 + self.options.len();
        let words = sixteen_bits(length / 4).to_be_bytes()[1];
        let flags = u16::from(self.dont_fragment) << 14 | u16::from(self.more_fragments) << 13;
        let mut bytes = vec![0x40 | words, self.traffic_class];
        bytes.extend(sixteen_bits(length + carried.len()).to_be_bytes());
        bytes.extend(self.identification.to_be_bytes());
        bytes.extend((flags | sixteen_bits(self.fragment_offset / 8)).to_be_bytes());
        bytes.extend([self.time_to_live, protocol, 0, 0]);
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        bytes.extend(&self.options);
        // The crate sums bytes as they lie in memory.
        let checksum = Sum16BitWords::new().add_slice(&bytes).ones_complement();
        bytes[10..12].copy_from_slice(&checksum.to_ne_bytes());
        bytes.extend(carried);
        bytes
    }
}

// === impl Ipv6 ===

impl Ipv6 {
    pub(super) const fn new(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self { source, destination, traffic_class: 0, flow_label: 0, hop_limit: 64, extensions: Vec::new() }
    }

    #[track_caller]
    fn bytes(&self, protocol: u8, carried: &[u8]) -> Vec<u8> {
        let extensions: usize = self.extensions.iter().map(Extension::length).sum();
        let numbers: Vec<u8> = self.extensions.iter().map(|extension| extension.number).chain([protocol]).collect();
        let mut bytes = (6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label).to_be_bytes().to_vec();
        bytes.extend(sixteen_bits(extensions + carried.len()).to_be_bytes());
        bytes.extend([numbers[0], self.hop_limit]);
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        for (extension, next) in self.extensions.iter().zip(&numbers[1..]) {
            bytes.push(*next);
            bytes.extend(&extension.rest);
        }
        bytes.extend(carried);
        bytes
    }
}

// === impl Extension ===

impl Extension {
    /// Options of one unit of 8 bytes: length 0, then PadN over the rest.
    const PADDING: [u8; 7] = [0, 1, 4, 0, 0, 0, 0];

    pub(super) fn fragment(offset: usize, more: bool) -> Self {
        let field = sixteen_bits(offset) | u16::from(more);
        let mut rest = vec![0];
        rest.extend(field.to_be_bytes());
        rest.extend(0x5eea_u32.to_be_bytes());
        Self { number: FRAGMENT, rest }
    }

    pub(super) const fn length(&self) -> usize {
        1 + self.rest.len()
    }

    /// Whether the header stays in every fragment rather than being split with the rest (RFC 8200 section 4.5).
    pub(super) const fn is_unfragmentable(&self) -> bool {
        matches!(self.number, HOP_BY_HOP | ROUTING)
    }
}
