//! How far a frame could be read: every case, once.

use crate::Malformed;

/// What the parser found at the end of a frame's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// A whole packet with a TCP, UDP, ICMP or ICMPv6 header.
    Transport,
    /// The first fragment of a packet; its transport header, if it is one we read, is whole.
    FirstFragment,
    /// A further fragment, which has no transport header.
    LaterFragment,
    /// A whole IP packet of a protocol that we do not read, or without any (IPv6's "no next header").
    OtherProtocol,
    /// Not IP: ARP, LLDP, 802.3 with a length instead of an EtherType, ...
    NotIp,
    /// The frame cannot be read.
    Malformed(Malformed),
}

// === impl Outcome ===

impl Outcome {
    /// How many outcomes there are.
    pub const COUNT: usize = Self::WELL_FORMED.len() + Malformed::ALL.len();

    /// The outcomes of frames that could be read, in the order of their codes.
    const WELL_FORMED: [Self; 5] =
        [Self::Transport, Self::FirstFragment, Self::LaterFragment, Self::OtherProtocol, Self::NotIp];

    /// Every outcome, in the order of their codes.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::WELL_FORMED.into_iter().chain(Malformed::ALL.into_iter().map(Self::Malformed))
    }

    /// The stable code, below [`Outcome::COUNT`].
    #[inline(always)]
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Transport => 0,
            Self::FirstFragment => 1,
            Self::LaterFragment => 2,
            Self::OtherProtocol => 3,
            Self::NotIp => 4,
            Self::Malformed(malformed) => 5 + malformed.code(),
        }
    }

    /// The name in metrics: lower case, words joined by `_`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Transport => "transport",
            Self::FirstFragment => "first_fragment",
            Self::LaterFragment => "later_fragment",
            Self::OtherProtocol => "other_protocol",
            Self::NotIp => "not_ip",
            Self::Malformed(malformed) => malformed.label(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_positions_in_the_list() {
        for (position, outcome) in Outcome::all().enumerate() {
            assert_eq!(usize::from(outcome.code()), position, "{outcome:?}");
        }
        assert_eq!(Outcome::all().count(), Outcome::COUNT);
    }
}
