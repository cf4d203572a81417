//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
//!
//! The checksum is the one's complement of the one's complement sum of a header's 16-bit words. One's complement
//! addition is addition modulo 65535, where a carry out of the top is added again at the bottom. Two things follow
//! that the code relies on: carries can be collected in a wide integer and folded once at the end, and a changed word
//! needs no other word to be read:
//!
//! ```text
//! HC' = ~(~HC + ~m + m')      RFC 1624, equation 3: old checksum HC, old word m, new word m'
//! ```
//!
//! Equation 3 and not the subtraction of RFC 1141, which makes -0 (0xffff) where a fresh computation makes +0.
//!
//! This arithmetic is for XDP, where a packet's checksum is finished, and for the host. At the traffic control hooks a
//! pod's packet has an unfinished checksum, and only the kernel's `bpf_l4_csum_replace` knows how to change that.

use zerocopy::network_endian::U16;

/// A change of a packet, as its effect on every checksum that covers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChecksumUpdate {
    /// The sum of `~m + m'` over all changed words; far from overflow for the few words of a header.
    sum: u64,
}

/// The checksum of `bytes`, which is 0 if they contain their own correct checksum. An odd last byte is padded with 0.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    let (words, last) = bytes.as_chunks::<2>();
    let sum: u64 = words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum();
    let padded = last.first().map_or(0, |byte| u64::from(u16::from_be_bytes([*byte, 0])));
    !fold(sum + padded)
}

/// Adds the carries back in until 16 bits are left.
///
/// Four steps are enough for any sum, and a fixed number spares the verifier a loop.
#[inline(always)]
const fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) as u16
}

// === impl ChecksumUpdate ===

impl ChecksumUpdate {
    /// A change of nothing.
    #[inline(always)]
    #[must_use]
    pub const fn new() -> Self {
        Self { sum: 0 }
    }

    /// Adds the replacement of `old` by `new`, both as on the wire, at an even offset. `N` must be even: addresses
    /// and ports are.
    #[inline(always)]
    #[must_use]
    pub fn replace<const N: usize>(mut self, old: [u8; N], new: [u8; N]) -> Self {
        const { assert!(N.is_multiple_of(2), "the checksum sees 16-bit words") };
        let (old, new) = (old.as_chunks::<2>().0, new.as_chunks::<2>().0);
        for (old, new) in old.iter().zip(new) {
            self.sum += u64::from(!u16::from_be_bytes(*old)) + u64::from(u16::from_be_bytes(*new));
        }
        self
    }

    /// The new checksum of an IPv4, TCP, ICMP or ICMPv6 header.
    #[inline(always)]
    #[must_use]
    pub fn apply(self, checksum: U16) -> U16 {
        U16::new(!fold(self.sum + u64::from(!checksum.get())))
    }

    /// The new checksum of a UDP header: 0 means "none" and stays, and a computed 0 is sent as 0xffff (RFC 768).
    #[inline(always)]
    #[must_use]
    pub fn apply_udp(self, checksum: U16) -> U16 {
        if checksum.get() == 0 {
            return checksum;
        }
        match self.apply(checksum).get() {
            0 => U16::new(0xffff),
            updated => U16::new(updated),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_1624_come_out_right() {
        // Section 4: HC = 0xdd2f, m = 0x5555, m' = 0x3285 give 0x0000, where RFC 1141's method gives 0xffff.
        let update = ChecksumUpdate::new().replace([0x55, 0x55], [0x32, 0x85]);
        assert_eq!(update.apply(U16::new(0xdd2f)).get(), 0x0000);
    }

    #[test]
    fn replacing_words_by_themselves_changes_nothing() {
        let update = ChecksumUpdate::new().replace([10, 0, 0, 1], [10, 0, 0, 1]);
        for checksum in [0x0000, 0x0001, 0x1234, 0xfffe] {
            assert_eq!(update.apply(U16::new(checksum)).get(), checksum, "{checksum:#06x}");
        }
    }

    #[test]
    fn a_udp_checksum_of_zero_stays_and_none_becomes_zero() {
        let update = ChecksumUpdate::new().replace([0x55, 0x55], [0x32, 0x85]);
        for (before, after) in [(0, 0), (0xdd2f, 0xffff)] {
            assert_eq!(update.apply_udp(U16::new(before)).get(), after, "{before:#06x}");
        }
    }

    #[test]
    fn the_largest_change_does_not_overflow() {
        let update = (0..1000).fold(ChecksumUpdate::new(), |update, _| update.replace([0; 16], [0xff; 16]));
        // Each word adds 0xffff twice, which is zero in one's complement.
        assert_eq!(update.apply(U16::new(0x1234)).get(), 0x1234);
    }

    #[test]
    fn an_odd_byte_is_padded_behind() {
        assert_eq!(checksum(&[0x12]), !0x1200);
        assert_eq!(checksum(&[]), 0xffff);
    }
}
