//! How a kind states its rules, and how the rules that all kinds share are put around them.

use crate::Document;
use crate::columns::{self, Table};
use crate::field::{Errors, FieldError};
use crate::kind::Scope;
use crate::names;
use crate::strategy::{FieldReader, Strategy, SubresourceUpdate};
use crate::validation::metadata::{self, NameRule};
use crate::validation::{Place, check};
use crate::view::{Edit, View, equivalent};

/// Whether `metadata.generation` counts the changes of a kind's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    /// It does not.
    Untracked,
    /// It counts changes of these fields.
    Tracks(&'static [&'static str]),
}

/// Generations that follow `spec`, as most do.
pub(crate) const FOLLOWS_SPEC: Generation = Generation::Tracks(&["spec"]);

/// The rules of one kind. Everything has a default that fits a kind without rules of its own.
///
/// The generic parts of [`strategy_of`] run around these functions: metadata is validated and carried over, status is
/// dropped or kept, the generation is counted.
pub(crate) trait Rules {
    /// Whether the objects live in a namespace.
    const SCOPE: Scope = Scope::Namespaced;

    /// What a name must be.
    const NAME: NameRule = names::dns_subdomain;

    /// Whether finalizers without a domain must be Kubernetes' own.
    const STANDARD_FINALIZERS: bool = true;

    /// Whether `status` is written through the subresource of that name alone.
    const STATUS: bool = false;

    /// What `metadata.generation` counts.
    const GENERATION: Generation = Generation::Untracked;

    /// The columns of `kubectl get`.
    const TABLE: Table = columns::GENERIC;

