//! The statuses of a pod's containers.

use k8s_openapi::api::core::v1::{
    ContainerState as ReportedState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, Pod,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Surroundings;
use crate::pod::plan::is_initialized;
use crate::pod::spec::{self, ContainerSpec, Role};
use crate::pod::state::State;
use crate::runtime::{Container, ContainerState};

/// Statuses of the containers with these roles, in the order of the specification; none when there are none.
pub(super) fn statuses(
    pod: &Pod,
    state: &State,
    surroundings: &Surroundings<'_>,
    roles: &[Role],
) -> Option<Vec<ContainerStatus>> {
    let reporter = Reporter { pod, state, surroundings };
    let containers = spec::containers(pod).into_iter().filter(|spec| roles.contains(&spec.role));
    let statuses = containers.map(|spec| reporter.status(&spec)).collect::<Vec<_>>();
    (!statuses.is_empty()).then_some(statuses)
}

struct Reporter<'a> {
    pod: &'a Pod,
    state: &'a State,
    surroundings: &'a Surroundings<'a>,
}

// === impl Reporter ===

impl Reporter<'_> {
    fn status(&self, spec: &ContainerSpec<'_>) -> ContainerStatus {
        let name = &spec.container.name;
        let newest = self.state.newest(name);
        let before = self.before(spec.role, name);
        let (state, last_state) = self.states(spec.role, name, newest, before.as_ref());
        let health = newest.map(|container| self.state.health(container));
        let runs = newest.is_some_and(Container::is_running) && state.running.is_some();
        let started = runs && health.as_ref().is_some_and(|health| health.started);
        let ready = match spec.role {
            Role::Init => state.terminated.as_ref().is_some_and(|terminated| terminated.exit_code == 0),
            Role::Sidecar | Role::Main => started && health.is_some_and(|health| health.ready),
            Role::Ephemeral => false,
        };
        let seen = newest.map(|container| (container.image.clone(), container.image_id.clone()));
        let seen = seen.filter(|(image, _)| !image.is_empty());
        let (image, image_id) =
            seen.unwrap_or_else(|| (spec.container.image.clone().unwrap_or_default(), String::new()));
        let attempts = newest.map(|container| i32::try_from(container.attempt).unwrap_or(i32::MAX));
        ContainerStatus {
            name: name.clone(),
            container_id: newest.map(|container| self.id(container)),
            image,
            image_id,
            ready,
            started: Some(started),
            restart_count: attempts.or(before.map(|before| before.restart_count)).unwrap_or_default(),
            state: Some(state),
            last_state: Some(last_state),
            ..ContainerStatus::default()
        }
    }

    /// What the container does, and how the one before it ended.
    fn states(
        &self,
        role: Role,
        name: &str,
        newest: Option<&Container>,
        before: Option<&ContainerStatus>,
    ) -> (ReportedState, ReportedState) {
        let reported_last = || before.and_then(|before| before.last_state.clone()).unwrap_or_default();
        let Some(newest) = newest else { return (self.missing(role, name, before), reported_last()) };
        let previous = self.state.previous(name).filter(|previous| previous.has_ended());
        let last = previous.map_or_else(reported_last, |previous| self.terminated(previous));
        let waiting = self.state.waiting.get(name);
        match &newest.state {
            ContainerState::Running { started_at } => {
                let started_at = Some(time(*started_at));
                let running = ContainerStateRunning { started_at };
                (ReportedState { running: Some(running), ..ReportedState::default() }, last)
            }
            ContainerState::Exited { .. } | ContainerState::Unknown => match waiting {
                Some(reason) if !self.surroundings.has_ended => {
                    (waiting_for(&reason.reason, &reason.message), self.terminated(newest))
                }
                Some(_) | None => (self.terminated(newest), last),
            },
            ContainerState::Created => (self.default_waiting(role, name), last),
        }
    }

    /// A container that was never created, or is removed.
    fn missing(&self, role: Role, name: &str, before: Option<&ContainerStatus>) -> ReportedState {
        // What has ended stays so when the container is removed.
        if let Some(ended) = before.and_then(|before| before.state.as_ref()).filter(|state| state.terminated.is_some())
        {
            return ended.clone();
        }
        let was_started = before.is_some_and(|before| before.container_id.is_some());
        if self.surroundings.has_ended && was_started {
            return ReportedState {
                terminated: Some(ContainerStateTerminated {
                    exit_code: 137,
                    reason: Some("ContainerStatusUnknown".to_owned()),
                    message: Some("The container could not be located when the pod was terminated".to_owned()),
                    ..ContainerStateTerminated::default()
                }),
                ..ReportedState::default()
            };
        }
        self.default_waiting(role, name)
    }

    fn default_waiting(&self, role: Role, name: &str) -> ReportedState {
        if let Some(waiting) = self.state.waiting.get(name) {
            return waiting_for(&waiting.reason, &waiting.message);
        }
        let has_init = spec::spec(self.pod).init_containers.as_ref().is_some_and(|init| !init.is_empty());
        let is_initializing = has_init && role != Role::Ephemeral && !is_initialized(self.pod, self.state);
        waiting_for(if is_initializing { "PodInitializing" } else { "ContainerCreating" }, "")
    }

    fn terminated(&self, container: &Container) -> ReportedState {
        let terminated = match &container.state {
            ContainerState::Exited { started_at, finished_at, exit_code, reason, message } => {
                let told = self.state.messages.get(&container.id).filter(|told| !told.is_empty());
                let word = if *exit_code == 0 { "Completed" } else { "Error" };
                let reason = if reason.is_empty() { word } else { reason };
                ContainerStateTerminated {
                    exit_code: *exit_code,
                    reason: Some(reason.to_owned()),
                    message: told.or(Some(message)).filter(|message| !message.is_empty()).cloned(),
                    started_at: Some(time(*started_at)),
                    finished_at: Some(time(*finished_at)),
                    container_id: Some(self.id(container)),
                    signal: None,
                }
            }
            ContainerState::Created | ContainerState::Running { .. } | ContainerState::Unknown => {
                ContainerStateTerminated {
                    exit_code: 137,
                    reason: Some("ContainerStatusUnknown".to_owned()),
                    message: Some("The container could not be located when the pod was deleted.".to_owned()),
                    container_id: Some(self.id(container)),
                    ..ContainerStateTerminated::default()
                }
            }
        };
        ReportedState { terminated: Some(terminated), ..ReportedState::default() }
    }

    /// What was reported of a container.
    fn before(&self, role: Role, name: &str) -> Option<ContainerStatus> {
        let status = self.pod.status.as_ref()?;
        let list = match role {
            Role::Init | Role::Sidecar => &status.init_container_statuses,
            Role::Main => &status.container_statuses,
            Role::Ephemeral => &status.ephemeral_container_statuses,
        };
        list.iter().flatten().find(|status| status.name == name).cloned()
    }

    fn id(&self, container: &Container) -> String {
        format!("{}://{}", self.surroundings.runtime_name, container.id)
    }
}

fn waiting_for(reason: &str, message: &str) -> ReportedState {
    let message = Some(message.to_owned()).filter(|message| !message.is_empty());
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ReportedState { waiting: Some(waiting), ..ReportedState::default() }
}

fn time(timestamp: jiff::Timestamp) -> Time {
    Time(crate::seconds(timestamp))
}
