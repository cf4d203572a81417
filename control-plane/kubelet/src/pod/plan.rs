//! What is to be done for a pod next: a pure function of the pod, of what is known of it, and of the time.
//!
//! ```text
//! run:  volumes and sandbox ─▶ init containers, one after another ─▶ the pod's own containers
//! end:  the pod's own containers ─▶ sidecars, last first ─▶ sandboxes ─▶ volumes ─▶ ended
//! ```

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::backoff::after;
use super::spec::{self, ContainerSpec, RestartPolicy, Role, container_hash};
use super::state::{State, Task};
use crate::runtime::{Container, ContainerState};

#[cfg(test)]
mod tests;

/// What to do now, and when to look again if nothing happens before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to begin; none of it is under way.
    pub actions: Vec<Action>,
    /// Containers that wait for the end of their pause.
    pub pausing: Vec<Pause>,
    /// When to look again.
    pub next: Option<Timestamp>,
    /// Whether the pod is over and nothing is left to be stopped.
    pub has_ended: bool,
}

/// Something to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Set the pod's volumes up.
    SetUpVolumes,
    /// Tear them down.
    TearDownVolumes,
    /// Create the pod's sandbox number `attempt`.
    CreateSandbox {
        /// From 0.
        attempt: u32,
    },
    /// Stop a sandbox and give back its network.
    StopSandbox {
        /// The runtime's id.
        id: String,
    },
    /// Start a container.
    Start {
        /// Its name.
        name: String,
        /// How often it was started before.
        attempt: u32,
    },
    /// Stop a container.
    Stop {
        /// The runtime's id.
        id: String,
        /// Its name.
        name: String,
        /// When it is killed if it has not ended.
        deadline: Timestamp,
        /// What to tell the user.
        why: Why,
    },
}

/// Why a container is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The pod ends.
    PodEnds,
    /// Its specification has changed.
    Changed,
    /// A probe failed too often.
    Unhealthy {
        /// `liveness` or `startup`.
        probe: &'static str,
    },
    /// Its sandbox is gone.
    SandboxChanged,
}

/// A container that ended and is restarted later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Its name.
    pub name: String,
    /// How long it pauses in all.
    pub delay: Duration,
}

/// What is to be done for `pod` at `now`.
#[must_use]
pub fn plan(pod: &Pod, state: &State, now: Timestamp) -> Plan {
    let mut planner = Planner { pod, state, now, policy: spec::restart_policy(pod), plan: Plan::default() };
    match end_of(pod, state, now) {
        Some(deadline) => planner.end(deadline),
        None => planner.run(),
    }
    planner.plan
}

/// When containers must have ended, if the pod is to end: it is deleted, the kubelet ends it, or it has run its course.
#[must_use]
pub fn end_of(pod: &Pod, state: &State, now: Timestamp) -> Option<Timestamp> {
    if let Some(deleted) = &pod.metadata.deletion_timestamp {
        // By then everything has to be over; the API server put the grace period into it.
        return Some(deleted.0);
    }
    if state.is_gone {
        return Some(after(now, Duration::from_secs(1)));
    }
    if let Some(ending) = &state.ending {
        return Some(after(ending.at, spec::grace_period(pod)));
    }
    let is_over = spec::is_terminal(pod) || has_run_its_course(pod, state);
    is_over.then(|| after(now, spec::grace_period(pod)))
}

/// Whether no container of the pod will ever be started again: its own have ended for good, or an init container has
/// failed for good.
#[must_use]
pub fn has_run_its_course(pod: &Pod, state: &State) -> bool {
    let policy = spec::restart_policy(pod);
    let is_over = |spec: &ContainerSpec<'_>| {
        let newest = state.newest(&spec.container.name).filter(|container| container.has_ended());
        let is_busy = state.busy.contains(&Task::Start(spec.container.name.clone()));
        !is_busy && newest.is_some_and(|container| !policy.restarts(spec.role, container.exit_code()))
    };
    let containers = spec::containers(pod);
    let failed = |spec: &ContainerSpec<'_>| {
        let newest = state.newest(&spec.container.name);
        is_over(spec) && newest.and_then(Container::exit_code) != Some(0)
    };
    let of = |role: Role| containers.iter().filter(move |spec| spec.role == role);
    of(Role::Init).any(failed) || (of(Role::Main).next().is_some() && of(Role::Main).all(is_over))
}

