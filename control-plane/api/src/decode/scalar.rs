//! Single values: which JSON each type takes, and its one canonical spelling.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::Document;
use crate::quantity::{ParseError, Quantity};
use crate::schema::Scalar;
use crate::time;

/// What is wrong with a value.
pub(super) enum Wrong {
    /// It is not of the type: Go's name of the type that its decoder wanted, and the value.
    Type(&'static str, Document),
    /// A type with a decoder of its own refused it, in these words.
    Refused(String),
}

/// Go's decoder ignores what is left of the last character's bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The parts of an RFC 3339 time as Go's reference time writes them, with the digits that each takes; `-07:00` apart.
const TIME_PARTS: [(&str, usize); 11] = [
    ("2006", 4),
    ("-", 0),
    ("01", 2),
    ("-", 0),
    ("02", 2),
    ("T", 0),
    ("15", 2),
    (":", 0),
    ("04", 2),
    (":", 0),
    ("05", 2),
];

/// The canonical form of a value of this type.
pub(super) fn canonical(scalar: Scalar, value: Document) -> Result<Document, Wrong> {
    match scalar {
        Scalar::String => match value {
            Document::String(_) => Ok(value),
            _ => Err(Wrong::Type("string", value)),
        },
        Scalar::Boolean => match value {
            Document::Bool(_) => Ok(value),
            _ => Err(Wrong::Type("bool", value)),
        },
        Scalar::Number => match value {
            Document::Number(_) => Ok(value),
            _ => Err(Wrong::Type("float64", value)),
        },
        Scalar::Int32 => int32(value),
        Scalar::Int64 => match value.as_i64() {
            Some(_) => Ok(value),
            None => Err(Wrong::Type("int64", value)),
        },
        Scalar::IntOrString => match value {
            Document::String(_) => Ok(value),
            _ => int32(value),
        },
        Scalar::Quantity => quantity(&value),
        Scalar::Bytes => match value.as_str() {
            Some(text) => bytes(text),
            None => Err(Wrong::Type("[]uint8", value)),
        },
        Scalar::Time => timestamp(value).map(|time| time::format(time).into()),
        Scalar::MicroTime => timestamp(value).map(|time| time::format_micro(time).into()),
    }
}

/// The value that Go's zero value of this type is written as; `null` where it is written so.
pub(super) fn zero(scalar: Scalar) -> Document {
    match scalar {
        Scalar::String | Scalar::Bytes => "".into(),
        Scalar::Int32 | Scalar::Int64 | Scalar::Number | Scalar::IntOrString => 0.into(),
        Scalar::Boolean => false.into(),
        Scalar::Quantity => "0".into(),
        Scalar::Time | Scalar::MicroTime => Document::Null,
    }
}

fn int32(value: Document) -> Result<Document, Wrong> {
    match value.as_i64().and_then(|value| i32::try_from(value).ok()) {
        Some(_) => Ok(value),
        None => Err(Wrong::Type("int32", value)),
    }
}

fn quantity(value: &Document) -> Result<Document, Wrong> {
    let parsed = match value {
        Document::String(text) => text.parse(),
        Document::Number(number) => number.to_string().parse(),
        Document::Null | Document::Bool(_) | Document::Array(_) | Document::Object(_) => Err(ParseError::Format),
    };
    parsed.map(|quantity: Quantity| quantity.to_string().into()).map_err(|error| Wrong::Refused(error.to_string()))
}

fn bytes(text: &str) -> Result<Document, Wrong> {
    let compact: String = text.chars().filter(|character| !matches!(character, '\r' | '\n')).collect();
    match BASE64.decode(&compact) {
        Ok(decoded) => Ok(BASE64.encode(decoded).into()),
        Err(error) => {
            Err(Wrong::Refused(format!("illegal base64 data at input byte {}", base64_offset(&error, &compact))))
        }
    }
}

fn base64_offset(error: &base64::DecodeError, text: &str) -> usize {
    match error {
        base64::DecodeError::InvalidByte(offset, _) | base64::DecodeError::InvalidLastSymbol { offset, .. } => *offset,
        // Go names the start of the group that is not complete.
        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => text.len() - text.len() % 4,
    }
}

fn timestamp(value: Document) -> Result<jiff::Timestamp, Wrong> {
    let Some(text) = value.as_str() else {
        return Err(Wrong::Type("string", value));
    };
    let refuse = |reason: &str| Wrong::Refused(format!("parsing time {text:?}{reason}"));
    check_time_shape(text).map_err(|(rest, part)| {
        refuse(&format!(" as \"2006-01-02T15:04:05Z07:00\": cannot parse {rest:?} as {part:?}"))
    })?;
    time::parse(text).ok_or_else(|| refuse(": out of range"))
}

/// The rest of the text and the part of Go's reference time that it does not begin with.
fn check_time_shape(text: &str) -> Result<(), (&str, &'static str)> {
    let mut rest = text;
    for (part, digits) in TIME_PARTS {
        rest = match digits {
            0 => rest.strip_prefix(part),
            _ => rest.split_at_checked(digits).filter(|(head, _)| is_digits(head)).map(|(_, tail)| tail),
        }
        .ok_or((rest, part))?;
    }
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|character: char| character.is_ascii_digit()),
        None => rest,
    };
    let is_offset = |zone: &str| match zone.as_bytes() {
        [b'+' | b'-', hours @ .., b':', first, second] => {
            hours.len() == 2 && hours.iter().chain([first, second]).all(u8::is_ascii_digit)
        }
        _ => false,
    };
    if zone == "Z" || is_offset(zone) { Ok(()) } else { Err((zone, "Z07:00")) }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}
