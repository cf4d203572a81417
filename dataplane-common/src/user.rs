//! Map keys and values as bytes, for user space.
#![expect(unsafe_code, reason = "`Pod` is a promise about layout that the compiler cannot check")]

use crate::PacketCount;

// SAFETY: a transparent wrapper of an integer; any bytes are a value of it and it has no padding.
unsafe impl aya::Pod for PacketCount {}