/// Whether all init containers have done their part and the pod's own containers may run.
#[must_use]
pub fn is_initialized(pod: &Pod, state: &State) -> bool {
    let Some(sandbox) = state.sandbox().or(state.sandboxes.first()) else {
        return spec::spec(pod).init_containers.as_ref().is_none_or(Vec::is_empty);
    };
    let containers = spec::containers(pod);
    let was_started = |name: &str| state.newest(name).is_some_and(|container| container.sandbox == sandbox.id);
    // Once one of the pod's own has run in this sandbox, dead init containers may have been removed.
    containers.iter().any(|spec| spec.role == Role::Main && was_started(&spec.container.name))
        || containers.iter().filter(|spec| matches!(spec.role, Role::Init | Role::Sidecar)).all(|spec| {
            let newest = state.newest(&spec.container.name).filter(|container| container.sandbox == sandbox.id);
            newest.is_some_and(|container| is_passed(spec.role, container, state))
        })
}

/// Whether what comes after this init container may begin.
fn is_passed(role: Role, container: &Container, state: &State) -> bool {
    match role {
        Role::Init => container.exit_code() == Some(0),
        Role::Sidecar | Role::Main | Role::Ephemeral => container.is_running() && state.health(container).started,
    }
}

struct Planner<'a> {
    pod: &'a Pod,
    state: &'a State,
    now: Timestamp,
    policy: RestartPolicy,
    plan: Plan,
}

// === impl Planner ===

