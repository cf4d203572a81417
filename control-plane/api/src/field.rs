//! Paths into a document and the errors found there, in Kubernetes' words.
//!
//! The wording and the reasons are those of `k8s.io/apimachinery/pkg/util/validation/field`.

use std::{fmt, io};

use crate::Document;

/// How many refused fields of one document are reported; a hostile document could hold millions.
const REPORTED_ERRORS: usize = 1000;

/// How many bytes of a refused value a message shows.
const SHOWN_VALUE: usize = 4096;

/// Where in a document something is, written as Kubernetes writes it: `spec.containers[0].image`,
/// `metadata.labels[app.kubernetes.io/name]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(String);

/// Why a field was refused; the wire form is the `reason` of a status cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// `FieldValueRequired`
    Required,
    /// `FieldValueInvalid`
    Invalid,
    /// `FieldValueNotSupported`
    NotSupported,
    /// `FieldValueForbidden`
    Forbidden,
    /// `FieldValueDuplicate`
    Duplicate,
    /// `FieldValueTooLong`
    TooLong,
    /// `FieldValueTooMany`
    TooMany,
    /// `FieldValueTypeInvalid`
    TypeInvalid,
    /// `FieldValueNotFound`
    NotFound,
    /// `InternalError`
    Internal,
}

/// One refused field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field.
    pub path: Path,
    /// The kind of refusal.
    pub cause: Cause,
    /// Everything after the path, complete: `Invalid value: "x": must be ...`.
    pub message: String,
}

/// The refused fields of one document, as they are found. Beyond a thousand, more are counted out.
#[derive(Clone, Debug, Default)]
pub struct Errors(Vec<FieldError>);

/// Takes the first bytes of a value's JSON and stops the writer after them.
struct Shown(Vec<u8>);

// === impl Path ===

impl Path {
    /// A path of one field at the root of the document.
    #[must_use]
    pub fn new(field: &str) -> Self {
        Self(field.to_owned())
    }

    /// The field `name` of the object at this path.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self::new(name) } else { Self(format!("{}.{name}", self.0)) }
    }

    /// The element at `index` of the list at this path.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The value under `key` of the map at this path.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    /// The path as Kubernetes writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Cause ===

impl Cause {
    /// The `reason` of a status cause.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::Duplicate => "FieldValueDuplicate",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotFound => "FieldValueNotFound",
            Self::Internal => "InternalError",
        }
    }

    /// How a message begins.
    fn words(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::Duplicate => "Duplicate value",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::NotFound => "Not found",
            Self::Internal => "Internal error",
        }
    }
}

// === impl FieldError ===

impl FieldError {
    /// A value that must be given.
    #[must_use]
    pub fn required(path: &Path, detail: impl AsRef<str>) -> Self {
        Self::without_value(path, Cause::Required, detail.as_ref())
    }

    /// A value that is not permitted under the present conditions.
    #[must_use]
    pub fn forbidden(path: &Path, detail: impl AsRef<str>) -> Self {
        Self::without_value(path, Cause::Forbidden, detail.as_ref())
    }

    /// A malformed value.
    #[must_use]
    pub fn invalid(path: &Path, value: impl Into<Document>, detail: impl AsRef<str>) -> Self {
        Self::with_value(path, Cause::Invalid, &value.into(), detail.as_ref())
    }

    /// As [`FieldError::invalid`], for a value that need not be copied.
    #[must_use]
    pub fn invalid_ref(path: &Path, value: &Document, detail: impl AsRef<str>) -> Self {
        Self::with_value(path, Cause::Invalid, value, detail.as_ref())
    }

    /// A value of another type than the field's.
    #[must_use]
    pub fn type_invalid(path: &Path, value: impl Into<Document>, detail: impl AsRef<str>) -> Self {
        Self::with_value(path, Cause::TypeInvalid, &value.into(), detail.as_ref())
    }

    /// A value that is none of `supported`.
    #[must_use]
    pub fn not_supported(path: &Path, value: impl Into<Document>, supported: &[&str]) -> Self {
        let mut detail = String::new();
        for (index, value) in supported.iter().enumerate() {
            detail.push_str(if index == 0 { "supported values: " } else { ", " });
            detail.push_str(&quote(value));
        }
        Self::with_value(path, Cause::NotSupported, &value.into(), &detail)
    }

    /// A second value where each must be unique.
    #[must_use]
    pub fn duplicate(path: &Path, value: impl Into<Document>) -> Self {
        Self::with_value(path, Cause::Duplicate, &value.into(), "")
    }

    /// A reference to something that is not there.
    #[must_use]
    pub fn not_found(path: &Path, value: impl Into<Document>) -> Self {
        Self::with_value(path, Cause::NotFound, &value.into(), "")
    }

    /// A value of more than `limit` bytes.
    #[must_use]
    pub fn too_long(path: &Path, limit: usize) -> Self {
        let unit = if limit == 1 { "byte" } else { "bytes" };
        Self::without_value(path, Cause::TooLong, &format!("may not be more than {limit} {unit}"))
    }

    /// A list of more than `limit` elements.
    #[must_use]
    pub fn too_many(path: &Path, actual: usize, limit: usize) -> Self {
        let unit = if limit == 1 { "item" } else { "items" };
        Self::with_value(path, Cause::TooMany, &actual.into(), &format!("must have at most {limit} {unit}"))
    }

