//! From messages to documents.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number};

use super::index::{Slot, slot};
use super::wire::{Payload, Reader};
use super::{MAGIC, ProtobufError, open, utf8};
use crate::Document;
use crate::decode::MAX_DEPTH;
use crate::kind::GroupVersionKind;
use crate::registry::builtin_type;
use crate::schema::{Arena, FieldNumber, ObjectType, Scalar, Type, TypeId};
use crate::time;

/// The document of a message of the built-in type `ty`.
///
/// Go's encoder writes empty values that JSON would leave out; [`crate::decode::document`] removes them.
///
/// # Errors
/// When the bytes are no message of the type.
pub fn decode(ty: TypeId, message: &[u8]) -> Result<Document, ProtobufError> {
    Decoder { depth: 0 }.object(ty, message)
}

struct Decoder {
    depth: usize,
}

// === impl Decoder ===

impl Decoder {
    fn object(&mut self, ty: TypeId, message: &[u8]) -> Result<Document, ProtobufError> {
        let Some(Type::Object(object)) = Arena::builtin().try_get(ty) else {
            return Err(ProtobufError::NoProtobuf);
        };
        let mut document = Map::new();
        self.fields(ty, object, None, message, &mut document)?;
        Ok(document.into())
    }

    /// Reads the fields of a message, or of a message nested in field `outer` that JSON inlines, into `document`.
    fn fields(
        &mut self,
        ty: TypeId,
        object: &ObjectType,
        outer: Option<u32>,
        message: &[u8],
        document: &mut Map<String, Document>,
    ) -> Result<(), ProtobufError> {
        if self.depth >= MAX_DEPTH {
            return Err(ProtobufError::Depth);
        }
        self.depth += 1;
        let mut reader = Reader::new(message);
        while let Some((number, payload)) = reader.field()? {
            let place = match outer {
                None => FieldNumber::Own(number),
                Some(outer) => FieldNumber::Inlined { outer, inner: number },
            };
            match slot(ty, place) {
                Some(Slot::Field(name, field)) => self.field(field.ty, payload, document, name)?.ok_or_else(|| {
                    ProtobufError::WireType { message: object.name.clone().unwrap_or_default(), number }
                })?,
                Some(Slot::Inlined) => {
                    let Payload::Bytes(message) = payload else {
                        return Err(wrong_type(object, number));
                    };
                    self.fields(ty, object, Some(number), message, document)?;
                }
                None => {
                    let message = object.name.clone().unwrap_or_default();
                    return Err(ProtobufError::UnknownField { message, number });
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Adds one occurrence of a field: an element of a list, an entry of a map, or the value. None for a wrong wire
    /// type.
    fn field(
        &mut self,
        ty: TypeId,
        payload: Payload<'_>,
        document: &mut Map<String, Document>,
        name: &str,
    ) -> Result<Option<()>, ProtobufError> {
        match Arena::builtin().get(ty) {
            Type::List(list) => {
                let elements = document.entry(name).or_insert_with(|| Vec::<Document>::new().into());
                let Document::Array(elements) = elements else { return Ok(None) };
                self.elements(list.items, payload, elements)
            }
            Type::Map(map) => {
                let entries = document.entry(name).or_insert_with(|| Map::new().into());
                let (Document::Object(entries), Payload::Bytes(entry)) = (entries, payload) else { return Ok(None) };
                self.entry(map.values, entry, entries)
            }
            Type::Object(_) | Type::Scalar(_) | Type::Any => {
                let Some(value) = self.value(ty, payload)? else { return Ok(None) };
                document.insert(name.to_owned(), value);
                Ok(Some(()))
            }
        }
    }

    fn elements(
        &mut self,
        items: TypeId,
        payload: Payload<'_>,
        elements: &mut Vec<Document>,
    ) -> Result<Option<()>, ProtobufError> {
        let is_integer = matches!(Arena::builtin().get(items), Type::Scalar(Scalar::Int32 | Scalar::Int64));
        if let (true, Payload::Bytes(packed)) = (is_integer, payload) {
            let mut reader = Reader::new(packed);
            while let Some(value) = reader.packed()? {
                elements.push(value.cast_signed().into());
            }
            return Ok(Some(()));
        }
        Ok(self.value(items, payload)?.map(|value| elements.push(value)))
    }

    fn entry(
        &mut self,
        values: TypeId,
        entry: &[u8],
        entries: &mut Map<String, Document>,
    ) -> Result<Option<()>, ProtobufError> {
        let mut key = "";
        let mut value = Document::Null;
        let mut reader = Reader::new(entry);
        while let Some((number, payload)) = reader.field()? {
            match (number, payload) {
                (1, Payload::Bytes(text)) => key = utf8(text)?,
                (2, payload) => match self.value(values, payload)? {
                    Some(found) => value = found,
                    None => return Ok(None),
                },
                _ => return Err(ProtobufError::UnknownField { message: "a map's entry".to_owned(), number }),
            }
        }
        entries.insert(key.to_owned(), value);
        Ok(Some(()))
    }

    /// A value; none for a wrong wire type.
    fn value(&mut self, ty: TypeId, payload: Payload<'_>) -> Result<Option<Document>, ProtobufError> {
        let value = match (Arena::builtin().get(ty), payload) {
            (Type::Object(_), Payload::Bytes(message)) => self.object(ty, message)?,
            (Type::List(list), Payload::Bytes(message)) => self.wrapped_list(list.items, message)?,
            (Type::Any, Payload::Bytes(message)) => self.embedded(message)?,
            (Type::Scalar(scalar), payload) => match scalar_value(*scalar, payload)? {
                Some(value) => value,
                None => return Ok(None),
            },
            (Type::Object(_) | Type::List(_) | Type::Map(_) | Type::Any, _) => return Ok(None),
        };
        Ok(Some(value))
    }

    /// A list that is the value of a map's entry: a message with the elements in field 1.
    fn wrapped_list(&mut self, items: TypeId, message: &[u8]) -> Result<Document, ProtobufError> {
        let mut elements = Vec::new();
        let mut reader = Reader::new(message);
        while let Some((number, payload)) = reader.field()? {
            let element = if number == 1 { self.value(items, payload)? } else { None };
            let wrong = || ProtobufError::UnknownField { message: "a list in a map".to_owned(), number };
            elements.push(element.ok_or_else(wrong)?);
        }
        Ok(elements.into())
    }

    /// A `RawExtension` or `FieldsV1`.
    fn embedded(&mut self, message: &[u8]) -> Result<Document, ProtobufError> {
        let mut raw: &[u8] = &[];
        let mut reader = Reader::new(message);
        while let Some((number, payload)) = reader.field()? {
            match (number, payload) {
                (1, Payload::Bytes(bytes)) => raw = bytes,
                _ => return Err(ProtobufError::UnknownField { message: "runtime.RawExtension".to_owned(), number }),
            }
        }
        if raw.is_empty() {
            return Ok(Document::Null);
        }
        if raw.starts_with(&MAGIC) {
            return self.embedded_body(raw);
        }
        serde_json::from_slice(raw).map_err(|error| ProtobufError::Embedded(error.to_string()))
    }

    fn embedded_body(&mut self, body: &[u8]) -> Result<Document, ProtobufError> {
        let envelope = open(body)?;
        let gvk = GroupVersionKind::from_api_version(envelope.api_version, envelope.kind);
        let ty = builtin_type(Arena::builtin(), &gvk).ok_or_else(|| {
            ProtobufError::Embedded(format!("no kind {:?} is registered for {:?}", gvk.kind, gvk.api_version()))
        })?;
        let mut document = self.object(ty, envelope.message)?;
        document["apiVersion"] = envelope.api_version.into();
        document["kind"] = envelope.kind.into();
        Ok(document)
    }
}

fn wrong_type(object: &ObjectType, number: u32) -> ProtobufError {
    ProtobufError::WireType { message: object.name.clone().unwrap_or_default(), number }
}

/// A single value; none for a wrong wire type.
fn scalar_value(scalar: Scalar, payload: Payload<'_>) -> Result<Option<Document>, ProtobufError> {
    let value = match (scalar, payload) {
        (Scalar::String, Payload::Bytes(text)) => utf8(text)?.into(),
        (Scalar::Bytes, Payload::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (Scalar::Int32 | Scalar::Int64, Payload::Varint(value)) => value.cast_signed().into(),
        (Scalar::Boolean, Payload::Varint(value)) => (value != 0).into(),
        (Scalar::Number, Payload::Fixed64(bits)) => {
            Number::from_f64(f64::from_bits(bits)).map_or(Document::Null, Document::Number)
        }
        (Scalar::Time, Payload::Bytes(message)) => {
            timestamp(message)?.map_or(Document::Null, |at| time::format(at).into())
        }
        (Scalar::MicroTime, Payload::Bytes(message)) => {
            timestamp(message)?.map_or(Document::Null, |at| time::format_micro(at).into())
        }
        (Scalar::Quantity, Payload::Bytes(message)) => quantity(message)?,
        (Scalar::IntOrString, Payload::Bytes(message)) => int_or_string(message)?,
        _ => return Ok(None),
    };
    Ok(Some(value))
}

/// The time of a `Timestamp`; an empty message is Go's zero time.
fn timestamp(message: &[u8]) -> Result<Option<jiff::Timestamp>, ProtobufError> {
    if message.is_empty() {
        return Ok(None);
    }
    let (mut seconds, mut nanoseconds) = (0, 0);
    let mut reader = Reader::new(message);
    while let Some((number, payload)) = reader.field()? {
        match (number, payload) {
            (1, Payload::Varint(value)) => seconds = value.cast_signed(),
            (2, Payload::Varint(value)) => nanoseconds = value.cast_signed(),
            _ => return Err(ProtobufError::UnknownField { message: "meta.v1.Time".to_owned(), number }),
        }
    }
    let nanoseconds = i32::try_from(nanoseconds).map_err(|_| ProtobufError::Time(seconds))?;
    jiff::Timestamp::new(seconds, nanoseconds).map(Some).map_err(|_| ProtobufError::Time(seconds))
}

fn quantity(message: &[u8]) -> Result<Document, ProtobufError> {
    let mut text = "0";
    let mut reader = Reader::new(message);
    while let Some((number, payload)) = reader.field()? {
        match (number, payload) {
            (1, Payload::Bytes(bytes)) => text = utf8(bytes)?,
            _ => return Err(ProtobufError::UnknownField { message: "resource.Quantity".to_owned(), number }),
        }
    }
    Ok(text.into())
}

fn int_or_string(message: &[u8]) -> Result<Document, ProtobufError> {
    let (mut is_string, mut integer, mut text) = (false, 0, "");
    let mut reader = Reader::new(message);
    while let Some((number, payload)) = reader.field()? {
        match (number, payload) {
            (1, Payload::Varint(which)) => is_string = which != 0,
            (2, Payload::Varint(value)) => integer = value.cast_signed(),
            (3, Payload::Bytes(bytes)) => text = utf8(bytes)?,
            _ => return Err(ProtobufError::UnknownField { message: "intstr.IntOrString".to_owned(), number }),
        }
    }
    Ok(if is_string { text.into() } else { integer.into() })
}