impl Planner<'_> {
    fn run(&mut self) {
        if !self.state.has_volumes {
            self.begin(Task::SetUpVolumes, Action::SetUpVolumes);
        }
        let Some(sandbox) = self.state.sandbox() else { return self.replace_sandbox() };
        if !self.state.has_volumes {
            return;
        }
        let sandbox = sandbox.id.clone();
        let containers = spec::containers(self.pod);
        let is_initialized = is_initialized(self.pod, self.state);
        for spec in &containers {
            let is_of_current_sandbox =
                self.state.newest(&spec.container.name).is_some_and(|container| container.sandbox == sandbox);
            match spec.role {
                Role::Init if is_initialized => {}
                Role::Init | Role::Sidecar => {
                    self.keep_running(spec, !is_of_current_sandbox);
                    let newest = self.state.newest(&spec.container.name).filter(|_| is_of_current_sandbox);
                    let is_passed = newest.is_some_and(|container| is_passed(spec.role, container, self.state));
                    if !is_initialized && !is_passed {
                        return;
                    }
                }
                Role::Main | Role::Ephemeral => self.keep_running(spec, false),
            }
        }
    }

    /// Without a sandbox that runs: what runs in an old one is stopped, then there is a new one.
    fn replace_sandbox(&mut self) {
        let deadline = after(self.now, Duration::from_secs(2));
        for container in self.state.containers.iter().filter(|container| container.is_running()) {
            self.stop(container, deadline, Why::SandboxChanged);
        }
        if !self.plan.actions.iter().any(|action| matches!(action, Action::Stop { .. })) && !self.is_stopping() {
            let old = self.state.sandboxes.iter().filter(|sandbox| !self.state.stopped.contains(&sandbox.id));
            for id in old.map(|sandbox| sandbox.id.clone()) {
                self.begin(Task::StopSandbox(id.clone()), Action::StopSandbox { id });
            }
            let attempt = self.state.sandboxes.first().map_or(0, |newest| newest.attempt + 1);
            self.begin(Task::CreateSandbox, Action::CreateSandbox { attempt });
        }
    }

    /// One container: started, restarted, replaced or left alone. `again` makes one that has ended well run again, as
    /// init containers do in a new sandbox.
    fn keep_running(&mut self, spec: &ContainerSpec<'_>, again: bool) {
        let name = &spec.container.name;
        if self.state.busy.contains(&Task::Start(name.clone())) {
            return;
        }
        let Some(newest) = self.state.newest(name) else { return self.start(name, 0) };
        match &newest.state {
            ContainerState::Running { .. } => self.watch_running(spec, newest),
            // Never started: the kubelet ended in between, or the runtime did.
            ContainerState::Created => self.start(name, newest.attempt + 1),
            ContainerState::Exited { .. } | ContainerState::Unknown => {
                if again || self.policy.restarts(spec.role, newest.exit_code()) {
                    self.restart(name, newest, again);
                }
            }
        }
    }

    fn watch_running(&mut self, spec: &ContainerSpec<'_>, container: &Container) {
        let grace = spec::grace_period(self.pod);
        let is_replaceable = !matches!(spec.role, Role::Init | Role::Ephemeral);
        if is_replaceable && !container.hash.is_empty() && container.hash != container_hash(&spec.container) {
            self.stop(container, after(self.now, grace), Why::Changed);
        } else if let Some(failure) = self.state.health(container).failure {
            let deadline = after(self.now, failure.grace.unwrap_or(grace));
            self.stop(container, deadline, Why::Unhealthy { probe: failure.probe });
        }
    }

    /// Starts a container again, after its pause.
    fn restart(&mut self, name: &str, newest: &Container, at_once: bool) {
        let backoff = self.state.backoffs.get(name).copied().unwrap_or_default();
        let ready_at = backoff.ready_at(newest.ended_at());
        if !at_once && ready_at > self.now {
            self.wake(ready_at);
            self.plan.pausing.push(Pause { name: name.to_owned(), delay: backoff.delay() });
        } else {
            self.start(name, newest.attempt + 1);
        }
    }

    fn start(&mut self, name: &str, attempt: u32) {
        let name = name.to_owned();
        self.begin(Task::Start(name.clone()), Action::Start { name, attempt });
    }

    fn end(&mut self, deadline: Timestamp) {
        // Sidecars serve the others to the end, so they go after them, the last one first.
        let containers = spec::containers(self.pod);
        let role = |container: &Container| {
            let position = containers.iter().position(|spec| spec.container.name == container.name)?;
            (containers[position].role == Role::Sidecar).then_some(position)
        };
        let running = || self.state.containers.iter().filter(|container| container.is_running());
        let next = match running().map(&role).min_by_key(|position| position.is_some()) {
            Some(None) => None,
            Some(Some(_)) => running().filter_map(&role).max(),
            None => return self.end_sandboxes(),
        };
        let wanted = running().filter(|container| role(container) == next).cloned().collect::<Vec<_>>();
        // What was late leaves the rest at least two seconds, as in Kubernetes.
        let deadline = deadline.max(after(self.now, Duration::from_secs(2)));
        for container in wanted {
            self.stop(&container, deadline, Why::PodEnds);
        }
    }

    fn end_sandboxes(&mut self) {
        let is_starting = |task: &Task| {
            matches!(task, Task::Start(_) | Task::CreateSandbox | Task::SetUpVolumes | Task::RefreshVolumes)
        };
        if self.is_stopping() || self.state.busy.iter().any(is_starting) {
            return;
        }
        let left = self.state.sandboxes.iter().filter(|sandbox| !self.state.stopped.contains(&sandbox.id));
        let left = left.map(|sandbox| sandbox.id.clone()).collect::<Vec<_>>();
        if left.is_empty() {
            if self.state.has_volumes {
                self.begin(Task::TearDownVolumes, Action::TearDownVolumes);
            } else {
                self.plan.has_ended = !self.state.busy.contains(&Task::TearDownVolumes);
            }
        }
        for id in left {
            self.begin(Task::StopSandbox(id.clone()), Action::StopSandbox { id });
        }
    }

    /// Stops a container unless that is under way and will be over as soon.
    fn stop(&mut self, container: &Container, deadline: Timestamp, why: Why) {
        let (id, name) = (container.id.clone(), container.name.clone());
        let tolerance = Duration::from_secs(1);
        if let Some(before) = self.state.deadlines.get(&id)
            && self.state.busy.contains(&Task::Stop(id.clone()))
            && after(deadline, tolerance) >= *before
        {
            return;
        }
        if self.is_due(&Task::Stop(id.clone())) {
            self.plan.actions.push(Action::Stop { id, name, deadline, why });
        }
    }

    fn is_stopping(&self) -> bool {
        self.state.busy.iter().any(|task| matches!(task, Task::Stop(_)))
    }

    /// Plans an action unless it is under way, or has failed and its time has not come.
    fn begin(&mut self, task: Task, action: Action) {
        if !self.state.busy.contains(&task) && self.is_due(&task) {
            self.plan.actions.push(action);
        }
    }

    fn is_due(&mut self, task: &Task) -> bool {
        match self.state.retries.get(task) {
            Some(retry) if retry.at > self.now => {
                self.wake(retry.at);
                false
            }
            Some(_) | None => true,
        }
    }

    fn wake(&mut self, at: Timestamp) {
        self.plan.next = Some(self.plan.next.map_or(at, |next| next.min(at)));
    }
}
