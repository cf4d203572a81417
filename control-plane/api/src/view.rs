//! Reading and filling documents without caring whether a field is there.
//!
//! Paths are field names joined by dots, such as `spec.template.metadata`. What is absent, `null` or of another type
//! reads as empty, so rules need no error path of their own: the schema has already refused wrong types.

use std::sync::LazyLock;

use serde_json::Map;

use crate::Document;

/// The fields of an object, ordered by name.
pub type Fields = Map<String, Document>;

static NULL: Document = Document::Null;
static NO_FIELDS: LazyLock<Fields> = LazyLock::new(Fields::new);

/// Reads of a document.
pub trait View {
    /// The value at `path`; `null` where there is none.
    fn at(&self, path: &str) -> &Document;

    /// Whether there is a value other than `null` at `path`.
    fn has(&self, path: &str) -> bool {
        !self.at(path).is_null()
    }

    /// The text at `path`; empty where there is none.
    fn text(&self, path: &str) -> &str {
        self.at(path).as_str().unwrap_or_default()
    }

    /// The integer at `path`.
    fn int(&self, path: &str) -> Option<i64> {
        self.at(path).as_i64()
    }

    /// The boolean at `path`; false where there is none.
    fn flag(&self, path: &str) -> bool {
        self.at(path).as_bool().unwrap_or_default()
    }

    /// The elements of the list at `path`; none where there is no list.
    fn list(&self, path: &str) -> &[Document] {
        self.at(path).as_array().map_or(&[], Vec::as_slice)
    }

    /// The fields of the object at `path`; none where there is no object.
    fn fields(&self, path: &str) -> &Fields {
        self.at(path).as_object().unwrap_or(&NO_FIELDS)
    }

    /// The texts of the list at `path`; anything else in it is left out.
    fn texts<'a>(&'a self, path: &str) -> impl Iterator<Item = &'a str> {
        self.list(path).iter().filter_map(Document::as_str)
    }

    /// The texts of the map at `path` with their keys; anything else in it is left out.
    fn text_map<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields(path).iter().filter_map(|(key, value)| value.as_str().map(|value| (key.as_str(), value)))
    }
}

/// Changes to a document. Where a value of another type is in the way, nothing is changed.
pub trait Edit {
    /// The value at `path`, unless it is absent or `null`.
    fn at_mut(&mut self, path: &str) -> Option<&mut Document>;

    /// The object at `path`, made where it is absent or `null`, parents included.
    fn object_mut(&mut self, path: &str) -> Option<&mut Fields>;

    /// Puts `value` at `path`, parents included.
    fn put(&mut self, path: &str, value: impl Into<Document>);

    /// Removes the field at `path`.
    fn remove(&mut self, path: &str) -> Option<Document>;

    /// Puts `value` at `path` unless a value other than `null` is there.
    fn default_to(&mut self, path: &str, value: impl Into<Document>);

    /// As [`Edit::default_to`], and also where the value is the zero of its type (`""`, 0, false): for fields that
    /// cannot tell zero from absent.
    fn default_zero(&mut self, path: &str, value: impl Into<Document>);

    /// Puts the value that `other` has at `path` here, or removes it where `other` has none.
    fn copy_from(&mut self, other: &Document, path: &str);

    /// The elements of the list at `path`.
    fn list_mut(&mut self, path: &str) -> &mut [Document];
}

/// Whether `value` is absent as a field that omits its zero value sees it.
#[must_use]
pub fn is_zero(value: &Document) -> bool {
    match value {
        Document::Null => true,
        Document::Bool(flag) => !flag,
        Document::Number(number) => number.as_f64() == Some(0.0),
        Document::String(text) => text.is_empty(),
        Document::Array(_) | Document::Object(_) => false,
    }
}

/// Whether nothing is in `value`: absent, zero, an empty list or an empty object.
#[must_use]
pub fn is_empty(value: &Document) -> bool {
    match value {
        Document::Array(items) => items.is_empty(),
        Document::Object(fields) => fields.is_empty(),
        Document::Null | Document::Bool(_) | Document::Number(_) | Document::String(_) => is_zero(value),
    }
}

