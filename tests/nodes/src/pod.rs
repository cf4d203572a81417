//! What a simulated node reports of a pod.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

/// What the pod's containers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// They are being created for ever.
    Creating,
    /// They run.
    Running { ready: bool },
    /// They have ended and stay so.
    Ended { exit_code: i32 },
    /// They ended with an error and wait to be restarted.
    BackingOff { exit_code: i32 },
}

/// Writes the pod's status, or removes the pod when it is to be deleted. A pod that has gone or changed meanwhile is
/// left: its next event brings it here again.
pub(crate) async fn report(client: &Client, pod: &Pod) {
    let pods = Api::<Pod>::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let name = pod.name_any();
    if pod.metadata.deletion_timestamp.is_some() {
        let preconditions = Some(Preconditions { uid: pod.uid(), resource_version: None });
        let delete = DeleteParams { grace_period_seconds: Some(0), preconditions, ..DeleteParams::default() };
        return until_answered(|| async { pods.delete(&name, &delete).await.map(drop) }).await;
    }
    let course = course(pod);
    if is_reported(pod, course) {
        return;
    }
    let patch = json!({ "metadata": { "uid": pod.uid() }, "status": status(pod, course) });
    let patch = Patch::Strategic(&patch);
    let parameters = PatchParams::default();
    until_answered(|| async { pods.patch_status(&name, &parameters, &patch).await.map(drop) }).await;
}

