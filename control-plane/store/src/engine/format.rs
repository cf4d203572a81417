//! The bytes of keys and values in the embedded engine's tables. `docs/store-format.md` describes them for other readers.
//!
//! All numbers are big-endian, so that the order of keys as bytes is their order as numbers.

use std::sync::Arc;

use bytes::Bytes;

use super::{Change, StoredLease};
use crate::entry::Place;
use crate::{EventKind, LeaseId, Revision};

/// The format that this version writes, and the only one it reads.
pub(super) const FORMAT: u64 = 1;

/// Bytes of a change's key: revision (8), index (4).
pub(super) const PLACE_BYTES: usize = 12;
/// Bytes of a lease's value: time granted (8), end (8), checksum (4).
pub(super) const LEASE_BYTES: usize = 20;
/// Bytes of a change before its key: kind (1), create revision (8), version (8), lease (8), length of the key (2).
const HEAD_BYTES: usize = 27;
/// Bytes of the checksum at the end.
const CHECKSUM_BYTES: usize = 4;

const PUT: u8 = 1;
const DELETE: u8 = 2;

/// Bytes that are not what a store wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Damage {
    #[error("it is cut short")]
    Short,
    #[error("its checksum does not match")]
    Checksum,
    #[error("its kind is {0}, neither put nor delete")]
    Kind(u8),
    #[error("its key is not UTF-8")]
    Key,
}

// === Keys ===

pub(super) fn place_bytes(place: Place) -> [u8; PLACE_BYTES] {
    let mut bytes = [0; PLACE_BYTES];
    bytes[..8].copy_from_slice(&place.revision.0.to_be_bytes());
    bytes[8..].copy_from_slice(&place.index.to_be_bytes());
    bytes
}

pub(super) fn place(bytes: [u8; PLACE_BYTES]) -> Place {
    let mut reader = Reader(&bytes);
    // Twelve bytes are there.
    let revision = reader.number().unwrap_or_default();
    let index = reader.take::<4>().map(u32::from_be_bytes).unwrap_or_default();
    Place { revision: Revision(revision), index }
}

// === Changes ===

/// Appends the form of a change to `bytes`.
pub(super) fn encode(change: &Change, bytes: &mut Vec<u8>) {
    let key = change.key.as_bytes();
    bytes.reserve(HEAD_BYTES + key.len() + change.value.len() + CHECKSUM_BYTES);
    let start = bytes.len();
    bytes.push(match change.kind {
        EventKind::Put => PUT,
        EventKind::Delete => DELETE,
    });
    bytes.extend_from_slice(&change.create_revision.0.to_be_bytes());
    bytes.extend_from_slice(&change.version.to_be_bytes());
    bytes.extend_from_slice(&change.lease.map_or(0, |lease| lease.0).to_be_bytes());
    // Longer keys are refused before they get here.
    let key_length = u16::try_from(key.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&key_length.to_be_bytes());
    bytes.extend_from_slice(&key[..usize::from(key_length)]);
    bytes.extend_from_slice(&change.value);
    let checksum = checksum(&place_bytes(change.place), &bytes[start..]);
    bytes.extend_from_slice(&checksum.to_be_bytes());
}

/// Reads the change at a place.
pub(super) fn decode(place: Place, bytes: &[u8]) -> Result<Change, Damage> {
    let (body, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Damage::Short)?;
    if checksum(&place_bytes(place), body) != u32::from_be_bytes(*sum) {
        return Err(Damage::Checksum);
    }
    let mut reader = Reader(body);
    let kind = match reader.take::<1>()? {
        [PUT] => EventKind::Put,
        [DELETE] => EventKind::Delete,
        [other] => return Err(Damage::Kind(other)),
    };
    let create_revision = Revision(reader.number()?);
    let version = reader.number()?;
    let lease = Some(reader.number()?).filter(|lease| *lease != 0).map(LeaseId);
    let key_length = u16::from_be_bytes(reader.take()?);
    let (key, value) = reader.0.split_at_checked(usize::from(key_length)).ok_or(Damage::Short)?;
    let key = Arc::from(str::from_utf8(key).map_err(|_| Damage::Key)?);
    Ok(Change { place, kind, key, value: Bytes::copy_from_slice(value), create_revision, version, lease })
}

// === Leases ===

