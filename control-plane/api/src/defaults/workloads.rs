//! Defaults of what runs pods: apps/v1, batch/v1, autoscaling, replication controllers.

use serde_json::json;

use super::pod::{pod_template, pod_template_at};
use super::{canonical_quantity, storage};
use crate::Document;
use crate::view::{Edit, View};

/// A Deployment.
pub(crate) fn deployment(deployment: &mut Document) {
    deployment.default_to("spec.replicas", 1);
    deployment.default_zero("spec.strategy.type", "RollingUpdate");
    if deployment.text("spec.strategy.type") == "RollingUpdate" {
        deployment.default_to("spec.strategy.rollingUpdate.maxUnavailable", "25%");
        deployment.default_to("spec.strategy.rollingUpdate.maxSurge", "25%");
    }
    deployment.default_to("spec.revisionHistoryLimit", 10);
    deployment.default_to("spec.progressDeadlineSeconds", 600);
    pod_template_at(deployment, "spec.template");
}

/// A `ReplicaSet`.
pub(crate) fn replica_set(set: &mut Document) {
    set.default_to("spec.replicas", 1);
    pod_template_at(set, "spec.template");
}

/// A `ReplicationController`: selector and labels come from the template where they were left out.
pub(crate) fn replication_controller(controller: &mut Document) {
    controller.default_to("spec.replicas", 1);
    if let Some(template) = controller.at_mut("spec.template") {
        pod_template(template);
    }
    let labels = controller.at("spec.template.metadata.labels").clone();
    if !labels.is_object() {
        return;
    }
    if controller.fields("spec.selector").is_empty() {
        controller.put("spec.selector", labels.clone());
    }
    if controller.fields("metadata.labels").is_empty() {
        controller.put("metadata.labels", labels);
    }
}

/// A `StatefulSet`.
pub(crate) fn stateful_set(set: &mut Document) {
    set.default_zero("spec.podManagementPolicy", "OrderedReady");
    set.default_zero("spec.updateStrategy.type", "RollingUpdate");
    if set.text("spec.updateStrategy.type") == "RollingUpdate" {
        set.default_to("spec.updateStrategy.rollingUpdate.partition", 0);
    }
    set.default_zero("spec.persistentVolumeClaimRetentionPolicy.whenDeleted", "Retain");
    set.default_zero("spec.persistentVolumeClaimRetentionPolicy.whenScaled", "Retain");
    set.default_to("spec.replicas", 1);
    set.default_to("spec.revisionHistoryLimit", 10);
    pod_template_at(set, "spec.template");
    for claim in set.list_mut("spec.volumeClaimTemplates") {
        storage::persistent_volume_claim(claim);
        claim.default_zero("kind", "PersistentVolumeClaim");
        claim.default_zero("apiVersion", "v1");
        claim.default_to("status.phase", "Pending");
    }
}

/// A `DaemonSet`.
pub(crate) fn daemon_set(set: &mut Document) {
    set.default_zero("spec.updateStrategy.type", "RollingUpdate");
    if set.text("spec.updateStrategy.type") == "RollingUpdate" {
        set.default_to("spec.updateStrategy.rollingUpdate.maxUnavailable", 1);
        set.default_to("spec.updateStrategy.rollingUpdate.maxSurge", 0);
    }
    set.default_to("spec.revisionHistoryLimit", 10);
    pod_template_at(set, "spec.template");
}

/// A Job.
pub(crate) fn job(job: &mut Document) {
    if !job.has("spec.completions") && !job.has("spec.parallelism") {
        job.put("spec.completions", 1);
    }
    job.default_to("spec.parallelism", 1);
    job_spec(job, "spec");
    let labels = job.at("spec.template.metadata.labels").clone();
    if job.fields("metadata.labels").is_empty() && labels.is_object() {
        job.put("metadata.labels", labels);
    }
}

