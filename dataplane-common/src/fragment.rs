//! Which flow a fragment belongs to: only a packet's first fragment has ports.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::IpAddress;

/// What the fragments of one packet have in common (RFC 791 section 3.2, RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FragmentKey {
    source: IpAddress,
    destination: IpAddress,
    identification: [u8; 4],
    protocol: u8,
    reserved: [u8; 3],
}

const _: () = assert!(size_of::<FragmentKey>() == 40);

/// The ports that the first fragment had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FragmentPorts {
    /// The sender's, in network order.
    pub source: [u8; 2],
    /// The receiver's, in network order.
    pub destination: [u8; 2],
}

const _: () = assert!(size_of::<FragmentPorts>() == 4);

// === impl FragmentKey ===

impl FragmentKey {
    /// The key of a fragment. IPv4's identification has two bytes and is padded in front.
    #[inline(always)]
    #[must_use]
    pub const fn new(source: IpAddress, destination: IpAddress, identification: u32, protocol: u8) -> Self {
        Self { source, destination, identification: identification.to_be_bytes(), protocol, reserved: [0; 3] }
    }
}
