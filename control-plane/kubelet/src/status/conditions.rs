//! The conditions of a pod that are the kubelet's to say.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Phase, Surroundings};
use crate::pod::plan::is_initialized;
use crate::pod::spec::{self, Role};
use crate::pod::state::State;

/// Whether something holds; if not, why.
struct Verdict {
    holds: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

/// The conditions of which the kubelet is the only writer; `status` has the containers already.
pub(super) fn conditions(
    pod: &Pod,
    state: &State,
    status: &PodStatus,
    phase: Phase,
    surroundings: &Surroundings<'_>,
) -> Vec<PodCondition> {
    let containers_ready = containers_ready(pod, status, phase);
    let ready = ready(pod, &containers_ready);
    let has_sandbox = state.sandbox().is_some() && !surroundings.has_ended;
    [
        ("PodReadyToStartContainers", Verdict::from(has_sandbox)),
        ("Initialized", initialized(pod, state, status, phase)),
        ("Ready", ready),
        ("ContainersReady", containers_ready),
        ("PodScheduled", Verdict::from(true)),
    ]
    .map(|(kind, verdict)| verdict.into_condition(pod, kind, surroundings))
    .into()
}

fn initialized(pod: &Pod, state: &State, status: &PodStatus, phase: Phase) -> Verdict {
    match phase {
        Phase::Succeeded => Verdict { holds: true, reason: Some("PodCompleted"), message: None },
        Phase::Pending | Phase::Running | Phase::Failed if is_initialized(pod, state) => Verdict::from(true),
        Phase::Pending | Phase::Running | Phase::Failed => {
            let incomplete = status.init_container_statuses.iter().flatten().filter(|status| {
                let sidecar = spec::container(pod, &status.name).is_some_and(|spec| spec.role == Role::Sidecar);
                if sidecar { status.started != Some(true) } else { !status.ready }
            });
            let message = format!("containers with incomplete status: [{}]", names(incomplete));
            Verdict { holds: false, reason: Some("ContainersNotInitialized"), message: Some(message) }
        }
    }
}

fn containers_ready(pod: &Pod, status: &PodStatus, phase: Phase) -> Verdict {
    match phase {
        Phase::Succeeded => Verdict { holds: false, reason: Some("PodCompleted"), message: None },
        Phase::Failed => Verdict { holds: false, reason: Some("PodFailed"), message: None },
        Phase::Pending | Phase::Running => {
            let sidecars = status
                .init_container_statuses
                .iter()
                .flatten()
                .filter(|status| spec::container(pod, &status.name).is_some_and(|spec| spec.role == Role::Sidecar));
            let all = sidecars.chain(status.container_statuses.iter().flatten());
            let unready = names(all.filter(|status| !status.ready));
            if unready.is_empty() {
                return Verdict::from(true);
            }
            let message = format!("containers with unready status: [{unready}]");
            Verdict { holds: false, reason: Some("ContainersNotReady"), message: Some(message) }
        }
    }
}

/// Ready when the containers are and the conditions that the pod names as its gates hold.
fn ready(pod: &Pod, containers_ready: &Verdict) -> Verdict {
    if !containers_ready.holds {
        return Verdict { holds: false, reason: containers_ready.reason, message: containers_ready.message.clone() };
    }
    let reported = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let complaint = spec::spec(pod).readiness_gates.iter().flatten().find_map(|gate| {
        let kind = &gate.condition_type;
        match reported.into_iter().flatten().find(|condition| condition.type_ == *kind) {
            None => Some(format!("corresponding condition of pod readiness gate \"{kind}\" does not exist.")),
            Some(condition) if condition.status != "True" => {
                Some(format!("the status of pod readiness gate \"{kind}\" is not \"True\", but {}", condition.status))
            }
            Some(_) => None,
        }
    });
    match complaint {
        None => Verdict::from(true),
        Some(message) => Verdict { holds: false, reason: Some("ReadinessGatesNotReady"), message: Some(message) },
    }
}

fn names<'a>(statuses: impl Iterator<Item = &'a ContainerStatus>) -> String {
    statuses.map(|status| status.name.as_str()).collect::<Vec<_>>().join(" ")
}

// === impl Verdict ===

impl Verdict {
    /// The time of the last change stays while the status does.
    fn into_condition(self, pod: &Pod, kind: &str, surroundings: &Surroundings<'_>) -> PodCondition {
        let status = if self.holds { "True" } else { "False" };
        let reported = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let before = reported.into_iter().flatten().find(|condition| condition.type_ == kind);
        let since =
            before.filter(|before| before.status == status).and_then(|before| before.last_transition_time.clone());
        PodCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: self.reason.map(str::to_owned),
            message: self.message,
            last_transition_time: since.or_else(|| Some(Time(crate::seconds(surroundings.now)))),
            observed_generation: pod.metadata.generation,
            ..PodCondition::default()
        }
    }
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        Self { holds, reason: None, message: None }
    }
}
