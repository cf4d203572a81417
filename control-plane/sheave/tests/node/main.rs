//! `sheave node` with a real containerd: pods live and end as their specifications say.
#![expect(clippy::unwrap_used, reason = "a step of a test that fails is a panic with its message")]

mod bed;
mod image;

use bed::{Bed, IMAGE, NODE};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde_json::{Value, json};
use test_support::{eventually, require_root};

/// A pod's specification with one container that runs a shell script.
fn script(policy: &str, script: &str) -> Value {
    json!({ "nodeName": NODE, "restartPolicy": policy, "containers": [container("main", script)] })
}

fn container(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": IMAGE, "command": ["sh", "-c", script] })
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn main_status(pod: &Pod) -> ContainerStatus {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.clone()).unwrap_or_default();
    statuses.into_iter().next().unwrap_or_default()
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a str> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    Some(conditions.iter().find(|condition| condition.type_ == kind)?.status.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_runs_ends_and_is_deleted() {
    require_root!();
    let bed = Bed::start("pods-life").await;
    bed.create("job", script("Never", "echo hello; exit 0")).await;
    let done = bed.wait("job", "done", |pod| phase(pod) == "Succeeded").await;
    let state = main_status(&done).state.unwrap().terminated.unwrap();
    assert_eq!((state.exit_code, state.reason.as_deref()), (0, Some("Completed")));

    bed.create("web", script("Always", "trap 'exit 0' TERM; while :; do sleep 0.1; done")).await;
    let web = bed.wait("web", "ready", |pod| condition(pod, "Ready") == Some("True")).await;
    assert_eq!(phase(&web), "Running");
    let status = web.status.as_ref().unwrap();
    assert!(status.pod_ip.as_ref().unwrap().starts_with("10.244.1."), "{status:?}");
    assert_eq!(status.host_ip.as_deref(), Some("192.168.77.11"));
    let events = bed.events("web").await;
    for reason in ["Pulled", "Created", "Started"] {
        assert!(events.iter().any(|event| event.starts_with(reason)), "{reason} is not in {events:?}");
    }
    for name in ["web", "job"] {
        bed.delete(name).await;
    }
    // A pod leaves the API before its last folder goes.
    eventually!(within: 30s, bed.leftovers().is_empty(), "something is left: {}", bed.leftovers());
    bed.stop().await;
}
