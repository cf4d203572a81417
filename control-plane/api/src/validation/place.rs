//! A value together with where it is, so that a rule can name the field that it refuses.
//!
//! A place is made on the stack and costs nothing; its path becomes text only for an error.

use crate::Document;
use crate::field::{Errors, FieldError, Path};
use crate::view::View;

/// A value in a document and the way to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    value: &'a Document,
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

/// How a value is reached from its parent.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    /// The document itself.
    Root,
    /// A field, or several joined by dots.
    Field(&'a str),
    /// An element of a list.
    Index(usize),
    /// A value of a map.
    Key(&'a str),
}

// === impl Place ===

impl<'a> Place<'a> {
    /// The whole document.
    pub(crate) fn root(value: &'a Document) -> Self {
        Self { value, parent: None, step: Step::Root }
    }

    /// The value itself.
    pub(crate) fn value(&self) -> &'a Document {
        self.value
    }

    /// The field `name` (or several, joined by dots) of this object; `null` where it is absent.
    pub(crate) fn child(&'a self, name: &'a str) -> Place<'a> {
        Place { value: self.value.at(name), parent: Some(self), step: Step::Field(name) }
    }

    /// The value that `value` leads to from here, shown as the field `name`, where messages name a field differently
    /// from where it is.
    pub(crate) fn shown_as(&'a self, name: &'a str, value: &'a Document) -> Place<'a> {
        Place { value, parent: Some(self), step: Step::Field(name) }
    }

    /// The element `index` of this list.
    pub(crate) fn index(&'a self, index: usize) -> Place<'a> {
        let value = self.value.get(index).unwrap_or(&Document::Null);
        Place { value, parent: Some(self), step: Step::Index(index) }
    }

    /// The value under `key` of this map.
    pub(crate) fn key(&'a self, key: &'a str) -> Place<'a> {
        let value = self.value.get(key).unwrap_or(&Document::Null);
        Place { value, parent: Some(self), step: Step::Key(key) }
    }

    /// The elements of this list; none where it is no list.
    pub(crate) fn items(&'a self) -> impl Iterator<Item = Place<'a>> {
        let items = self.value.as_array().map_or(&[][..], Vec::as_slice);
        items.iter().enumerate().map(|(index, value)| Place { value, parent: Some(self), step: Step::Index(index) })
    }

    /// The keys and values of this map; none where it is no map.
    pub(crate) fn entries(&'a self) -> impl Iterator<Item = (&'a str, Place<'a>)> {
        let entries = self.value.as_object().into_iter().flatten();
        entries.map(|(key, value)| (key.as_str(), Place { value, parent: Some(self), step: Step::Key(key) }))
    }

    /// Whether there is a value other than `null`.
    pub(crate) fn is_set(&self) -> bool {
        !self.value.is_null()
    }

    /// The text here; empty where there is none.
    pub(crate) fn text(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    /// The integer here.
    pub(crate) fn int(&self) -> Option<i64> {
        self.value.as_i64()
    }

    /// How many elements or entries are here.
    pub(crate) fn len(&self) -> usize {
        match self.value {
            Document::Array(items) => items.len(),
            Document::Object(fields) => fields.len(),
            Document::Null | Document::Bool(_) | Document::Number(_) | Document::String(_) => 0,
        }
    }

    /// Where it is, as text.
    pub(crate) fn path(&self) -> Path {
        let parent = self.parent.map_or_else(Path::default, Place::path);
        match self.step {
            Step::Root => Path::default(),
            Step::Field(name) => parent.child(name),
            Step::Index(index) => parent.index(index),
            Step::Key(key) => parent.key(key),
        }
    }
}

/// Refusals of places.
impl Errors {
    /// A value that must be given.
    pub(crate) fn required(&mut self, place: &Place<'_>, detail: impl AsRef<str>) {
        self.push(FieldError::required(&place.path(), detail));
    }

    /// A malformed text; an absent one is shown as `""`.
    pub(crate) fn invalid_text(&mut self, place: &Place<'_>, detail: impl AsRef<str>) {
        self.push(FieldError::invalid(&place.path(), place.text(), detail));
    }

    /// A malformed integer; an absent one is shown as `0`.
    pub(crate) fn invalid_int(&mut self, place: &Place<'_>, detail: impl AsRef<str>) {
        self.push(FieldError::invalid(&place.path(), place.int().unwrap_or_default(), detail));
    }

    /// A malformed value of any type, shown as it is.
    pub(crate) fn invalid(&mut self, place: &Place<'_>, detail: impl AsRef<str>) {
        self.push(FieldError::invalid_ref(&place.path(), place.value(), detail));
    }

    /// A malformed value where another value than the field's is shown.
    pub(crate) fn invalid_as(&mut self, place: &Place<'_>, shown: impl Into<Document>, detail: impl AsRef<str>) {
        self.push(FieldError::invalid(&place.path(), shown, detail));
    }

    /// A text that breaks each of the rules in `reasons`.
    pub(crate) fn reasons(&mut self, place: &Place<'_>, reasons: impl IntoIterator<Item = String>) {
        for reason in reasons {
            self.push(FieldError::invalid_ref(&place.path(), place.value(), reason));
        }
    }

    /// A text that is none of `supported`; an absent one is shown as `""`.
    pub(crate) fn not_supported(&mut self, place: &Place<'_>, supported: &[&str]) {
        self.push(FieldError::not_supported(&place.path(), place.text(), supported));
    }

    /// A value that is not permitted here.
    pub(crate) fn forbidden(&mut self, place: &Place<'_>, detail: impl AsRef<str>) {
        self.push(FieldError::forbidden(&place.path(), detail));
    }

    /// A second value where each must be unique.
    pub(crate) fn duplicate(&mut self, place: &Place<'_>) {
        self.push(FieldError::duplicate(&place.path(), place.value().clone()));
    }

    /// A second value where each must be unique, with the value that stands for it.
    pub(crate) fn duplicate_as(&mut self, place: &Place<'_>, shown: impl Into<Document>) {
        self.push(FieldError::duplicate(&place.path(), shown));
    }

    /// A reference to something that is not there.
    pub(crate) fn not_found(&mut self, place: &Place<'_>) {
        self.push(FieldError::not_found(&place.path(), place.text()));
    }

    /// A value of more than `limit` bytes.
    pub(crate) fn too_long(&mut self, place: &Place<'_>, limit: usize) {
        self.push(FieldError::too_long(&place.path(), limit));
    }

    /// A list of more than `limit` elements.
    pub(crate) fn too_many(&mut self, place: &Place<'_>, limit: usize) {
        self.push(FieldError::too_many(&place.path(), place.len(), limit));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_knows_its_path() {
        let document = json!({"spec": {"containers": [{"ports": [{"name": "X"}]}], "labels": {"a/b": "c"}}});
        let root = Place::root(&document);
        let containers = root.child("spec.containers");
        let container = containers.index(0);
        let ports = container.child("ports");
        let port = ports.items().next().unwrap();
        let name = port.child("name");
        assert_eq!(name.path().as_str(), "spec.containers[0].ports[0].name");
        assert_eq!(name.text(), "X");
        let labels = root.child("spec.labels");
        assert_eq!(labels.key("a/b").path().as_str(), "spec.labels[a/b]");
        assert!(!container.child("image").is_set());
    }
}
