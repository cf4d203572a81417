//! What is counted per packet: keys and values of the kernel's counters.

use core::fmt;

use crate::{Malformed, Outcome};

/// One counter's key: family, protocol and outcome of a frame.
///
/// The kernel keeps the counters in an array, because every key is known beforehand; [`Statistic::index`] is the
/// position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Statistic {
    /// The network protocol.
    pub family: Family,
    /// The transport protocol.
    pub protocol: Protocol,
    /// How far the frame could be read.
    pub outcome: Outcome,
}

/// A frame's network protocol, as its EtherType says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    /// Neither version of IP, or unknown because the frame ends too early.
    Other = 0,
    /// IPv4.
    Ipv4 = 1,
    /// IPv6.
    Ipv6 = 2,
}

/// A packet's transport protocol, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Protocol {
    /// Unknown: not IP, or the network header cannot be read.
    Unknown = 0,
    /// TCP.
    Tcp = 1,
    /// UDP.
    Udp = 2,
    /// ICMP in IPv4.
    Icmpv4 = 3,
    /// ICMPv6 in IPv6.
    Icmpv6 = 4,
    /// Any other.
    Other = 5,
}

/// How many packets one counter has seen, on one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct PacketCount(u64);

const _: () = assert!(size_of::<PacketCount>() == 8);

// === impl Statistic ===

impl Statistic {
    /// How many counters there are: the length of the kernel's array.
    pub const COUNT: usize = Family::ALL.len() * Protocol::ALL.len() * Outcome::COUNT;

    /// The key of a frame that could not be read up to its network header, or that is not IP.
    #[inline(always)]
    #[must_use]
    pub const fn link(outcome: Outcome) -> Self {
        Self { family: Family::Other, protocol: Protocol::Unknown, outcome }
    }

    /// The key of a packet whose network header cannot be read.
    #[inline(always)]
    #[must_use]
    pub const fn network(family: Family, malformed: Malformed) -> Self {
        Self { family, protocol: Protocol::Unknown, outcome: Outcome::Malformed(malformed) }
    }

    /// The position in the kernel's array, below [`Statistic::COUNT`].
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a few hundred counters")]
    pub const fn index(self) -> u32 {
        let row = self.family as usize * Protocol::ALL.len() + self.protocol as usize;
        (row * Outcome::COUNT + self.outcome.code() as usize) as u32
    }

    /// Every key, in the order of their positions.
    pub fn all() -> impl Iterator<Item = Self> {
        Family::ALL.into_iter().flat_map(|family| {
            Protocol::ALL
                .into_iter()
                .flat_map(move |protocol| Outcome::all().map(move |outcome| Self { family, protocol, outcome }))
        })
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.family.label(), self.protocol.label(), self.outcome.label())
    }
}

// === impl Family ===

impl Family {
    /// Every variant, in the order of their codes.
    pub const ALL: [Self; 3] = [Self::Other, Self::Ipv4, Self::Ipv6];

    /// The name in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

// === impl Protocol ===

impl Protocol {
    /// Every variant, in the order of their codes.
    pub const ALL: [Self; 6] = [Self::Unknown, Self::Tcp, Self::Udp, Self::Icmpv4, Self::Icmpv6, Self::Other];

    /// The name in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmpv4 => "icmp",
            Self::Icmpv6 => "icmpv6",
            Self::Other => "other",
        }
    }
}

// === impl PacketCount ===

impl PacketCount {
    /// Counts one packet. A CPU's counter has one writer at a time: the program that runs there.
    #[inline(always)]
    pub const fn increment(&mut self) {
        self.0 = self.0.wrapping_add(1);
    }

    /// The number of packets.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl core::iter::Sum for PacketCount {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, count| Self(sum.0.wrapping_add(count.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_own_position_below_the_count() {
        assert_eq!(Statistic::all().count(), Statistic::COUNT);
        for (position, statistic) in Statistic::all().enumerate() {
            assert_eq!(statistic.index() as usize, position, "{statistic}");
        }
    }

    #[test]
    fn the_page_on_maps_describes_the_index_and_every_outcome() {
        let page = include_str!("../../docs/maps.md");
        let (protocols, outcomes) = (Protocol::ALL.len(), Outcome::COUNT);
        let index = format!("`(family * {protocols} + protocol) * {outcomes} + outcome`");
        let entries = format!(
            "| {} ({} families x {protocols} protocols x {outcomes} outcomes) |",
            Statistic::COUNT,
            Family::ALL.len()
        );
        assert!(page.contains(&index) && page.contains(&entries), "{index} {entries}");
        for outcome in Outcome::all() {
            let row = format!("| {} `{}` | ", outcome.code(), outcome.label());
            let description = match outcome {
                Outcome::Malformed(malformed) => malformed.description(),
                _ => "",
            };
            assert!(page.contains(&format!("{row}{description}")), "{row}{description}");
        }
    }

    #[test]
    fn counts_of_several_cpus_add_up() {
        let mut count = PacketCount::default();
        count.increment();
        assert_eq!([count, count, PacketCount::default()].into_iter().sum::<PacketCount>().get(), 2);
    }
}
