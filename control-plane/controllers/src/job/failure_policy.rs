//! What a failed pod means for its Job (`spec.podFailurePolicy`).

use k8s_openapi::api::batch::v1::{Job, PodFailurePolicyRule};
use k8s_openapi::api::core::v1::Pod;

use crate::object::pod;
use crate::runtime::key::ObjectKey;

/// What is done about a failed pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It counts towards the back-off limit.
    Counts,
    /// It does not count.
    Ignored,
    /// It counts, and its index has failed for good.
    FailsIndex,
    /// The Job has failed, for this reason.
    FailsJob(String),
}

/// Judges a failed pod by the first rule that matches it.
pub(super) fn judge(job: &Job, failed: &Pod) -> Failure {
    let rules = job.spec.as_ref().and_then(|spec| spec.pod_failure_policy.as_ref()).map(|policy| &policy.rules);
    for (index, rule) in rules.into_iter().flatten().enumerate() {
        let Some(why) = matches(rule, failed) else { continue };
        return match rule.action.as_str() {
            "Ignore" => Failure::Ignored,
            "FailIndex" => Failure::FailsIndex,
            "FailJob" => Failure::FailsJob(format!("{why} matching FailJob rule at index {index}")),
            _ => Failure::Counts,
        };
    }
    Failure::Counts
}

fn matches(rule: &PodFailurePolicyRule, failed: &Pod) -> Option<String> {
    let key = ObjectKey::of(failed);
    if let Some(codes) = &rule.on_exit_codes {
        let statuses = failed.status.as_ref()?;
        let statuses = statuses.container_statuses.iter().chain(&statuses.init_container_statuses).flatten();
        return statuses
            .filter(|status| codes.container_name.as_ref().is_none_or(|name| *name == status.name))
            .filter_map(|status| Some((&status.name, status.state.as_ref()?.terminated.as_ref()?.exit_code)))
            .find(|(_, code)| *code != 0 && (codes.operator == "In") == codes.values.contains(code))
            .map(|(container, code)| format!("Container {container} for pod {key} failed with exit code {code}"));
    }
    let patterns = rule.on_pod_conditions.as_deref().unwrap_or_default();
    let found = patterns.iter().find(|pattern| {
        let wanted = pattern.status.as_deref().unwrap_or("True");
        pod::condition(failed, &pattern.type_).is_some_and(|condition| condition.status == wanted)
    });
    found.map(|pattern| format!("Pod {key} has condition {}", pattern.type_))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_rule_that_matches_decides() {
        let job: Job = serde_json::from_value(json!({"spec": {"template": {}, "podFailurePolicy": {"rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [42]}},
            {"action": "Count", "onExitCodes": {"operator": "NotIn", "values": [1]}},
        ]}}}))
        .unwrap();
        let pod = |container: &str, code: i32, disrupted: bool| -> Pod {
            let status = if disrupted { "True" } else { "False" };
            serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "a"}, "status": {
                "conditions": [{"type": "DisruptionTarget", "status": status}],
                "containerStatuses": [{"name": container, "image": "", "imageID": "", "ready": false, "restartCount": 0,
                                       "state": {"terminated": {"exitCode": code}}}],
            }}))
            .unwrap()
        };
        let fails = "Container main for pod a/p failed with exit code 42 matching FailJob rule at index 1";
        assert_eq!(judge(&job, &pod("main", 42, true)), Failure::Ignored);
        assert_eq!(judge(&job, &pod("main", 42, false)), Failure::FailsJob(fails.into()));
        assert_eq!(judge(&job, &pod("side", 42, false)), Failure::Counts);
        assert_eq!(judge(&job, &pod("main", 1, false)), Failure::Counts);
    }
}