    /// Field selectors beside the name and the namespace.
    const FIELDS: &'static [(&'static str, FieldReader)] = &[];

    /// Subresources that write a part of the object, beside `status`.
    const SUBRESOURCES: &'static [SubresourceUpdate] = &[];

    /// Whether an update of an object that is not there creates it.
    const CREATE_ON_UPDATE: bool = false;

    /// Whether an update may leave out `metadata.resourceVersion`.
    const UNCONDITIONAL_UPDATE: bool = true;

    /// The grace period of deletion, for kinds that have one.
    const GRACE_PERIOD: Option<fn(&Document) -> i64> = None;

    /// Fills in what the user left out.
    fn default(_object: &mut Document) {}

    /// Drops what a client may not set on a new object.
    fn prepare_create(_object: &mut Document) {}

    /// Carries over what an update may not change.
    fn prepare_update(_new: &mut Document, _old: &Document) {}

    /// Carries over what an update of the status may not change, beside everything outside metadata and status.
    fn prepare_status_update(_new: &mut Document, _old: &Document) {}

    /// What is wrong with a new object, metadata apart.
    fn validate(_object: &Place<'_>, _errors: &mut Errors) {}

    /// What is wrong with an update, metadata apart.
    fn validate_update(new: &Place<'_>, _old: &Document, errors: &mut Errors) {
        Self::validate(new, errors);
    }

    /// What is wrong with an update of the status, metadata apart.
    fn validate_status_update(_new: &Place<'_>, _old: &Document, _errors: &mut Errors) {}
}

/// A kind with nothing of its own.
pub(crate) struct Generic;

impl Rules for Generic {
    const STANDARD_FINALIZERS: bool = false;
}

/// The strategy that follows `R`.
pub(crate) const fn strategy_of<R: Rules>() -> Strategy {
    Strategy {
        default: R::default,
        prepare_create: prepare_create::<R>,
        prepare_update: prepare_update::<R>,
        prepare_status_update: prepare_status_update::<R>,
        validate: validate::<R>,
        validate_update: validate_update::<R>,
        validate_status_update: validate_status_update::<R>,
        subresource_updates: R::SUBRESOURCES,
        columns: R::TABLE.columns,
        row: R::TABLE.row,
        selectable_fields: R::FIELDS,
        default_grace_period: R::GRACE_PERIOD,
        allow_create_on_update: R::CREATE_ON_UPDATE,
        allow_unconditional_update: R::UNCONDITIONAL_UPDATE,
    }
}

fn prepare_create<R: Rules>(object: &mut Document) {
    if R::STATUS {
        object.remove("status");
    }
    if R::GENERATION != Generation::Untracked {
        object.put("metadata.generation", 1);
    }
    R::prepare_create(object);
}

fn prepare_update<R: Rules>(new: &mut Document, old: &Document) {
    metadata::carry_over(new, old);
    if R::STATUS {
        new.copy_from(old, "status");
    }
    R::prepare_update(new, old);
    if let Generation::Tracks(paths) = R::GENERATION {
        count_generation(new, old, paths);
    }
}

/// Everything outside metadata and status is the stored object's.
fn prepare_status_update<R: Rules>(new: &mut Document, old: &Document) {
    metadata::carry_over(new, old);
    keep_only(new, old, &["metadata", "status"]);
    R::prepare_status_update(new, old);
}

/// Replaces every field of `new` by that of `old`, but for `kept`.
pub(crate) fn keep_only(new: &mut Document, old: &Document, kept: &[&str]) {
    let Some(fields) = new.as_object_mut() else { return };
    fields.retain(|name, _| kept.contains(&name.as_str()));
    for (name, value) in old.as_object().into_iter().flatten() {
        if !kept.contains(&name.as_str()) {
            fields.insert(name.clone(), value.clone());
        }
    }
}

/// One more than the stored object's generation where one of these fields changed.
pub(crate) fn count_generation(new: &mut Document, old: &Document, paths: &[&str]) {
    if paths.iter().any(|path| !equivalent(new.at(path), old.at(path))) {
        let generation = old.int("metadata.generation").unwrap_or_default();
        new.put("metadata.generation", generation.saturating_add(1));
    }
}

fn validate<R: Rules>(object: &Document) -> Vec<FieldError> {
    check(object, |place, errors| {
        metadata::validate(place, R::SCOPE, R::NAME, errors);
        standard_finalizers::<R>(place, errors);
        R::validate(place, errors);
    })
}

fn standard_finalizers<R: Rules>(object: &Place<'_>, errors: &mut Errors) {
    if R::STANDARD_FINALIZERS {
        metadata::standard_finalizers(object, errors);
    }
}

fn validate_update<R: Rules>(new: &Document, old: &Document) -> Vec<FieldError> {
    check(new, |place, errors| {
        metadata::validate_update(place, old, errors);
        standard_finalizers::<R>(place, errors);
        R::validate_update(place, old, errors);
    })
}

fn validate_status_update<R: Rules>(new: &Document, old: &Document) -> Vec<FieldError> {
    check(new, |place, errors| {
        metadata::validate_update(place, old, errors);
        R::validate_status_update(place, old, errors);
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct WithStatus;

    impl Rules for WithStatus {
        const STATUS: bool = true;
        const GENERATION: Generation = FOLLOWS_SPEC;
    }

    const STRATEGY: Strategy = strategy_of::<WithStatus>();

    #[test]
    fn a_new_object_has_no_status_and_generation_1() {
        let mut object = json!({"metadata": {"name": "a", "generation": 7}, "status": {"ready": true}});
        (STRATEGY.prepare_create)(&mut object);
        assert_eq!(object, json!({"metadata": {"name": "a", "generation": 1}}));
    }

    #[test]
    fn an_update_keeps_the_status_and_counts_changes_of_the_spec() {
        let old = json!({"metadata": {"name": "a", "uid": "u", "generation": 3}, "spec": {"x": 1}, "status": {"s": 1}});
        let mut same = json!({"metadata": {"name": "a", "generation": 9}, "spec": {"x": 1, "y": null}, "status": {}});
        (STRATEGY.prepare_update)(&mut same, &old);
        assert_eq!(same.int("metadata.generation"), Some(3));
        assert_eq!(same.at("status"), &json!({"s": 1}));
        assert_eq!(same.text("metadata.uid"), "u");
        let mut changed = json!({"metadata": {"name": "a"}, "spec": {"x": 2}});
        (STRATEGY.prepare_update)(&mut changed, &old);
        assert_eq!(changed.int("metadata.generation"), Some(4));
    }

    #[test]
    fn a_status_update_changes_metadata_and_status_alone() {
        let old = json!({"kind": "X", "metadata": {"name": "a", "generation": 3}, "spec": {"x": 1}, "data": 1});
        let mut new = json!({"kind": "X", "metadata": {"name": "a", "annotations": {"b": "c"}}, "spec": {"x": 2},
            "extra": 1, "status": {"s": 1}});
        (STRATEGY.prepare_status_update)(&mut new, &old);
        let expected = json!({"kind": "X", "metadata": {"name": "a", "annotations": {"b": "c"}, "generation": 3},
            "spec": {"x": 1}, "data": 1, "status": {"s": 1}});
        assert_eq!(new, expected);
    }
}
