//! What differs between two versions of a document, field by field.

use std::collections::{BTreeMap, BTreeSet};

use sheave_api::Document;

use super::{Elements, Granularity, Shape, fields, is_empty, items};
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

/// Optional fields that the Go types of Kubernetes hold by value, as they hold all required ones: an object is never
/// without them, so they are not added together with their first field.
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

/// Which of the two documents has a value, in JSON or [by value](HELD_BY_VALUE).
#[derive(Clone, Copy)]
struct Presence {
    old: bool,
    new: bool,
}

pub(crate) fn compare(shape: Shape<'_>, old: &Document, new: &Document) -> Changes {
    difference(shape, Some(old), Some(new), Presence { old: true, new: true }).below
}

fn difference(shape: Shape<'_>, old: Option<&Document>, new: Option<&Document>, presence: Presence) -> Difference {
    let is_empty = is_empty(old) && is_empty(new);
    let below = match shape.granularity(&[old, new]) {
        Granularity::Whole => return Difference::of_whole(old, new, Presence::of(old, new)),
        Granularity::Fields | Granularity::Elements(_) if is_empty => {
            return Difference::of_whole(old, new, presence);
        }
        Granularity::Fields => of_fields(shape, old, new, presence),
        // Naming the elements costs more than comparing them.
        Granularity::Elements(_) if old == new => Changes::default(),
        Granularity::Elements(elements) => of_elements(elements, old, new),
    };
    Difference { itself: presence.change(), below }
}

fn of_fields(shape: Shape<'_>, old: Option<&Document>, new: Option<&Document>, parent: Presence) -> Changes {
    let (old_fields, new_fields) = (fields(old), fields(new));
    let names = old_fields.into_iter().chain(new_fields).flat_map(serde_json::Map::keys).collect::<BTreeSet<_>>();
    let mut changes = Changes::default();
    for name in names {
        let (old, new) = (old_fields.and_then(|f| f.get(name)), new_fields.and_then(|f| f.get(name)));
        let child = shape.child_or_unknown(name);
        let mut presence = Presence::of(old, new);
        if child.declared.is_some_and(|field| field.required || HELD_BY_VALUE.contains(&name.as_str())) {
            presence = Presence { old: presence.old || parent.old, new: presence.new || parent.new };
        }
        let difference = difference(child.shape, old, new, presence);
        if !difference.is_none() {
            changes.graft(PathElement::field(name), difference);
        }
    }
    changes
}

/// Elements with one name are compared if each side has at most one; a name that stands twice is one field.
fn of_elements(elements: Elements<'_>, old: Option<&Document>, new: Option<&Document>) -> Changes {
    let (old, new) = (by_name(elements, old), by_name(elements, new));
    let mut changes = Changes::default();
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let olds = old.get(name).map(Vec::as_slice).unwrap_or_default();
        let news = new.get(name).map(Vec::as_slice).unwrap_or_default();
        let change = match (olds, news) {
            ([] | [_], [] | [_]) => of_element(elements, olds.first().copied(), news.first().copied()),
            ([_, _, ..], [_, _, ..]) => {
                Difference { itself: (olds != news).then_some(Change::Modified), below: Changes::default() }
            }
            ([_, _, ..], _) => {
                let mut added = of_element(elements, None, news.first().copied());
                added.itself = Some(Change::Removed);
                added
            }
            (_, [_, _, ..]) => {
                let mut removed = of_element(elements, olds.first().copied(), None);
                removed.itself = Some(Change::Added);
                removed
            }
        };
        changes.graft(name.clone(), change);
    }
    changes
}

fn of_element(elements: Elements<'_>, old: Option<&Document>, new: Option<&Document>) -> Difference {
    difference(elements.item, old, new, Presence::of(old, new))
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

// === impl Presence ===

impl Presence {
    fn of(old: Option<&Document>, new: Option<&Document>) -> Self {
        Self { old: old.is_some(), new: new.is_some() }
    }

    fn change(self) -> Option<Change> {
        match (self.old, self.new) {
            (false, true) => Some(Change::Added),
            (true, false) => Some(Change::Removed),
            (true, true) | (false, false) => None,
        }
    }
}

// === impl Difference ===

impl Difference {
    fn is_none(&self) -> bool {
        let Changes { added, modified, removed } = &self.below;
        self.itself.is_none() && added.is_empty() && modified.is_empty() && removed.is_empty()
    }

    fn of_whole(old: Option<&Document>, new: Option<&Document>, presence: Presence) -> Self {
        let is_modified = matches!((old, new), (Some(old), Some(new)) if old != new);
        let itself = if is_modified { Some(Change::Modified) } else { presence.change() };
        Self { itself, below: Changes::default() }
    }
}

// === impl Changes ===

impl Changes {
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
