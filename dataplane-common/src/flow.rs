//! The flow table: what is remembered of a conversation.
//!
//! Traffic between pods that needs no translation and that no policy judges leaves no trace here. An entry is made for
//! a conversation that is translated, for one that policy has judged, and for one that somebody outside opened to a
//! pod (so that the pod's answers are not masqueraded).
//!
//! A key holds both ends of a packet in a fixed order, so that both directions of an untranslated flow find one entry,
//! and a bit says which direction a packet has. A translated flow looks different on its two sides and has two
//! entries. Each is complete in itself and names the other: [`FlowEntry::partner`] is the key under which the
//! translated packet, or its answer, is found.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{IpAddress, IpProtocol, TcpFlags};

/// The two ends of a conversation in the order of their bytes, ports and protocol.
///
/// Echo messages have their identifier as the port of the side that asks, and 0 as the other.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct FlowKey {
    lower: IpAddress,
    upper: IpAddress,
    lower_port: [u8; 2],
    upper_port: [u8; 2],
    protocol: u8,
    reserved: [u8; 3],
}

const _: () = assert!(size_of::<FlowKey>() == 40);

/// Source and destination of a packet as they travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuple {
    /// The sender's address.
    pub source: IpAddress,
    /// The receiver's address.
    pub destination: IpAddress,
    /// The sender's port, in network order.
    pub source_port: [u8; 2],
    /// The receiver's port, in network order.
    pub destination_port: [u8; 2],
    /// The number of the protocol.
    pub protocol: u8,
}

/// Which of the two ends of a [`FlowKey`] sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// The end that sorts lower.
    FromLower = 0,
    /// The end that sorts higher.
    FromUpper = 1,
}

/// What is remembered of one flow, or of one side of a translated one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FlowEntry {
    new_source: IpAddress,
    new_destination: IpAddress,
    new_source_port: [u8; 2],
    new_destination_port: [u8; 2],
    /// When the last packet came, in [`Tick`]s.
    last_seen: u32,
    kind: u8,
    /// The direction of the packets that are translated; without translation, that of the opener.
    direction: u8,
    /// What was seen of TCP; see [`FlowEntry::see`].
    seen: u8,
    reserved: u8,
    next_hop: u32,
    backend: u32,
    backend_generation: u32,
    policy_generation: u32,
    service: u32,
}

const _: () = assert!(size_of::<FlowEntry>() == 64);

/// What an entry does to packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum FlowKind {
    /// Nothing: the packets stay as they are.
    Plain = 1,
    /// The source becomes another: what a pod sends outside.
    Source = 2,
    /// The destination becomes another: what comes back.
    Destination = 3,
}

/// A moment in units of 2^30 ns (about 1.07 s) since the machine was started: fine enough for lifetimes, and coarse
/// enough that a busy flow's entry is written once a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(pub u32);

// === impl Tuple ===

impl Tuple {
    /// The same conversation, as a packet in the other direction has it.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            protocol: self.protocol,
        }
    }
}

// === impl FlowKey ===

impl FlowKey {
    /// The key of a packet, and the packet's direction.
    #[inline(always)]
    #[must_use]
    pub fn of(tuple: &Tuple) -> (Self, Direction) {
        let mut key = Self::default();
        let ports = (tuple.source_port, tuple.destination_port);
        let direction = key.set(&tuple.source, &tuple.destination, ports, IpProtocol(tuple.protocol));
        (key, direction)
    }

    /// Makes this the key of a packet; returns the packet's direction. For those who have the ends in hand and no room for
    /// a copy.
    #[inline(always)]
    pub fn set(
        &mut self,
        source: &IpAddress,
        destination: &IpAddress,
        (source_port, destination_port): ([u8; 2], [u8; 2]),
        protocol: IpProtocol,
    ) -> Direction {
        self.protocol = protocol.0;
        self.reserved = [0; 3];
        if is_lower((source, source_port), (destination, destination_port)) {
            self.lower = *source;
            self.upper = *destination;
            self.lower_port = source_port;
            self.upper_port = destination_port;
            return Direction::FromLower;
        }
        self.lower = *destination;
        self.upper = *source;
        self.lower_port = destination_port;
        self.upper_port = source_port;
        Direction::FromUpper
    }

    /// A packet of this flow in the given direction.
    #[inline(always)]
    #[must_use]
    pub const fn tuple(&self, direction: Direction) -> Tuple {
        let from_lower = Tuple {
            source: self.lower,
            destination: self.upper,
            source_port: self.lower_port,
            destination_port: self.upper_port,
            protocol: self.protocol,
        };
        match direction {
            Direction::FromLower => from_lower,
            Direction::FromUpper => from_lower.reversed(),
        }
    }

    /// The number of the protocol.
    #[inline(always)]
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }
}