pub(super) fn encode_lease(lease: StoredLease) -> [u8; LEASE_BYTES] {
    let mut bytes = [0; LEASE_BYTES];
    bytes[..8].copy_from_slice(&lease.ttl_ms.to_be_bytes());
    bytes[8..16].copy_from_slice(&lease.expires_unix_ms.to_be_bytes());
    let checksum = checksum(&lease.id.0.to_be_bytes(), &bytes[..16]);
    bytes[16..].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

pub(super) fn decode_lease(id: LeaseId, bytes: [u8; LEASE_BYTES]) -> Result<StoredLease, Damage> {
    let mut reader = Reader(&bytes);
    let lease = StoredLease { id, ttl_ms: reader.number()?, expires_unix_ms: reader.number()? };
    if encode_lease(lease) == bytes { Ok(lease) } else { Err(Damage::Checksum) }
}

/// CRC-32 (IEEE 802.3) over a record's key and its value, so that a record in the wrong place is noticed too.
fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

/// The rest of some bytes.
struct Reader<'a>(&'a [u8]);

// === impl Reader ===

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Damage::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u64, Damage> {
        self.take().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change() -> Change {
        Change {
            place: Place { revision: Revision(258), index: 3 },
            kind: EventKind::Put,
            key: Arc::from("/a"),
            value: Bytes::from_static(b"xyz"),
            create_revision: Revision(256),
            version: 2,
            lease: Some(LeaseId(9)),
        }
    }

    /// The example of docs/store-format.md.
    #[test]
    fn the_bytes_of_a_change_are_those_of_the_format_description() {
        let mut bytes = Vec::new();
        encode(&change(), &mut bytes);
        assert_eq!(place_bytes(change().place), [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3]);
        assert_eq!(
            bytes,
            [
                [1].as_slice(),
                &[0, 0, 0, 0, 0, 0, 1, 0],
                &[0, 0, 0, 0, 0, 0, 0, 2],
                &[0, 0, 0, 0, 0, 0, 0, 9],
                &[0, 2],
                b"/a",
                b"xyz",
                &[0xda, 0x98, 0x43, 0xb5],
            ]
            .concat()
        );
    }

    #[test]
    fn the_bytes_of_a_lease_are_those_of_the_format_description() {
        let lease = StoredLease { id: LeaseId(9), ttl_ms: 3_600_000, expires_unix_ms: 1_800_000_000_000 };
        assert_eq!(
            encode_lease(lease),
            [
                [0, 0, 0, 0, 0, 0x36, 0xee, 0x80].as_slice(),
                &[0, 0, 1, 0xa3, 0x18, 0x5c, 0x50, 0],
                &[0xfb, 0xbd, 0x31, 0x3c]
            ]
            .concat()[..]
        );
        assert_eq!(decode_lease(lease.id, encode_lease(lease)), Ok(lease));
        assert_eq!(decode_lease(LeaseId(8), encode_lease(lease)), Err(Damage::Checksum));
    }

    #[test]
    fn a_change_in_another_place_is_not_taken_for_one_of_that_place() {
        let mut bytes = Vec::new();
        encode(&change(), &mut bytes);
        assert_eq!(decode(change().place, &bytes), Ok(change()));
        assert_eq!(decode(Place { index: 4, ..change().place }, &bytes), Err(Damage::Checksum));
    }

    #[test]
    fn a_flipped_bit_is_noticed_wherever_it_is() {
        let mut bytes = Vec::new();
        encode(&change(), &mut bytes);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(change().place, &bytes), Err(Damage::Checksum), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    proptest! {
        #[test]
        fn any_change_survives(
            revision: u64, index: u32, is_put: bool, key in ".{0,40}", value: Vec<u8>, created: u64, version: u64, lease in 1u64..
        ) {
            let change = Change {
                place: Place { revision: Revision(revision), index },
                kind: if is_put { EventKind::Put } else { EventKind::Delete },
                key: Arc::from(key),
                value: value.into(),
                create_revision: Revision(created),
                version,
                lease: Some(LeaseId(lease)),
            };
            let mut bytes = Vec::new();
            encode(&change, &mut bytes);
            prop_assert_eq!(place(place_bytes(change.place)), change.place);
            prop_assert_eq!(decode(change.place, &bytes), Ok(change));
        }

        #[test]
        fn any_bytes_are_read_or_refused(revision: u64, bytes: Vec<u8>) {
            let _ = decode(Place { revision: Revision(revision), index: 0 }, &bytes);
        }

        /// The checksum keeps random bytes out of the decoder proper; here they get in.
        #[test]
        fn any_bytes_with_a_right_checksum_are_read_or_refused(body: Vec<u8>) {
            let place = Place { revision: Revision(1), index: 0 };
            let sum = checksum(&place_bytes(place), &body).to_be_bytes();
            let _ = decode(place, &[&body[..], &sum].concat());
        }
    }
}
