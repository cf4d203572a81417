//! Why a frame cannot be read any further.

/// What is wrong with a frame. Codes are stable: they stand in map indices and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Malformed {
    /// The frame ends within its Ethernet header.
    TruncatedEthernet = 0,
    /// The frame ends within a VLAN tag.
    TruncatedVlan = 1,
    /// The frame has more VLAN tags than the two of IEEE 802.1ad.
    TooManyVlanTags = 2,
    /// The frame ends within the fixed part of its IP header.
    TruncatedIp = 3,
    /// The IP version is not the one that the EtherType promises.
    BadIpVersion = 4,
    /// The IPv4 header length is below its minimum of five words (RFC 791 section 3.1).
    BadIpHeaderLength = 5,
    /// The frame ends within the IPv4 options.
    TruncatedIpOptions = 6,
    /// The IPv4 total length is smaller than the header.
    BadIpLength = 7,
    /// The frame ends before the length that its IP header promises.
    TruncatedIpPayload = 8,
    /// The packet ends within an IPv6 extension header.
    TruncatedExtension = 9,
    /// A hop-by-hop header that is not the first, or a second fragment header (RFC 8200 section 4.1).
    MisplacedExtension = 10,
    /// More IPv6 extension headers than anyone sends.
    TooManyExtensions = 11,
    /// The packet ends within its transport header, TCP options included.
    TruncatedTransport = 12,
    /// The TCP data offset is below its minimum of five words (RFC 9293 section 3.1).
    BadTcpHeaderLength = 13,
    /// The UDP length is smaller than its header, or larger than what carries it (RFC 768).
    BadUdpLength = 14,
}

// === impl Malformed ===

impl Malformed {
    /// Every variant, in the order of their codes.
    pub const ALL: [Self; 15] = [
        Self::TruncatedEthernet,
        Self::TruncatedVlan,
        Self::TooManyVlanTags,
        Self::TruncatedIp,
        Self::BadIpVersion,
        Self::BadIpHeaderLength,
        Self::TruncatedIpOptions,
        Self::BadIpLength,
        Self::TruncatedIpPayload,
        Self::TruncatedExtension,
        Self::MisplacedExtension,
        Self::TooManyExtensions,
        Self::TruncatedTransport,
        Self::BadTcpHeaderLength,
        Self::BadUdpLength,
    ];

    /// The stable code, which is also the position in [`Malformed::ALL`].
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The name in metrics: lower case, words joined by `_`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TruncatedEthernet => "truncated_ethernet",
            Self::TruncatedVlan => "truncated_vlan",
            Self::TooManyVlanTags => "too_many_vlan_tags",
            Self::TruncatedIp => "truncated_ip",
            Self::BadIpVersion => "bad_ip_version",
            Self::BadIpHeaderLength => "bad_ip_header_length",
            Self::TruncatedIpOptions => "truncated_ip_options",
            Self::BadIpLength => "bad_ip_length",
            Self::TruncatedIpPayload => "truncated_ip_payload",
            Self::TruncatedExtension => "truncated_extension",
            Self::MisplacedExtension => "misplaced_extension",
            Self::TooManyExtensions => "too_many_extensions",
            Self::TruncatedTransport => "truncated_transport",
            Self::BadTcpHeaderLength => "bad_tcp_header_length",
            Self::BadUdpLength => "bad_udp_length",
        }
    }

    /// One sentence for people: what is wrong with the frame.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::TruncatedEthernet => "the frame ends within its Ethernet header",
            Self::TruncatedVlan => "the frame ends within a VLAN tag",
            Self::TooManyVlanTags => "the frame has more than two VLAN tags",
            Self::TruncatedIp => "the frame ends within its IP header",
            Self::BadIpVersion => "the IP version is not the one that the EtherType promises",
            Self::BadIpHeaderLength => "the IPv4 header length is below five words",
            Self::TruncatedIpOptions => "the frame ends within the IPv4 options",
            Self::BadIpLength => "the IPv4 total length is smaller than the header",
            Self::TruncatedIpPayload => "the frame ends before the length that its IP header promises",
            Self::TruncatedExtension => "the packet ends within an IPv6 extension header",
            Self::MisplacedExtension => "an IPv6 hop-by-hop header is not the first, or a fragment header is repeated",
            Self::TooManyExtensions => "the packet has more than eight IPv6 extension headers",
            Self::TruncatedTransport => "the packet ends within its transport header",
            Self::BadTcpHeaderLength => "the TCP data offset is below five words",
            Self::BadUdpLength => "the UDP length does not fit what carries it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_positions_in_the_list() {
        for (position, malformed) in Malformed::ALL.iter().enumerate() {
            assert_eq!(usize::from(malformed.code()), position, "{malformed:?}");
        }
    }
}