/// Whether the sender's end sorts before the receiver's. A packet from an end to itself counts as that.
#[inline(always)]
fn is_lower(source: (&IpAddress, [u8; 2]), destination: (&IpAddress, [u8; 2])) -> bool {
    let (from, to) = (words(*source.0), words(*destination.0));
    if from.0 != to.0 {
        return from.0 < to.0;
    }
    if from.1 != to.1 {
        return from.1 < to.1;
    }
    u16::from_be_bytes(source.1) <= u16::from_be_bytes(destination.1)
}

/// An address as two numbers, which compare in a few instructions.
#[inline(always)]
const fn words(address: IpAddress) -> (u64, u64) {
    let whole = u128::from_be_bytes(address.octets());
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    ((whole >> 64) as u64, whole as u64)
}

// === impl Direction ===

impl Direction {
    /// The direction of the answers.
    #[inline(always)]
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::FromLower => Self::FromUpper,
            Self::FromUpper => Self::FromLower,
        }
    }
}

// === impl FlowEntry ===

impl FlowEntry {
    /// TCP: the connection was opened, or it is not TCP.
    const OPENED: u8 = 1;
    /// TCP: more than the opening was seen.
    const ESTABLISHED: u8 = 2;
    /// TCP: this side sends no more.
    const FIN: u8 = 4;
    /// TCP: this side broke the connection.
    const RST: u8 = 8;

    /// A flow that is left as it is; `opener` is the direction of its first packet.
    #[must_use]
    pub fn plain(opener: Direction, next_hop: u32, now: Tick) -> Self {
        Self { kind: FlowKind::Plain as u8, direction: opener as u8, next_hop, last_seen: now.0, ..Self::default() }
    }

    /// A flow whose packets in `direction` get another source.
    #[must_use]
    pub fn source(direction: Direction, to: (IpAddress, [u8; 2]), next_hop: u32, now: Tick) -> Self {
        Self {
            kind: FlowKind::Source as u8,
            new_source: to.0,
            new_source_port: to.1,
            ..Self::plain(direction, next_hop, now)
        }
    }

    /// A flow whose packets in `direction` get another destination.
    #[must_use]
    pub fn destination(direction: Direction, to: (IpAddress, [u8; 2]), now: Tick) -> Self {
        Self {
            kind: FlowKind::Destination as u8,
            new_destination: to.0,
            new_destination_port: to.1,
            ..Self::plain(direction, 0, now)
        }
    }

    /// What the entry does; nothing for a value that this version did not write.
    #[inline(always)]
    #[must_use]
    pub const fn kind(&self) -> Option<FlowKind> {
        match self.kind {
            1 => Some(FlowKind::Plain),
            2 => Some(FlowKind::Source),
            3 => Some(FlowKind::Destination),
            _ => None,
        }
    }

    /// The direction of the packets that are translated; without translation, that of the opener.
    #[inline(always)]
    #[must_use]
    pub const fn direction(&self) -> Direction {
        if self.direction == Direction::FromLower as u8 { Direction::FromLower } else { Direction::FromUpper }
    }

    /// The address and port that replace the source.
    #[inline(always)]
    #[must_use]
    pub const fn new_source(&self) -> (&IpAddress, [u8; 2]) {
        (&self.new_source, self.new_source_port)
    }

    /// The address and port that replace the destination.
    #[inline(always)]
    #[must_use]
    pub const fn new_destination(&self) -> (&IpAddress, [u8; 2]) {
        (&self.new_destination, self.new_destination_port)
    }

    /// The id of the next hop.
    #[inline(always)]
    #[must_use]
    pub const fn next_hop(&self) -> u32 {
        self.next_hop
    }

    /// When the last packet came.
    #[inline(always)]
    #[must_use]
    pub const fn last_seen(&self) -> Tick {
        Tick(self.last_seen)
    }

    /// The packet behind `tuple` after translation.
    #[inline(always)]
    #[must_use]
    pub const fn translate(&self, tuple: Tuple) -> Tuple {
        match self.kind() {
            Some(FlowKind::Source) => Tuple { source: self.new_source, source_port: self.new_source_port, ..tuple },
            Some(FlowKind::Destination) => {
                Tuple { destination: self.new_destination, destination_port: self.new_destination_port, ..tuple }
            }
            Some(FlowKind::Plain) | None => tuple,
        }
    }

    /// The key of the other side's entry; nothing for a flow that is not translated.
    #[inline(always)]
    #[must_use]
    pub fn partner(&self, key: &FlowKey) -> Option<FlowKey> {
        match self.kind() {
            Some(FlowKind::Source | FlowKind::Destination) => {
                Some(FlowKey::of(&self.translate(key.tuple(self.direction()))).0)
            }
            Some(FlowKind::Plain) | None => None,
        }
    }

