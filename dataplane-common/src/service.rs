//! Services as the kernel sees them: frontends, the rows that balance them, and backends.
//!
//! A packet or a system call finds its [`Frontend`] by exact match. The frontend names one row for clients within and
//! one for all others; a [`Row`] names a stretch of one array, and a hash picks a place in it, which holds the number of
//! a [`Backend`].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{IpAddress, IpProtocol};

/// Where clients reach a service. Node ports have the unspecified address of their family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FrontendKey {
    address: IpAddress,
    port: [u8; 2],
    protocol: u8,
    reserved: u8,
}

const _: () = assert!(size_of::<FrontendKey>() == 20);

/// What is done with traffic to a frontend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Frontend {
    service: u32,
    inside: u32,
    outside: u32,
    affinity_seconds: u32,
    flags: u32,
}

const _: () = assert!(size_of::<Frontend>() == 20);

/// What is done with a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Nobody serves: it is refused at once.
    Reject,
    /// Nobody serves here and somebody elsewhere: it is dropped.
    Drop,
    /// It goes to a backend of the row with this number.
    Balance(u32),
}

/// A stretch of the array of places: the table of one set of backends. One aligned word, so that a row changes at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Row(u64);

const _: () = assert!(size_of::<Row>() == 8);

/// Where a connection goes: an address and port that serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Backend {
    address: IpAddress,
    port: [u8; 2],
    protocol: u8,
    flags: u8,
    generation: u32,
}

const _: () = assert!(size_of::<Backend>() == 24);

// === impl FrontendKey ===

impl FrontendKey {
    /// An address, a port and a protocol.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: IpAddress, port: u16, protocol: IpProtocol) -> Self {
        Self { address, port: port.to_be_bytes(), protocol: protocol.0, reserved: 0 }
    }

    /// A port on every address of a node.
    #[inline(always)]
    #[must_use]
    pub const fn node_port(is_ipv4: bool, port: u16, protocol: IpProtocol) -> Self {
        let address = if is_ipv4 { IpAddress::v4([0; 4]) } else { IpAddress::UNSPECIFIED };
        Self::new(address, port, protocol)
    }

    /// The address; unspecified for a node port.
    #[must_use]
    pub const fn address(&self) -> IpAddress {
        self.address
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        u16::from_be_bytes(self.port)
    }

    /// The transport protocol.
    #[must_use]
    pub const fn protocol(&self) -> IpProtocol {
        IpProtocol(self.protocol)
    }
}

// === impl Frontend ===

impl Frontend {
    const MASQUERADE: u32 = 1;
    const FILTERED: u32 = 2;
    const LOCAL_OUTSIDE: u32 = 4;

    /// A frontend of the service port with this number; what is done for clients within, and for all others.
    #[must_use]
    pub const fn new(service: u32, inside: Verdict, outside: Verdict) -> Self {
        Self { service, inside: inside.code(), outside: outside.code(), affinity_seconds: 0, flags: 0 }
    }

    /// Clients from outside keep their backend until they were silent for so long; 0: no affinity.
    #[must_use]
    pub const fn with_affinity(self, seconds: u32) -> Self {
        Self { affinity_seconds: seconds, ..self }
    }

    /// For clients from outside the backend sees the node's address.
    #[must_use]
    pub const fn with_masquerade(self, masquerade: bool) -> Self {
        self.with_flag(Self::MASQUERADE, masquerade)
    }

    /// The service's source ranges say who may use it.
    #[must_use]
    pub const fn with_filter(self, filtered: bool) -> Self {
        self.with_flag(Self::FILTERED, filtered)
    }

    /// Traffic from outside stays on the node that it comes to.
    #[must_use]
    pub const fn with_local_policy(self, local: bool) -> Self {
        self.with_flag(Self::LOCAL_OUTSIDE, local)
    }

    const fn with_flag(self, flag: u32, set: bool) -> Self {
        Self { flags: if set { self.flags | flag } else { self.flags & !flag }, ..self }
    }

    /// The number of the service port, for counters and affinity.
    #[inline(always)]
    #[must_use]
    pub const fn service(&self) -> u32 {
        self.service
    }

    /// What is done for clients within: pods, and processes of nodes.
    #[inline(always)]
    #[must_use]
    pub const fn inside(&self) -> Verdict {
        Verdict::of_code(self.inside)
    }

    /// What is done for all others.
    #[inline(always)]
    #[must_use]
    pub const fn outside(&self) -> Verdict {
        Verdict::of_code(self.outside)
    }

    /// After how many seconds of silence a client may get another backend; 0 without affinity.
    #[inline(always)]
    #[must_use]
    pub const fn affinity_seconds(&self) -> u32 {
        self.affinity_seconds
    }

    /// Whether the backend sees the node's address for clients from outside.
    #[inline(always)]
    #[must_use]
    pub const fn masquerades(&self) -> bool {
        self.flags & Self::MASQUERADE != 0
    }

    /// Whether source ranges say who may use it.
    #[inline(always)]
    #[must_use]
    pub const fn is_filtered(&self) -> bool {
        self.flags & Self::FILTERED != 0
    }

