//! The one door to a packet's bytes.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A header's layout: any bytes are a value of it, it has no padding, and it may lie at any address.
///
/// zerocopy's derives prove all three, so that reading a header from untrusted bytes is safe code. Implemented for
/// every type that qualifies.
pub trait Wire: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned {}

/// A frame that can be read at checked offsets, counted in bytes from the first byte of its Ethernet header.
///
/// The kernel programs implement it over the context's `data` and `data_end`, the host over a slice.
pub trait PacketBytes {
    /// The header at `offset`, or nothing if it does not lie wholly within the directly readable part of the frame.
    fn read<T: Wire>(&self, offset: usize) -> Option<&T>;

    /// Whether the frame has at least `length` bytes, those included that are not directly readable.
    fn has(&self, length: usize) -> bool;
}

// === impl Wire ===

impl<T: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned> Wire for T {}

// === impl PacketBytes ===

impl PacketBytes for [u8] {
    fn read<T: Wire>(&self, offset: usize) -> Option<&T> {
        let (value, _) = T::ref_from_prefix(self.get(offset..)?).ok()?;
        Some(value)
    }

    fn has(&self, length: usize) -> bool {
        self.len() >= length
    }
}
