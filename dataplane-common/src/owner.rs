//! Who has an address: the table that every packet is looked up in.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::LinkAddresses;

/// What an address belongs to, by exact match; addresses without an owner go by [`crate::Route`].
///
/// A pod's entry is what lets it send (its source address is checked against it) and be reached. Without one a pod's
/// interface passes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Owner {
    kind: u8,
    flags: u8,
    mtu: u16,
    interface: u32,
    link: LinkAddresses,
    next_hop: u32,
    endpoint: u32,
    /// What network policy tells pods apart by; 0 until there is policy.
    identity: u32,
    /// Read on each packet and compared with the flow entry's, so that a change of policy needs no scan.
    policy_generation: u32,
    first_port: u16,
    last_port: u16,
}

const _: () = assert!(size_of::<Owner>() == 40);

/// The kinds of owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum OwnerKind {
    /// A pod on this node, behind a veth pair.
    Pod = 1,
    /// This node itself.
    Host = 2,
    /// Another node itself: reached by its next hop, never translated.
    Node = 3,
}

// === impl Owner ===

impl Owner {
    /// A pod on this node. `link` are the hardware addresses of a frame to the pod; `mtu` that of its interface, in
    /// bytes without the Ethernet header.
    #[must_use]
    pub const fn pod(endpoint: u32, interface: u32, link: LinkAddresses, mtu: u16) -> Self {
        Self { kind: OwnerKind::Pod as u8, mtu, interface, link, endpoint, ..Self::EMPTY }
    }

    /// This node. Packets to it with a destination port within `masquerade` (first and last, both included) may be
    /// replies to pods; (0, 0) says that none are.
    #[must_use]
    pub const fn host(interface: u32, masquerade: (u16, u16)) -> Self {
        let (first_port, last_port) = masquerade;
        Self { kind: OwnerKind::Host as u8, interface, first_port, last_port, ..Self::EMPTY }
    }

    /// Another node, reached by the next hop with this id.
    #[must_use]
    pub const fn node(next_hop: u32) -> Self {
        Self { kind: OwnerKind::Node as u8, next_hop, ..Self::EMPTY }
    }

    const EMPTY: Self = Self {
        kind: 0,
        flags: 0,
        mtu: 0,
        interface: 0,
        link: LinkAddresses { destination: [0; 6], source: [0; 6] },
        next_hop: 0,
        endpoint: 0,
        identity: 0,
        policy_generation: 0,
        first_port: 0,
        last_port: 0,
    };

    /// What kind of owner this is; nothing for a value that this version did not write.
    #[inline(always)]
    #[must_use]
    pub const fn kind(&self) -> Option<OwnerKind> {
        match self.kind {
            1 => Some(OwnerKind::Pod),
            2 => Some(OwnerKind::Host),
            3 => Some(OwnerKind::Node),
            _ => None,
        }
    }

    /// Whether this is the pod behind `interface`.
    #[inline(always)]
    #[must_use]
    pub const fn is_pod_behind(&self, interface: u32) -> bool {
        self.kind == OwnerKind::Pod as u8 && self.interface == interface
    }

    /// The index of a pod's host-side interface, or of the interface that has a node's address.
    #[inline(always)]
    #[must_use]
    pub const fn interface(&self) -> u32 {
        self.interface
    }

    /// The hardware addresses of a frame to the pod.
    #[inline(always)]
    #[must_use]
    pub const fn link(&self) -> LinkAddresses {
        self.link
    }

    /// The largest packet that the pod takes, in bytes.
    #[inline(always)]
    #[must_use]
    pub const fn mtu(&self) -> u16 {
        self.mtu
    }

    /// The id of another node's next hop.
    #[inline(always)]
    #[must_use]
    pub const fn next_hop(&self) -> u32 {
        self.next_hop
    }

    /// The pod's endpoint id.
    #[must_use]
    pub const fn endpoint(&self) -> u32 {
        self.endpoint
    }

    /// Whether a packet to this node with this destination port, or echo identifier, may be a reply to a pod.
    #[inline(always)]
    #[must_use]
    pub const fn is_masquerade_port(&self, port: u16) -> bool {
        self.first_port <= port && port <= self.last_port && self.last_port != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_known_by_its_interface_and_nobody_else_is() {
        let link = LinkAddresses { destination: [2; 6], source: [4; 6] };
        let pod = Owner::pod(7, 12, link, 1500);
        assert!(pod.is_pod_behind(12) && !pod.is_pod_behind(13));
        assert!(!Owner::host(12, (0, 0)).is_pod_behind(12));
        assert_eq!((pod.kind(), pod.endpoint(), pod.mtu()), (Some(OwnerKind::Pod), 7, 1500));
    }

    #[test]
    fn the_port_range_includes_both_ends_and_may_be_empty() {
        let host = Owner::host(1, (60000, 61000));
        for (port, within) in [(59999, false), (60000, true), (61000, true), (61001, false), (0, false)] {
            assert_eq!(host.is_masquerade_port(port), within, "{port}");
        }
        assert!(!Owner::host(1, (0, 0)).is_masquerade_port(0));
    }

    #[test]
    fn a_value_of_zeros_is_nobody() {
        assert_eq!(Owner::default().kind(), None);
    }
}
