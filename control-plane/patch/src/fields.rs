//! Sets of fields: who owns what in a document, and their `FieldsV1` form.
//!
//! A field is a path of [`PathElement`]s. Owning a path does not own what lies above or below it: a list element
//! `k:{"name":"web"}` and its `f:image` are two members. The form is that of
//! [structured-merge-diff](https://github.com/kubernetes-sigs/structured-merge-diff).

mod element;
mod form;
mod set;

pub use element::{PathElement, Scalar};
pub use form::FormError;
pub use set::FieldSet;

use std::fmt;

/// A path from the root of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(pub Vec<PathElement>);

// === impl FieldPath ===

impl FieldPath {
    /// A path of field names: `["spec", "replicas"]`.
    #[must_use]
    pub fn of(names: &[&str]) -> Self {
        Self(names.iter().map(|name| PathElement::Field((*name).to_owned())).collect())
    }
}

/// As Kubernetes writes it in conflicts: `.spec.containers[name="web"].image`.
impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|element| write!(f, "{element}"))
    }
}
