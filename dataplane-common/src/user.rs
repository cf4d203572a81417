//! Map keys and values as bytes, for user space.
#![expect(unsafe_code, reason = "`Pod` is a promise about layout that the compiler cannot check")]

use crate::{
    DropEvent, FlowEntry, FlowKey, FragmentKey, FragmentPorts, IpAddress, Masquerade, NextHop, Owner, PacketCount,
    Route, Traffic,
};

// SAFETY: a transparent wrapper of an integer; any bytes are a value of it and it has no padding.
unsafe impl aya::Pod for PacketCount {}

/// Types for which zerocopy's derives have proved that any bytes are a value and that there is no padding.
macro_rules! plain {
    ($($value:ty),+) => { $(
        const _: () = {
            const fn proved<T: zerocopy::FromBytes + zerocopy::IntoBytes>() {}
            proved::<$value>();
        };
        // SAFETY: proved by the line above.
        unsafe impl aya::Pod for $value {}
    )+ };
}

plain!(
    DropEvent,
    FlowEntry,
    FlowKey,
    FragmentKey,
    FragmentPorts,
    IpAddress,
    Masquerade,
    NextHop,
    Owner,
    Route,
    Traffic
);
