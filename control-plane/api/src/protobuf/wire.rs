//! Protobuf's wire format: keys, variable-length integers, length-prefixed bytes.

use super::ProtobufError;

/// Reads the fields of one message.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// The value of a field, as far as the wire tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// Writes the fields of one message.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED32: u64 = 5;

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field; none at the end.
    pub(super) fn field(&mut self) -> Result<Option<(u32, Payload<'a>)>, ProtobufError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0).ok_or(ProtobufError::IllegalKey)?;
        let payload = match key & 7 {
            VARINT => Payload::Varint(self.varint()?),
            FIXED64 => Payload::Fixed64(u64::from_le_bytes(self.array()?)),
            LENGTH_DELIMITED => {
                let length = usize::try_from(self.varint()?).map_err(|_| ProtobufError::Truncated)?;
                Payload::Bytes(self.take(length)?)
            }
            FIXED32 => Payload::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(ProtobufError::IllegalKey),
        };
        Ok(Some((number, payload)))
    }

    /// The next integer of a packed list; none at the end.
    pub(super) fn packed(&mut self) -> Result<Option<u64>, ProtobufError> {
        if self.rest.is_empty() { Ok(None) } else { self.varint().map(Some) }
    }

    fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(ProtobufError::IllegalKey);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ProtobufError::IllegalKey)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtobufError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(ProtobufError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(ProtobufError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }
}

// === impl Writer ===

impl Writer {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn bytes(&mut self, number: u32, value: &[u8]) {
        self.key(number, LENGTH_DELIMITED);
        self.varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// A nested message. Its length goes before it, so its bytes are moved once it is known.
    pub(crate) fn message(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        let mut nested = Self::default();
        write(&mut nested);
        self.bytes(number, &nested.bytes);
    }

    pub(crate) fn integer(&mut self, number: u32, value: i64) {
        self.key(number, VARINT);
        self.varint(value.cast_unsigned());
    }

    pub(super) fn double(&mut self, number: u32, value: f64) {
        self.key(number, FIXED64);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn key(&mut self, number: u32, wire_type: u64) {
        self.varint(u64::from(number) << 3 | wire_type);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        #[expect(clippy::cast_possible_truncation, reason = "below 128")]
        self.bytes.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_integer_reads_as_it_was_written() {
        for value in [0, 1, 127, 128, 300, i64::MAX, -1, i64::MIN, i64::from(i32::MIN)] {
            let mut writer = Writer::default();
            writer.integer(7, value);
            let bytes = writer.into_bytes();
            let field = Reader::new(&bytes).field().unwrap();
            assert_eq!(field, Some((7, Payload::Varint(value.cast_unsigned()))), "{value}");
        }
    }

    #[test]
    fn malformed_fields_are_errors() {
        let rows: [(&str, &[u8], ProtobufError); 7] = [
            ("a key without a value", &[0x08], ProtobufError::Truncated),
            ("a length beyond the end", &[0x0a, 5, 1], ProtobufError::Truncated),
            (
                "a length beyond memory",
                &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
                ProtobufError::Truncated,
            ),
            (
                "an integer of eleven bytes",
                &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
                ProtobufError::IllegalKey,
            ),
            (
                "an integer of 65 bits",
                &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
                ProtobufError::IllegalKey,
            ),
            ("field zero", &[0x00, 1], ProtobufError::IllegalKey),
            ("a group", &[0x0b], ProtobufError::IllegalKey),
        ];
        for (name, bytes, error) in rows {
            assert_eq!(Reader::new(bytes).field(), Err(error), "{name}");
        }
    }
}
