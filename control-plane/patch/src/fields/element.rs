//! One step of a path, and the scalars that name list elements.

use std::cmp::Ordering;
use std::fmt;

use sheave_api::Document;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathElement {
    /// `f:name`: a field of an object or a key of a map.
    Field(String),
    /// `k:{"name":"web"}`: the element of a map list with these keys, sorted by name.
    Key(Vec<(String, Scalar)>),
    /// `v:"a"`: the element of a set with this value.
    Value(Scalar),
    /// `i:0`: the element at this place of a list.
    Index(i64),
}

/// A scalar that names a list element. Numbers are equal when their values are, however they are written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scalar {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number that fits a signed 64-bit integer.
    Integer(i64),
    /// Any other number.
    Float(Float),
    /// A string.
    String(String),
}

/// A floating-point number with a total order.
#[derive(Clone, Copy, Debug)]
pub struct Float(f64);

// === impl Scalar ===

impl Scalar {
    /// The scalar in `document`; none for lists and objects.
    #[must_use]
    pub fn of(document: &Document) -> Option<Self> {
        match document {
            Document::Null => Some(Self::Null),
            Document::Bool(value) => Some(Self::Bool(*value)),
            Document::Number(number) => Some(Self::of_number(number)),
            Document::String(value) => Some(Self::String(value.clone())),
            Document::Array(_) | Document::Object(_) => None,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "taken only where converting back gives the same number")]
    #[expect(
        clippy::cast_precision_loss,
        clippy::float_cmp,
        reason = "the comparison is what finds a lossy conversion"
    )]
    fn of_number(number: &serde_json::Number) -> Self {
        if let Some(integer) = number.as_i64() {
            return Self::Integer(integer);
        }
        let float = number.as_f64().unwrap_or_default();
        let integer = float as i64;
        if integer as f64 == float && integer != i64::MAX { Self::Integer(integer) } else { Self::Float(Float(float)) }
    }

    /// The scalar as JSON.
    #[must_use]
    pub fn to_document(&self) -> Document {
        match self {
            Self::Null => Document::Null,
            Self::Bool(value) => Document::Bool(*value),
            Self::Integer(value) => Document::from(*value),
            Self::Float(value) => Document::from(value.0),
            Self::String(value) => Document::String(value.clone()),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_document())
    }
}

// === impl Float ===

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Float {}

impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Float {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

// === impl PathElement ===

impl PathElement {
    /// A field by its name.
    #[must_use]
    pub fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }
}

impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                let keys = keys.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
                write!(f, "[{}]", keys.join(","))
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}