    /// Whether traffic from outside stays on the node that it comes to: the answer of another node may differ.
    #[inline(always)]
    #[must_use]
    pub const fn is_local_outside(&self) -> bool {
        self.flags & Self::LOCAL_OUTSIDE != 0
    }
}

// === impl Verdict ===

impl Verdict {
    /// Rows have numbers from here on; those below are the other verdicts.
    pub const FIRST_ROW: u32 = 2;

    #[inline(always)]
    const fn code(self) -> u32 {
        match self {
            Self::Reject => 0,
            Self::Drop => 1,
            Self::Balance(row) => row,
        }
    }

    #[inline(always)]
    const fn of_code(code: u32) -> Self {
        match code {
            0 => Self::Reject,
            1 => Self::Drop,
            row => Self::Balance(row),
        }
    }
}

// === impl Row ===

impl Row {
    /// A row of `length` places that begins at `offset`, both counted in places.
    #[must_use]
    pub const fn new(offset: u32, length: u32) -> Self {
        Self((offset as u64) << 32 | length as u64)
    }

    /// Where the row begins.
    #[inline(always)]
    #[must_use]
    pub const fn offset(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// How many places it has; 0 in a row that is not in use.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half of the word")]
    pub const fn length(self) -> u32 {
        self.0 as u32
    }

    /// The place that a hash picks, or nothing in an empty row.
    #[inline(always)]
    #[must_use]
    pub const fn place(self, hash: u32) -> Option<u32> {
        // A multiplication instead of a division: the upper half of hash * length is even over 0..length.
        let place = (hash as u64 * self.length() as u64) >> 32;
        if self.length() == 0 { None } else { Some(self.offset().wrapping_add(place as u32)) }
    }

    /// The word, for one store.
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }
}

// === impl Backend ===

impl Backend {
    const IN_USE: u8 = 1;

    /// An address and port that serve. The generation is one that no earlier backend of this number had.
    #[must_use]
    pub const fn new(address: IpAddress, port: u16, protocol: IpProtocol, generation: u32) -> Self {
        Self { address, port: port.to_be_bytes(), protocol: protocol.0, flags: Self::IN_USE, generation }
    }

    /// The same number without a backend: flows that remember the generation find that theirs is gone.
    #[must_use]
    pub const fn gone(self) -> Self {
        Self { flags: 0, generation: self.generation.wrapping_add(1), ..self }
    }

    /// Whether the number is taken.
    #[inline(always)]
    #[must_use]
    pub const fn is_in_use(&self) -> bool {
        self.flags & Self::IN_USE != 0
    }

    /// The address.
    #[inline(always)]
    #[must_use]
    pub const fn address(&self) -> IpAddress {
        self.address
    }

    /// The port.
    #[inline(always)]
    #[must_use]
    pub const fn port(&self) -> u16 {
        u16::from_be_bytes(self.port)
    }

    /// The transport protocol.
    #[inline(always)]
    #[must_use]
    pub const fn protocol(&self) -> IpProtocol {
        IpProtocol(self.protocol)
    }

    /// Changes whenever the number gets another backend or none.
    #[inline(always)]
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frontend_remembers_what_it_was_given() {
        let frontend = Frontend::new(7, Verdict::Balance(9), Verdict::Drop)
            .with_affinity(10_800)
            .with_masquerade(true)
            .with_filter(true)
            .with_masquerade(false);
        assert_eq!(
            (frontend.service(), frontend.inside(), frontend.outside()),
            (7, Verdict::Balance(9), Verdict::Drop)
        );
        assert_eq!(frontend.affinity_seconds(), 10_800);
        assert_eq!((frontend.masquerades(), frontend.is_filtered(), frontend.is_local_outside()), (false, true, false));
        assert_eq!(Frontend::default().inside(), Verdict::Reject);
    }

    #[test]
    fn node_ports_of_the_families_are_told_apart() {
        let of = |is_ipv4| FrontendKey::node_port(is_ipv4, 30080, IpProtocol::TCP);
        assert_ne!(of(true), of(false));
        assert_eq!((of(true).port(), of(true).protocol()), (30080, IpProtocol::TCP));
    }

    #[test]
    fn a_hash_picks_every_place_of_a_row_and_none_beside_it() {
        let row = Row::new(100, 7);
        for (hash, place) in [(0, 100), (u32::MAX / 7 - 1, 100), (u32::MAX / 2, 103), (u32::MAX, 106)] {
            assert_eq!(row.place(hash), Some(place), "{hash}");
        }
        assert_eq!(Row::default().place(5), None);
        assert_eq!((Row::new(u32::MAX, 1).offset(), Row::new(3, u32::MAX).length()), (u32::MAX, u32::MAX));
    }

    #[test]
    fn a_number_that_loses_its_backend_changes_its_generation() {
        let backend = Backend::new(IpAddress::v4([10, 0, 0, 1]), 8080, IpProtocol::TCP, 4);
        assert!(backend.is_in_use() && !backend.gone().is_in_use());
        assert_eq!((backend.port(), backend.gone().generation()), (8080, 5));
    }
}
