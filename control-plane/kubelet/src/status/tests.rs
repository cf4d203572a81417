//! Tables of what is reported.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::pod::state::{Ending, Health, Waiting};
use crate::runtime::{Container, ContainerState, Sandbox};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({ "metadata": { "name": "p", "uid": "u", "generation": 3 }, "spec": spec })).unwrap()
}

fn one(policy: &str) -> Pod {
    pod(json!({ "restartPolicy": policy, "containers": [{ "name": "main", "image": "x" }] }))
}

fn container(name: &str, attempt: u32, state: ContainerState) -> Container {
    Container {
        id: format!("{name}{attempt}"),
        sandbox: "s0".into(),
        name: name.into(),
        attempt,
        state,
        created_at: at(1),
        image: "docker.io/library/x:latest".into(),
        image_id: "sha256:0".into(),
        hash: String::new(),
        log_path: String::new(),
        termination_message: None,
        message_from_log: false,
    }
}

fn running() -> ContainerState {
    ContainerState::Running { started_at: at(2) }
}

fn exited(exit_code: i32) -> ContainerState {
    let (reason, message) = (String::new(), String::new());
    ContainerState::Exited { started_at: at(2), finished_at: at(3), exit_code, reason, message }
}

fn with(containers: &[(&str, u32, ContainerState)]) -> State {
    let mut state = State { has_volumes: true, ..State::default() };
    let addresses = vec!["10.244.1.2".parse().unwrap()];
    state.put_sandbox(Sandbox { id: "s0".into(), attempt: 0, ready: true, created_at: at(1), addresses });
    containers.iter().for_each(|(name, attempt, now)| state.put_container(container(name, *attempt, now.clone())));
    state
}

fn of(pod: &Pod, state: &State, has_ended: bool) -> PodStatus {
    let node = ["192.0.2.1".parse().unwrap()];
    let pod_addresses = state.sandbox().map(|sandbox| sandbox.addresses.clone()).unwrap_or_default();
    let surroundings =
        Surroundings { node_addresses: &node, pod_addresses, runtime_name: "containerd", has_ended, now: at(9) };
    status(pod, state, &surroundings)
}

/// `phase | state of main | Ready`, as `kubectl get pods` sums it up.
fn summary(status: &PodStatus) -> String {
    let main = status.container_statuses.iter().flatten().find(|status| status.name == "main").unwrap();
    let state = main.state.clone().unwrap();
    let reason = |reason: Option<String>| reason.unwrap_or_default();
    let state = match (state.waiting, state.terminated) {
        (Some(waiting), _) => reason(waiting.reason),
        (None, Some(terminated)) => format!("{} {}", reason(terminated.reason), terminated.exit_code),
        (None, None) => "running".to_owned(),
    };
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready").unwrap();
    format!("{} | {state} | {}", status.phase.as_deref().unwrap(), ready.status)
}

#[test]
fn a_pod_is_summed_up_as_kubernetes_does() {
    let crashed = Waiting::new("CrashLoopBackOff", "back-off 10s");
    for (policy, containers, waiting, expected) in [
        ("Always", vec![], None, "Pending | ContainerCreating | False"),
        ("Always", vec![], Some(Waiting::new("ErrImagePull", "no")), "Pending | ErrImagePull | False"),
        ("Always", vec![("main", 0, running())], None, "Running | running | True"),
        ("Always", vec![("main", 0, exited(1))], None, "Running | Error 1 | False"),
        ("Always", vec![("main", 1, exited(1))], Some(crashed.clone()), "Running | CrashLoopBackOff | False"),
        ("OnFailure", vec![("main", 0, exited(1))], None, "Running | Error 1 | False"),
        ("OnFailure", vec![("main", 0, exited(0))], None, "Succeeded | Completed 0 | False"),
        ("Never", vec![("main", 0, exited(0))], None, "Succeeded | Completed 0 | False"),
        ("Never", vec![("main", 0, exited(7))], None, "Failed | Error 7 | False"),
    ] {
        let mut state = with(&containers);
        state.waiting.extend(waiting.map(|waiting| ("main".to_owned(), waiting)));
        assert_eq!(summary(&of(&one(policy), &state, false)), expected, "{policy} {containers:?}");
    }
}

#[test]
fn a_deleted_pod_ends_as_its_containers_did() {
    for (exit_code, expected) in [(0, "Succeeded | Completed 0 | False"), (137, "Failed | Error 137 | False")] {
        let state = with(&[("main", 0, exited(exit_code))]);
        assert_eq!(summary(&of(&one("Always"), &state, true)), expected);
    }
}

#[test]
fn while_init_containers_run_the_others_wait_for_them() {
    let pod = pod(json!({ "initContainers": [{ "name": "a" }, { "name": "b" }], "containers": [{ "name": "main" }] }));
    let status = of(&pod, &with(&[("a", 0, exited(0)), ("b", 0, running())]), false);
    assert_eq!(summary(&status), "Pending | PodInitializing | False");
    let condition = |kind: &str| status.conditions.iter().flatten().find(|condition| condition.type_ == kind).unwrap();
    let initialized = condition("Initialized");
    assert_eq!(initialized.message.as_deref(), Some("containers with incomplete status: [b]"));
    assert_eq!(condition("ContainersReady").message.as_deref(), Some("containers with unready status: [main]"));
    assert_eq!(condition("PodReadyToStartContainers").status, "True");
    let status = of(&pod, &with(&[("a", 0, exited(0)), ("b", 0, exited(0)), ("main", 0, running())]), false);
    assert_eq!(summary(&status), "Running | running | True");
}

