//! Why a packet was dropped: the one list for kernel programs, metrics and documentation.

use crate::{Hook, Malformed};

/// The reason of a drop. Every drop has exactly one, and each is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// The frame cannot be read.
    Malformed(Malformed),
    /// Neither IP nor ARP.
    NotIp,
    /// A pod sent a VLAN tag.
    Vlan,
    /// A pod sent from an address that is not its own, or not yet.
    SourceAddress,
    /// To several receivers, which the pod network does not carry.
    Multicast,
    /// IPv6 with an IPv4-mapped address, which must not be on a wire (RFC 4942 section 2.2).
    MappedAddress,
    /// To a pod network of this node, where nobody has the address.
    NoEndpoint,
    /// No way leads to the destination.
    NoRoute,
    /// A later fragment came before the first, which says whose it is.
    UnknownFragment,
    /// An answer or an error about a flow that is not known.
    UnknownFlow,
    /// Masquerade cannot translate the protocol.
    Untranslatable,
    /// Every port that was tried towards the receiver is in use.
    PortsExhausted,
    /// The flow table is full.
    FlowTableFull,
    /// The kernel refused to change the packet.
    Rewrite,
}

// === impl DropReason ===

impl DropReason {
    /// Below it are the codes of [`Malformed`], with room for more.
    const FIRST: u8 = 32;

    /// One more than the highest code.
    const CODES: usize = Self::FIRST as usize + Self::WELL_FORMED.len();

    /// The length of the kernel's array of counters.
    pub const COUNT: usize = Hook::ALL.len() * Self::CODES;

    /// The reasons to drop what could be read, in the order of their codes.
    const WELL_FORMED: [Self; 13] = [
        Self::NotIp,
        Self::Vlan,
        Self::SourceAddress,
        Self::Multicast,
        Self::MappedAddress,
        Self::NoEndpoint,
        Self::NoRoute,
        Self::UnknownFragment,
        Self::UnknownFlow,
        Self::Untranslatable,
        Self::PortsExhausted,
        Self::FlowTableFull,
        Self::Rewrite,
    ];

    /// Every reason, in the order of their codes.
    pub fn all() -> impl Iterator<Item = Self> {
        Malformed::ALL.into_iter().map(Self::Malformed).chain(Self::WELL_FORMED)
    }

    /// The stable code, for events and counters.
    #[inline(always)]
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Malformed(malformed) => malformed.code(),
            Self::NotIp => Self::FIRST,
            Self::Vlan => Self::FIRST + 1,
            Self::SourceAddress => Self::FIRST + 2,
            Self::Multicast => Self::FIRST + 3,
            Self::MappedAddress => Self::FIRST + 4,
            Self::NoEndpoint => Self::FIRST + 5,
            Self::NoRoute => Self::FIRST + 6,
            Self::UnknownFragment => Self::FIRST + 7,
            Self::UnknownFlow => Self::FIRST + 8,
            Self::Untranslatable => Self::FIRST + 9,
            Self::PortsExhausted => Self::FIRST + 10,
            Self::FlowTableFull => Self::FIRST + 11,
            Self::Rewrite => Self::FIRST + 12,
        }
    }

    /// The position of a counter in the kernel's array.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a few counters")]
    pub const fn index(self, hook: Hook) -> u32 {
        (hook as usize * Self::CODES + self.code() as usize) as u32
    }

    /// The name in metrics: lower case, words joined by `_`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed(malformed) => malformed.label(),
            Self::NotIp => "not_ip",
            Self::Vlan => "vlan",
            Self::SourceAddress => "source_address",
            Self::Multicast => "multicast",
            Self::MappedAddress => "mapped_address",
            Self::NoEndpoint => "no_endpoint",
            Self::NoRoute => "no_route",
            Self::UnknownFragment => "unknown_fragment",
            Self::UnknownFlow => "unknown_flow",
            Self::Untranslatable => "untranslatable",
            Self::PortsExhausted => "ports_exhausted",
            Self::FlowTableFull => "flow_table_full",
            Self::Rewrite => "rewrite",
        }
    }

    /// One sentence for people.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Malformed(malformed) => malformed.description(),
            Self::NotIp => "the frame is neither IP nor ARP",
            Self::Vlan => "a pod sent a VLAN tag",
            Self::SourceAddress => "a pod sent from an address that is not its own",
            Self::Multicast => "the packet is for several receivers, which the pod network does not carry",
            Self::MappedAddress => "an IPv6 packet has an IPv4-mapped address",
            Self::NoEndpoint => "no pod of this node has the address",
            Self::NoRoute => "no way leads to the destination",
            Self::UnknownFragment => "a later fragment came before the first",
            Self::UnknownFlow => "an answer or an error speaks of a flow that is not known",
            Self::Untranslatable => "masquerade cannot translate the protocol",
            Self::PortsExhausted => "every port that was tried towards the receiver is in use",
            Self::FlowTableFull => "the flow table is full",
            Self::Rewrite => "the kernel refused to change the packet",
        }
    }
}

impl From<Malformed> for DropReason {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_and_labels_are_unique() {
        let codes: BTreeSet<u8> = DropReason::all().map(DropReason::code).collect();
        let labels: BTreeSet<&str> = DropReason::all().map(DropReason::label).collect();
        assert_eq!((codes.len(), labels.len()), (DropReason::all().count(), DropReason::all().count()));
    }

    #[test]
    fn codes_are_below_the_length_of_the_array() {
        assert!(DropReason::all().all(|reason| usize::from(reason.code()) < DropReason::CODES));
        assert!(Malformed::ALL.len() <= usize::from(DropReason::FIRST));
    }

    #[test]
    fn the_page_on_maps_describes_the_index_and_every_reason() {
        let page = include_str!("../../docs/maps.md");
        assert!(page.contains(&format!("`hook * {} + reason`", DropReason::CODES)));
        assert!(page.contains(&format!("| entries | {} |", DropReason::COUNT)));
        for reason in DropReason::WELL_FORMED {
            let row = format!("| {} `{}` | {} |", reason.code(), reason.label(), reason.description());
            assert!(page.contains(&row), "{row}");
        }
    }

    #[test]
    fn labels_are_metric_names_and_descriptions_are_sentences_without_a_full_stop() {
        for reason in DropReason::all() {
            assert!(reason.label().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{reason:?}");
            assert!(reason.description().contains(' ') && !reason.description().ends_with('.'), "{reason:?}");
        }
    }
}
