//! What the kernel programs tell while somebody listens: dropped packets.

use core::net::IpAddr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{DropReason, IpAddress, IpProtocol};

/// One dropped packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DropEvent {
    time: u64,
    source: IpAddress,
    destination: IpAddress,
    source_port: [u8; 2],
    destination_port: [u8; 2],
    interface: u32,
    length: u32,
    /// The rule of a policy, once there is policy.
    rule: u32,
    reason: u8,
    hook: u8,
    protocol: u8,
    reserved: u8,
    padding: u32,
}

const _: () = assert!(size_of::<DropEvent>() == 64);

/// Where a packet was when it was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Hook {
    /// Sent by a pod: the ingress side of its host-side interface.
    Pod = 0,
    /// Arrived from the network: the ingress side of the uplink.
    Uplink = 1,
}

// === impl DropEvent ===

impl DropEvent {
    /// A drop at `time` (nanoseconds since the machine was started) on an interface; `length` is the frame's.
    #[inline(always)]
    #[must_use]
    pub const fn new(time: u64, hook: Hook, reason: DropReason, interface: u32, length: u32) -> Self {
        Self {
            time,
            source: IpAddress::UNSPECIFIED,
            destination: IpAddress::UNSPECIFIED,
            source_port: [0; 2],
            destination_port: [0; 2],
            interface,
            length,
            rule: 0,
            reason: reason.code(),
            hook: hook as u8,
            protocol: 0,
            reserved: 0,
            padding: 0,
        }
    }

    /// Adds who spoke to whom, as far as it could be read.
    #[inline(always)]
    pub const fn set_ends(
        &mut self,
        source: &IpAddress,
        destination: &IpAddress,
        (source_port, destination_port): ([u8; 2], [u8; 2]),
        protocol: IpProtocol,
    ) {
        self.source = *source;
        self.destination = *destination;
        self.source_port = source_port;
        self.destination_port = destination_port;
        self.protocol = protocol.0;
    }

    /// When it happened, in nanoseconds since the machine was started.
    #[must_use]
    pub const fn time(&self) -> u64 {
        self.time
    }

    /// Why; nothing for a code of another version.
    #[must_use]
    pub fn reason(&self) -> Option<DropReason> {
        DropReason::all().find(|reason| reason.code() == self.reason)
    }

    /// Where; nothing for a code of another version.
    #[must_use]
    pub fn hook(&self) -> Option<Hook> {
        Hook::ALL.into_iter().find(|hook| *hook as u8 == self.hook)
    }

    /// The sender's address and port, if the packet was IP.
    #[must_use]
    pub fn source(&self) -> Option<(IpAddr, u16)> {
        self.end(self.source, self.source_port)
    }

    /// The receiver's address and port, if the packet was IP.
    #[must_use]
    pub fn destination(&self) -> Option<(IpAddr, u16)> {
        self.end(self.destination, self.destination_port)
    }

    /// The number of the protocol; 0 where it could not be read.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// The index of the interface on which the packet came.
    #[must_use]
    pub const fn interface(&self) -> u32 {
        self.interface
    }

    /// The frame's length in bytes.
    #[must_use]
    pub const fn length(&self) -> u32 {
        self.length
    }

    fn end(&self, address: IpAddress, port: [u8; 2]) -> Option<(IpAddr, u16)> {
        let is_known = self.source != IpAddress::UNSPECIFIED || self.destination != IpAddress::UNSPECIFIED;
        is_known.then(|| (address.into(), u16::from_be_bytes(port)))
    }
}

// === impl Hook ===

impl Hook {
    /// Every hook, in the order of their codes.
    pub const ALL: [Self; 2] = [Self::Pod, Self::Uplink];

    /// The name in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Uplink => "uplink",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_what_was_put_in() {
        let mut event = DropEvent::new(5, Hook::Uplink, DropReason::NoEndpoint, 3, 60);
        assert_eq!((event.source(), event.reason()), (None, Some(DropReason::NoEndpoint)));
        let ends = (IpAddress::v4([10, 0, 0, 1]), IpAddress::v4([10, 0, 0, 2]));
        event.set_ends(&ends.0, &ends.1, ([0, 1], [0, 2]), IpProtocol::UDP);
        assert_eq!(event.source(), Some(([10, 0, 0, 1].into(), 1)));
        assert_eq!(event.destination(), Some(([10, 0, 0, 2].into(), 2)));
        assert_eq!((event.hook(), event.interface(), event.length()), (Some(Hook::Uplink), 3, 60));
    }
}
