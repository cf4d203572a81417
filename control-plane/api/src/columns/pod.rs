//! The row of a pod: what its containers amount to in one word, and how often they were restarted.

use jiff::Timestamp;

use super::{AGE, NAME, NONE, Table, age, cells, name, text, text_or, wide};
use crate::Document;
use crate::time;
use crate::view::View;

/// Pods.
pub(crate) const POD: Table = Table {
    columns: &[
        NAME,
        text("Ready", "How many of the containers are ready."),
        text("Status", "What the states of the containers amount to."),
        text("Restarts", "How often containers were restarted, and when last."),
        AGE,
        wide(text("IP", "The first address of the pod.")),
        wide(text("Node", "The node that the pod is bound to.")),
        wide(text("Nominated Node", "The node that the pod will be bound to once room was made there.")),
        wide(text("Readiness Gates", "How many of the readiness gates are true.")),
    ],
    row,
};

/// What a pod's container statuses amount to.
#[derive(Default)]
struct Summary {
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
    status: String,
}

fn row(pod: &Document, now: Timestamp) -> Vec<Document> {
    let summary = summarize(pod);
    let restarts = match summary.last_restart {
        Some(last) if summary.restarts != 0 => {
            format!("{} ({} ago)", summary.restarts, time::human_duration(time::seconds_between(last, now)))
        }
        _ => summary.restarts.to_string(),
    };
    cells([
        name(pod),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.status.into(),
        restarts.into(),
        age(pod, now),
        pod.list("status.podIPs").first().map_or_else(|| NONE.into(), |address| text_or(address, "ip", NONE)),
        text_or(pod, "spec.nodeName", NONE),
        text_or(pod, "status.nominatedNodeName", NONE),
        readiness_gates(pod).into(),
    ])
}

fn summarize(pod: &Document) -> Summary {
    let phase = pod.text("status.phase");
    let mut summary = Summary { total: pod.list("spec.containers").len(), ..Summary::default() };
    summary.status = match pod.text("status.reason") {
        "" => phase.to_owned(),
        reason => reason.to_owned(),
    };
    if has_condition(pod, |condition| {
        condition.text("type") == "PodScheduled" && condition.text("reason") == "SchedulingGated"
    }) {
        "SchedulingGated".clone_into(&mut summary.status);
    }
    summary.total += pod.list("spec.initContainers").iter().filter(|container| is_sidecar(container)).count();
    let initializing = summarize_init_containers(pod, &mut summary);
    let initialized = has_condition(pod, |condition| is_true(condition, "Initialized"));
    if !initializing || initialized {
        summarize_containers(pod, &mut summary);
    }
    if pod.has("metadata.deletionTimestamp") {
        if pod.text("status.reason") == "NodeLost" {
            "Unknown".clone_into(&mut summary.status);
        } else if !matches!(phase, "Succeeded" | "Failed") {
            "Terminating".clone_into(&mut summary.status);
        }
    }
    summary
}

/// Adds the init containers up to the first that is not done; true where there is one.
fn summarize_init_containers(pod: &Document, summary: &mut Summary) -> bool {
    let specs = pod.list("spec.initContainers");
    for (index, status) in pod.list("status.initContainerStatuses").iter().enumerate() {
        summary.count_restarts(status);
        summary.note_restart(status);
        let sidecar = specs.iter().any(|spec| spec.text("name") == status.text("name") && is_sidecar(spec));
        let terminated = status.at("state.terminated");
        if terminated.is_object() && exit_code(terminated) == 0 {
            continue;
        }
        if sidecar && status.flag("started") {
            summary.ready += usize::from(status.flag("ready"));
            continue;
        }
        let waiting = status.text("state.waiting.reason");
        summary.status = if terminated.is_object() {
            format!("Init:{}", termination(terminated))
        } else if !matches!(waiting, "" | "PodInitializing") {
            format!("Init:{waiting}")
        } else {
            format!("Init:{index}/{}", specs.len())
        };
        return true;
    }
    false
}

