//! The request that user space sends through the collecting program: flows that look expired.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{FlowKey, Tick};

/// The beginning of the request; as many keys as it says follow. It is as long as the kernel wants a packet to be at
/// least, and a bit more, so that the keys lie at multiples of 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Expired {
    now: [u8; 4],
    count: [u8; 4],
    reserved: [u8; 8],
}

const _: () = assert!(size_of::<Expired>() == 16);

// === impl Expired ===

impl Expired {
    /// The most keys of one request, so that it fits one page.
    pub const MOST_KEYS: usize = 32;

    /// A request about `count` flows, judged as of `now`.
    #[must_use]
    pub const fn new(now: Tick, count: u32) -> Self {
        Self { now: now.0.to_ne_bytes(), count: count.to_ne_bytes(), reserved: [0; 8] }
    }

    /// The moment as of which flows are judged.
    #[inline(always)]
    #[must_use]
    pub const fn now(&self) -> Tick {
        Tick(u32::from_ne_bytes(self.now))
    }

    /// How many keys follow.
    #[inline(always)]
    #[must_use]
    pub const fn count(&self) -> usize {
        u32::from_ne_bytes(self.count) as usize
    }

    /// Where a key is in the request.
    #[inline(always)]
    #[must_use]
    pub const fn offset_of_key(position: usize) -> usize {
        size_of::<Self>() + position * size_of::<FlowKey>()
    }
}
