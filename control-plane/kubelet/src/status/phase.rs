//! The phase of a pod, from the states of its containers (Kubernetes' `getPhase`).

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};

use crate::pod::spec::{self, RestartPolicy, Role};

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not all containers were started once.
    Pending,
    /// They were, and one of them runs or will run again.
    Running,
    /// All ended well, for good.
    Succeeded,
    /// All ended for good, and one of them badly.
    Failed,
}

// === impl Phase ===

impl Phase {
    /// As the API has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }

    /// Reads what [`Phase::as_str`] gives.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Running, Self::Succeeded, Self::Failed].into_iter().find(|phase| phase.as_str() == text)
    }
}

/// How many containers are how.
#[derive(Debug, Default)]
struct Count {
    /// Init containers that have not passed.
    initializing: usize,
    /// Init containers that failed.
    failed_init: usize,
    sidecars_running: usize,
    unknown: usize,
    waiting: usize,
    running: usize,
    stopped: usize,
    succeeded: usize,
}

/// The phase. `is_over`: no container will be started again. `is_initialized`: init containers have done their part.
pub(super) fn phase(pod: &Pod, status: &PodStatus, is_over: bool, is_initialized: bool) -> Phase {
    let count = count(pod, status);
    let policy = spec::restart_policy(pod);
    if count.failed_init > 0 && policy == RestartPolicy::Never {
        return Phase::Failed;
    }
    if (count.initializing > 0 && !is_initialized && !is_over) || count.waiting > 0 && !is_over {
        return Phase::Pending;
    }
    match (count.running, count.stopped, count.unknown) {
        (1.., _, 0) => Phase::Running,
        (0, 1.., 0) if is_over && count.sidecars_running == 0 => ended(&count),
        (0, 1.., 0) if count.sidecars_running > 0 || policy == RestartPolicy::Always => Phase::Running,
        (0, 1.., 0) if policy == RestartPolicy::Never => ended(&count),
        (0, 1.., 0) if count.stopped == count.succeeded => Phase::Succeeded,
        (0, 1.., 0) => Phase::Running,
        _ => Phase::Pending,
    }
}

fn ended(count: &Count) -> Phase {
    if count.stopped == count.succeeded { Phase::Succeeded } else { Phase::Failed }
}

fn count(pod: &Pod, status: &PodStatus) -> Count {
    let mut count = Count::default();
    for spec in spec::containers(pod) {
        let list = match spec.role {
            Role::Init | Role::Sidecar => &status.init_container_statuses,
            Role::Main => &status.container_statuses,
            Role::Ephemeral => continue,
        };
        let found = list.iter().flatten().find(|status| status.name == spec.container.name);
        match (spec.role, found) {
            (Role::Init, Some(status)) => count_init(&mut count, status),
            (Role::Sidecar, Some(status)) => count_sidecar(&mut count, status),
            (Role::Main, Some(status)) => count_main(&mut count, status),
            (Role::Main, None) => count.unknown += 1,
            (Role::Init | Role::Sidecar, None) => count.initializing += 1,
            (Role::Ephemeral, _) => {}
        }
    }
    count
}

fn count_init(count: &mut Count, status: &ContainerStatus) {
    match exit_code(status) {
        Some(0) => {}
        Some(_) => count.failed_init += 1,
        None => count.initializing += 1,
    }
}

fn count_sidecar(count: &mut Count, status: &ContainerStatus) {
    let is_running = status.state.as_ref().is_some_and(|state| state.running.is_some());
    count.sidecars_running += usize::from(is_running);
    count.initializing += usize::from(!is_running || status.started != Some(true));
}

fn count_main(count: &mut Count, status: &ContainerStatus) {
    let state = status.state.as_ref();
    if state.is_some_and(|state| state.running.is_some()) {
        count.running += 1;
        return;
    }
    match exit_code(status) {
        Some(code) => {
            count.stopped += 1;
            count.succeeded += usize::from(code == 0 && state.is_some_and(|state| state.terminated.is_some()));
        }
        None if state.is_some_and(|state| state.waiting.is_some()) => count.waiting += 1,
        None => count.unknown += 1,
    }
}

/// The exit code of a container that has ended, also if it waits to be started again.
fn exit_code(status: &ContainerStatus) -> Option<i32> {
    let state = status.state.as_ref();
    let now = state.and_then(|state| state.terminated.as_ref());
    let is_waiting = state.is_some_and(|state| state.waiting.is_some());
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref()).filter(|_| is_waiting);
    now.or(last).map(|terminated| terminated.exit_code)
}
