//! Tables of what is done next.

use serde_json::{Value, json};

use super::*;
use crate::pod::backoff::{Backoff, Retry};
use crate::pod::state::{Ending, Health, ProbeFailure};
use crate::runtime::Sandbox;

const NOW: i64 = 1_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(NOW + second).unwrap()
}

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({ "metadata": { "name": "p", "uid": "u" }, "spec": spec })).unwrap()
}

fn one(policy: &str) -> Pod {
    pod(json!({ "restartPolicy": policy, "containers": [{ "name": "main" }] }))
}

/// With a sandbox `s0` and volumes.
fn prepared() -> State {
    let mut state = State { has_volumes: true, ..State::default() };
    state.put_sandbox(sandbox(0, true));
    state
}

fn sandbox(attempt: u32, ready: bool) -> Sandbox {
    Sandbox { id: format!("s{attempt}"), attempt, ready, created_at: at(0), addresses: Vec::new() }
}

fn container(name: &str, attempt: u32, state: ContainerState) -> Container {
    Container {
        id: format!("{name}{attempt}"),
        sandbox: "s0".into(),
        name: name.into(),
        attempt,
        state,
        created_at: at(0),
        image: String::new(),
        image_id: String::new(),
        hash: String::new(),
        log_path: String::new(),
        termination_message: None,
        message_from_log: false,
    }
}

fn running() -> ContainerState {
    ContainerState::Running { started_at: at(0) }
}

fn exited(exit_code: i32) -> ContainerState {
    ContainerState::Exited {
        started_at: at(0),
        finished_at: at(0),
        exit_code,
        reason: String::new(),
        message: String::new(),
    }
}

fn with(containers: &[(&str, u32, ContainerState)]) -> State {
    let mut state = prepared();
    containers.iter().for_each(|(name, attempt, now)| state.put_container(container(name, *attempt, now.clone())));
    state
}

fn start(name: &str, attempt: u32) -> Action {
    Action::Start { name: name.into(), attempt }
}

fn actions(pod: &Pod, state: &State) -> Vec<Action> {
    plan(pod, state, at(0)).actions
}

/// Names of the containers that are stopped.
fn stopped(pod: &Pod, state: &State) -> Vec<String> {
    let names = actions(pod, state).into_iter().filter_map(|action| match action {
        Action::Stop { id, .. } => Some(id),
        _ => None,
    });
    names.collect()
}

#[test]
fn volumes_and_sandbox_come_first_and_together() {
    let pod = one("Always");
    assert_eq!(actions(&pod, &State::default()), [Action::SetUpVolumes, Action::CreateSandbox { attempt: 0 }]);
    let mut state = State::default();
    state.put_sandbox(sandbox(0, true));
    assert_eq!(actions(&pod, &state), [Action::SetUpVolumes]);
    state.busy.insert(Task::SetUpVolumes);
    assert_eq!(actions(&pod, &state), []);
}

#[test]
fn a_container_is_started_and_restarted_as_its_policy_says() {
    for (policy, containers, expected) in [
        ("Always", vec![], vec![start("main", 0)]),
        ("Always", vec![("main", 0, running())], vec![]),
        ("Always", vec![("main", 0, exited(0))], vec![start("main", 1)]),
        ("OnFailure", vec![("main", 3, exited(1)), ("main", 2, exited(1))], vec![start("main", 4)]),
        ("Never", vec![("main", 0, ContainerState::Created)], vec![start("main", 1)]),
        ("Never", vec![("main", 0, ContainerState::Unknown)], vec![start("main", 1)]),
    ] {
        assert_eq!(actions(&one(policy), &with(&containers)), expected, "{policy} {containers:?}");
    }
}

