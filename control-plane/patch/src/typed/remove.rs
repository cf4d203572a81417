//! A document without some of its fields.

use serde_json::Map;
use sheave_api::Document;

use super::{Elements, Granularity, Shape};
use crate::fields::{FieldSet, PathElement};

/// `document` without the fields in `gone`. A list or an object from which something was taken goes as well once it
/// is empty, unless `owned` has it; what is owned as one value stays or goes with its own path.
pub(crate) fn remove(shape: Shape<'_>, document: Document, gone: &FieldSet, owned: &FieldSet) -> Document {
    let nothing = FieldSet::default();
    let removal = Removal { gone, owned, nothing: &nothing, is_owned: true };
    removal.value(shape, document).unwrap_or(Document::Null)
}

/// What goes and what stays below one value.
#[derive(Clone, Copy)]
struct Removal<'a> {
    gone: &'a FieldSet,
    owned: &'a FieldSet,
    nothing: &'a FieldSet,
    /// Whether the value itself is owned.
    is_owned: bool,
}

// === impl Removal ===

impl Removal<'_> {
    fn value(self, shape: Shape<'_>, value: Document) -> Option<Document> {
        match (shape.granularity(&[Some(&value)]), value) {
            (Granularity::Fields, Document::Object(fields)) if !fields.is_empty() => {
                let left = self.fields(shape, fields);
                (self.is_owned || !left.is_empty()).then_some(Document::Object(left))
            }
            (Granularity::Elements(elements), Document::Array(items)) if !items.is_empty() => {
                let left = self.elements(elements, items);
                (self.is_owned || !left.is_empty()).then_some(Document::Array(left))
            }
            (_, value) => Some(value),
        }
    }

    fn fields(self, shape: Shape<'_>, fields: Map<String, Document>) -> Map<String, Document> {
        let left = |(name, value): (String, Document)| {
            let child = shape.child_or_unknown(&name).shape;
            let value = self.step(child, &PathElement::field(&name), value)?;
            Some((name, value))
        };
        fields.into_iter().filter_map(left).collect()
    }

    fn elements(self, elements: Elements<'_>, items: Vec<Document>) -> Vec<Document> {
        let left = |item: Document| match elements.name(&item) {
            Ok(name) => self.step(elements.item, &name, item),
            Err(_) => Some(item),
        };
        items.into_iter().filter_map(left).collect()
    }

    fn step(self, shape: Shape<'_>, element: &PathElement, value: Document) -> Option<Document> {
        match self.gone.at(element) {
            (true, _) => None,
            (false, None) => Some(value),
            (false, Some(gone)) => {
                let (is_owned, owned) = self.owned.at(element);
                let owned = owned.unwrap_or(self.nothing);
                Removal { gone, owned, is_owned, ..self }.value(shape, value)
            }
        }
    }
}