/// Whether two documents mean the same: absent, `null`, empty and zero are one thing, as in Kubernetes' semantic
/// equality of decoded objects.
#[must_use]
pub fn equivalent(left: &Document, right: &Document) -> bool {
    match (left, right) {
        (Document::Object(left), Document::Object(right)) => {
            left.iter().all(|(key, value)| equivalent(value, right.get(key).unwrap_or(&NULL)))
                && right.iter().all(|(key, value)| left.contains_key(key) || blank(value))
        }
        (Document::Array(left), Document::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equivalent(left, right))
        }
        _ => left == right || (blank(left) && blank(right)),
    }
}

/// Whether nothing at all would be left of `value` if empty fields were omitted.
fn blank(value: &Document) -> bool {
    match value {
        Document::Array(items) => items.is_empty(),
        Document::Object(fields) => fields.values().all(blank),
        Document::Null => true,
        Document::String(text) => text.is_empty(),
        // A zero or a false that somebody wrote can differ from absent (replicas: 0).
        Document::Bool(_) | Document::Number(_) => false,
    }
}

// === impl View for Document ===

impl View for Document {
    fn at(&self, path: &str) -> &Document {
        path.split('.').try_fold(self, |value, name| value.get(name)).unwrap_or(&NULL)
    }
}

// === impl Edit for Document ===

impl Edit for Document {
    fn at_mut(&mut self, path: &str) -> Option<&mut Document> {
        path.split('.').try_fold(self, |value, name| value.get_mut(name)).filter(|value| !value.is_null())
    }

    fn object_mut(&mut self, path: &str) -> Option<&mut Fields> {
        path.split('.')
            .filter(|name| !name.is_empty())
            .try_fold(self, |value, name| match value {
                Document::Object(fields) => {
                    let child = fields.entry(name).or_insert(Document::Null);
                    if child.is_null() {
                        *child = Document::Object(Fields::new());
                    }
                    Some(child)
                }
                _ => None,
            })
            .and_then(Document::as_object_mut)
    }

    fn put(&mut self, path: &str, value: impl Into<Document>) {
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        if let Some(fields) = self.object_mut(parent) {
            fields.insert(name.to_owned(), value.into());
        }
    }

    fn remove(&mut self, path: &str) -> Option<Document> {
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        let parent = if parent.is_empty() { Some(self) } else { self.at_mut(parent) };
        parent?.as_object_mut()?.remove(name)
    }

    fn default_to(&mut self, path: &str, value: impl Into<Document>) {
        if !self.has(path) {
            self.put(path, value);
        }
    }

    fn default_zero(&mut self, path: &str, value: impl Into<Document>) {
        if is_zero(self.at(path)) {
            self.put(path, value);
        }
    }

    fn copy_from(&mut self, other: &Document, path: &str) {
        let value = other.at(path);
        if value.is_null() {
            self.remove(path);
        } else {
            self.put(path, value.clone());
        }
    }

    fn list_mut(&mut self, path: &str) -> &mut [Document] {
        self.at_mut(path).and_then(Document::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_null_and_wrong_types_read_as_empty() {
        let document = json!({"a": {"b": 1}, "n": null, "l": "text"});
        assert_eq!(document.int("a.b"), Some(1));
        assert_eq!(document.text("a.b"), "");
        assert!(!document.has("n"));
        assert!(!document.has("a.b.c"));
        assert!(document.list("l").is_empty());
    }

    #[test]
    fn a_default_is_put_only_where_nothing_is() {
        let mut document = json!({"spec": {"kept": 0, "empty": "", "null": null}});
        document.default_to("spec.kept", 1);
        document.default_to("spec.null", 2);
        document.default_zero("spec.empty", "x");
        document.default_to("status.made.deep", true);
        let expected = json!({"spec": {"kept": 0, "empty": "x", "null": 2}, "status": {"made": {"deep": true}}});
        assert_eq!(document, expected);
    }

    #[test]
    fn a_default_below_a_scalar_changes_nothing() {
        let mut document = json!({"spec": 3});
        document.default_to("spec.replicas", 1);
        assert_eq!(document, json!({"spec": 3}));
    }

    #[test]
    fn equivalence_ignores_what_is_empty_but_not_a_written_zero() {
        assert!(equivalent(&json!({"a": 1, "b": {}, "c": null}), &json!({"a": 1, "d": ""})));
        assert!(!equivalent(&json!({"replicas": 0}), &json!({})));
        assert!(!equivalent(&json!([1, 2]), &json!([1])));
    }
}