#[test]
fn a_container_that_crashes_again_pauses() {
    let mut state = with(&[("main", 1, exited(1))]);
    state.backoffs.insert("main".into(), Backoff::default().next(at(-30), at(-30)));
    let planned = plan(&one("Always"), &state, at(3));
    assert_eq!(planned.actions, []);
    assert_eq!(planned.next, Some(at(10)));
    assert_eq!(planned.pausing, [Pause { name: "main".into(), delay: Duration::from_secs(10) }]);
    assert_eq!(plan(&one("Always"), &state, at(10)).actions, [start("main", 2)]);
}

#[test]
fn init_containers_run_one_after_another_and_sidecars_beside_them() {
    let pod = pod(json!({
        "initContainers": [{ "name": "a" }, { "name": "side", "restartPolicy": "Always" }, { "name": "b" }],
        "containers": [{ "name": "main" }, { "name": "other" }],
    }));
    for (containers, expected) in [
        (vec![], vec![start("a", 0)]),
        (vec![("a", 0, running())], vec![]),
        (vec![("a", 0, exited(1))], vec![start("a", 1)]),
        (vec![("a", 0, exited(0))], vec![start("side", 0)]),
        (vec![("a", 0, exited(0)), ("side", 0, running())], vec![start("b", 0)]),
        (vec![("a", 0, exited(0)), ("side", 0, exited(1)), ("b", 0, running())], vec![start("side", 1)]),
        (
            vec![("a", 0, exited(0)), ("side", 0, running()), ("b", 0, exited(0))],
            vec![start("main", 0), start("other", 0)],
        ),
        // Dead init containers were removed meanwhile.
        (vec![("side", 0, exited(1)), ("main", 0, running()), ("other", 0, running())], vec![start("side", 1)]),
    ] {
        assert_eq!(actions(&pod, &with(&containers)), expected, "{containers:?}");
    }
}

#[test]
fn a_sidecar_that_has_not_started_up_holds_the_others_back() {
    let pod = pod(json!({
        "initContainers": [{ "name": "side", "restartPolicy": "Always" }], "containers": [{ "name": "main" }],
    }));
    let mut state = with(&[("side", 0, running())]);
    state.health.insert("side0".into(), Health { started: false, ready: false, failure: None });
    assert_eq!(actions(&pod, &state), []);
    state.health.clear();
    assert_eq!(actions(&pod, &state), [start("main", 0)]);
}

#[test]
fn an_unhealthy_or_changed_container_is_stopped() {
    let pod = one("Always");
    let mut state = with(&[("main", 0, running())]);
    let failure = Some(ProbeFailure { probe: "liveness", grace: Some(Duration::from_secs(7)) });
    state.health.insert("main0".into(), Health { started: true, ready: true, failure });
    let stop = |deadline, why| Action::Stop { id: "main0".into(), name: "main".into(), deadline, why };
    assert_eq!(actions(&pod, &state), [stop(at(7), Why::Unhealthy { probe: "liveness" })]);
    state.health.clear();
    state.containers[0].hash = "other".into();
    assert_eq!(actions(&pod, &state), [stop(at(30), Why::Changed)]);
}

#[test]
fn a_lost_sandbox_is_replaced_and_init_containers_run_again() {
    let pod = pod(json!({ "initContainers": [{ "name": "a" }], "containers": [{ "name": "main" }] }));
    let mut state = with(&[("a", 0, exited(0)), ("main", 0, exited(137))]);
    state.put_sandbox(sandbox(0, false));
    let expected = [Action::StopSandbox { id: "s0".into() }, Action::CreateSandbox { attempt: 1 }];
    assert_eq!(actions(&pod, &state), expected);
    state.stopped.insert("s0".into());
    state.put_sandbox(sandbox(1, true));
    assert_eq!(actions(&pod, &state), [start("a", 1)]);
}

#[test]
fn what_failed_is_tried_again_when_its_time_comes() {
    let mut state = prepared();
    let retry = Retry { at: at(5), delay: Duration::from_secs(5) };
    state.retries.insert(Task::Start("main".into()), retry);
    let planned = plan(&one("Always"), &state, at(0));
    assert_eq!((planned.actions.as_slice(), planned.next), (&[][..], Some(at(5))));
    assert_eq!(plan(&one("Always"), &state, at(5)).actions, [start("main", 0)]);
}

