//! Who owns what after a write.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sheave_api::Document;

use super::{Conflict, FieldManager, written_time};
use crate::fields::FieldSet;
use crate::managed::{Managed, ManagerId, Managers, Operation};
use crate::typed::{Changes, collapse_atomic, compare, has_fields_below_atomic};

/// Entries of updates that a document may have before the oldest are merged.
const MAX_UPDATE_MANAGERS: usize = 10;

/// The manager into which the oldest updates are merged.
const ANCIENT_CHANGES: &str = "ancient-changes";

/// A writer whose request named no manager and no user agent.
const UNKNOWN: &str = "unknown";

/// What a write takes from the managers of a document.
struct Losses {
    /// The managers with what they keep.
    left: Managers,
    /// The fields that were written and that others than the applier own.
    conflicts: Vec<Conflict>,
    /// What the write changed.
    changes: Changes,
}

/// Fields that only the system sets, or that make the object what it is.
pub(super) fn never_owned() -> FieldSet {
    FieldSet::of(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
}

// === impl FieldManager ===

impl FieldManager<'_> {
    /// The managers after `manager` wrote `new` over `old`: it owns what it changed, everybody else loses that.
    pub(super) fn updated(
        &self,
        old: &Document,
        new: &Document,
        managers: &Managers,
        manager: &str,
        now: Timestamp,
    ) -> Managers {
        let name = if manager.is_empty() { UNKNOWN } else { manager };
        let id = ManagerId::new(name, Operation::Update, self.api_version, self.subresource);
        let before = managers.get(&id).map(|managed| managed.fields.clone()).unwrap_or_default();
        let Losses { mut left, changes, .. } = self.losses(old, new, managers, None);
        let written = changes.written().difference(&never_owned());
        if !written.is_empty() {
            let fields = before.difference(&changes.removed).union(&written);
            let time = Some(written_time(now));
            left.set(id, Managed { fields, api_version: self.api_version.to_owned(), time });
        }
        merge_oldest_updates(left)
    }

    /// The managers after `applier` wrote `new` over `old`: everybody else loses what differs.
    ///
    /// # Errors
    /// Without `force`, the fields that others own and that were written.
    pub(super) fn taken_over(
        &self,
        old: &Document,
        new: &Document,
        managers: &Managers,
        applier: &ManagerId,
        force: bool,
    ) -> Result<Managers, Vec<Conflict>> {
        let losses = self.losses(old, new, managers, Some(applier));
        if force || losses.conflicts.is_empty() { Ok(losses.left) } else { Err(losses.conflicts) }
    }

    fn losses(&self, old: &Document, new: &Document, managers: &Managers, applier: Option<&ManagerId>) -> Losses {
        let changes = self.changes(old, new, self.api_version).unwrap_or_default();
        let mut by_version = BTreeMap::from([(self.api_version.to_owned(), Some(changes.clone()))]);
        let mut losses = Losses { left: Managers::default(), conflicts: Vec::new(), changes };
        for (id, managed) in managers.iter() {
            if applier == Some(id) {
                losses.left.set(id.clone(), managed.clone());
                continue;
            }
            let changes = by_version
                .entry(managed.api_version.clone())
                .or_insert_with(|| self.changes(old, new, &managed.api_version));
            // Without a conversion the version is no longer served: its managers are forgotten.
            if let Some(changes) = changes {
                losses.add(id, managed, changes);
            }
        }
        losses
    }

    fn changes(&self, old: &Document, new: &Document, api_version: &str) -> Option<Changes> {
        let (shape, old) = self.in_version(old, api_version)?;
        let (_, new) = self.in_version(new, api_version)?;
        Some(compare(shape, &old, &new).filtered(|fields| self.tracked.filter(fields)))
    }

    /// The managers with their fields as the schema is: what became atomic since is owned as one.
    pub(super) fn reconciled(&self, managers: Managers) -> Managers {
        let shape = self.shape();
        let is_stale = |managed: &Managed| {
            managed.api_version == self.api_version && has_fields_below_atomic(shape, &managed.fields)
        };
        if !managers.iter().any(|(_, managed)| is_stale(managed)) {
            return managers;
        }
        let reconcile = |(id, managed): (&ManagerId, &Managed)| {
            let stale = is_stale(managed).then(|| collapse_atomic(shape, &managed.fields));
            let fields = stale.unwrap_or_else(|| managed.fields.clone());
            (id.clone(), Managed { fields, ..managed.clone() })
        };
        managers.iter().map(reconcile).collect()
    }
}

/// Beyond [`MAX_UPDATE_MANAGERS`] updates, merges the oldest of one version until few enough are left.
fn merge_oldest_updates(mut managers: Managers) -> Managers {
    let mut updates = managers
        .iter()
        .filter(|(id, _)| id.operation == Operation::Update)
        .map(|(id, managed)| (managed.seconds(), id.clone()))
        .collect::<Vec<_>>();
    updates.sort();
    let mut surplus = updates.len().saturating_sub(MAX_UPDATE_MANAGERS);
    let mut first_of_version = BTreeMap::<String, ManagerId>::new();
    for (_, id) in updates {
        if surplus == 0 {
            break;
        }
        let version = id.api_version.clone();
        let Some(first) = first_of_version.get(&version) else {
            first_of_version.insert(version, id);
            continue;
        };
        let bucket = ManagerId::new(ANCIENT_CHANGES, Operation::Update, &version, "");
        if id == bucket {
            continue;
        }
        let (Some(older), Some(younger)) =
            (managers.get(&bucket).or_else(|| managers.get(first)).cloned(), managers.get(&id).cloned())
        else {
            continue;
        };
        managers.remove(&first.clone());
        managers.remove(&id);
        let fields = older.fields.union(&younger.fields);
        managers.set(bucket, Managed { fields, ..younger });
        surplus -= 1;
    }
    managers
}

// === impl Losses ===

impl Losses {
    fn add(&mut self, id: &ManagerId, managed: &Managed, changes: &Changes) {
        let written = changes.written();
        if !managed.fields.intersects(&written) && !managed.fields.intersects(&changes.removed) {
            return self.left.set(id.clone(), managed.clone());
        }
        let lost = managed.fields.intersection(&written);
        self.conflicts.extend(lost.paths().into_iter().map(|path| Conflict { manager: id.clone(), path }));
        let fields = managed.fields.difference(&written).difference(&changes.removed);
        self.left.set(id.clone(), Managed { fields, ..managed.clone() });
    }
}
