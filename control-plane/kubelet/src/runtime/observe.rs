//! Notices what happens in the runtime: every second it lists sandboxes and containers, and between lists it hears
//! from containerd when one ends. Each pod's worker is told when its own list has changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_cri::v1 as cri;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::record::pod_of;
use super::{Runtime, RuntimeError, containerd};

/// How often everything is listed.
const PERIOD: Duration = Duration::from_secs(1);
/// How long after the last list the runtime counts as silent.
const SILENT: Duration = Duration::from_secs(180);

/// What the runtime lists of one pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedPod {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// Ids of sandboxes, and whether each runs.
    pub sandboxes: Vec<(String, bool)>,
    /// Its containers.
    pub containers: Vec<ListedContainer>,
}

/// What the runtime lists of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedContainer {
    /// The runtime's id.
    pub id: String,
    /// The sandbox that it is in.
    pub sandbox: String,
    /// CRI's state.
    pub state: cri::ContainerState,
}

/// The runtime's lists, by pod UID. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Observer {
    runtime: Runtime,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pods: Mutex<HashMap<String, watch::Sender<Arc<ListedPod>>>>,
    listed: Mutex<Option<Instant>>,
    again: Notify,
}

// === impl Observer ===

impl Observer {
    /// An observer that has seen nothing yet.
    #[must_use]
    pub fn new(runtime: Runtime) -> Self {
        let shared = Shared { pods: Mutex::default(), listed: Mutex::default(), again: Notify::new() };
        Self { runtime, shared: Arc::new(shared) }
    }

    /// Lists once.
    ///
    /// # Errors
    /// When the runtime does not answer.
    pub async fn list(&self) -> Result<(), RuntimeError> {
        let (sandboxes, containers) = tokio::join!(self.runtime.sandboxes(), self.runtime.containers());
        self.publish(pods(sandboxes?, containers?));
        *self.shared.listed.lock() = Some(Instant::now());
        Ok(())
    }

    /// Lists until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let events = tokio::spawn(containerd::follow(self.runtime.clone(), self.clone(), stop.clone()));
        while !stop.is_cancelled() {
            if let Err(error) = self.list().await {
                warn!(%error, "cannot list containers");
            }
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = self.shared.again.notified() => {}
                () = stop.cancelled() => {}
            }
        }
        events.abort();
    }

    /// Has everything listed now instead of in a second.
    pub fn list_soon(&self) {
        self.shared.again.notify_one();
    }

    /// What is listed of a pod, now and whenever it changes.
    #[must_use]
    pub fn pod(&self, uid: &str) -> watch::Receiver<Arc<ListedPod>> {
        let mut pods = self.shared.pods.lock();
        pods.entry(uid.to_owned()).or_insert_with(|| watch::Sender::new(Arc::default())).subscribe()
    }

    /// UIDs of all pods of which something is left in the runtime.
    #[must_use]
    pub fn pods(&self) -> Vec<(String, Arc<ListedPod>)> {
        let pods = self.shared.pods.lock();
        let pods = pods.iter().map(|(uid, listed)| (uid.clone(), Arc::clone(&listed.borrow())));
        pods.filter(|(_, listed)| !listed.is_empty()).collect()
    }

    /// Whether the runtime has answered lately.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.shared.listed.lock().is_some_and(|listed| listed.elapsed() < SILENT)
    }

    /// Replaces the lists; who waits for a pod hears only of a change.
    fn publish(&self, mut seen: HashMap<String, ListedPod>) {
        let mut pods = self.shared.pods.lock();
        pods.retain(|uid, sender| {
            let now = seen.remove(uid).unwrap_or_default();
            let is_wanted = !now.is_empty() || sender.receiver_count() > 0;
            sender.send_if_modified(|before| {
                let has_changed = **before != now;
                if has_changed {
                    debug!(uid, "something happened in the runtime");
                    *before = Arc::new(now);
                }
                has_changed
            });
            is_wanted
        });
        pods.extend(seen.into_iter().map(|(uid, listed)| (uid, watch::Sender::new(Arc::new(listed)))));
    }
}

// === impl ListedPod ===

impl ListedPod {
    /// A pod object with nothing but names, for a pod that the API does not know.
    #[must_use]
    pub fn as_pod(&self, uid: &str) -> Pod {
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            uid: Some(uid.to_owned()),
            ..ObjectMeta::default()
        };
        Pod { metadata, ..Pod::default() }
    }

    /// Whether nothing is left of the pod.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sandboxes.is_empty() && self.containers.is_empty()
    }
}

/// Sorts lists by pod; what belongs to no pod of a kubelet is left out.
fn pods(sandboxes: Vec<cri::PodSandbox>, containers: Vec<cri::Container>) -> HashMap<String, ListedPod> {
    let mut pods: HashMap<String, ListedPod> = HashMap::new();
    let mut pod = |labels: &HashMap<String, String>, add: &mut dyn FnMut(&mut ListedPod)| {
        if let Some((uid, namespace, name)) = pod_of(labels) {
            let entry = pods.entry(uid).or_default();
            (entry.namespace, entry.name) = (namespace, name);
            add(entry);
        }
    };
    for sandbox in sandboxes {
        let ready = sandbox.state() == cri::PodSandboxState::SandboxReady;
        pod(&sandbox.labels, &mut |listed| listed.sandboxes.push((sandbox.id.clone(), ready)));
    }
    for container in containers {
        let state = container.state();
        let listed = ListedContainer { id: container.id.clone(), sandbox: container.pod_sandbox_id.clone(), state };
        pod(&container.labels, &mut |entry| entry.containers.push(listed.clone()));
    }
    for listed in pods.values_mut() {
        listed.sandboxes.sort();
        listed.containers.sort_by(|one, other| one.id.cmp(&other.id));
    }
    pods
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(uid: &str) -> HashMap<String, String> {
        [("uid", uid), ("namespace", "default"), ("name", "web")]
            .map(|(key, value)| (format!("io.kubernetes.pod.{key}"), value.to_owned()))
            .into()
    }

    fn listed(uid: &str, state: cri::ContainerState) -> HashMap<String, ListedPod> {
        let container =
            cri::Container { id: "c".into(), labels: labels(uid), state: state.into(), ..Default::default() };
        let stranger = cri::Container { id: "s".into(), ..Default::default() };
        pods(Vec::new(), vec![container, stranger])
    }

    #[tokio::test]
    async fn a_pod_hears_of_its_own_changes_and_of_nothing_else() {
        let observer = Observer::new(Runtime::new("unix:///nowhere").unwrap());
        let (mut one, mut two) = (observer.pod("1"), observer.pod("2"));
        observer.publish(listed("1", cri::ContainerState::ContainerRunning));
        assert!(one.has_changed().unwrap() && !two.has_changed().unwrap());
        assert_eq!(one.borrow_and_update().containers[0].id, "c");
        observer.publish(listed("1", cri::ContainerState::ContainerRunning));
        assert!(!one.has_changed().unwrap());
        observer.publish(HashMap::new());
        assert!(one.borrow_and_update().is_empty());
        assert!(two.borrow_and_update().is_empty());
    }

    #[tokio::test]
    async fn what_is_left_of_pods_is_listed_and_strangers_are_not() {
        let observer = Observer::new(Runtime::new("unix:///nowhere").unwrap());
        observer.publish(listed("1", cri::ContainerState::ContainerExited));
        let pods = observer.pods();
        assert_eq!(pods.len(), 1);
        assert_eq!((pods[0].0.as_str(), pods[0].1.name.as_str()), ("1", "web"));
        observer.publish(HashMap::new());
        assert!(observer.pods().is_empty());
    }
}