/// What a Job and the job template of a `CronJob` have in common.
fn job_spec(object: &mut Document, path: &str) {
    let field = |name: &str| format!("{path}.{name}");
    let back_off_limit = if object.has(&field("backoffLimitPerIndex")) { i64::from(i32::MAX) } else { 6 };
    object.default_to(&field("backoffLimit"), back_off_limit);
    object.default_to(&field("completionMode"), "NonIndexed");
    object.default_to(&field("suspend"), false);
    let replacement = if object.has(&field("podFailurePolicy")) { "Failed" } else { "TerminatingOrFailed" };
    object.default_to(&field("podReplacementPolicy"), replacement);
    for rule in object.list_mut(&field("podFailurePolicy.rules")) {
        for pattern in rule.list_mut("onPodConditions") {
            pattern.default_zero("status", "True");
        }
    }
    pod_template_at(object, &field("template"));
}

/// A `CronJob`.
pub(crate) fn cron_job(cron_job: &mut Document) {
    cron_job.default_zero("spec.concurrencyPolicy", "Allow");
    cron_job.default_to("spec.suspend", false);
    cron_job.default_to("spec.successfulJobsHistoryLimit", 3);
    cron_job.default_to("spec.failedJobsHistoryLimit", 1);
    cron_job.default_to("spec.jobTemplate.metadata", json!({}));
    if cron_job.object_mut("spec.jobTemplate.spec").is_some() {
        pod_template_at(cron_job, "spec.jobTemplate.spec.template");
    }
}

/// A `HorizontalPodAutoscaler`, in autoscaling/v2 or v1.
pub(crate) fn horizontal_pod_autoscaler(autoscaler: &mut Document) {
    autoscaler.default_to("spec.minReplicas", 1);
    if autoscaler.text("apiVersion").ends_with("/v1") {
        return;
    }
    if autoscaler.list("spec.metrics").is_empty() {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        autoscaler.put("spec.metrics", json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]));
    }
    for metric in autoscaler.list_mut("spec.metrics") {
        metric_quantities(metric, "target");
    }
    for metric in autoscaler.list_mut("status.currentMetrics") {
        metric_quantities(metric, "current");
    }
    if autoscaler.has("spec.behavior") {
        scaling_rules(autoscaler, "scaleUp", Some(0), &[("Pods", 4), ("Percent", 100)]);
        scaling_rules(autoscaler, "scaleDown", None, &[("Percent", 100)]);
    }
}

fn metric_quantities(metric: &mut Document, value: &str) {
    for source in ["resource", "containerResource", "pods", "object", "external"] {
        for field in ["value", "averageValue"] {
            canonical_quantity(metric, &format!("{source}.{value}.{field}"));
        }
    }
}

