//! From documents to messages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Map;

use super::wire::Writer;
use crate::Document;
use crate::schema::{Arena, FieldNumber, ObjectType, Scalar, Type, TypeId};
use crate::time;

/// Why a document is no message of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The type has no protobuf form, or the document is no object.
    #[error("this kind has no protobuf form")]
    NoProtobuf,
    /// A value is not of its field's type.
    #[error("a value is not of its field's type")]
    WrongType,
    /// A watch event is longer than 4 GiB.
    #[error("the event is too long for a frame")]
    TooLong,
}

/// The message of a document of the built-in type `ty`. `apiVersion` and `kind` are the envelope's.
///
/// Fields that the type does not have are left out.
///
/// # Errors
/// When a value is not of its field's type.
pub fn encode(ty: TypeId, document: &Document) -> Result<Vec<u8>, EncodeError> {
    match (Arena::builtin().try_get(ty), document) {
        (Some(Type::Object(object)), Document::Object(fields)) => message(object, fields),
        _ => Err(EncodeError::NoProtobuf),
    }
}

/// A field that a document has.
struct Present<'a> {
    /// The message that it is nested in, where JSON inlines one.
    outer: Option<u32>,
    number: u32,
    ty: TypeId,
    value: &'a Document,
}

fn message(object: &ObjectType, fields: &Map<String, Document>) -> Result<Vec<u8>, EncodeError> {
    let mut present: Vec<Present<'_>> = fields
        .iter()
        .filter_map(|(name, value)| {
            let field = object.fields.get(name)?;
            let (outer, number) = match field.number? {
                FieldNumber::Own(number) => (None, number),
                FieldNumber::Inlined { outer, inner } => (Some(outer), inner),
            };
            Some(Present { outer, number, ty: field.ty, value })
        })
        .collect();
    present.sort_unstable_by_key(|field| (field.outer.unwrap_or(field.number), field.number));
    let mut writer = Writer::default();
    for fields in present.chunk_by(|left, right| left.outer == right.outer) {
        match fields[0].outer {
            None => write_fields(&mut writer, fields)?,
            Some(outer) => {
                let mut nested = Writer::default();
                write_fields(&mut nested, fields)?;
                writer.bytes(outer, &nested.into_bytes());
            }
        }
    }
    Ok(writer.into_bytes())
}

fn write_fields(writer: &mut Writer, fields: &[Present<'_>]) -> Result<(), EncodeError> {
    fields.iter().try_for_each(|field| write_field(writer, field.number, field.ty, field.value))
}

fn write_field(writer: &mut Writer, number: u32, ty: TypeId, value: &Document) -> Result<(), EncodeError> {
    match (Arena::builtin().get(ty), value) {
        (_, Document::Null) => Ok(()),
        (Type::List(list), Document::Array(items)) => {
            items.iter().try_for_each(|item| write_value(writer, number, list.items, item))
        }
        (Type::Map(map), Document::Object(entries)) => entries.iter().try_for_each(|(key, value)| {
            let mut entry = Writer::default();
            entry.bytes(1, key.as_bytes());
            match value {
                // Go's zero time: null in JSON, an empty message here.
                Document::Null => entry.bytes(2, b""),
                value => write_value(&mut entry, 2, map.values, value)?,
            }
            writer.bytes(number, &entry.into_bytes());
            Ok(())
        }),
        (Type::Object(_) | Type::Scalar(_) | Type::Any, value) => write_value(writer, number, ty, value),
        (Type::List(_) | Type::Map(_), _) => Err(EncodeError::WrongType),
    }
}

fn write_value(writer: &mut Writer, number: u32, ty: TypeId, value: &Document) -> Result<(), EncodeError> {
    match (Arena::builtin().get(ty), value) {
        (Type::Object(object), Document::Object(fields)) => writer.bytes(number, &message(object, fields)?),
        (Type::List(list), Document::Array(items)) => {
            let mut wrapper = Writer::default();
            items.iter().try_for_each(|item| write_value(&mut wrapper, 1, list.items, item))?;
            writer.bytes(number, &wrapper.into_bytes());
        }
        (Type::Any, value) => {
            let mut wrapper = Writer::default();
            wrapper.bytes(1, value.to_string().as_bytes());
            writer.bytes(number, &wrapper.into_bytes());
        }
        (Type::Scalar(scalar), value) => return write_scalar(writer, number, *scalar, value),
        (Type::Object(_) | Type::List(_) | Type::Map(_), _) => return Err(EncodeError::WrongType),
    }
    Ok(())
}

fn write_scalar(writer: &mut Writer, number: u32, scalar: Scalar, value: &Document) -> Result<(), EncodeError> {
    let text = || value.as_str().ok_or(EncodeError::WrongType);
    match scalar {
        Scalar::String => writer.bytes(number, text()?.as_bytes()),
        Scalar::Bytes => writer.bytes(number, &STANDARD.decode(text()?).map_err(|_| EncodeError::WrongType)?),
        Scalar::Int32 | Scalar::Int64 => writer.integer(number, value.as_i64().ok_or(EncodeError::WrongType)?),
        Scalar::Boolean => writer.integer(number, value.as_bool().ok_or(EncodeError::WrongType)?.into()),
        Scalar::Number => writer.double(number, value.as_f64().ok_or(EncodeError::WrongType)?),
        Scalar::Time | Scalar::MicroTime => {
            let at = time::parse(text()?).ok_or(EncodeError::WrongType)?;
            let mut timestamp = Writer::default();
            timestamp.integer(1, at.as_second());
            timestamp.integer(2, at.subsec_nanosecond().into());
            writer.bytes(number, &timestamp.into_bytes());
        }
        Scalar::Quantity => {
            let mut quantity = Writer::default();
            match value {
                Document::String(text) => quantity.bytes(1, text.as_bytes()),
                Document::Number(amount) => quantity.bytes(1, amount.to_string().as_bytes()),
                Document::Null | Document::Bool(_) | Document::Array(_) | Document::Object(_) => {
                    return Err(EncodeError::WrongType);
                }
            }
            writer.bytes(number, &quantity.into_bytes());
        }
        Scalar::IntOrString => {
            let (integer, text) = match (value.as_i64(), value.as_str()) {
                (Some(integer), _) => (integer, None),
                (None, Some(text)) => (0, Some(text)),
                (None, None) => return Err(EncodeError::WrongType),
            };
            let mut either = Writer::default();
            either.integer(1, text.is_some().into());
            either.integer(2, integer);
            either.bytes(3, text.unwrap_or_default().as_bytes());
            writer.bytes(number, &either.into_bytes());
        }
    }
    Ok(())
}