/// Adds the containers proper, which replace the restarts of init containers that are done.
fn summarize_containers(pod: &Document, summary: &mut Summary) {
    (summary.restarts, summary.last_restart) = (0, None);
    let specs = pod.list("spec.initContainers");
    for status in pod.list("status.initContainerStatuses") {
        if specs.iter().any(|spec| spec.text("name") == status.text("name") && is_sidecar(spec)) {
            summary.count_restarts(status);
            summary.note_restart(status);
        }
    }
    let mut running = false;
    for status in pod.list("status.containerStatuses").iter().rev() {
        summary.count_restarts(status);
        summary.note_restart(status);
        let terminated = status.at("state.terminated");
        match status.text("state.waiting.reason") {
            "" if terminated.is_object() => summary.status = termination(terminated),
            "" if status.flag("ready") && status.has("state.running") => {
                running = true;
                summary.ready += 1;
            }
            "" => {}
            reason => reason.clone_into(&mut summary.status),
        }
    }
    // One container is done, another still runs.
    if summary.status == "Completed" && running {
        let ready = has_condition(pod, |condition| is_true(condition, "Ready"));
        (if ready { "Running" } else { "NotReady" }).clone_into(&mut summary.status);
    }
}

/// An init container that is kept running beside the others.
fn is_sidecar(container: &Document) -> bool {
    container.text("restartPolicy") == "Always"
}

fn is_true(condition: &Document, ty: &str) -> bool {
    condition.text("type") == ty && condition.text("status") == "True"
}

fn has_condition(pod: &Document, test: impl Fn(&Document) -> bool) -> bool {
    pod.list("status.conditions").iter().any(test)
}

fn exit_code(terminated: &Document) -> i64 {
    terminated.int("exitCode").unwrap_or_default()
}