fn scaling_rules(autoscaler: &mut Document, direction: &str, window: Option<i64>, policies: &[(&str, i64)]) {
    let field = |name: &str| format!("spec.behavior.{direction}.{name}");
    autoscaler.default_to(&field("selectPolicy"), "Max");
    if let Some(window) = window {
        autoscaler.default_to(&field("stabilizationWindowSeconds"), window);
    }
    if !autoscaler.has(&field("policies")) {
        let policies: Vec<Document> =
            policies.iter().map(|(ty, value)| json!({"type": ty, "value": value, "periodSeconds": 15})).collect();
        autoscaler.put(&field("policies"), policies);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaulted(fill: fn(&mut Document), mut object: Document) -> Document {
        fill(&mut object);
        let once = object.clone();
        fill(&mut object);
        assert_eq!(object, once, "filling in twice changes nothing more");
        object
    }

    #[test]
    fn a_deployment_rolls_a_quarter_at_a_time() {
        let deployment = defaulted(deployment, json!({"spec": {}}));
        assert_eq!(deployment.int("spec.replicas"), Some(1));
        assert_eq!(
            deployment.at("spec.strategy"),
            &json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}})
        );
        assert_eq!(deployment.int("spec.revisionHistoryLimit"), Some(10));
        assert_eq!(deployment.int("spec.progressDeadlineSeconds"), Some(600));
        assert_eq!(deployment.text("spec.template.spec.restartPolicy"), "Always");
        let recreate = defaulted(super::deployment, json!({"spec": {"strategy": {"type": "Recreate"}, "replicas": 0}}));
        assert_eq!(recreate.at("spec.strategy"), &json!({"type": "Recreate"}));
        assert_eq!(recreate.int("spec.replicas"), Some(0));
    }

    #[test]
    fn sets_get_their_update_strategies() {
        let stateful =
            defaulted(stateful_set, json!({"spec": {"volumeClaimTemplates": [{"metadata": {"name": "d"}}]}}));
        assert_eq!(stateful.text("spec.podManagementPolicy"), "OrderedReady");
        assert_eq!(
            stateful.at("spec.updateStrategy"),
            &json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
        );
        assert_eq!(
            stateful.at("spec.persistentVolumeClaimRetentionPolicy"),
            &json!({"whenDeleted": "Retain", "whenScaled": "Retain"})
        );
        assert_eq!(stateful.at("spec.volumeClaimTemplates")[0].text("spec.volumeMode"), "Filesystem");
        let daemon = defaulted(daemon_set, json!({}));
        assert_eq!(
            daemon.at("spec.updateStrategy"),
            &json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}})
        );
    }

    #[test]
    fn a_replication_controller_takes_its_selector_from_the_template() {
        let template = json!({"metadata": {"labels": {"app": "nginx"}}});
        let controller = defaulted(replication_controller, json!({"spec": {"template": template}}));
        assert_eq!(controller.at("spec.selector"), &json!({"app": "nginx"}));
        assert_eq!(controller.at("metadata.labels"), &json!({"app": "nginx"}));
    }

    #[test]
    fn jobs_run_once_unless_told_otherwise() {
        let table = [
            (json!({}), Some(1), Some(1)),
            (json!({"parallelism": 5}), None, Some(5)),
            (json!({"completions": 10}), Some(10), Some(1)),
        ];
        for (spec, completions, parallelism) in table {
            let job = defaulted(job, json!({ "spec": spec }));
            assert_eq!(job.int("spec.completions"), completions);
            assert_eq!(job.int("spec.parallelism"), parallelism);
            assert_eq!(job.int("spec.backoffLimit"), Some(6));
            assert_eq!(job.text("spec.completionMode"), "NonIndexed");
        }
    }

    #[test]
    fn cron_jobs_keep_three_successes_and_one_failure() {
        let cron_job = defaulted(cron_job, json!({"spec": {"schedule": "* * * * *"}}));
        assert_eq!(cron_job.text("spec.concurrencyPolicy"), "Allow");
        assert_eq!(cron_job.at("spec.suspend"), false);
        assert_eq!(cron_job.int("spec.successfulJobsHistoryLimit"), Some(3));
        assert_eq!(cron_job.int("spec.failedJobsHistoryLimit"), Some(1));
        assert_eq!(cron_job.text("spec.jobTemplate.spec.template.spec.dnsPolicy"), "ClusterFirst");
    }

    #[test]
    fn autoscalers_aim_at_80_percent_of_the_cpu() {
        let v2 = defaulted(horizontal_pod_autoscaler, json!({"apiVersion": "autoscaling/v2", "spec": {}}));
        assert_eq!(v2.at("spec.metrics")[0].at("resource.target.averageUtilization"), 80);
        assert_eq!(v2.int("spec.minReplicas"), Some(1));
        let v1 = defaulted(horizontal_pod_autoscaler, json!({"apiVersion": "autoscaling/v1", "spec": {}}));
        assert!(!v1.has("spec.metrics"));
        let behaved = json!({"apiVersion": "autoscaling/v2", "spec": {"behavior": {}}});
        let behaved = defaulted(horizontal_pod_autoscaler, behaved);
        assert_eq!(behaved.at("spec.behavior.scaleUp.policies").as_array().map(Vec::len), Some(2));
        assert_eq!(behaved.int("spec.behavior.scaleUp.stabilizationWindowSeconds"), Some(0));
        assert!(!behaved.has("spec.behavior.scaleDown.stabilizationWindowSeconds"));
    }
}
