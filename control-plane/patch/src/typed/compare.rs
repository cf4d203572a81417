//! What differs between two versions of a document, field by field.

use std::collections::{BTreeMap, BTreeSet};

use sheave_api::Document;

use super::{Child, Elements, Granularity, Shape, fields, is_empty, items};
use crate::fields::{FieldSet, PathElement};

/// The fields in which two documents differ; no field is in two of the sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Only the new document has them.
    pub(crate) added: FieldSet,
    /// Both have them, with different values.
    pub(crate) modified: FieldSet,
    /// Only the old document has them.
    pub(crate) removed: FieldSet,
}

/// What happened to one path itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Added,
    Modified,
    Removed,
}

/// What happened to one path and below it.
#[derive(Default)]
struct Difference {
    itself: Option<Change>,
    below: Changes,
}

/// Optional fields that the Go types of Kubernetes hold by value, so that an object is never without them: they are
/// not added together with their first field.
const HELD_BY_VALUE: &[&str] = &[
    "daemonEndpoints",
    "lastState",
    "loadBalancer",
    "metadata",
    "nodeInfo",
    "resources",
    "spec",
    "state",
    "status",
    "strategy",
    "template",
    "updateStrategy",
];

pub(crate) fn compare(shape: Shape<'_>, old: &Document, new: &Document) -> Changes {
    difference(shape, Some(old), Some(new)).below
}

fn difference(shape: Shape<'_>, old: Option<&Document>, new: Option<&Document>) -> Difference {
    let granularity = shape.granularity(&[old, new]);
    let below = match granularity {
        Granularity::Fields if !(is_empty(old) && is_empty(new)) => of_fields(shape, old, new),
        Granularity::Elements(elements) if !(is_empty(old) && is_empty(new)) => of_elements(elements, old, new),
        Granularity::Whole | Granularity::Fields | Granularity::Elements(_) => return of_whole(old, new),
    };
    let itself = match (old, new) {
        (None, Some(_)) => Some(Change::Added),
        (Some(_), None) => Some(Change::Removed),
        _ => None,
    };
    Difference { itself, below }
}

fn of_whole(old: Option<&Document>, new: Option<&Document>) -> Difference {
    let itself = match (old, new) {
        (None, Some(_)) => Some(Change::Added),
        (Some(_), None) => Some(Change::Removed),
        (Some(old), Some(new)) if old != new => Some(Change::Modified),
        _ => None,
    };
    Difference { itself, below: Changes::default() }
}

fn of_fields(shape: Shape<'_>, old: Option<&Document>, new: Option<&Document>) -> Changes {
    let (old_fields, new_fields) = (fields(old), fields(new));
    let names = old_fields.into_iter().chain(new_fields).flat_map(serde_json::Map::keys).collect::<BTreeSet<_>>();
    let mut changes = Changes::default();
    for name in names {
        let (old_value, new_value) = (old_fields.and_then(|f| f.get(name)), new_fields.and_then(|f| f.get(name)));
        let child = shape.child_or_unknown(name);
        let mut difference = difference(child.shape, old_value, new_value);
        if old.is_some() && new.is_some() && !difference.below.is_empty() && is_held_by_value(name, child) {
            difference.itself = None;
        }
        changes.graft(PathElement::field(name), difference);
    }
    changes
}

fn is_held_by_value(name: &str, child: Child<'_>) -> bool {
    child.declared.is_some_and(|field| field.required || HELD_BY_VALUE.contains(&name))
}

/// Elements with one name are compared if each side has at most one; a name that stands twice is one field.
fn of_elements(elements: Elements<'_>, old: Option<&Document>, new: Option<&Document>) -> Changes {
    let (old, new) = (by_name(elements, old), by_name(elements, new));
    let mut changes = Changes::default();
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let olds = old.get(name).map(Vec::as_slice).unwrap_or_default();
        let news = new.get(name).map(Vec::as_slice).unwrap_or_default();
        let change = match (olds, news) {
            ([] | [_], [] | [_]) => difference(elements.item, olds.first().copied(), news.first().copied()),
            ([_, _, ..], [_, _, ..]) => {
                Difference { itself: (olds != news).then_some(Change::Modified), below: Changes::default() }
            }
            ([_, _, ..], _) => {
                let mut added = difference_or_none(elements.item, None, news.first().copied());
                added.itself = Some(Change::Removed);
                added
            }
            (_, [_, _, ..]) => {
                let mut removed = difference_or_none(elements.item, olds.first().copied(), None);
                removed.itself = Some(Change::Added);
                removed
            }
        };
        changes.graft(name.clone(), change);
    }
    changes
}

fn difference_or_none(shape: Shape<'_>, old: Option<&Document>, new: Option<&Document>) -> Difference {
    if old.is_none() && new.is_none() { Difference::default() } else { difference(shape, old, new) }
}

/// The elements of a list by their names. Those that have none cannot be owned and are passed over.
fn by_name<'v>(elements: Elements<'_>, list: Option<&'v Document>) -> BTreeMap<PathElement, Vec<&'v Document>> {
    let mut named = BTreeMap::<_, Vec<_>>::new();
    for item in items(list) {
        if let Ok(name) = elements.name(item) {
            named.entry(name).or_default().push(item);
        }
    }
    named
}

// === impl Changes ===

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// The fields that are written: added or modified.
    pub(crate) fn written(&self) -> FieldSet {
        self.added.union(&self.modified)
    }

    /// The same changes with each set passed through `filter`.
    pub(crate) fn filtered(&self, filter: impl Fn(&FieldSet) -> FieldSet) -> Self {
        Self { added: filter(&self.added), modified: filter(&self.modified), removed: filter(&self.removed) }
    }

    fn graft(&mut self, name: PathElement, change: Difference) {
        let Difference { itself, below } = change;
        self.added.graft(name.clone(), itself == Some(Change::Added), below.added);
        self.modified.graft(name.clone(), itself == Some(Change::Modified), below.modified);
        self.removed.graft(name, itself == Some(Change::Removed), below.removed);
    }
}
