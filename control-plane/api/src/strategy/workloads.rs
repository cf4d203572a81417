//! What keeps a number of pods running: apps/v1 and replication controllers.

use serde_json::json;

use crate::Document;
use crate::columns::{self, Table};
use crate::defaults;
use crate::field::Errors;
use crate::names;
use crate::strategy::FieldReader;
use crate::strategy::rules::{FOLLOWS_SPEC, Generation, Rules};
use crate::validation::metadata::NameRule;
use crate::validation::{Place, workloads};
use crate::view::{Edit, View, equivalent};

/// apps/v1 Deployment
pub(super) struct Deployment;

/// apps/v1 `ReplicaSet`
pub(super) struct ReplicaSet;

/// apps/v1 `StatefulSet`
pub(super) struct StatefulSet;

/// apps/v1 `DaemonSet`
pub(super) struct DaemonSet;

/// apps/v1 `ControllerRevision`
pub(super) struct ControllerRevision;

/// core/v1 `ReplicationController`
pub(super) struct ReplicationController;

/// Counts the changes of a daemon set's template; kept for clients of the old API.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

const STATUS_REPLICAS: &[(&str, FieldReader)] =
    &[("status.replicas", |object| object.int("status.replicas").unwrap_or_default().to_string())];

// === impl Deployment ===

impl Rules for Deployment {
    const STATUS: bool = true;
    const GENERATION: Generation = Generation::Tracks(&["spec", "metadata.annotations"]);
    const TABLE: Table = columns::workloads::DEPLOYMENT;

    fn default(object: &mut Document) {
        defaults::workloads::deployment(object);
    }

    fn prepare_status_update(new: &mut Document, old: &Document) {
        new.copy_from(old, "metadata.labels");
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        workloads::deployment(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        workloads::deployment(new, errors);
        workloads::fixed_selector(new, old, errors);
    }

    fn validate_status_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        workloads::deployment_status(new, old, errors);
    }
}

// === impl ReplicaSet ===

impl Rules for ReplicaSet {
    const STATUS: bool = true;
    const GENERATION: Generation = FOLLOWS_SPEC;
    const TABLE: Table = columns::workloads::REPLICA_SET;
    const FIELDS: &'static [(&'static str, FieldReader)] = STATUS_REPLICAS;

    fn default(object: &mut Document) {
        defaults::workloads::replica_set(object);
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        workloads::replica_set(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        workloads::replica_set(new, errors);
        workloads::fixed_selector(new, old, errors);
    }

    fn validate_status_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        workloads::replica_set_status(new, old, errors);
    }
}

// === impl StatefulSet ===

impl Rules for StatefulSet {
    const NAME: NameRule = names::dns_label;
    const STATUS: bool = true;
    const GENERATION: Generation = FOLLOWS_SPEC;
    const TABLE: Table = columns::workloads::STATEFUL_SET;

    fn default(object: &mut Document) {
        defaults::workloads::stateful_set(object);
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        workloads::stateful_set(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        workloads::stateful_set_update(new, old, errors);
    }

    fn validate_status_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        workloads::stateful_set_status(new, old, errors);
    }
}

// === impl DaemonSet ===

impl Rules for DaemonSet {
    const STATUS: bool = true;
    const GENERATION: Generation = FOLLOWS_SPEC;
    const TABLE: Table = columns::workloads::DAEMON_SET;

    fn default(object: &mut Document) {
        defaults::workloads::daemon_set(object);
    }

    fn prepare_create(set: &mut Document) {
        put_template_generation(set, 1);
    }

    fn prepare_update(new: &mut Document, old: &Document) {
        let generation = old.at("metadata.annotations").get(TEMPLATE_GENERATION).and_then(Document::as_str);
        let generation: i64 = generation.and_then(|text| text.parse().ok()).unwrap_or(1);
        let changed = !equivalent(new.at("spec.template"), old.at("spec.template"));
        put_template_generation(new, generation.saturating_add(i64::from(changed)));
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        workloads::daemon_set(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        workloads::daemon_set(new, errors);
        workloads::fixed_selector(new, old, errors);
    }

    fn validate_status_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        workloads::daemon_set_status(new, old, errors);
    }
}

fn put_template_generation(set: &mut Document, generation: i64) {
    if let Some(annotations) = set.object_mut("metadata.annotations") {
        annotations.insert(TEMPLATE_GENERATION.to_owned(), json!(generation.to_string()));
    }
}

// === impl ControllerRevision ===

impl Rules for ControllerRevision {
    const TABLE: Table = columns::workloads::CONTROLLER_REVISION;

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        workloads::controller_revision(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        workloads::controller_revision_update(new, old, errors);
    }
}

// === impl ReplicationController ===

impl Rules for ReplicationController {
    const STATUS: bool = true;
    const GENERATION: Generation = FOLLOWS_SPEC;
    const TABLE: Table = columns::workloads::REPLICATION_CONTROLLER;
    const FIELDS: &'static [(&'static str, FieldReader)] = STATUS_REPLICAS;

    fn default(object: &mut Document) {
        defaults::workloads::replication_controller(object);
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        workloads::replication_controller(object, errors);
    }

    fn validate_status_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        workloads::replica_set_status(new, old, errors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::strategy_for;

    #[test]
    fn a_deployment_counts_changes_of_its_annotations_too() {
        let strategy = strategy_for("apps", "Deployment");
        let old = json!({"metadata": {"generation": 4}, "spec": {"replicas": 1}});
        let mut annotated = json!({"metadata": {"annotations": {"a": "b"}}, "spec": {"replicas": 1}});
        (strategy.prepare_update)(&mut annotated, &old);
        assert_eq!(annotated.int("metadata.generation"), Some(5));
        let mut labelled = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"replicas": 1}});
        (strategy.prepare_update)(&mut labelled, &old);
        assert_eq!(labelled.int("metadata.generation"), Some(4));
    }

    #[test]
    fn a_daemon_set_counts_changes_of_its_template() {
        let strategy = strategy_for("apps", "DaemonSet");
        let mut set = json!({"metadata": {}, "spec": {"template": {"spec": {"a": 1}}}});
        (strategy.prepare_create)(&mut set);
        assert_eq!(set.at("metadata.annotations")[TEMPLATE_GENERATION], "1");
        let mut same = json!({"metadata": {}, "spec": {"template": {"spec": {"a": 1}}, "minReadySeconds": 5}});
        (strategy.prepare_update)(&mut same, &set);
        assert_eq!(same.at("metadata.annotations")[TEMPLATE_GENERATION], "1");
        let mut changed = json!({"metadata": {}, "spec": {"template": {"spec": {"a": 2}}}});
        (strategy.prepare_update)(&mut changed, &set);
        assert_eq!(changed.at("metadata.annotations")[TEMPLATE_GENERATION], "2");
        assert_eq!(changed.int("metadata.generation"), Some(2));
    }
}
