//! The status of a pod: a pure function of the pod, of what is known of it, and of what was reported before.

mod conditions;
mod container;
mod patch;
mod phase;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{HostIP, Pod, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

pub use patch::patch;
pub use phase::Phase;

use crate::pod::plan;
use crate::pod::spec::{self, Role};
use crate::pod::state::State;

/// What a status says beside pod and state.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    /// The node's addresses, the preferred family first.
    pub node_addresses: &'a [IpAddr],
    /// The pod's addresses.
    pub pod_addresses: Vec<IpAddr>,
    /// The scheme of container ids, such as `containerd`.
    pub runtime_name: &'a str,
    /// Whether the pod is over: nothing of it runs, and nothing will.
    pub has_ended: bool,
    /// Now.
    pub now: Timestamp,
}

/// The status of a pod. What others wrote into it, such as their conditions, is not in it; [`patch`] leaves that alone.
#[must_use]
pub fn status(pod: &Pod, state: &State, surroundings: &Surroundings<'_>) -> PodStatus {
    let before = pod.status.clone().unwrap_or_default();
    let of = |roles: &[Role]| container::statuses(pod, state, surroundings, roles);
    let mut status = PodStatus {
        init_container_statuses: of(&[Role::Init, Role::Sidecar]),
        container_statuses: of(&[Role::Main]),
        ephemeral_container_statuses: of(&[Role::Ephemeral]),
        start_time: before.start_time.clone().or_else(|| Some(Time(crate::seconds(surroundings.now)))),
        observed_generation: pod.metadata.generation,
        ..PodStatus::default()
    };
    set_addresses(&mut status, surroundings, &before);
    let is_over = surroundings.has_ended || state.ending.is_some() || plan::has_run_its_course(pod, state);
    let phase = match (&state.ending, spec::is_terminal(pod)) {
        // What has once ended stays so, whatever is removed meanwhile.
        (_, true) => before.phase.as_deref().and_then(Phase::parse).unwrap_or(Phase::Failed),
        (Some(_), false) => Phase::Failed,
        (None, false) => phase::phase(pod, &status, is_over, plan::is_initialized(pod, state)),
    };
    status.phase = Some(phase.as_str().to_owned());
    let ending = state.ending.as_ref();
    status.reason = ending.map(|ending| ending.reason.clone()).or(before.reason.filter(|_| spec::is_terminal(pod)));
    status.message = ending.map(|ending| ending.message.clone()).or(before.message.filter(|_| spec::is_terminal(pod)));
    status.conditions = Some(conditions::conditions(pod, state, &status, phase, surroundings));
    status
}

fn set_addresses(status: &mut PodStatus, surroundings: &Surroundings<'_>, before: &PodStatus) {
    let text = |addresses: &[IpAddr]| addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>();
    let (host, pod) = (text(surroundings.node_addresses), text(&surroundings.pod_addresses));
    status.host_ip = host.first().cloned();
    status.host_ips = Some(host.into_iter().map(|ip| HostIP { ip }).collect());
    if pod.is_empty() && surroundings.has_ended {
        // A pod that is over keeps the address that it had, although another may have it now.
        (status.pod_ip, status.pod_ips) = (before.pod_ip.clone(), before.pod_ips.clone());
        return;
    }
    status.pod_ip = pod.first().cloned();
    status.pod_ips = (!pod.is_empty()).then(|| pod.into_iter().map(|ip| PodIP { ip }).collect());
}
