//! Kubernetes' protobuf, to and from documents.
//!
//! Generated clients send protobuf since client-go 0.32 and do not fall back, so every request body may come in it. The
//! transcoder is driven by the field numbers in the schema [`Arena`]; no message is compiled in. Custom resources have
//! no protobuf form.
//!
//! A body is the magic bytes `k8s\0` and a `runtime.Unknown`, which names the kind and holds the message. Within
//! messages, some types have a form of their own:
//!
//! | type | message |
//! |---|---|
//! | `Time`, `MicroTime` | 1 seconds, 2 nanoseconds; empty for none |
//! | `Quantity` | 1 its text |
//! | `IntOrString` | 1 which (0 integer, 1 string), 2 integer, 3 string |
//! | `RawExtension`, `FieldsV1` | 1 JSON, or a whole body with magic bytes |
//! | a list in a map (`ExtraValue`) | 1 the elements |
//! | a struct that JSON inlines | a message in its own field |
//!
//! A field number that the schema does not know is an error: dropping it would lose what the client meant.

mod decode;
mod encode;
mod index;
pub(crate) mod wire;

pub use decode::decode;
pub use encode::{EncodeError, encode};

use crate::kind::GroupVersionKind;
use wire::{Payload, Reader, Writer};

/// The first bytes of every body.
pub const MAGIC: [u8; 4] = *b"k8s\0";

/// The content type of a body.
pub const CONTENT_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// The content type of a watch: frames of a length and a `WatchEvent`.
pub const WATCH_CONTENT_TYPE: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// A body without its envelope (`k8s.io/apimachinery/pkg/runtime.Unknown`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// `apiVersion` and `kind`; empty where the client left them out.
    pub api_version: &'a str,
    /// The kind; empty where the client left it out.
    pub kind: &'a str,
    /// The message.
    pub message: &'a [u8],
}

/// Why bytes are no message of their type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// The magic bytes are missing.
    #[error("provided data does not appear to be a protobuf message, expected prefix {MAGIC:?}")]
    NoMagic,
    /// The message is compressed or encrypted.
    #[error("the content encoding {0:?} is not supported")]
    ContentEncoding(String),
    /// A message or a field ends too early.
    #[error("unexpected end of the message")]
    Truncated,
    /// A number is longer than 64 bits, or a field's key is no key.
    #[error("integer overflow or illegal tag")]
    IllegalKey,
    /// A field's bytes are not of the form that its type has.
    #[error("wrong wire type for field {number} of {message}")]
    WireType {
        /// The definition.
        message: String,
        /// The field.
        number: u32,
    },
    /// The schema has no such field.
    #[error("unknown field {number} of {message}: this server's API is that of Kubernetes 1.35")]
    UnknownField {
        /// The definition.
        message: String,
        /// The field.
        number: u32,
    },
    /// A text is no UTF-8.
    #[error("string field contains invalid UTF-8")]
    Utf8,
    /// An embedded document is neither JSON nor a message of a known kind.
    #[error("embedded document: {0}")]
    Embedded(String),
    /// A time is outside of the years 1 to 9999.
    #[error("time out of range: {0} seconds")]
    Time(i64),
    /// The type has no protobuf form.
    #[error("this kind has no protobuf form")]
    NoProtobuf,
    /// Messages are nested too deep.
    #[error("exceeded max depth")]
    Depth,
}

/// Takes the envelope off a body.
///
/// # Errors
/// When the body is no envelope.
pub fn open(body: &[u8]) -> Result<Envelope<'_>, ProtobufError> {
    let rest = body.strip_prefix(&MAGIC).ok_or(ProtobufError::NoMagic)?;
    let mut envelope = Envelope { api_version: "", kind: "", message: &[] };
    let mut reader = Reader::new(rest);
    while let Some((number, payload)) = reader.field()? {
        match (number, payload) {
            (1, Payload::Bytes(type_meta)) => read_type_meta(type_meta, &mut envelope)?,
            (2, Payload::Bytes(message)) => envelope.message = message,
            (3, Payload::Bytes(encoding)) if !encoding.is_empty() => {
                return Err(ProtobufError::ContentEncoding(String::from_utf8_lossy(encoding).into_owned()));
            }
            // The content type is that of the message, which the transcoder is for.
            (3 | 4, Payload::Bytes(_)) => {}
            _ => return Err(ProtobufError::UnknownField { message: "runtime.Unknown".to_owned(), number }),
        }
    }
    Ok(envelope)
}

fn read_type_meta<'a>(type_meta: &'a [u8], envelope: &mut Envelope<'a>) -> Result<(), ProtobufError> {
    let mut reader = Reader::new(type_meta);
    while let Some((number, payload)) = reader.field()? {
        match (number, payload) {
            (1, Payload::Bytes(text)) => envelope.api_version = utf8(text)?,
            (2, Payload::Bytes(text)) => envelope.kind = utf8(text)?,
            _ => return Err(ProtobufError::UnknownField { message: "runtime.TypeMeta".to_owned(), number }),
        }
    }
    Ok(())
}

/// Puts a message into an envelope, complete with the magic bytes.
#[must_use]
pub fn seal(gvk: &GroupVersionKind, message: &[u8]) -> Vec<u8> {
    let mut type_meta = Writer::default();
    type_meta.bytes(1, gvk.api_version().as_bytes());
    type_meta.bytes(2, gvk.kind.as_bytes());
    let mut envelope = Writer::default();
    envelope.bytes(1, &type_meta.into_bytes());
    envelope.bytes(2, message);
    envelope.bytes(3, b"");
    envelope.bytes(4, b"");
    [MAGIC.as_slice(), &envelope.into_bytes()].concat()
}

/// One frame of a watch: a big-endian length and a `WatchEvent` of this type (`ADDED`, ...) with a sealed object.
///
/// # Errors
/// When the frame would be longer than its 32-bit length can say.
pub fn watch_frame(event_type: &str, sealed: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let mut raw_extension = Writer::default();
    raw_extension.bytes(1, sealed);
    let mut event = Writer::default();
    event.bytes(1, event_type.as_bytes());
    event.bytes(2, &raw_extension.into_bytes());
    let event = event.into_bytes();
    let length = u32::try_from(event.len()).map_err(|_| EncodeError::TooLong)?;
    Ok([length.to_be_bytes().as_slice(), &event].concat())
}

fn utf8(bytes: &[u8]) -> Result<&str, ProtobufError> {
    std::str::from_utf8(bytes).map_err(|_| ProtobufError::Utf8)
}
