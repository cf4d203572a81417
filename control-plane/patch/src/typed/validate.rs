//! Whether a document has the shape of its schema, as far as ownership needs it.

use std::collections::BTreeSet;
use std::fmt;

use sheave_api::Document;
use sheave_api::schema::{Scalar, Type};

use super::{Elements, Granularity, Shape, fields, items};
use crate::fields::PathElement;

/// Errors that one document may have before the rest goes unsaid.
const MAX_ERRORS: usize = 32;

/// Everything in which a document departs from its schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TypedErrors(Vec<(String, String)>);

#[derive(Default)]
struct Validator {
    path: Vec<PathElement>,
    errors: TypedErrors,
}

pub(crate) fn validate(shape: Shape<'_>, document: &Document) -> Result<(), TypedErrors> {
    let mut validator = Validator::default();
    validator.value(shape, document);
    if validator.errors.0.is_empty() { Ok(()) } else { Err(validator.errors) }
}

// === impl Validator ===

impl Validator {
    fn value(&mut self, shape: Shape<'_>, value: &Document) {
        let expected = match shape.ty {
            Some(Type::Object(_) | Type::Map(_)) if !value.is_object() => "map",
            Some(Type::List(_)) if !value.is_array() => "list",
            Some(Type::Scalar(scalar)) => match mismatch(*scalar, value) {
                Some(expected) => expected,
                None => return,
            },
            Some(Type::Object(_) | Type::Map(_) | Type::List(_) | Type::Any) | None => {
                return self.children(shape, value);
            }
        };
        if !value.is_null() {
            self.complain(format!("expected {expected}, got {value}"));
        }
    }

    fn children(&mut self, shape: Shape<'_>, value: &Document) {
        for (name, value) in fields(Some(value)).into_iter().flatten() {
            match (shape.child(name), shape.ty) {
                (Some(child), _) => self.below(PathElement::field(name), |this| this.value(child.shape, value)),
                (None, Some(Type::Any)) => {}
                (None, _) => {
                    self.below(PathElement::field(name), |this| {
                        this.complain("field not declared in schema".to_owned());
                    });
                }
            }
        }
        match shape.granularity(&[Some(value)]) {
            Granularity::Elements(elements) => self.elements(elements, items(Some(value))),
            Granularity::Whole | Granularity::Fields => self.atomic_list(shape, value),
        }
    }

    fn atomic_list(&mut self, shape: Shape<'_>, value: &Document) {
        let Some(Type::List(list)) = shape.ty else { return };
        let item = Shape::new(shape.arena, list.items);
        for (index, value) in (0..).zip(items(Some(value))) {
            self.below(PathElement::Index(index), |this| this.value(item, value));
        }
    }

    fn elements(&mut self, elements: Elements<'_>, list: &[Document]) {
        let mut seen = BTreeSet::new();
        for (index, item) in list.iter().enumerate() {
            let name = match elements.name(item) {
                Ok(name) => name,
                Err(why) => return self.complain(format!("element {index}: {why}")),
            };
            if seen.contains(&name) {
                self.complain(format!("duplicate entries for key {name}"));
            }
            self.below(name.clone(), |this| this.value(elements.item, item));
            seen.insert(name);
        }
    }

    fn below(&mut self, element: PathElement, visit: impl FnOnce(&mut Self)) {
        self.path.push(element);
        visit(self);
        self.path.pop();
    }

    fn complain(&mut self, message: String) {
        if self.errors.0.len() < MAX_ERRORS {
            let path = self.path.iter().map(ToString::to_string).collect();
            self.errors.0.push((path, message));
        }
    }
}

/// What a scalar should have been; none where it fits. Quantities, times and int-or-strings may be any scalar.
fn mismatch(scalar: Scalar, value: &Document) -> Option<&'static str> {
    let (expected, fits) = match scalar {
        Scalar::String | Scalar::Bytes => ("string", value.is_string()),
        Scalar::Boolean => ("boolean", value.is_boolean()),
        Scalar::Int32 | Scalar::Int64 | Scalar::Number => ("numeric (int or float)", value.is_number()),
        Scalar::Time | Scalar::MicroTime | Scalar::Quantity | Scalar::IntOrString => {
            ("any scalar", !value.is_object() && !value.is_array())
        }
    };
    (!fits).then_some(expected)
}

// === impl TypedErrors ===

impl fmt::Display for TypedErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let write = |f: &mut fmt::Formatter<'_>, (path, message): &(String, String)| match path.as_str() {
            "" => write!(f, "{message}"),
            path => write!(f, "{path}: {message}"),
        };
        if let [error] = self.0.as_slice() {
            return write(f, error);
        }
        write!(f, "errors:")?;
        self.0.iter().try_for_each(|error| {
            write!(f, "\n  ")?;
            write(f, error)
        })
    }
}
