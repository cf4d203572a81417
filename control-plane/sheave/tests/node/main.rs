//! `sheave node` with a real containerd: pods live and end as their specifications say.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a step of a test that fails is a panic with its message")]

mod bed;
mod figures;
mod image;
mod registration;
mod streams;

use bed::{Bed, IMAGE, NODE, OTHER_IMAGE};
use k8s_openapi::api::core::v1::{ConfigMap, ContainerStatus, Pod};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
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

fn waiting(pod: &Pod) -> String {
    let waiting = main_status(pod).state.and_then(|state| state.waiting).unwrap_or_default();
    format!("{}: {}", waiting.reason.unwrap_or_default(), waiting.message.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn init_containers_come_first_and_sidecars_stay_to_the_end() {
    require_root!();
    let bed = Bed::start("pods-init").await;
    let mount = json!([{ "name": "shared", "mountPath": "/shared" }]);
    let mounted = |name: &str, script: &str| {
        let mut container = container(name, script);
        container["volumeMounts"] = mount.clone();
        container
    };
    let mut sidecar = mounted("side", "trap 'exit 0' TERM; echo side >> /shared/log; while :; do sleep 0.1; done");
    sidecar["restartPolicy"] = "Always".into();
    let spec = json!({
        "nodeName": NODE, "restartPolicy": "Never", "volumes": [{ "name": "shared", "emptyDir": {} }],
        "initContainers": [mounted("first", "echo first > /shared/log"), sidecar, mounted("last", "echo last >> /shared/log")],
        "containers": [mounted("main", "cat /shared/log > /dev/termination-log; test $(wc -l < /shared/log) = 3")],
    });
    bed.create("ordered", spec).await;
    let pod = bed.wait("ordered", "done", |pod| phase(pod) == "Succeeded").await;
    let ended = main_status(&pod).state.unwrap().terminated.unwrap();
    assert_eq!(ended.message.as_deref(), Some("first\nside\nlast\n"));
    let init = pod.status.as_ref().unwrap().init_container_statuses.as_ref().unwrap();
    assert!(init.iter().all(|status| status.state.as_ref().unwrap().terminated.is_some()), "{init:?}");
    assert_eq!(condition(&pod, "Initialized"), Some("True"));
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_container_from_running_is_said_in_kubernetes_words() {
    require_root!();
    let bed = Bed::start("pods-words").await;
    let maps = Api::<ConfigMap>::namespaced(bed.client.clone(), "default");
    let map = serde_json::from_value(json!({ "metadata": { "name": "my-config" }, "data": { "other": "x" } })).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    let mut keyed = script("Always", "sleep 1000");
    let key = json!({ "name": "my-config", "key": "another-param" });
    keyed["containers"][0]["env"] = json!([{ "name": "A", "valueFrom": { "configMapKeyRef": key } }]);
    bed.create("keyed", keyed).await;
    bed.create("crashing", script("Always", "exit 3")).await;
    let mut programless = script("Always", "");
    programless["containers"][0]["command"] = json!(["/no/such/program"]);
    bed.create("programless", programless).await;
    for (name, image, policy) in [
        ("unpulled", "docker.io/library/absent:1", "Never"),
        ("unknown", "docker.io/library/absent:1", "Always"),
        ("misnamed", "Absent", "Always"),
    ] {
        let mut spec = script("Always", "sleep 1000");
        spec["containers"][0]["image"] = image.into();
        spec["containers"][0]["imagePullPolicy"] = policy.into();
        bed.create(name, spec).await;
    }
    let mut greedy = script("Always", "sleep 1000");
    greedy["containers"][0]["resources"] = json!({ "requests": { "cpu": "1000" } });
    bed.create("greedy", greedy).await;
    let mut late = script("Always", "sleep 1000");
    late["activeDeadlineSeconds"] = 1.into();
    bed.create("late", late).await;

    let message = "CreateContainerConfigError: couldn't find key another-param in ConfigMap default/my-config";
    bed.wait("keyed", message, |pod| waiting(pod) == message).await;
    let crashing =
        bed.wait("crashing", "in back-off", |pod| waiting(pod).starts_with("CrashLoopBackOff: back-off 10s")).await;
    let last = main_status(&crashing).last_state.unwrap().terminated.unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref(), main_status(&crashing).restart_count), (3, Some("Error"), 1));
    let crashing = bed.wait("programless", "refused", |pod| waiting(pod).starts_with("RunContainerError")).await;
    assert!(waiting(&crashing).contains("/no/such/program"), "{}", waiting(&crashing));
    for (name, reason) in [
        ("unpulled", "ErrImageNeverPull"),
        ("unknown", "ErrImagePull"),
        ("unknown", "ImagePullBackOff: Back-off pulling image"),
        ("misnamed", "InvalidImageName"),
    ] {
        bed.wait(name, reason, |pod| waiting(pod).starts_with(reason)).await;
    }
    for (name, reason) in [("greedy", "OutOfcpu"), ("late", "DeadlineExceeded")] {
        let pod = bed.wait(name, "ended by the kubelet", |pod| phase(pod) == "Failed").await;
        assert_eq!(pod.status.unwrap().reason.as_deref(), Some(reason));
    }
    // What was missing comes, and the pod goes on.
    let patch = Patch::Merge(json!({ "data": { "another-param": "y" } }));
    maps.patch("my-config", &PatchParams::default(), &patch).await.unwrap();
    bed.wait("keyed", "ready", |pod| condition(pod, "Ready") == Some("True")).await;
    for name in ["keyed", "crashing", "programless", "unpulled", "unknown", "misnamed", "greedy", "late"] {
        bed.pods().delete(name, &DeleteParams::default()).await.unwrap();
    }
    eventually!(within: 60s, bed.leftovers().is_empty(), "something is left: {}", bed.leftovers());
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_outlive_kubelet_and_runtime_and_are_found_again() {
    require_root!();
    let bed = Bed::start("pods-again").await;
    for name in ["stays", "goes", "ends"] {
        bed.create(name, script("Always", "trap 'exit 0' TERM; while :; do sleep 0.1; done")).await;
    }
    let mut ids = Vec::new();
    for name in ["stays", "goes", "ends"] {
        let pod = bed.wait(name, "ready", |pod| condition(pod, "Ready") == Some("True")).await;
        ids.push(main_status(&pod).container_id.unwrap());
    }
    bed.kill_kubelet();
    bed.restart_containerd();
    // Without a kubelet: one is deleted for good, one is told to end.
    let forced = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    bed.pods().delete("goes", &forced).await.unwrap();
    bed.pods().delete("ends", &DeleteParams::default()).await.unwrap();
    bed.start_kubelet();
    eventually!(within: 60s, await async { bed.pods().get_opt("ends").await.unwrap().is_none() }, "it is not deleted");
    let only = || bed.leftovers().lines().filter(|line| line.starts_with("/var/lib")).count() == 1;
    eventually!(within: 60s, only(), "more is left than one pod: {}", bed.leftovers());
    let stays = bed.wait("stays", "ready", |pod| condition(pod, "Ready") == Some("True")).await;
    let status = main_status(&stays);
    assert_eq!((status.container_id.as_ref(), status.restart_count), (Some(&ids[0]), 0));

    // A changed image replaces the container and leaves the pod.
    let patch = json!({ "spec": { "containers": [{ "name": "main", "image": OTHER_IMAGE }] } });
    bed.pods().patch("stays", &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
    let changed =
        bed.wait("stays", "changed", |pod| main_status(pod).restart_count == 1 && main_status(pod).ready).await;
    assert_eq!(changed.status.as_ref().unwrap().pod_ip, stays.status.as_ref().unwrap().pod_ip);
    assert_ne!(main_status(&changed).container_id.as_ref(), Some(&ids[0]));
    let events = bed.events("stays").await;
    let message = "Killing Container main definition changed, will be restarted";
    assert!(events.iter().any(|event| event == message), "{events:?}");
    bed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_make_a_pod_ready_and_have_it_restarted() {
    require_root!();
    let bed = Bed::start("pods-probes").await;
    let mut spec = script("Always", "touch /tmp/alive; sleep 3; rm /tmp/alive; sleep 1000");
    let file =
        json!({ "exec": { "command": ["test", "-f", "/tmp/alive"] }, "periodSeconds": 1, "failureThreshold": 1 });
    spec["containers"][0]["livenessProbe"] = file.clone();
    spec["containers"][0]["readinessProbe"] = file;
    spec["containers"][0]["startupProbe"] = json!({ "exec": { "command": ["true"] }, "periodSeconds": 1 });
    spec["terminationGracePeriodSeconds"] = 1.into();
    bed.create("probed", spec).await;
    bed.wait("probed", "ready", |pod| condition(pod, "Ready") == Some("True")).await;
    bed.wait("probed", "restarted", |pod| main_status(pod).restart_count == 1).await;
    bed.wait("probed", "ready again", |pod| condition(pod, "Ready") == Some("True")).await;
    let events = bed.events("probed").await;
    for event in ["Unhealthy Liveness probe failed", "Killing Container main failed liveness probe, will be restarted"]
    {
        assert!(events.iter().any(|seen| seen.starts_with(event)), "{event} is not in {events:?}");
    }
    bed.stop().await;
}
