//! Fields that an applier applied before and no longer does.

use std::collections::BTreeMap;

use sheave_api::Document;

use super::FieldManager;
use crate::fields::FieldSet;
use crate::managed::{Managed, Managers};
use crate::typed::{field_set, remove, with_named_fields};

// === impl FieldManager ===

impl FieldManager<'_> {
    /// `merged` without the fields of `last` that nobody in `managers` owns, the applier's new set among them.
    pub(super) fn prune(&self, merged: Document, last: &Managed, managers: &Managers) -> Document {
        match self.pruned(&merged, last, managers) {
            Some(pruned) => pruned,
            // A set in a version that is not served any more says nothing about this document.
            None => merged,
        }
    }

    fn pruned(&self, merged: &Document, last: &Managed, managers: &Managers) -> Option<Document> {
        let (shape, in_last) = self.in_version(merged, &last.api_version)?;
        let owned = owned_by_version(managers);
        let nothing = FieldSet::default();
        let owned_in_last = owned.get(&last.api_version).unwrap_or(&nothing);
        let last_fields = with_named_fields(shape, &last.fields);
        let mut pruned = remove(shape, in_last.clone().into_owned(), &last_fields, owned_in_last);
        for (version, owned) in &owned {
            pruned = self.put_back(merged, pruned, version, owned);
        }
        let (_, pruned) = self.in_version(&pruned, &last.api_version)?;
        let gone = all_fields(shape, &in_last).difference(&all_fields(shape, &pruned)).intersection(&last_fields);
        let result = remove(shape, in_last.into_owned(), &gone, owned_in_last);
        Some(self.in_version(&result, self.api_version)?.1.into_owned())
    }

    /// `pruned` with the fields of `merged` that are in `owned`, which are named in `version`.
    fn put_back(&self, merged: &Document, pruned: Document, version: &str, owned: &FieldSet) -> Document {
        let (Some((shape, merged)), Some((_, in_version))) =
            (self.in_version(merged, version), self.in_version(&pruned, version))
        else {
            return pruned;
        };
        let kept = all_fields(shape, &in_version).union(&with_named_fields(shape, owned));
        let gone = all_fields(shape, &merged).difference(&kept);
        remove(shape, merged.into_owned(), &gone, owned)
    }
}

fn all_fields(shape: crate::typed::Shape<'_>, document: &Document) -> FieldSet {
    with_named_fields(shape, &field_set(shape, document))
}

fn owned_by_version(managers: &Managers) -> BTreeMap<String, FieldSet> {
    let mut owned = BTreeMap::<String, FieldSet>::new();
    for (_, managed) in managers.iter() {
        let set = owned.entry(managed.api_version.clone()).or_default();
        *set = set.union(&managed.fields);
    }
    owned
}
