//! Probes of a pod's containers: which run, and what their findings mean for the pod.

use std::collections::HashMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use tokio::sync::mpsc;

use super::spec::{self, Role};
use super::state::{Health, ProbeFailure, State, Task};
use crate::probe::{Finding, Kind, Prober, Probing, Report, Subject, initial};
use crate::runtime::{Container, ContainerState};

/// The probes of one pod.
pub(super) struct Probes {
    prober: Prober,
    /// By the runtime's id of the container.
    running: HashMap<String, Probing>,
    sender: mpsc::UnboundedSender<Report>,
    receiver: mpsc::UnboundedReceiver<Report>,
}

// === impl Probes ===

impl Probes {
    pub(super) fn new(prober: Prober) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { prober, running: HashMap::new(), sender, receiver }
    }

    /// Probes what runs and has been started to the end, and nothing else.
    pub(super) fn follow(&mut self, pod: &Pod, state: &mut State, address: Option<IpAddr>) {
        self.running.retain(|id, _| state.containers.iter().any(|known| known.id == *id && known.is_running()));
        state.health.retain(|id, _| state.containers.iter().any(|known| known.id == *id));
        for spec in spec::containers(pod).into_iter().filter(|spec| matches!(spec.role, Role::Main | Role::Sidecar)) {
            let name = &spec.container.name;
            let Some(newest) = state.newest(name).filter(|newest| !self.running.contains_key(&newest.id)).cloned()
            else {
                continue;
            };
            let ContainerState::Running { started_at } = newest.state else { continue };
            if state.busy.contains(&Task::Start(name.clone())) {
                continue;
            }
            let has_started = was_started(pod, &newest);
            let container = spec.container.into_owned();
            let (started, ready) = initial(&container);
            let subject = Subject { container, id: newest.id.clone(), started_at, has_started, address };
            if let Some(probing) = self.prober.watch(subject, self.sender.clone()) {
                self.running.insert(newest.id.clone(), probing);
                let health = Health { started: started || has_started, ready, failure: None };
                state.health.entry(newest.id).or_insert(health);
            }
        }
    }

    /// Ends the probes that would end a container, which is being ended already.
    pub(super) fn end_liveness(&self, id: &str) {
        if let Some(probing) = self.running.get(id) {
            probing.end_liveness();
        }
    }

    /// The next finding.
    pub(super) async fn next(&mut self) -> Option<Report> {
        self.receiver.recv().await
    }
}

/// Whether the pod's status says already that this container has passed its startup probe.
fn was_started(pod: &Pod, container: &Container) -> bool {
    let status = pod.status.as_ref();
    let main = status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
    let init = status.and_then(|status| status.init_container_statuses.as_ref()).into_iter().flatten();
    let is_it = |status: &&ContainerStatus| {
        status.container_id.as_deref().is_some_and(|id| id.ends_with(&format!("://{}", container.id)))
    };
    main.chain(init).find(is_it).is_some_and(|status| status.started == Some(true))
}

/// Takes a finding into the state. Gives the message of the warning event, if it is worth one.
pub(super) fn apply(pod: &Pod, state: &mut State, report: Report) -> Option<(String, String)> {
    let container = state.containers.iter().find(|container| container.id == report.container_id)?;
    let name = container.name.clone();
    let has_readiness = spec::container(pod, &name).is_some_and(|spec| spec.container.readiness_probe.is_some());
    let unprobed = state.health(container);
    let health = state.health.entry(report.container_id).or_insert(unprobed);
    let failure = |probe, grace| Some(ProbeFailure { probe, grace });
    match (report.probe, report.finding) {
        (_, Finding::Unhealthy(message)) => return Some((name, message)),
        (Kind::Startup, Finding::Passes) => {
            health.started = true;
            health.ready |= !has_readiness;
        }
        (Kind::Startup, Finding::Fails { grace }) => health.failure = failure("startup", grace),
        (Kind::Readiness, Finding::Passes) => health.ready = true,
        (Kind::Readiness, Finding::Fails { .. }) => health.ready = false,
        (Kind::Liveness, Finding::Passes) => health.failure = None,
        (Kind::Liveness, Finding::Fails { grace }) => health.failure = failure("liveness", grace),
    }
    None
}
