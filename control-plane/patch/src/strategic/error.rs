//! Why a strategic merge patch was refused, in Kubernetes' words.

use std::fmt::Write as _;

use sheave_api::Document;
use thiserror::Error;

use super::{Object, short_name};

/// Why a strategic merge patch was refused. All are the client's fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StrategicError {
    /// The patch or its target is no object.
    #[error("invalid JSON document")]
    NotAnObject,
    /// `$patch` holds something unknown.
    #[error("unknown patch type: {directive} in map: {object}")]
    UnknownDirective {
        /// What it holds.
        directive: String,
        /// The object with the directive.
        object: String,
    },
    /// `$patch: merge` in a list.
    #[error("merging lists cannot yet be specified in the patch")]
    MergeInList,
    /// `$retainKeys` is no list, or the patch sets a field that it does not list.
    #[error("invalid patch format of retainKeys")]
    BadRetainKeys,
    /// `$deleteFromPrimitiveList` without the name of a list.
    #[error("invalid patch format of primitive list")]
    BadPrimitiveList,
    /// `$setElementOrder` without the name of a list.
    #[error("invalid patch format of setElementOrder list")]
    BadSetElementOrder,
    /// `$setElementOrder` contradicts the order of the patched list, or lacks one of its elements.
    #[error("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")]
    OrderMismatch {
        /// The patched list.
        patch: String,
        /// The order.
        order: String,
    },
    /// A list in a list.
    #[error("lists of lists are not supported")]
    ListOfLists,
    /// A list of different kinds of values.
    #[error("list element types are not identical: {0}")]
    MixedList(String),
    /// An element without the key by which its list merges.
    #[error("map: {element} does not contain declared merge key: {key}")]
    NoMergeKey {
        /// The element.
        element: String,
        /// The key.
        key: String,
    },
    /// A list of objects that merges, without a key to merge by.
    #[error("cannot merge lists without merge key for {0}")]
    NoDeclaredMergeKey(String),
    /// A value of the wrong kind.
    #[error("expected a {expected}, but received a {received}")]
    WrongKind {
        /// What the patch needs there.
        expected: &'static str,
        /// What it has.
        received: &'static str,
    },
    /// A field that the type does not have.
    #[error("unable to find api field in struct {type_name} for the json field {field:?}")]
    UnknownField {
        /// The type.
        type_name: String,
        /// The field.
        field: String,
    },
}

// === impl StrategicError ===

impl StrategicError {
    /// The HTTP status code.
    #[must_use]
    pub fn code(&self) -> u16 {
        if matches!(self, Self::ListOfLists) { 422 } else { 400 }
    }

    pub(super) fn unknown_directive(directive: &Document, object: &Object) -> Self {
        let mut object = object.clone();
        object.insert(super::directive::MARKER.to_owned(), directive.clone());
        Self::UnknownDirective { directive: written(directive), object: written(&Document::Object(object)) }
    }

    pub(super) fn no_merge_key(element: &Document, key: &str) -> Self {
        Self::NoMergeKey { element: written(element), key: key.to_owned() }
    }

    pub(super) fn not_an_object(value: &Document) -> Self {
        Self::WrongKind { expected: "map[string]interface {}", received: kind(value) }
    }

    pub(super) fn not_a_list(value: &Document) -> Self {
        Self::WrongKind { expected: "[]interface {}", received: kind(value) }
    }

    pub(super) fn unknown_field(type_name: Option<&str>, field: &str) -> Self {
        Self::UnknownField { type_name: short_name(type_name).to_owned(), field: field.to_owned() }
    }

    pub(super) fn mixed_list(lists: &[&[Document]]) -> Self {
        let lists = lists.iter().map(|list| Document::Array(list.to_vec())).collect();
        Self::MixedList(written(&Document::Array(lists)))
    }

    pub(super) fn order_mismatch(patch: &[Document], order: &[Document]) -> Self {
        let written = |list: &[Document]| written(&Document::Array(list.to_vec()));
        Self::OrderMismatch { patch: written(patch), order: written(order) }
    }
}

/// Characters of a value that an error shows.
const MAX_SHOWN: usize = 1024;

/// A value as Go's `%v` writes it, cut where it gets long: `map[a:1 b:[x y]]`.
pub(super) fn written(value: &Document) -> String {
    let mut text = String::new();
    write_value(&mut text, value);
    if let Some((cut, _)) = text.char_indices().nth(MAX_SHOWN) {
        text.truncate(cut);
        text.push_str("...");
    }
    text
}

fn write_value(text: &mut String, value: &Document) {
    // Writing more than is shown would make a long error quadratic.
    if text.len() > MAX_SHOWN * 4 {
        return;
    }
    match value {
        Document::Null => text.push_str("<nil>"),
        Document::String(value) => text.push_str(value),
        Document::Bool(_) | Document::Number(_) => {
            let _ = write!(text, "{value}");
        }
        Document::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { " " } else { "" });
                write_value(text, item);
            }
            text.push(']');
        }
        Document::Object(fields) => {
            text.push_str("map[");
            for (index, (name, value)) in fields.iter().enumerate() {
                let _ = write!(text, "{}{name}:", if index > 0 { " " } else { "" });
                write_value(text, value);
            }
            text.push(']');
        }
    }
}

/// The kind of a value as Go names it.
fn kind(value: &Document) -> &'static str {
    match value {
        Document::Null => "<nil>",
        Document::Bool(_) => "bool",
        Document::Number(number) if number.is_f64() => "float64",
        Document::Number(_) => "int64",
        Document::String(_) => "string",
        Document::Array(_) => "[]interface {}",
        Document::Object(_) => "map[string]interface {}",
    }
}
