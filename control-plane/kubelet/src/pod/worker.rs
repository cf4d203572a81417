//! The worker of one pod: it goes round between what is wanted, what is known, what is done and what is reported.
//!
//! Nothing blocks it: what takes time runs beside it and ends with an [`Outcome`]. It sleeps until something happens.

mod time;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt as _};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::backoff::{self, Retry};
use super::effects::{Outcome, Shared};
use super::health::{self, Probes};
use super::plan::{self, Action};
use super::state::{Ending, State, Task};
use super::view::{PodView, Pods};
use super::{message, spec};
use crate::runtime::{Container, ContainerState, ListedPod};
use crate::status::{self, Surroundings};

/// Pauses between attempts of what failed, except pulls.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often volumes are brought up to date when nothing is known to have changed.
const REFRESH_EVERY: Duration = Duration::from_secs(60);
/// Pause after the API server refused a report.
const REPORT_AGAIN: Duration = Duration::from_secs(1);

/// What is wanted of a pod.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The pod as the API has it.
    pub pod: Arc<Pod>,
    /// Whether it is gone from there.
    pub is_gone: bool,
    /// Counts changes of ConfigMaps and Secrets that it uses.
    pub sources: u64,
}

/// Runs a pod until nothing is left of it, or the task is dropped: then its containers run on.
pub(super) async fn run(shared: Shared, desired: watch::Receiver<Desired>, views: Pods) {
    let pod = Arc::clone(&desired.borrow().pod);
    let uid = spec::uid(&pod);
    let worker = Worker {
        listed: shared.observer.pod(&uid),
        must_observe: true,
        network: shared.network.clone(),
        state: State::default(),
        probes: Probes::new(shared.prober.clone()),
        sources: 0,
        refresh_at: None,
        effects: JoinSet::new(),
        reports: JoinSet::new(),
        report_at: None,
        cancel: CancellationToken::new(),
        views,
        uid,
        pod,
        desired,
        shared,
    };
    worker.run().await;
}

struct Worker {
    shared: Shared,
    uid: String,
    /// The newest the API has said, by the watch or in answer to a report.
    pod: Arc<Pod>,
    state: State,
    desired: watch::Receiver<Desired>,
    listed: watch::Receiver<Arc<ListedPod>>,
    /// Whether the runtime lists something that was not looked at.
    must_observe: bool,
    network: watch::Receiver<Option<String>>,
    effects: JoinSet<Outcome>,
    /// One report at a time.
    reports: JoinSet<kube::Result<Pod>>,
    /// Not before this moment.
    report_at: Option<Timestamp>,
    /// Changes of ConfigMaps and Secrets that volumes show.
    sources: u64,
    /// When volumes are brought up to date again.
    refresh_at: Option<Timestamp>,
    probes: Probes,
    /// Ends pulls that nobody waits for any more.
    cancel: CancellationToken,
    views: Pods,
}

// === impl Worker ===

impl Worker {
    async fn run(mut self) {
        self.observe().await;
        self.take_desired();
        self.admit().await;
        loop {
            self.observe().await;
            self.take_desired();
            let now = Timestamp::now();
            self.refresh_volumes(now);
            self.probe();
            let wake = [self.check_deadline(now), self.settle(now)];
            if plan::end_of(&self.pod, &self.state, now).is_some() {
                self.cancel.cancel();
            }
            let plan = plan::plan(&self.pod, &self.state, now);
            let pause = self.note_pauses(&plan, now);
            plan.actions.into_iter().for_each(|action| self.begin(action, now));
            let is_reported = self.report(plan.has_ended, now);
            if plan.has_ended {
                self.shared.admitted.release(&self.uid);
            }
            if plan.has_ended
                && (self.state.is_gone || (spec::is_deleted(&self.pod) && is_reported && self.delete().await))
            {
                self.shared.remove_pod(&self.pod, &self.state).await;
                self.views.remove(&self.uid);
                return;
            }
            let wake = wake
                .into_iter()
                .flatten()
                .chain(plan.next)
                .chain(pause)
                .chain(self.report_at)
                .chain(self.refresh_at)
                .min();
            if !self.wait(wake).await {
                return;
            }
        }
    }

