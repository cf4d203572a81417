//! The set operations of ownership.

use std::collections::BTreeMap;

use super::{FieldPath, PathElement};

/// A set of fields of one document.
///
/// No entry of the tree is empty: each holds a member, itself or below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    entries: BTreeMap<PathElement, Entry>,
}

/// What is in the set at one path and below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    /// Whether the path itself is in the set.
    is_member: bool,
    below: FieldSet,
}

// === impl FieldSet ===

impl FieldSet {
    /// A set of fields given by their names: `[&["metadata", "name"]]`.
    #[must_use]
    pub fn of(paths: &[&[&str]]) -> Self {
        paths.iter().map(|path| FieldPath::of(path)).collect()
    }

    /// Adds the field at `path`. The root, an empty path, is never owned.
    pub fn insert(&mut self, path: &[PathElement]) {
        let Some((first, rest)) = path.split_first() else { return };
        if !self.entries.contains_key(first) {
            self.entries.insert(first.clone(), Entry::default());
        }
        let Some(entry) = self.entries.get_mut(first) else { return };
        if rest.is_empty() {
            entry.is_member = true;
        } else {
            entry.below.insert(rest);
        }
    }

    /// Adds what `below` holds as fields of the field `element`, which becomes a member itself if `is_member`.
    pub(crate) fn graft(&mut self, element: PathElement, is_member: bool, below: FieldSet) {
        let entry = Entry { is_member, below };
        if entry.is_empty() {
            return;
        }
        match self.entries.get_mut(&element) {
            Some(present) => *present = present.union(&entry),
            None => {
                self.entries.insert(element, entry);
            }
        }
    }

    /// Whether the set has no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the field at `path` is in the set.
    #[must_use]
    pub fn contains(&self, path: &[PathElement]) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        self.entries
            .get(first)
            .is_some_and(|entry| if rest.is_empty() { entry.is_member } else { entry.below.contains(rest) })
    }

    /// Whether `element` is in the set, and the fields below it that are.
    pub(crate) fn at(&self, element: &PathElement) -> (bool, Option<&FieldSet>) {
        match self.entries.get(element) {
            Some(entry) => (entry.is_member, Some(&entry.below).filter(|below| !below.is_empty())),
            None => (false, None),
        }
    }

    /// Each first step with whether it is a member and what is below, in order.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&PathElement, bool, &FieldSet)> {
        self.entries.iter().map(|(element, entry)| (element, entry.is_member, &entry.below))
    }

    /// Fields in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut entries = self.entries.clone();
        for (element, theirs) in &other.entries {
            match entries.get_mut(element) {
                Some(ours) => *ours = ours.union(theirs),
                None => {
                    entries.insert(element.clone(), theirs.clone());
                }
            }
        }
        Self { entries }
    }

    /// Fields in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.keep(|element, ours| {
            let theirs = other.entries.get(element)?;
            let below = ours.below.intersection(&theirs.below);
            Some(Entry { is_member: ours.is_member && theirs.is_member, below })
        })
    }

    /// Whether a field is in both sets.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        let (small, large) = if self.entries.len() <= other.entries.len() { (self, other) } else { (other, self) };
        small.entries.iter().any(|(element, ours)| {
            large
                .entries
                .get(element)
                .is_some_and(|theirs| (ours.is_member && theirs.is_member) || ours.below.intersects(&theirs.below))
        })
    }

    /// Whether every field of this set is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.entries.iter().all(|(element, ours)| {
            other
                .entries
                .get(element)
                .is_some_and(|theirs| (theirs.is_member || !ours.is_member) && ours.below.is_subset(&theirs.below))
        })
    }

    /// Fields of this set that are not in `other`. A field in `other` takes nothing away from the fields below it.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.keep(|element, ours| {
            let Some(theirs) = other.entries.get(element) else { return Some(ours.clone()) };
            let below = ours.below.difference(&theirs.below);
            Some(Entry { is_member: ours.is_member && !theirs.is_member, below })
        })
    }

    /// Fields of this set that are neither in `other` nor below a field that is.
    #[must_use]
    pub fn difference_with_below(&self, other: &Self) -> Self {
        self.keep(|element, ours| match other.entries.get(element) {
            None => Some(ours.clone()),
            Some(theirs) if theirs.is_member => None,
            Some(theirs) => {
                let below = ours.below.difference_with_below(&theirs.below);
                Some(Entry { is_member: ours.is_member, below })
            }
        })
    }

    /// Fields of this set that are in `other` or below a field that is.
    #[must_use]
    pub fn intersection_with_below(&self, other: &Self) -> Self {
        self.keep(|element, ours| match other.entries.get(element) {
            None => None,
            Some(theirs) if theirs.is_member => Some(ours.clone()),
            Some(theirs) => {
                let below = ours.below.intersection_with_below(&theirs.below);
                Some(Entry { is_member: false, below })
            }
        })
    }

    /// Every field of the set, parents before children.
    #[must_use]
    pub fn paths(&self) -> Vec<FieldPath> {
        let mut paths = Vec::new();
        self.collect_paths(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &mut Vec<PathElement>, paths: &mut Vec<FieldPath>) {
        for (element, entry) in &self.entries {
            prefix.push(element.clone());
            if entry.is_member {
                paths.push(FieldPath(prefix.clone()));
            }
            entry.below.collect_paths(prefix, paths);
            prefix.pop();
        }
    }

    fn keep(&self, decide: impl Fn(&PathElement, &Entry) -> Option<Entry>) -> Self {
        let kept = self.entries.iter().filter_map(|(element, entry)| {
            let entry = decide(element, entry).filter(|entry| !entry.is_empty())?;
            Some((element.clone(), entry))
        });
        Self { entries: kept.collect() }
    }
}

