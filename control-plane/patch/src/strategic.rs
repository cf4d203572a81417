//! Strategic merge patch, as `kubectl apply`, `edit`, `set` and `patch` send it.
//!
//! A merge patch that knows the schema: lists of objects merge by a key, lists of scalars as sets, and directives
//! say what a plain merge cannot. They are described in
//! [sig-api-machinery's strategic-merge-patch.md](https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md).
//!
//! | directive | where | effect |
//! |---|---|---|
//! | `$patch: replace` | in an object, or as an element of a list | the patch replaces the value |
//! | `$patch: delete` | in an object, or in an element of a list | empties the object, removes the element |
//! | `$retainKeys: [..]` | in an object | other fields are removed |
//! | `$deleteFromPrimitiveList/x: [..]` | beside list `x` | removes scalars |
//! | `$setElementOrder/x: [..]` | beside list `x` | orders the merged list |

mod directive;
mod error;
mod list;
mod order;

pub use error::StrategicError;

use serde_json::Map;
use sheave_api::Document;
use sheave_api::schema::{Arena, Strategic, Type, TypeId};

use crate::error::PatchError;
use crate::limits::check_depth;
use directive::Directive;

/// The patch strategies of one type; where the schema leaves a value open, everything in it is replaced by default.
#[derive(Clone, Copy)]
struct Schema<'a> {
    arena: &'a Arena,
    ty: Option<&'a Type>,
}

/// How one field is patched.
struct FieldSchema<'a> {
    /// The field's own type.
    schema: Schema<'a>,
    strategic: Strategic,
}

/// Applies `patch` to `target`, a document of the type `root`.
///
/// # Errors
/// [`StrategicError`], or that the patch is not an object or nested too deeply.
pub fn apply(arena: &Arena, root: TypeId, target: Document, patch: Document) -> Result<Document, PatchError> {
    check_depth(&patch)?;
    let (Document::Object(target), Document::Object(patch)) = (target, patch) else {
        return Err(StrategicError::NotAnObject.into());
    };
    let schema = Schema { arena, ty: Some(arena.get(root)) };
    Ok(Document::Object(merge_object(schema, target, patch)?))
}

type Object = Map<String, Document>;

fn merge_object(schema: Schema<'_>, mut original: Object, mut patch: Object) -> Result<Object, StrategicError> {
    if let Some(directive) = patch.remove(directive::MARKER) {
        return match Directive::parse(&directive) {
            Some(Directive::Replace) => Ok(patch),
            Some(Directive::Delete) => Ok(Object::new()),
            Some(Directive::Merge) | None => Err(StrategicError::unknown_directive(&directive, &patch)),
        };
    }
    directive::retain_keys(&mut original, &mut patch)?;
    order::merge_ordered_lists(schema, &mut original, &mut patch)?;
    for (key, value) in patch {
        match directive::parallel_list(&key, directive::DELETE_FROM_LIST)? {
            Some(name) => delete_from_list(&mut original, name, &value),
            None => merge_field(schema, &mut original, key, value)?,
        }
    }
    Ok(original)
}

/// A null list removes all.
fn delete_from_list(original: &mut Object, name: &str, scalars: &Document) {
    match (original.get_mut(name), scalars) {
        (_, Document::Null) => {
            original.remove(name);
        }
        (Some(Document::Array(items)), Document::Array(scalars)) => list::delete(items, scalars),
        _ => {}
    }
}

fn merge_field(schema: Schema<'_>, original: &mut Object, name: String, value: Document) -> Result<(), StrategicError> {
    if value.is_null() {
        original.remove(&name);
        return Ok(());
    }
    let merged = match (original.remove(&name), value) {
        (Some(Document::Object(old)), Document::Object(new)) => {
            let field = schema.field(&name)?;
            let replaces = field.strategic.replace;
            Some(Document::Object(if replaces { new } else { merge_object(field.schema, old, new)? }))
        }
        (Some(Document::Array(old)), Document::Array(new)) => {
            let field = schema.field(&name)?;
            Some(Document::Array(list::merge_or_replace(&field, old, new)?))
        }
        (_, new) => directive::without_directives(new),
    };
    if let Some(merged) = merged {
        original.insert(name, merged);
    }
    Ok(())
}

// === impl Schema ===

impl<'a> Schema<'a> {
    fn field(self, name: &str) -> Result<FieldSchema<'a>, StrategicError> {
        let (ty, strategic) = match self.ty {
            Some(Type::Object(object)) => match object.fields.get(name) {
                Some(field) => (Some(self.arena.get(field.ty)), field.strategic.clone()),
                None if object.preserve_unknown => (None, Strategic::default()),
                None => return Err(StrategicError::unknown_field(object.name.as_deref(), name)),
            },
            Some(Type::Map(map)) => (Some(self.arena.get(map.values)), Strategic::default()),
            Some(Type::List(_) | Type::Scalar(_) | Type::Any) | None => (None, Strategic::default()),
        };
        Ok(FieldSchema { schema: Schema { arena: self.arena, ty }, strategic })
    }

    /// The type of a list's elements.
    fn items(self) -> Self {
        let ty = match self.ty {
            Some(Type::List(list)) => Some(self.arena.get(list.items)),
            Some(Type::Object(_) | Type::Map(_) | Type::Scalar(_) | Type::Any) | None => None,
        };
        Self { arena: self.arena, ty }
    }

    /// The last part of the definition's name, as Kubernetes names a type in errors.
    fn type_name(self) -> &'a str {
        match self.ty {
            Some(Type::Object(object)) => short_name(object.name.as_deref()),
            Some(Type::Map(_) | Type::List(_) | Type::Scalar(_) | Type::Any) | None => "",
        }
    }
}

fn short_name(name: Option<&str>) -> &str {
    name.and_then(|name| name.rsplit('.').next()).unwrap_or_default()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
