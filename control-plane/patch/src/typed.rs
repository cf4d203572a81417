//! Walks of documents along their schema, as server-side apply needs them.
//!
//! A value is either owned as one (a scalar, an atomic list or map, anything whose shape the schema leaves open) or
//! granular: its fields, or its elements named by key or value, have owners of their own.

mod compare;
mod field_set;
mod merge;
mod remove;
mod validate;

pub(crate) use compare::{Changes, compare};
pub(crate) use field_set::{collapse_atomic, field_set, has_fields_below_atomic, with_named_fields};
pub(crate) use merge::merge;
pub(crate) use remove::remove;
pub(crate) use validate::{TypedErrors, validate};

use sheave_api::Document;
use sheave_api::schema::{Arena, Field, ListTopology, ListType, Type, TypeId};

use crate::fields::{PathElement, Scalar};

/// The type of a value.
#[derive(Clone, Copy)]
pub(crate) struct Shape<'a> {
    arena: &'a Arena,
    /// None where the schema keeps unknown fields: objects are granular there, all else is owned as one.
    ty: Option<&'a Type>,
}

/// How a value, or a pair of an old and a new one, is owned.
#[derive(Clone, Copy)]
enum Granularity<'a> {
    /// As one.
    Whole,
    /// Field by field.
    Fields,
    /// Element by element.
    Elements(Elements<'a>),
}

/// A list whose elements have names.
#[derive(Clone, Copy)]
struct Elements<'a> {
    item: Shape<'a>,
    /// None for a set, whose elements are named by their value.
    keys: Option<&'a [String]>,
}

/// A field of a granular object.
#[derive(Clone, Copy)]
struct Child<'a> {
    shape: Shape<'a>,
    /// Set where the schema names the field; a key of a map or an unknown field has none.
    declared: Option<&'a Field>,
}

// === impl Shape ===

impl<'a> Shape<'a> {
    pub(crate) fn new(arena: &'a Arena, ty: TypeId) -> Self {
        Self { arena, ty: Some(arena.get(ty)) }
    }

    fn granularity(self, values: &[Option<&Document>]) -> Granularity<'a> {
        let all_are = |fits: fn(&Document) -> bool| values.iter().flatten().all(|value| value.is_null() || fits(value));
        match self.ty {
            Some(Type::Object(object)) if !object.atomic && all_are(Document::is_object) => Granularity::Fields,
            Some(Type::Map(map)) if !map.atomic && all_are(Document::is_object) => Granularity::Fields,
            Some(Type::List(list)) if all_are(Document::is_array) => self.list_granularity(list),
            None if all_are(Document::is_object) && values.iter().flatten().any(|value| value.is_object()) => {
                Granularity::Fields
            }
            Some(Type::Object(_) | Type::Map(_) | Type::List(_) | Type::Scalar(_) | Type::Any) | None => {
                Granularity::Whole
            }
        }
    }

    /// Whether the schema says that a list or an object has one owner.
    fn is_atomic(self) -> bool {
        match self.ty {
            Some(Type::Object(object)) => object.atomic,
            Some(Type::Map(map)) => map.atomic,
            Some(Type::List(list)) => list.topology == ListTopology::Atomic,
            Some(Type::Scalar(_) | Type::Any) | None => false,
        }
    }

    fn list_granularity(self, list: &'a ListType) -> Granularity<'a> {
        let item = Shape::new(self.arena, list.items);
        match &list.topology {
            ListTopology::Atomic => Granularity::Whole,
            ListTopology::Set => Granularity::Elements(Elements { item, keys: None }),
            ListTopology::Map(keys) => Granularity::Elements(Elements { item, keys: Some(keys) }),
        }
    }

    /// The field `name` of a granular object; none where the schema has no such field.
    fn child(self, name: &str) -> Option<Child<'a>> {
        let unknown = Shape { arena: self.arena, ty: None };
        match self.ty {
            Some(Type::Object(object)) => match object.fields.get(name) {
                Some(field) => Some(Child { shape: Shape::new(self.arena, field.ty), declared: Some(field) }),
                None => object.preserve_unknown.then_some(Child { shape: unknown, declared: None }),
            },
            Some(Type::Map(map)) => Some(Child { shape: Shape::new(self.arena, map.values), declared: None }),
            None => Some(Child { shape: unknown, declared: None }),
            Some(Type::List(_) | Type::Scalar(_) | Type::Any) => None,
        }
    }

    /// As [`Shape::child`]; a field that the schema does not know is of unknown shape.
    fn child_or_unknown(self, name: &str) -> Child<'a> {
        self.child(name).unwrap_or(Child { shape: Shape { arena: self.arena, ty: None }, declared: None })
    }

    /// What lies below `element`, by the schema alone.
    fn step(self, element: &PathElement) -> Shape<'a> {
        match (self.ty, element) {
            (_, PathElement::Field(name)) => self.child_or_unknown(name).shape,
            (Some(Type::List(list)), _) => Shape::new(self.arena, list.items),
            (_, PathElement::Key(_) | PathElement::Value(_) | PathElement::Index(_)) => {
                Shape { arena: self.arena, ty: None }
            }
        }
    }
}

// === impl Elements ===

impl Elements<'_> {
    /// The name of an element, or why it has none.
    fn name(self, element: &Document) -> Result<PathElement, String> {
        match self.keys {
            Some(keys) => self.name_by_keys(keys, element),
            None => name_by_value(element),
        }
    }

    fn name_by_keys(self, keys: &[String], element: &Document) -> Result<PathElement, String> {
        let Document::Object(fields) = element else {
            let kind = if element.is_null() { "a null element" } else { "non-map elements" };
            return Err(format!("associative list with keys may not have {kind}"));
        };
        let mut named = Vec::new();
        for key in keys {
            let default = || self.item.child(key).and_then(|child| child.declared?.default.as_ref());
            let Some(value) = fields.get(key).or_else(default) else { continue };
            let value = Scalar::of(value).ok_or_else(|| format!("key field {key:?} must be a scalar"))?;
            named.push((key.clone(), value));
        }
        if named.is_empty() {
            let keys = keys.iter().map(|key| format!("{key:?}")).collect::<Vec<_>>().join(" ");
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{keys}] \
                 (and doesn't have default values for any key fields)"
            ));
        }
        named.sort();
        Ok(PathElement::Key(named))
    }
}

fn name_by_value(element: &Document) -> Result<PathElement, String> {
    match Scalar::of(element) {
        Some(Scalar::Null) => Err("associative list without keys has an element that's an explicit null".to_owned()),
        Some(value) => Ok(PathElement::Value(value)),
        None if element.is_object() => Err("associative list without keys has an element that's a map type".to_owned()),
        None => Err("not supported: associative list with lists as elements".to_owned()),
    }
}

/// The fields of an object; none for null and for what is absent.
fn fields(value: Option<&Document>) -> Option<&serde_json::Map<String, Document>> {
    value.and_then(Document::as_object)
}

/// The elements of a list; none for null and for what is absent.
fn items(value: Option<&Document>) -> &[Document] {
    value.and_then(Document::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether a list or an object has nothing in it, or is null or absent.
fn is_empty(value: Option<&Document>) -> bool {
    items(value).is_empty() && fields(value).is_none_or(serde_json::Map::is_empty)
}