impl FromIterator<FieldPath> for FieldSet {
    fn from_iter<I: IntoIterator<Item = FieldPath>>(paths: I) -> Self {
        let mut set = Self::default();
        paths.into_iter().for_each(|path| set.insert(&path.0));
        set
    }
}

// === impl Entry ===

impl Entry {
    fn is_empty(&self) -> bool {
        !self.is_member && self.below.is_empty()
    }

    fn union(&self, other: &Self) -> Self {
        Self { is_member: self.is_member || other.is_member, below: self.below.union(&other.below) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(paths: &[&[&str]]) -> FieldSet {
        FieldSet::of(paths)
    }

    #[test]
    fn owning_a_parent_and_owning_a_child_are_two_things() {
        let parent = set(&[&["spec"]]);
        let child = set(&[&["spec", "replicas"]]);
        assert_eq!(parent.difference(&child), parent);
        assert_eq!(child.difference(&parent), child);
        assert!(parent.intersection(&child).is_empty());
        assert_eq!(parent.union(&child).paths().len(), 2);
    }

    #[test]
    fn the_differences_with_below_take_whole_branches() {
        let fields = set(&[&["spec"], &["spec", "a"], &["spec", "a", "b"], &["status", "x"]]);
        assert_eq!(fields.difference_with_below(&set(&[&["spec", "a"], &["status"]])), set(&[&["spec"]]));
        assert_eq!(fields.intersection_with_below(&set(&[&["status"]])), set(&[&["status", "x"]]));
        assert_eq!(
            fields.intersection_with_below(&set(&[&["spec", "a"]])),
            set(&[&["spec", "a"], &["spec", "a", "b"]])
        );
    }

    #[test]
    fn the_questions_agree_with_the_operations() {
        let sets = [
            set(&[]),
            set(&[&["a"]]),
            set(&[&["a", "b"]]),
            set(&[&["a"], &["a", "b"], &["c"]]),
            set(&[&["a", "b"], &["c", "d"]]),
        ];
        for one in &sets {
            for other in &sets {
                assert_eq!(one.intersects(other), !one.intersection(other).is_empty(), "{one:?} {other:?}");
                assert_eq!(one.is_subset(other), one.difference(other).is_empty(), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn nothing_empty_stays_in_the_tree() {
        let fields = set(&[&["a", "b", "c"]]);
        assert!(fields.difference(&fields).is_empty());
        assert_eq!(fields.difference(&fields), FieldSet::default());
        let mut root = FieldSet::default();
        root.insert(&[]);
        assert!(root.is_empty());
    }
}
