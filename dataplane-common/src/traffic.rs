//! Where packets went, counted by hook and path.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Hook;

/// What became of a packet that was not dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Path {
    /// To a pod of this node, past the kernel's stack.
    Pod = 0,
    /// To another node or outside, past the kernel's stack, as it came.
    Network = 1,
    /// Outside with another source, or back to the pod with another destination.
    Translated = 2,
    /// To the kernel's stack: for this node, or because the stack has something to say about the packet.
    Stack = 3,
}

/// Packets and bytes of one hook and path, on one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Traffic {
    /// Packets; one that the network card has put together, or will take apart, counts once.
    pub packets: u64,
    /// Their bytes, Ethernet headers included.
    pub bytes: u64,
}

const _: () = assert!(size_of::<Traffic>() == 16);

// === impl Path ===

impl Path {
    /// Every path, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::Pod, Self::Network, Self::Translated, Self::Stack];

    /// The length of the kernel's array.
    pub const COUNT: usize = Hook::ALL.len() * Self::ALL.len();

    /// The position of a counter in the kernel's array.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a few counters")]
    pub const fn index(self, hook: Hook) -> u32 {
        (hook as usize * Self::ALL.len() + self as usize) as u32
    }

    /// The name in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Network => "network",
            Self::Translated => "translated",
            Self::Stack => "stack",
        }
    }
}

// === impl Traffic ===

impl Traffic {
    /// Counts one packet of `bytes`. A CPU's counter has one writer at a time: the program that runs there.
    #[inline(always)]
    pub const fn add(&mut self, bytes: u32) {
        self.packets = self.packets.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(bytes as u64);
    }
}

impl core::iter::Sum for Traffic {
    fn sum<I: Iterator<Item = Self>>(counters: I) -> Self {
        counters.fold(Self::default(), |sum, one| Self {
            packets: sum.packets.wrapping_add(one.packets),
            bytes: sum.bytes.wrapping_add(one.bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_hook_and_path_has_its_own_position_below_the_count() {
        let all = Hook::ALL.into_iter().flat_map(|hook| Path::ALL.map(|path| path.index(hook) as usize));
        let positions: BTreeSet<usize> = all.collect();
        assert!(positions.len() == Path::COUNT && positions.iter().all(|position| *position < Path::COUNT));
    }
}
