//! Jobs, cron jobs, autoscalers and disruption budgets.

use crate::Document;
use crate::columns::{self, Table};
use crate::defaults;
use crate::field::Errors;
use crate::strategy::FieldReader;
use crate::strategy::rules::{FOLLOWS_SPEC, Generation, Rules};
use crate::validation::{Place, autoscaling, cron_job, disruption, job};
use crate::view::{Edit, View};

/// batch/v1 Job
pub(super) struct Job;

/// batch/v1 `CronJob`
pub(super) struct CronJob;

/// autoscaling `HorizontalPodAutoscaler`
pub(super) struct HorizontalPodAutoscaler;

/// autoscaling/v1 Scale, the body of subresources
pub(super) struct Scale;

/// policy/v1 `PodDisruptionBudget`
pub(super) struct PodDisruptionBudget;

/// The label that a job's selector chooses by: nobody else has the job's uid.
pub(crate) const CONTROLLER_UID_LABEL: &str = "batch.kubernetes.io/controller-uid";

/// The label with the job's name.
pub(crate) const JOB_NAME_LABEL: &str = "batch.kubernetes.io/job-name";

/// The first label as it was called before it had a prefix.
pub(crate) const OLD_CONTROLLER_UID_LABEL: &str = "controller-uid";

/// The second label as it was called before it had a prefix.
pub(crate) const OLD_JOB_NAME_LABEL: &str = "job-name";

// === impl Job ===

impl Rules for Job {
    const STATUS: bool = true;
    const GENERATION: Generation = FOLLOWS_SPEC;
    const TABLE: Table = columns::workloads::JOB;
    const FIELDS: &'static [(&'static str, FieldReader)] =
        &[("status.successful", |job| job.int("status.succeeded").unwrap_or_default().to_string())];

    fn default(object: &mut Document) {
        defaults::workloads::job(object);
    }

    fn prepare_create(job: &mut Document) {
        if !job.flag("spec.manualSelector") {
            generate_selector(job);
        }
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        job::create(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        job::update(new, old, errors);
    }

    fn validate_status_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        job::status(new, old, errors);
    }
}

/// Marks the pods of the job with its uid and name, and selects by the uid.
fn generate_selector(job: &mut Document) {
    let name: Document = job.text("metadata.name").into();
    let uid: Document = job.text("metadata.uid").into();
    let before = job.at("spec.template.metadata.labels").clone();
    let Some(labels) = job.object_mut("spec.template.metadata.labels") else { return };
    labels.entry(OLD_JOB_NAME_LABEL).or_insert_with(|| name.clone());
    labels.entry(OLD_CONTROLLER_UID_LABEL).or_insert_with(|| uid.clone());
    labels.insert(JOB_NAME_LABEL.to_owned(), name);
    labels.insert(CONTROLLER_UID_LABEL.to_owned(), uid.clone());
    let labels = Document::Object(labels.clone());
    if let Some(selector) = job.object_mut("spec.selector.matchLabels") {
        selector.entry(CONTROLLER_UID_LABEL).or_insert(uid);
    }
    // The job's own labels follow the template's where the user gave none of their own.
    let own = job.at("metadata.labels");
    if own.as_object().is_none_or(serde_json::Map::is_empty) || *own == before {
        job.put("metadata.labels", labels);
    }
}

// === impl CronJob ===

impl Rules for CronJob {
    const STATUS: bool = true;
    const GENERATION: Generation = FOLLOWS_SPEC;
    const TABLE: Table = columns::workloads::CRON_JOB;

    fn default(object: &mut Document) {
        defaults::workloads::cron_job(object);
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        cron_job::create(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        cron_job::cron_job(new, old, errors);
    }
}

// === impl HorizontalPodAutoscaler ===

impl Rules for HorizontalPodAutoscaler {
    const STATUS: bool = true;
    const TABLE: Table = columns::workloads::HORIZONTAL_POD_AUTOSCALER;

    fn default(object: &mut Document) {
        defaults::workloads::horizontal_pod_autoscaler(object);
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        autoscaling::autoscaler(object, &Document::Null, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        autoscaling::autoscaler(new, old, errors);
    }

    fn validate_status_update(new: &Place<'_>, _old: &Document, errors: &mut Errors) {
        autoscaling::status(new, errors);
    }
}

// === impl Scale ===

impl Rules for Scale {
    const TABLE: Table = columns::workloads::SCALE;

    fn validate(scale: &Place<'_>, errors: &mut Errors) {
        crate::validation::not_negative(&scale.child("spec.replicas"), errors);
    }
}

// === impl PodDisruptionBudget ===

impl Rules for PodDisruptionBudget {
    const STATUS: bool = true;
    const GENERATION: Generation = FOLLOWS_SPEC;
    const TABLE: Table = columns::workloads::POD_DISRUPTION_BUDGET;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        disruption::budget(object, errors);
    }

    fn validate_status_update(new: &Place<'_>, _old: &Document, errors: &mut Errors) {
        disruption::status(new, errors);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::strategy_for;

    #[test]
    fn a_job_selects_its_pods_by_its_uid() {
        let mut job = json!({"metadata": {"name": "pi", "uid": "u-1"}, "spec": {"template": {"metadata": {}}}});
        (strategy_for("batch", "Job").prepare_create)(&mut job);
        let labels = json!({
            "batch.kubernetes.io/controller-uid": "u-1", "batch.kubernetes.io/job-name": "pi",
            "controller-uid": "u-1", "job-name": "pi",
        });
        assert_eq!(job.at("spec.template.metadata.labels"), &labels);
        assert_eq!(job.at("metadata.labels"), &labels);
        assert_eq!(job.at("spec.selector"), &json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}}));
    }

    #[test]
    fn a_job_with_its_own_selector_is_left_alone() {
        let spec = json!({"manualSelector": true, "selector": {"matchLabels": {"a": "b"}}});
        let mut job = json!({"metadata": {"name": "pi", "uid": "u"}, "spec": spec});
        (strategy_for("batch", "Job").prepare_create)(&mut job);
        assert_eq!(job.at("spec"), &spec);
    }

    #[test]
    fn a_jobs_own_labels_stay() {
        let mut job = json!({"metadata": {"name": "pi", "uid": "u", "labels": {"mine": "yes"}}, "spec": {}});
        (strategy_for("batch", "Job").prepare_create)(&mut job);
        assert_eq!(job.at("metadata.labels"), &json!({"mine": "yes"}));
    }
}