/// Why a container ended: its reason, else its signal or exit code.
fn termination(terminated: &Document) -> String {
    match (terminated.text("reason"), terminated.int("signal").unwrap_or_default()) {
        ("", 0) => format!("ExitCode:{}", exit_code(terminated)),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn readiness_gates(pod: &Document) -> String {
    let gates = pod.list("spec.readinessGates");
    if gates.is_empty() {
        return NONE.to_owned();
    }
    let is_met = |gate: &&Document| has_condition(pod, |condition| is_true(condition, gate.text("conditionType")));
    format!("{}/{}", gates.iter().filter(is_met).count(), gates.len())
}

// === impl Summary ===

impl Summary {
    /// Adds up restarts; a status that claims too many counts as the most that there can be.
    fn count_restarts(&mut self, status: &Document) {
        self.restarts = self.restarts.saturating_add(status.int("restartCount").unwrap_or_default());
    }

    /// Takes note of when the container last ended before it was restarted.
    fn note_restart(&mut self, status: &Document) {
        let finished = time::parse(status.text("lastState.terminated.finishedAt"));
        self.last_restart = self.last_restart.max(finished);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// READY, STATUS and RESTARTS of a pod, as `kubectl get` shows them.
    fn shown(pod: &Document) -> String {
        let now = time::parse("2024-01-01T00:10:00Z").unwrap();
        let row = row(pod, now);
        assert_eq!(row.len(), POD.columns.len());
        format!("{} {} {}", row[1].as_str().unwrap(), row[2].as_str().unwrap(), row[3].as_str().unwrap())
    }

    fn pod(containers: usize, phase: &str, statuses: Document) -> Document {
        json!({
            "spec": {"containers": vec![json!({}); containers]},
            "status": {"phase": phase, "containerStatuses": statuses},
        })
    }

    #[test]
    fn the_status_is_what_the_containers_amount_to() {
        let running = json!({"ready": true, "state": {"running": {}}});
        let ended = |reason: &str, code: i64| json!({"state": {"terminated": {"reason": reason, "exitCode": code}}});
        let waiting = |reason: &str| json!({"restartCount": 4, "state": {"waiting": {"reason": reason}}});
        let table = [
            (pod(1, "Pending", json!(null)), "0/1 Pending 0"),
            (pod(1, "Pending", json!([waiting("ContainerCreating")])), "0/1 ContainerCreating 4"),
            (pod(1, "Running", json!([running])), "1/1 Running 0"),
            (pod(2, "Running", json!([running, running])), "2/2 Running 0"),
            (pod(2, "Running", json!([running, waiting("CrashLoopBackOff")])), "1/2 CrashLoopBackOff 4"),
            (pod(1, "Pending", json!([waiting("ImagePullBackOff")])), "0/1 ImagePullBackOff 4"),
            (pod(1, "Succeeded", json!([ended("Completed", 0)])), "0/1 Completed 0"),
            (pod(1, "Failed", json!([ended("Error", 1)])), "0/1 Error 0"),
            (pod(1, "Failed", json!([ended("OOMKilled", 137)])), "0/1 OOMKilled 0"),
            (pod(1, "Failed", json!([ended("", 3)])), "0/1 ExitCode:3 0"),
            (pod(2, "Running", json!([ended("Completed", 0), running])), "1/2 NotReady 0"),
        ];
        for (pod, expected) in table {
            assert_eq!(shown(&pod), expected, "{pod}");
        }
    }

    #[test]
    fn a_running_pod_with_a_finished_container_is_running_while_it_is_ready() {
        let mut pod = pod(
            2,
            "Running",
            json!([{"state": {"terminated": {"reason": "Completed"}}}, {"ready": true, "state": {"running": {}}}]),
        );
        pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
        assert_eq!(shown(&pod), "1/2 Running 0");
    }

    #[test]
    fn init_containers_show_how_far_they_are() {
        let with = |statuses: Document| {
            json!({
                "spec": {"containers": [{}], "initContainers": [{"name": "a"}, {"name": "b"}]},
                "status": {"phase": "Pending", "initContainerStatuses": statuses},
            })
        };
        let done = json!({"name": "a", "state": {"terminated": {"exitCode": 0}}});
        let table = [
            (with(json!([{"name": "a", "state": {"running": {}}}])), "0/1 Init:0/2 0"),
            (with(json!([done, {"name": "b", "state": {"waiting": {"reason": "PodInitializing"}}}])), "0/1 Init:1/2 0"),
            (with(json!([{"state": {"waiting": {"reason": "ErrImagePull"}}}])), "0/1 Init:ErrImagePull 0"),
            (with(json!([{"state": {"terminated": {"exitCode": 2, "reason": "Error"}}}])), "0/1 Init:Error 0"),
            (with(json!([{"state": {"terminated": {"exitCode": 2, "signal": 9}}}])), "0/1 Init:Signal:9 0"),
            (with(json!([{"state": {"terminated": {"exitCode": 2}}}])), "0/1 Init:ExitCode:2 0"),
        ];
        for (pod, expected) in table {
            assert_eq!(shown(&pod), expected, "{pod}");
        }
    }

    #[test]
    fn sidecars_count_as_containers() {
        let pod = json!({
            "spec": {"containers": [{}], "initContainers": [{"name": "proxy", "restartPolicy": "Always"}]},
            "status": {
                "phase": "Running",
                "initContainerStatuses": [{"name": "proxy", "started": true, "ready": true, "restartCount": 2}],
                "containerStatuses": [{"ready": true, "state": {"running": {}}, "restartCount": 1}],
            },
        });
        assert_eq!(shown(&pod), "2/2 Running 3");
    }

    #[test]
    fn restarts_tell_when_the_last_was() {
        let statuses = json!([{
            "restartCount": 3, "ready": true, "state": {"running": {}},
            "lastState": {"terminated": {"finishedAt": "2024-01-01T00:05:00Z"}},
        }]);
        assert_eq!(shown(&pod(1, "Running", statuses)), "1/1 Running 3 (5m ago)");
    }

    #[test]
    fn a_deleted_pod_is_terminating_until_it_has_ended() {
        let mut deleted = pod(1, "Running", json!([{"ready": true, "state": {"running": {}}}]));
        deleted["metadata"] = json!({"deletionTimestamp": "2024-01-01T00:00:00Z"});
        assert_eq!(shown(&deleted), "1/1 Terminating 0");
        deleted["status"]["reason"] = json!("NodeLost");
        assert_eq!(shown(&deleted), "1/1 Unknown 0");
        let mut ended = pod(1, "Failed", json!([{"state": {"terminated": {"reason": "Error", "exitCode": 1}}}]));
        ended["metadata"] = json!({"deletionTimestamp": "2024-01-01T00:00:00Z"});
        assert_eq!(shown(&ended), "0/1 Error 0");
        let evicted = json!({"spec": {"containers": [{}]}, "status": {"phase": "Failed", "reason": "Evicted"}});
        assert_eq!(shown(&evicted), "0/1 Evicted 0");
    }

    #[test]
    fn wide_cells_say_none_where_there_is_nothing() {
        let now = Timestamp::UNIX_EPOCH;
        let bare = row(&json!({}), now);
        assert_eq!(bare[5..], ["<none>", "<none>", "<none>", "<none>"]);
        let bound = json!({
            "spec": {"nodeName": "n1", "readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]},
            "status": {"podIPs": [{"ip": "10.0.0.1"}], "conditions": [{"type": "b", "status": "True"}]},
        });
        assert_eq!(row(&bound, now)[5..], ["10.0.0.1", "n1", "<none>", "1/2"]);
    }
}