    /// Waits until something happens, or for the given moment. False when nobody wants anything any more.
    async fn wait(&mut self, wake: Option<Timestamp>) -> bool {
        let sleep = wake.map(|wake| Duration::try_from(wake.duration_since(Timestamp::now())).unwrap_or_default());
        let sleep = async {
            match sleep {
                Some(sleep) => tokio::time::sleep(sleep).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(outcome) = self.effects.join_next() => {
                // A task that panicked has said so on standard error; its work is planned anew.
                match outcome {
                    Ok(outcome) => self.finish(outcome),
                    Err(error) => self.forget_tasks(&error),
                }
            }
            Some(finding) = self.probes.next() => {
                if let Some((name, message)) = health::apply(&self.pod, &mut self.state, finding) {
                    self.shared.recorder.container_warning(&self.pod, &name, "Unhealthy", message);
                }
            }
            Some(report) = self.reports.join_next() => self.reported(report),
            changed = self.desired.changed() => return changed.is_ok(),
            Ok(()) = self.listed.changed() => self.must_observe = true,
            Ok(()) = self.network.changed() => {
                self.state.retries.remove(&Task::CreateSandbox);
            }
            () = sleep => {}
        }
        true
    }

    fn take_desired(&mut self) {
        let desired = self.desired.borrow_and_update().clone();
        self.state.is_gone |= desired.is_gone;
        let tells_else = |pod: &Pod| (pod.metadata.labels.clone(), pod.metadata.annotations.clone());
        if desired.sources != self.sources || tells_else(&desired.pod) != tells_else(&self.pod) {
            self.sources = desired.sources;
            self.refresh_at = Some(Timestamp::now());
        }
        self.take_pod(desired.pod);
    }

    /// Keeps the newer of two versions: an answer to a report may have overtaken the watch.
    fn take_pod(&mut self, pod: Arc<Pod>) {
        let version = |pod: &Pod| pod.resource_version().and_then(|version| version.parse::<u64>().ok());
        if version(&pod) >= version(&self.pod) {
            self.pod = pod;
        }
    }

    /// Takes the pod in, unless it runs here already.
    async fn admit(&mut self) {
        let is_over = spec::is_deleted(&self.pod) || spec::is_terminal(&self.pod) || self.state.is_gone;
        if is_over || !self.state.containers.is_empty() {
            self.shared.admitted.keep(&self.pod);
            return;
        }
        if let Err(refused) = self.shared.admit(&self.pod).await {
            self.shared.recorder.pod_warning(&self.pod, &refused.reason, refused.message.clone());
            let message = format!("Pod was rejected: {}", refused.message);
            self.state.ending = Some(Ending { reason: refused.reason, message, at: Timestamp::now() });
        }
    }

    fn probe(&mut self) {
        let address = self.shared.addresses(&self.pod, self.state.sandbox()).first().copied();
        self.probes.follow(&self.pod, &mut self.state, address);
    }

    /// Brings volumes up to date when it is time to; tokens grow old even if nothing changes.
    fn refresh_volumes(&mut self, now: Timestamp) {
        if !self.state.has_volumes || self.state.busy.contains(&Task::RefreshVolumes) {
            self.refresh_at = self.refresh_at.filter(|_| self.state.has_volumes);
            return;
        }
        let due = *self.refresh_at.get_or_insert_with(|| backoff::after(now, REFRESH_EVERY));
        if due > now {
            return;
        }
        self.refresh_at = Some(backoff::after(now, REFRESH_EVERY));
        let (shared, pod) = (self.shared.clone(), Arc::clone(&self.pod));
        self.effects.spawn(async move { Outcome::VolumesRefreshed(shared.refresh_volumes(&pod).await) });
        self.state.busy.insert(Task::RefreshVolumes);
    }

    /// Looks at everything that the runtime lists differently from what is known. A list may be older than what is
    /// known, so it only says where to look.
    async fn observe(&mut self) {
        if !std::mem::take(&mut self.must_observe) {
            return;
        }
        let listed = Arc::clone(&self.listed.borrow_and_update());
        for (id, ready) in &listed.sandboxes {
            let known = self.state.sandboxes.iter().find(|known| known.id == *id);
            if known.is_none_or(|known| known.ready != *ready)
                && let Ok(Some(sandbox)) = self.shared.runtime.sandbox(id).await
            {
                self.state.put_sandbox(sandbox);
            }
        }
        for container in &listed.containers {
            let known = self.state.containers.iter().find(|known| known.id == container.id);
            if known.is_none_or(|known| known.state.as_cri() != container.state)
                && let Some(seen) = self.shared.look_at(&container.id, &container.sandbox).await
            {
                self.put_container(seen);
            }
        }
        self.forget_removed(&listed).await;
    }

    async fn forget_removed(&mut self, listed: &ListedPod) {
        let is_listed = |id: &str| listed.containers.iter().any(|container| container.id == id);
        let unlisted = self.state.containers.iter().filter(|container| !is_listed(&container.id));
        for id in unlisted.map(|container| container.id.clone()).collect::<Vec<_>>() {
            if matches!(self.shared.runtime.container(&id).await, Ok(None)) {
                self.state.containers.retain(|container| container.id != id);
            }
        }
        let is_listed = |id: &str| listed.sandboxes.iter().any(|(listed, _)| listed == id);
        let unlisted = self.state.sandboxes.iter().filter(|sandbox| !is_listed(&sandbox.id));
        for id in unlisted.map(|sandbox| sandbox.id.clone()).collect::<Vec<_>>() {
            if matches!(self.shared.runtime.sandbox(&id).await, Ok(None)) {
                self.state.sandboxes.retain(|sandbox| sandbox.id != id);
            }
        }
    }

    fn put_container(&mut self, container: Container) {
        if container.has_ended() && !self.state.messages.contains_key(&container.id) {
            let log = self.shared.folders.container_log(&self.pod, &container.name, container.attempt);
            self.state.messages.insert(container.id.clone(), message::read(&container, &log));
        }
        self.state.put_container(container);
    }

    fn begin(&mut self, action: Action, now: Timestamp) {
        debug!(pod = spec::full_name(&self.pod), ?action, "begins");
        let (shared, pod) = (self.shared.clone(), Arc::clone(&self.pod));
        let sandbox = self.state.sandboxes.first().cloned();
        let task = match action {
            Action::SetUpVolumes => {
                self.effects.spawn(async move { Outcome::VolumesSetUp(shared.set_up_volumes(&pod).await) });
                Task::SetUpVolumes
            }
            Action::TearDownVolumes => {
                self.effects.spawn(async move { Outcome::VolumesTornDown(shared.tear_down_volumes(&pod).await) });
                Task::TearDownVolumes
            }
            Action::CreateSandbox { attempt } => {
                self.effects.spawn(async move { Outcome::SandboxCreated(shared.create_sandbox(&pod, attempt).await) });
                Task::CreateSandbox
            }
            Action::StopSandbox { id } => {
                let task = Task::StopSandbox(id.clone());
                self.effects.spawn(async move {
                    let stopped = shared.stop_sandbox(&id).await;
                    Outcome::SandboxStopped(id, stopped)
                });
                task
            }
            Action::Start { name, attempt } => {
                self.count_restart(&name, now);
                let (task, cancel) = (Task::Start(name.clone()), self.cancel.clone());
                let Some(sandbox) = sandbox else { return };
                let target = spec::target_of(&self.pod, &name).and_then(|target| self.state.newest(target));
                let target = target.map(|target| target.id.clone());
                self.effects.spawn(async move {
                    let started =
                        shared.start_container(&pod, &name, attempt, &sandbox, target.as_deref(), &cancel).await;
                    Outcome::Started(name, started.map(Box::new).map_err(Box::new))
                });
                task
            }
            Action::Stop { id, name, deadline, why } => {
                let task = Task::Stop(id.clone());
                self.probes.end_liveness(&id);
                self.state.deadlines.insert(id.clone(), deadline);
                self.effects.spawn(async move {
                    let stopped = shared.stop_container(&pod, &id, &name, sandbox.as_ref(), deadline, &why).await;
                    Outcome::Stopped(id, stopped)
                });
                task
            }
        };
        self.state.busy.insert(task);
    }

    fn count_restart(&mut self, name: &str, now: Timestamp) {
        let Some(ended) = self.state.newest(name).filter(|container| container.has_ended()) else { return };
        let ended_at = ended.ended_at();
        let backoff = self.state.backoffs.entry(name.to_owned()).or_default();
        *backoff = backoff.next(ended_at, now);
    }

    fn finish(&mut self, outcome: Outcome) {
        let task = outcome.task();
        self.state.busy.remove(&task);
        if outcome.has_failed() {
            debug!(pod = spec::full_name(&self.pod), ?outcome, "failed");
            let is_pull = matches!(&outcome, Outcome::Started(_, Err(error)) if error.is_pull);
            let (first, longest) =
                if is_pull { (backoff::FIRST, backoff::LONGEST) } else { (FIRST_PAUSE, LONGEST_PAUSE) };
            let retry = Retry::after(self.state.retries.get(&task), Timestamp::now(), first, longest);
            self.state.retries.insert(task, retry);
        } else {
            self.state.retries.remove(&task);
        }
        if let Outcome::Stopped(_, Ok(())) | Outcome::SandboxStopped(_, Ok(())) = &outcome {
            // What has ended is in the next list, which need not wait for its second.
            self.shared.observer.list_soon();
        }
        outcome.apply(&mut self.state);
        self.read_messages();
    }

    /// Reads the messages of containers that ended before they were listed.
    fn read_messages(&mut self) {
        let ended = self.state.containers.iter().filter(|container| container.has_ended());
        let unread = ended.filter(|container| !self.state.messages.contains_key(&container.id));
        for container in unread.cloned().collect::<Vec<_>>() {
            self.put_container(container);
        }
    }

    fn forget_tasks(&mut self, error: &tokio::task::JoinError) {
        warn!(pod = spec::full_name(&self.pod), %error, "a task of the pod broke off");
        if self.effects.is_empty() {
            self.state.busy.clear();
        }
    }

    /// Reports the status if the API has another one. True when it has this one.
    fn report(&mut self, has_ended: bool, now: Timestamp) -> bool {
        let newest = self.state.sandbox().or(self.state.sandboxes.first());
        let surroundings = Surroundings {
            node_addresses: &self.shared.node_addresses,
            pod_addresses: self.shared.addresses(&self.pod, newest),
            runtime_name: &self.shared.runtime_name,
            has_ended,
            now,
        };
        let status = status::status(&self.pod, &self.state, &surroundings);
        let patch = status::patch(&self.pod, &status);
        self.views.put(PodView::new(&self.pod, &self.state));
        if self.report_at.is_some_and(|at| now < at) || !self.reports.is_empty() {
            return patch.is_none();
        }
        self.report_at = None;
        match patch {
            Some(patch) if !self.state.is_gone => {
                self.send(patch);
                false
            }
            Some(_) | None => true,
        }
    }

    fn send(&mut self, patch: Value) {
        let (pods, name) = (self.api(), self.pod.name_any());
        debug!(pod = spec::full_name(&self.pod), %patch, "reports");
        self.reports
            .spawn(async move { pods.patch_status(&name, &PatchParams::default(), &Patch::Strategic(patch)).await });
    }

    fn reported(&mut self, report: Result<kube::Result<Pod>, tokio::task::JoinError>) {
        match report {
            Ok(Ok(pod)) => self.take_pod(Arc::new(pod)),
            Ok(Err(error)) => {
                debug!(pod = spec::full_name(&self.pod), %error, "the status could not be reported");
                self.report_at = Some(backoff::after(Timestamp::now(), REPORT_AGAIN));
            }
            Err(error) => warn!(%error, "a report broke off"),
        }
    }

    /// Removes the pod from the API, once nothing of it runs. True when it is gone from there.
    async fn delete(&mut self) -> bool {
        let preconditions = Some(Preconditions { uid: self.pod.uid(), resource_version: None });
        let delete = DeleteParams { grace_period_seconds: Some(0), preconditions, ..DeleteParams::default() };
        match self.api().delete(&self.pod.name_any(), &delete).await {
            // With finalizers it stays until they are removed, and the watch says when.
            Ok(either) => either.left().is_none_or(|pod| pod.finalizers().is_empty()),
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => true,
            Err(error) => {
                warn!(pod = spec::full_name(&self.pod), %error, "the pod could not be deleted");
                self.report_at = Some(backoff::after(Timestamp::now(), REPORT_AGAIN));
                false
            }
        }
    }

    fn api(&self) -> Api<Pod> {
        Api::namespaced(self.shared.client.clone(), &spec::namespace(&self.pod))
    }
}

// === impl ContainerState ===

impl ContainerState {
    /// CRI's word for it.
    fn as_cri(&self) -> k8s_cri::v1::ContainerState {
        use k8s_cri::v1::ContainerState as Cri;
        match self {
            Self::Created => Cri::ContainerCreated,
            Self::Running { .. } => Cri::ContainerRunning,
            Self::Exited { .. } => Cri::ContainerExited,
            Self::Unknown => Cri::ContainerUnknown,
        }
    }
}