    /// Makes `reply_key` the key of the answers to a flow whose source is translated and whose own key is `key`; returns
    /// their direction.
    #[inline(always)]
    pub fn set_reply_key(&self, key: &FlowKey, reply_key: &mut FlowKey) -> Direction {
        let (receiver, port) = match self.direction() {
            Direction::FromLower => (&key.upper, key.upper_port),
            Direction::FromUpper => (&key.lower, key.lower_port),
        };
        reply_key.set(receiver, &self.new_source, (port, self.new_source_port), IpProtocol(key.protocol))
    }

    /// Like [`partner`](Self::partner), for those who have no room for a copy: whether there is one.
    #[inline(always)]
    pub fn set_partner(&self, key: &FlowKey, partner: &mut FlowKey) -> bool {
        let ((sender, sender_port), (receiver, receiver_port)) = match self.direction() {
            Direction::FromLower => ((&key.lower, key.lower_port), (&key.upper, key.upper_port)),
            Direction::FromUpper => ((&key.upper, key.upper_port), (&key.lower, key.lower_port)),
        };
        let protocol = IpProtocol(key.protocol);
        match self.kind() {
            Some(FlowKind::Source) => {
                partner.set(&self.new_source, receiver, (self.new_source_port, receiver_port), protocol);
                true
            }
            Some(FlowKind::Destination) => {
                partner.set(sender, &self.new_destination, (sender_port, self.new_destination_port), protocol);
                true
            }
            Some(FlowKind::Plain) | None => false,
        }
    }

    /// The entry of the other side of a flow whose source is translated, `reply` being the answers' direction there.
    #[inline(always)]
    #[must_use]
    pub fn answering(&self, original: &Tuple, reply: Direction) -> Self {
        let now = Tick(self.last_seen);
        Self::destination(reply, (original.source, original.source_port), now)
    }

    /// Notes that a packet came. Two CPUs may do so at once: what one loses, the flow's next packet says again.
    #[inline(always)]
    pub fn see(&mut self, now: Tick, flags: Option<TcpFlags>) {
        if self.last_seen != now.0 {
            self.last_seen = now.0;
        }
        let seen = self.seen_after(flags);
        if self.seen != seen {
            self.seen = seen;
        }
    }

    /// A SYN opens anew, also over what is left of an earlier connection between the same ports.
    #[inline(always)]
    const fn seen_after(&self, flags: Option<TcpFlags>) -> u8 {
        let Some(flags) = flags else { return self.seen | Self::OPENED };
        if flags.contains(TcpFlags::SYN) {
            return Self::OPENED;
        }
        let seen = self.seen & !Self::RST | Self::OPENED | Self::ESTABLISHED;
        let seen = if flags.contains(TcpFlags::FIN) { seen | Self::FIN } else { seen };
        if flags.contains(TcpFlags::RST) { seen | Self::RST } else { seen }
    }

    /// How long the flow may be idle. `partner` is the other side's entry; without one, what both sides sent was seen
    /// here. The lifetimes are Linux' own (nf_conntrack) where they are the shorter ones, and for established TCP above
    /// the two hours after which keep-alive packets come (tcp(7)).
    #[inline(always)]
    #[must_use]
    pub const fn lifetime(&self, protocol: u8, partner: Option<&Self>) -> Tick {
        let (either, both) = match partner {
            Some(partner) => (self.seen | partner.seen, self.seen & partner.seen),
            None => (self.seen, self.seen),
        };
        Tick(match protocol {
            TCP if either & Self::RST != 0 || both & Self::FIN != 0 => 10,
            TCP if either & Self::FIN != 0 => 120,
            TCP if both & Self::ESTABLISHED != 0 => 7500,
            TCP | UDP if both & Self::OPENED == 0 => 60,
            TCP => 60,
            UDP => 180,
            _ => 30,
        })
    }

    /// Whether neither side sent anything for longer than the flow may be idle.
    #[inline(always)]
    #[must_use]
    pub const fn is_expired(&self, protocol: u8, partner: Option<&Self>, now: Tick) -> bool {
        let lifetime = self.lifetime(protocol, partner);
        let partner_idle = match partner {
            Some(partner) => now.idle(partner.last_seen),
            None => u32::MAX,
        };
        let own_idle = now.idle(self.last_seen);
        let idle = if partner_idle < own_idle { partner_idle } else { own_idle };
        idle > lifetime.0
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;

// === impl Tick ===

impl Tick {
    /// The tick of a moment in nanoseconds since the machine was started.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "after 146 years")]
    pub const fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self((nanoseconds >> 30) as u32)
    }

    /// How long ago `then` was; a moment that another CPU has just set may lie ahead.
    #[inline(always)]
    const fn idle(self, then: u32) -> u32 {
        self.0.saturating_sub(then)
    }
}

#[cfg(test)]
mod tests;
