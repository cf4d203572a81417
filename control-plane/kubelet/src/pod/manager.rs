//! Follows the pods of this node and gives each a worker.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::effects::Shared;
use super::spec;
use super::view::Pods;
use super::worker::{self, Desired};

/// Gives each pod of the node a worker.
#[derive(Debug)]
pub struct Manager {
    shared: Shared,
    views: Pods,
    /// What is wanted of each pod, by UID.
    desired: HashMap<String, watch::Sender<Desired>>,
    workers: JoinSet<()>,
    uids: HashMap<Id, String>,
    /// Pods of the list that is being read; the others are gone when it ends.
    listed: HashSet<String>,
}

// === impl Manager ===

impl Manager {
    /// A manager that keeps `views` for others.
    #[must_use]
    pub fn new(shared: Shared, views: Pods) -> Self {
        Self {
            shared,
            views,
            desired: HashMap::new(),
            workers: JoinSet::new(),
            uids: HashMap::new(),
            listed: HashSet::new(),
        }
    }

    /// Runs pods until `stop`; their containers run on after that.
    pub async fn run(mut self, stop: CancellationToken) {
        let pods = Api::<Pod>::all(self.shared.client.clone());
        let mine = watcher::Config::default().fields(&format!("spec.nodeName={}", self.shared.node_name));
        let mut changes = self.shared.sources.changes();
        let mut events = std::pin::pin!(watcher(pods, mine).default_backoff());
        loop {
            tokio::select! {
                Some(event) = events.next() => match event {
                    Ok(event) => self.handle(event),
                    Err(error) => warn!(%error, "cannot follow the node's pods"),
                },
                changed = changes.recv() => self.refresh(changed),
                Some(ended) = self.workers.join_next_with_id() => self.forget(ended),
                () = stop.cancelled() => return,
            }
        }
    }

    fn handle(&mut self, event: watcher::Event<Pod>) {
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(pod) => {
                self.listed.insert(spec::uid(&pod));
                self.apply(pod, false);
            }
            watcher::Event::InitDone => self.end_unlisted(),
            watcher::Event::Apply(pod) => self.apply(pod, false),
            watcher::Event::Delete(pod) => self.apply(pod, true),
        }
    }

    fn apply(&mut self, pod: Pod, is_gone: bool) {
        let uid = spec::uid(&pod);
        let pod = Arc::new(pod);
        if let Some(sender) = self.desired.get(&uid) {
            sender.send_modify(|desired| (desired.pod, desired.is_gone) = (pod, is_gone));
        } else if !is_gone {
            let desired = Desired { pod, is_gone, sources: 0 };
            debug!(pod = spec::full_name(&desired.pod), "is new here");
            self.spawn_worker(uid, desired);
        }
    }

    fn spawn_worker(&mut self, uid: String, desired: Desired) {
        self.views.expect(&uid);
        let (sender, receiver) = watch::channel(desired);
        let worker = self.workers.spawn(worker::run(self.shared.clone(), receiver, self.views.clone()));
        self.uids.insert(worker.id(), uid.clone());
        self.desired.insert(uid, sender);
    }

    /// Ends what the API server does not know any more: pods that it forgot while nobody listened, and what a kubelet
    /// before this one left in the runtime.
    fn end_unlisted(&mut self) {
        let listed = std::mem::take(&mut self.listed);
        for sender in self.desired.iter().filter(|(uid, _)| !listed.contains(*uid)).map(|(_, sender)| sender) {
            sender.send_modify(|desired| desired.is_gone = true);
        }
        for (uid, left) in self.shared.observer.pods() {
            if self.desired.contains_key(&uid) {
                continue;
            }
            info!(uid, pod = left.name, namespace = left.namespace, "is not in the API, and is ended");
            self.spawn_worker(uid.clone(), Desired { pod: Arc::new(left.as_pod(&uid)), is_gone: true, sources: 0 });
        }
        self.views.complete();
    }

    /// Has volumes of a pod brought up to date whose ConfigMaps or Secrets have changed; of all, when changes were missed.
    fn refresh(&self, changed: Result<String, RecvError>) {
        let wake = |sender: &watch::Sender<Desired>| sender.send_modify(|desired| desired.sources += 1);
        match changed {
            Ok(uid) => self.desired.get(&uid).into_iter().for_each(wake),
            Err(_) => self.desired.values().for_each(wake),
        }
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => {
                warn!(%error, "a pod's worker broke off");
                error.id()
            }
        };
        if let Some(uid) = self.uids.remove(&id) {
            self.desired.remove(&uid);
            self.shared.admitted.release(&uid);
            self.views.forget(&uid);
        }
    }
}