    /// A fault that is not the client's.
    #[must_use]
    pub fn internal(path: &Path, detail: impl AsRef<str>) -> Self {
        Self::without_value(path, Cause::Internal, detail.as_ref())
    }

    fn without_value(path: &Path, cause: Cause, detail: &str) -> Self {
        let separator = if detail.is_empty() { "" } else { ": " };
        Self { path: path.clone(), cause, message: format!("{}{separator}{detail}", cause.words()) }
    }

    fn with_value(path: &Path, cause: Cause, value: &Document, detail: &str) -> Self {
        let separator = if detail.is_empty() { "" } else { ": " };
        Self { path: path.clone(), cause, message: format!("{}: {}{separator}{detail}", cause.words(), show(value)) }
    }
}

/// `value` as messages show it: text quoted, all else as JSON, what is long cut short.
fn show(value: &Document) -> String {
    if let Document::String(text) = value {
        return match text.char_indices().nth(SHOWN_VALUE) {
            Some((end, _)) => quote(&text[..end]) + "...",
            None => quote(text),
        };
    }
    let mut shown = Shown(Vec::new());
    let whole = serde_json::to_writer(&mut shown, value).is_ok();
    let mut text = String::from_utf8_lossy(&shown.0).into_owned();
    if !whole {
        text.push_str("...");
    }
    text
}

/// `text` in double quotes with Go's escapes, as Kubernetes' messages show strings (`strconv.Quote`).
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            control if control.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(control))),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for FieldError {}

// === impl Errors ===

impl Errors {
    /// None so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, error: FieldError) {
        if self.0.len() < REPORTED_ERRORS {
            self.0.push(error);
        }
    }

    /// Adds one malformed value for each reason given.
    pub fn push_invalid(&mut self, path: &Path, value: &str, reasons: impl IntoIterator<Item = String>) {
        for reason in reasons {
            self.push(FieldError::invalid(path, value, reason));
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order in which they were found.
    #[must_use]
    pub fn into_vec(self) -> Vec<FieldError> {
        self.0
    }
}

impl Extend<FieldError> for Errors {
    fn extend<I: IntoIterator<Item = FieldError>>(&mut self, errors: I) {
        for error in errors {
            self.push(error);
        }
    }
}

// === impl Shown ===

impl io::Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = SHOWN_VALUE.saturating_sub(self.0.len());
        if room == 0 {
            return Err(io::Error::from(io::ErrorKind::WriteZero));
        }
        let taken = room.min(bytes.len());
        self.0.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_in_kubernetes_words() {
        let path = Path::new("spec").child("ports").index(0).child("name");
        let table = [
            (FieldError::required(&path, ""), "spec.ports[0].name: Required value"),
            (FieldError::required(&path, "must be given"), "spec.ports[0].name: Required value: must be given"),
            (FieldError::invalid(&path, "Foo", "is odd"), r#"spec.ports[0].name: Invalid value: "Foo": is odd"#),
            (FieldError::invalid(&path, 0, "too small"), "spec.ports[0].name: Invalid value: 0: too small"),
            (
                FieldError::invalid(&path, json!({"app": "x"}), "no match"),
                r#"spec.ports[0].name: Invalid value: {"app":"x"}: no match"#,
            ),
            (FieldError::invalid(&path, Document::Null, ""), "spec.ports[0].name: Invalid value: null"),
            (
                FieldError::not_supported(&path, "x", &["A", "B"]),
                r#"spec.ports[0].name: Unsupported value: "x": supported values: "A", "B""#,
            ),
            (FieldError::duplicate(&path, "web"), r#"spec.ports[0].name: Duplicate value: "web""#),
            (FieldError::forbidden(&path, "no"), "spec.ports[0].name: Forbidden: no"),
            (FieldError::too_long(&path, 63), "spec.ports[0].name: Too long: may not be more than 63 bytes"),
            (FieldError::too_many(&path, 9, 1), "spec.ports[0].name: Too many: 9: must have at most 1 item"),
            (FieldError::not_found(&path, "v"), r#"spec.ports[0].name: Not found: "v""#),
        ];
        for (error, expected) in table {
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn strings_are_quoted_as_go_quotes_them() {
        assert_eq!(quote("a\"b\\c\n\u{1}é"), r#""a\"b\\c\n\x01é""#);
    }

    #[test]
    fn a_long_value_is_cut_short() {
        let path = Path::new("data");
        let text = FieldError::invalid(&path, "é".repeat(10_000), "").message;
        assert!(text.len() < 3 * SHOWN_VALUE && text.ends_with("\"..."));
        let list = FieldError::invalid(&path, vec![1; 10_000], "").message;
        assert!(list.len() < 2 * SHOWN_VALUE && list.ends_with("..."));
    }

    #[test]
    fn a_thousand_errors_are_enough() {
        let mut errors = Errors::new();
        errors.extend((0..5000).map(|index| FieldError::required(&Path::new("spec").index(index), "")));
        assert_eq!(errors.len(), REPORTED_ERRORS);
    }

    #[test]
    fn paths_are_written_as_kubernetes_writes_them() {
        let path = Path::new("metadata").child("labels").key("app.kubernetes.io/name");
        assert_eq!(path.as_str(), "metadata.labels[app.kubernetes.io/name]");
        assert_eq!(Path::default().child("spec").as_str(), "spec");
    }
}