#[test]
fn a_pod_that_has_run_its_course_gives_back_sandbox_and_volumes() {
    for (policy, exit_code, is_over) in
        [("Never", 0, true), ("Never", 1, true), ("OnFailure", 0, true), ("OnFailure", 1, false), ("Always", 0, false)]
    {
        let state = with(&[("main", 0, exited(exit_code))]);
        let expected = if is_over { Action::StopSandbox { id: "s0".into() } } else { start("main", 1) };
        assert_eq!(actions(&one(policy), &state), [expected], "{policy} {exit_code}");
    }
    let mut state = with(&[("main", 0, exited(0))]);
    state.stopped.insert("s0".into());
    assert_eq!(actions(&one("Never"), &state), [Action::TearDownVolumes]);
    state.has_volumes = false;
    assert!(plan(&one("Never"), &state, at(0)).has_ended);
}

#[test]
fn an_init_container_that_fails_for_good_ends_the_pod() {
    let pod = pod(json!({
        "restartPolicy": "Never", "initContainers": [{ "name": "a" }], "containers": [{ "name": "main" }],
    }));
    assert_eq!(actions(&pod, &with(&[("a", 0, exited(2))])), [Action::StopSandbox { id: "s0".into() }]);
}

#[test]
fn a_deleted_pod_ends_its_own_containers_then_sidecars_last_first() {
    let mut pod = pod(json!({
        "initContainers": [{ "name": "s", "restartPolicy": "Always" }, { "name": "t", "restartPolicy": "Always" }],
        "containers": [{ "name": "main" }, { "name": "other" }],
    }));
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(30)));
    let all = [("s", 0, running()), ("t", 0, running()), ("main", 0, running()), ("other", 0, running())];
    let mut state = with(&all);
    let mut names = stopped(&pod, &state);
    names.sort();
    assert_eq!(names, ["main0", "other0"]);
    for (ended, next) in [("main", vec!["other0"]), ("other", vec!["t0"]), ("t", vec!["s0"]), ("s", vec![])] {
        state.put_container(container(ended, 0, exited(0)));
        assert_eq!(stopped(&pod, &state), next, "after {ended}");
    }
    assert_eq!(actions(&pod, &state), [Action::StopSandbox { id: "s0".into() }]);
}

#[test]
fn a_shorter_grace_period_stops_again_and_the_same_one_does_not() {
    let mut pod = one("Always");
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(30)));
    let mut state = with(&[("main", 0, running())]);
    assert_eq!(stopped(&pod, &state), ["main0"]);
    state.busy.insert(Task::Stop("main0".into()));
    state.deadlines.insert("main0".into(), at(30));
    assert!(stopped(&pod, &state).is_empty());
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(5)));
    assert_eq!(stopped(&pod, &state), ["main0"]);
}

#[test]
fn nothing_is_torn_down_while_something_is_being_set_up() {
    let mut pod = one("Always");
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(30)));
    let mut state = prepared();
    state.busy.insert(Task::Start("main".into()));
    assert_eq!(plan(&pod, &state, at(0)), Plan::default());
    state.busy.clear();
    assert_eq!(actions(&pod, &state), [Action::StopSandbox { id: "s0".into() }]);
}

#[test]
fn a_pod_that_the_kubelet_ends_or_that_is_gone_is_stopped() {
    let mut state = with(&[("main", 0, running())]);
    state.ending = Some(Ending { reason: "DeadlineExceeded".into(), message: String::new(), at: at(0) });
    assert_eq!(stopped(&one("Always"), &state), ["main0"]);
    state.ending = None;
    state.is_gone = true;
    assert_eq!(stopped(&one("Always"), &state), ["main0"]);
}