/// Tries again while no API server answers: the watch goes on where it was, so nothing would bring the pod here again.
async fn until_answered<F: Future<Output = kube::Result<()>>>(attempt: impl Fn() -> F) {
    for _ in 0..600 {
        match attempt().await {
            Ok(()) => return,
            // What it refuses, it refuses: the pod is gone or another one.
            Err(kube::Error::Api(status)) if (400..429).contains(&status.code) => return,
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Reads the annotations and the restart policy.
fn course(pod: &Pod) -> Course {
    let told = |name: &str| pod.annotations().get(&format!("simulated-nodes/{name}")).map(String::as_str);
    let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always");
    let exit_code = told("exit-code").and_then(|code| code.parse().ok());
    if told("starts") == Some("never") {
        return Course::Creating;
    }
    match exit_code {
        Some(exit_code) if policy == "Always" || (policy == "OnFailure" && exit_code != 0) => {
            Course::BackingOff { exit_code }
        }
        Some(exit_code) => Course::Ended { exit_code },
        None if policy == "Always" || told("runs") == Some("forever") => {
            Course::Running { ready: told("ready") != Some("false") }
        }
        None => Course::Ended { exit_code: 0 },
    }
}

/// Whether the status says already what would be written; otherwise each report would cause the next.
fn is_reported(pod: &Pod, course: Course) -> bool {
    let Some(status) = &pod.status else { return false };
    let phase = status.phase.as_deref().unwrap_or_default();
    let conditions = status.conditions.iter().flatten();
    let ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let reported = status.container_statuses.as_ref().is_some_and(|statuses| !statuses.is_empty());
    let waiting = status.container_statuses.iter().flatten().any(|container| {
        container.state.as_ref().and_then(|state| state.waiting.as_ref()).is_some_and(|_| container.restart_count > 0)
    });
    reported
        && match course {
            Course::Creating => phase == "Pending",
            Course::Running { ready: wanted } => phase == "Running" && ready == wanted && !waiting,
            Course::Ended { exit_code: 0 } => phase == "Succeeded",
            Course::Ended { .. } => phase == "Failed",
            Course::BackingOff { .. } => waiting,
        }
}

fn status(pod: &Pod, course: Course) -> Value {
    let now = now();
    let start = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    let start = start.map_or_else(|| now.clone(), |time| json!(time));
    let phase = match course {
        Course::Creating => "Pending",
        Course::Running { .. } | Course::BackingOff { .. } => "Running",
        Course::Ended { exit_code: 0 } => "Succeeded",
        Course::Ended { .. } => "Failed",
    };
    let ready = course == Course::Running { ready: true };
    let condition = |kind: &str, holds: bool| {
        let status = if holds { "True" } else { "False" };
        json!({ "type": kind, "status": status, "lastTransitionTime": now })
    };
    let address = address(pod);
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let containers = containers.map(|container| {
        json!({
            "name": container.name, "image": container.image, "imageID": "simulated", "ready": ready,
            "started": matches!(course, Course::Running { .. }),
            "restartCount": i32::from(matches!(course, Course::BackingOff { .. })),
            "containerID": format!("simulated://{}/{}", pod.uid().unwrap_or_default(), container.name),
            "state": state(course, &now), "lastState": last_state(course, &now),
        })
    });
    json!({
        "phase": phase, "startTime": start, "hostIP": "192.0.2.1", "podIP": address, "podIPs": [{ "ip": address }],
        "conditions": [condition("PodScheduled", true), condition("Initialized", true),
                       condition("ContainersReady", ready), condition("Ready", ready)],
        "containerStatuses": containers.collect::<Vec<_>>(),
    })
}

fn state(course: Course, now: &Value) -> Value {
    match course {
        Course::Creating => json!({ "waiting": { "reason": "ContainerCreating" } }),
        Course::Running { .. } => json!({ "running": { "startedAt": now } }),
        Course::Ended { exit_code } => json!({ "terminated": ended(exit_code, now) }),
        Course::BackingOff { .. } => json!({ "waiting": { "reason": "CrashLoopBackOff" } }),
    }
}

fn last_state(course: Course, now: &Value) -> Value {
    match course {
        Course::BackingOff { exit_code } => json!({ "terminated": ended(exit_code, now) }),
        Course::Creating | Course::Running { .. } | Course::Ended { .. } => json!({}),
    }
}

fn ended(exit_code: i32, now: &Value) -> Value {
    let reason = if exit_code == 0 { "Completed" } else { "Error" };
    json!({ "exitCode": exit_code, "reason": reason, "startedAt": now, "finishedAt": now })
}

/// An address from the documentation range that is the pod's own as far as its UID is.
fn address(pod: &Pod) -> String {
    let digest = pod.uid().unwrap_or_default().bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31) ^ u32::from(byte));
    let [_, second, third, fourth] = digest.to_be_bytes();
    format!("10.{second}.{third}.{fourth}")
}

fn now() -> Value {
    json!(jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(policy: &str, annotations: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "p", "annotations": annotations },
            "spec": { "restartPolicy": policy, "containers": [{ "name": "c" }] },
        }))
        .unwrap()
    }

    #[test]
    fn a_pod_does_what_its_annotations_and_restart_policy_say() {
        for (policy, annotations, expected) in [
            ("Always", json!({}), Course::Running { ready: true }),
            ("Always", json!({ "simulated-nodes/ready": "false" }), Course::Running { ready: false }),
            ("Always", json!({ "simulated-nodes/exit-code": "1" }), Course::BackingOff { exit_code: 1 }),
            ("Never", json!({}), Course::Ended { exit_code: 0 }),
            ("Never", json!({ "simulated-nodes/exit-code": "3" }), Course::Ended { exit_code: 3 }),
            ("OnFailure", json!({ "simulated-nodes/exit-code": "3" }), Course::BackingOff { exit_code: 3 }),
            ("OnFailure", json!({ "simulated-nodes/runs": "forever" }), Course::Running { ready: true }),
            ("Always", json!({ "simulated-nodes/starts": "never" }), Course::Creating),
        ] {
            assert_eq!(course(&pod(policy, &annotations)), expected, "{policy} {annotations}");
        }
    }

    #[test]
    fn what_was_reported_is_not_reported_again() {
        for (policy, annotations) in [("Always", json!({})), ("Never", json!({ "simulated-nodes/exit-code": "2" }))] {
            let mut pod = pod(policy, &annotations);
            let course = course(&pod);
            assert!(!is_reported(&pod, course));
            pod.status = Some(serde_json::from_value(status(&pod, course)).unwrap());
            assert!(is_reported(&pod, course), "{policy}");
        }
    }
}