#[test]
fn probes_decide_what_is_started_and_ready() {
    for (started, ready, expected) in
        [(false, false, (false, false)), (true, false, (true, false)), (true, true, (true, true))]
    {
        let mut state = with(&[("main", 0, running())]);
        state.health.insert("main0".into(), Health { started, ready, failure: None });
        let status = of(&one("Always"), &state, false).container_statuses.unwrap().remove(0);
        assert_eq!((status.started, status.ready), (Some(expected.0), expected.1));
    }
}

#[test]
fn a_readiness_gate_holds_a_pod_back_until_somebody_opens_it() {
    let mut pod =
        pod(json!({ "readinessGates": [{ "conditionType": "example.org/gate" }], "containers": [{ "name": "main" }] }));
    let state = with(&[("main", 0, running())]);
    assert_eq!(summary(&of(&pod, &state, false)), "Running | running | False");
    let gate = json!({ "conditions": [{ "type": "example.org/gate", "status": "True" }] });
    pod.status = Some(serde_json::from_value(gate).unwrap());
    assert_eq!(summary(&of(&pod, &state, false)), "Running | running | True");
}

#[test]
fn a_restarted_container_tells_how_the_one_before_it_ended() {
    let state = with(&[("main", 1, running()), ("main", 0, exited(5))]);
    let status = of(&one("Always"), &state, false).container_statuses.unwrap().remove(0);
    assert_eq!(status.restart_count, 1);
    assert_eq!(status.last_state.unwrap().terminated.unwrap().exit_code, 5);
    assert_eq!(status.container_id.as_deref(), Some("containerd://main1"));
}

#[test]
fn a_pod_that_the_kubelet_ends_says_why_and_stays_ended() {
    let mut state = with(&[]);
    state.ending = Some(Ending { reason: "OutOfcpu".into(), message: "Pod was rejected: no".into(), at: at(1) });
    let mut pod = one("Always");
    let status = of(&pod, &state, true);
    assert_eq!((status.phase.as_deref(), status.reason.as_deref()), (Some("Failed"), Some("OutOfcpu")));
    pod.status = Some(status);
    let later = of(&pod, &State::default(), true);
    assert_eq!((later.phase.as_deref(), later.reason.as_deref()), (Some("Failed"), Some("OutOfcpu")));
    assert_eq!(patch(&pod, &later).map(|patch| patch["status"].clone()), None);
}

#[test]
fn what_was_reported_is_not_reported_again_and_what_others_said_is_left_alone() {
    let mut pod = one("Always");
    let mut state = with(&[("main", 0, running())]);
    let reported = of(&pod, &state, false);
    assert_eq!(patch(&pod, &reported).unwrap()["metadata"], json!({ "uid": "u" }));
    pod.status = Some(reported);
    let conditions = pod.status.as_mut().unwrap().conditions.as_mut().unwrap();
    conditions.push(serde_json::from_value(json!({ "type": "DisruptionTarget", "status": "True" })).unwrap());
    assert_eq!(patch(&pod, &of(&pod, &state, false)), None);
    state.health.insert("main0".into(), Health { started: true, ready: false, failure: None });
    let change = patch(&pod, &of(&pod, &state, false)).unwrap();
    let changed = change["status"].as_object().unwrap().keys().collect::<Vec<_>>();
    assert_eq!(changed, ["conditions", "containerStatuses"]);
    let kinds =
        change["status"]["conditions"].as_array().unwrap().iter().map(|condition| condition["type"].as_str().unwrap());
    assert_eq!(kinds.collect::<Vec<_>>(), ["Ready", "ContainersReady"]);
}

#[test]
fn another_writers_word_on_readiness_is_put_right() {
    let mut pod = one("Always");
    let state = with(&[("main", 0, running())]);
    pod.status = Some(of(&pod, &state, false));
    let conditions = pod.status.as_mut().unwrap().conditions.as_mut().unwrap();
    conditions
        .iter_mut()
        .filter(|condition| condition.type_ == "Ready")
        .for_each(|ready| ready.status = "False".into());
    let change = patch(&pod, &of(&pod, &state, false)).unwrap();
    assert_eq!(change["status"]["conditions"][0]["status"], "True");
}

#[test]
fn addresses_replace_the_old_ones() {
    let mut pod = one("Always");
    let mut state = with(&[("main", 0, running())]);
    pod.status = Some(of(&pod, &state, false));
    state.sandboxes[0].addresses = vec!["10.244.1.9".parse().unwrap()];
    let change = patch(&pod, &of(&pod, &state, false)).unwrap();
    assert_eq!(change["status"]["podIPs"], json!([{ "$patch": "replace" }, { "ip": "10.244.1.9" }]));
}
