//! Masquerade: under which address and port a pod speaks to the outside.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{FlowKey, IpAddress};

/// The address of one family that pods show to the outside, and the ports that they may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Masquerade {
    address: IpAddress,
    first_port: u16,
    last_port: u16,
}

const _: () = assert!(size_of::<Masquerade>() == 20);

/// The ports that are tried for a new flow, one after another.
///
/// The first follows from the flow, so that different flows begin at different places; each further one is a stride
/// away that follows from the flow as well, so that two flows which met once do not meet again.
#[derive(Clone, Copy, Debug)]
pub struct PortCandidates {
    first: u16,
    count: u32,
    position: u32,
    stride: u32,
}

// === impl Masquerade ===

impl Masquerade {
    /// How many ports are tried before a flow is given up. At 90 percent of the ports towards one receiver in use, one
    /// flow in 29 finds none; at half, one in four billion.
    pub const ATTEMPTS: usize = 32;

    /// An address and its ports, both ends included.
    #[must_use]
    pub const fn new(address: IpAddress, first_port: u16, last_port: u16) -> Self {
        Self { address, first_port, last_port }
    }

    /// The address.
    #[inline(always)]
    #[must_use]
    pub const fn address(&self) -> IpAddress {
        self.address
    }

    /// The first and the last port.
    #[must_use]
    pub const fn ports(&self) -> (u16, u16) {
        (self.first_port, self.last_port)
    }

    /// The ports to try for a flow. `seed` makes it hard for a stranger to guess them.
    #[inline(always)]
    #[must_use]
    pub fn candidates(&self, key: &FlowKey, seed: u32) -> PortCandidates {
        let count = u32::from(self.last_port).saturating_sub(u32::from(self.first_port)) + 1;
        let hash = mix(key, seed);
        PortCandidates {
            first: self.first_port,
            count,
            position: hash % count,
            // Odd: shares no factor with a power of two, and few ranges are multiples of the rest.
            stride: ((hash >> 16) | 1) % count,
        }
    }
}

/// Multiply and fold over the key's words: spreads ports, and need not withstand an attacker by itself.
#[inline(always)]
fn mix(key: &FlowKey, seed: u32) -> u32 {
    let mut hash = u64::from(seed) ^ 0x9e37_79b9_7f4a_7c15;
    let (words, _) = key.as_bytes().as_chunks::<8>();
    for word in words {
        hash = (hash ^ u64::from_ne_bytes(*word)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 32;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the upper half was folded in")]
    (hash as u32)
}

// === impl PortCandidates ===

impl PortCandidates {
    /// The next port to try, in network order.
    #[inline(always)]
    #[must_use]
    pub const fn next_port(&mut self) -> [u8; 2] {
        #[expect(clippy::cast_possible_truncation, reason = "the position is below the count of a range of 16 bits")]
        let port = self.first.wrapping_add(self.position as u16);
        self.position += self.stride;
        if self.position >= self.count {
            self.position -= self.count;
        }
        port.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::Tuple;

    fn key(port: u16) -> FlowKey {
        let (source, destination) = (IpAddress::v4([10, 244, 1, 2]), IpAddress::v4([192, 168, 77, 200]));
        let (source_port, destination_port) = (port.to_be_bytes(), 80_u16.to_be_bytes());
        FlowKey::of(&Tuple { source, destination, source_port, destination_port, protocol: 6 }).0
    }

    #[test]
    fn candidates_stay_within_the_range() {
        for (first, last) in [(60000, 65535), (1024, 1024), (40000, 40001), (1, 65535)] {
            let masquerade = Masquerade::new(IpAddress::v4([192, 168, 77, 11]), first, last);
            for port in 0..200 {
                let mut candidates = masquerade.candidates(&key(port), 7);
                for _ in 0..Masquerade::ATTEMPTS {
                    let candidate = u16::from_be_bytes(candidates.next_port());
                    assert!((first..=last).contains(&candidate), "{candidate} of {first}..={last}");
                }
            }
        }
    }

    #[test]
    fn flows_begin_at_different_ports() {
        let masquerade = Masquerade::new(IpAddress::v4([192, 168, 77, 11]), 32768, 65535);
        let firsts: HashSet<_> = (0..1000).map(|port| masquerade.candidates(&key(port), 7).next_port()).collect();
        // 1,000 balls in 32,768 boxes fill 985 on average.
        assert!(firsts.len() > 950, "{}", firsts.len());
    }

    #[test]
    fn the_candidates_of_a_flow_differ_and_so_do_those_of_another_seed() {
        let masquerade = Masquerade::new(IpAddress::v4([192, 168, 77, 11]), 32768, 65535);
        let candidates = |seed| {
            let mut candidates = masquerade.candidates(&key(1), seed);
            (0..Masquerade::ATTEMPTS).map(|_| candidates.next_port()).collect::<HashSet<_>>()
        };
        assert!(candidates(1).len() > 30 && candidates(1) != candidates(2));
    }
}
