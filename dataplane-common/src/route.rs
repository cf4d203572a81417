//! Where packets go whose destination has no owner: prefixes, and the next hops that they lead to.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{IpAddress, LinkAddresses};

/// What is done with packets to a prefix. Destinations without a route are outside and masqueraded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Route {
    kind: u8,
    reserved: [u8; 3],
    next_hop: u32,
}

const _: () = assert!(size_of::<Route>() == 8);

/// The kinds of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RouteKind {
    /// Pods of another node.
    Remote = 1,
    /// Pods of this node: who is not in the table of owners does not exist.
    Local = 2,
    /// Outside, but not masqueraded: the receivers know a way to pods.
    Direct = 3,
}

/// A neighbour on a link, as the next stop of a packet. Index 0 is the way outside, where the kernel picks the
/// neighbour by its own routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NextHop {
    interface: u32,
    mtu: u16,
    flags: u16,
    link: LinkAddresses,
    address: IpAddress,
    reserved: u32,
}

const _: () = assert!(size_of::<NextHop>() == 40);

// === impl Route ===

impl Route {
    /// Pods of another node, by the next hop with this id.
    #[must_use]
    pub const fn remote(next_hop: u32) -> Self {
        Self { kind: RouteKind::Remote as u8, reserved: [0; 3], next_hop }
    }

    /// Pods of this node.
    #[must_use]
    pub const fn local() -> Self {
        Self { kind: RouteKind::Local as u8, reserved: [0; 3], next_hop: 0 }
    }

    /// Outside without masquerade.
    #[must_use]
    pub const fn direct() -> Self {
        Self { kind: RouteKind::Direct as u8, reserved: [0; 3], next_hop: NextHop::OUTSIDE }
    }

    /// What kind of route this is; nothing for a value that this version did not write.
    #[inline(always)]
    #[must_use]
    pub const fn kind(&self) -> Option<RouteKind> {
        match self.kind {
            1 => Some(RouteKind::Remote),
            2 => Some(RouteKind::Local),
            3 => Some(RouteKind::Direct),
            _ => None,
        }
    }

    /// The id of the next hop.
    #[inline(always)]
    #[must_use]
    pub const fn next_hop(&self) -> u32 {
        self.next_hop
    }
}

// === impl NextHop ===

impl NextHop {
    /// The id of the way outside.
    pub const OUTSIDE: u32 = 0;

    /// The hardware addresses are known; else the kernel finds them out.
    const RESOLVED: u16 = 1;

    /// The way outside: the kernel's own routes and neighbours decide, out of `interface`.
    #[must_use]
    pub const fn outside(interface: u32, mtu: u16) -> Self {
        Self { interface, mtu, flags: 0, link: NO_LINK, address: IpAddress::UNSPECIFIED, reserved: 0 }
    }

    /// A neighbour; `link`, once known, are the hardware addresses of a frame to it. `mtu` in bytes, without Ethernet.
    #[must_use]
    pub const fn neighbour(address: IpAddress, interface: u32, mtu: u16, link: Option<LinkAddresses>) -> Self {
        let (flags, link) = match link {
            Some(link) => (Self::RESOLVED, link),
            None => (0, NO_LINK),
        };
        Self { interface, mtu, flags, link, address, reserved: 0 }
    }

    /// The interface that packets leave by; 0 in an entry that is not in use.
    #[inline(always)]
    #[must_use]
    pub const fn interface(&self) -> u32 {
        self.interface
    }

    /// The largest packet for this way, in bytes.
    #[inline(always)]
    #[must_use]
    pub const fn mtu(&self) -> u16 {
        self.mtu
    }

    /// The hardware addresses of a frame to the neighbour, once known.
    #[inline(always)]
    #[must_use]
    pub const fn link(&self) -> Option<LinkAddresses> {
        if self.flags & Self::RESOLVED != 0 { Some(self.link) } else { None }
    }

    /// The neighbour's address.
    #[must_use]
    pub const fn address(&self) -> IpAddress {
        self.address
    }
}

const NO_LINK: LinkAddresses = LinkAddresses { destination: [0; 6], source: [0; 6] };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_tell_their_kind_and_zeros_are_none() {
        assert_eq!(Route::remote(3).kind(), Some(RouteKind::Remote));
        assert_eq!(Route::local().kind(), Some(RouteKind::Local));
        assert_eq!(Route::direct().kind(), Some(RouteKind::Direct));
        assert_eq!(Route::default().kind(), None);
    }

    #[test]
    fn a_next_hop_has_hardware_addresses_only_once_they_are_known() {
        let link = LinkAddresses { destination: [1; 6], source: [2; 6] };
        let address = IpAddress::v4([192, 168, 77, 12]);
        assert_eq!(NextHop::neighbour(address, 2, 1500, Some(link)).link(), Some(link));
        assert_eq!(NextHop::neighbour(address, 2, 1500, None).link(), None);
        assert_eq!(NextHop::outside(2, 1500).link(), None);
    }
}
