//! A cluster in one process: the real API server over a store in memory, the controllers under test, and somebody who
//! reports pods as running.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sheave_apiserver::{ApiServer, Identity, store_options};
use sheave_controllers::{CancellationToken, Clients, Options};
use sheave_store::Store;
use tokio::task::JoinHandle;

/// How long a condition may take before a test gives up. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running cluster; everything ends when it is dropped.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    server: ApiServer,
    stop: CancellationToken,
    kubelet: Option<JoinHandle<()>>,
    controllers: Option<JoinHandle<()>>,
    options: Options,
}

/// A namespaced kind.
pub(crate) trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned
{
}

// === impl Cluster ===

impl Cluster {
    /// The controllers that `controllers` selects as `--controllers` does.
    pub(crate) async fn start(controllers: &str) -> Self {
        Self::start_with(controllers, |_| {}).await
    }

    /// As [`Self::start`], with other options changed.
    pub(crate) async fn start_with(controllers: &str, change: impl FnOnce(&mut Options)) -> Self {
        let mut cluster = Self::start_without_kubelet(controllers, change).await;
        cluster.kubelet = Some(tokio::spawn(report_ready(cluster.client.clone())));
        cluster
    }

    /// As [`Self::start_with`], but nobody reports pods.
    pub(crate) async fn start_without_kubelet(controllers: &str, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options { controllers: controllers.parse().unwrap(), ..Options::default() };
        change(&mut options);
        let store = Store::in_memory(store_options()).expect("a store in memory opens");
        let server = ApiServer::start(Arc::new(store), sheave_apiserver::Options::default()).await;
        let server = server.expect("the bootstrap objects are made");
        let client = server.client(Identity::admin());
        let mut cluster =
            Self { kubelet: None, client, server, stop: CancellationToken::new(), controllers: None, options };
        cluster.start_controllers();
        cluster
    }

    /// Lets time pass for the controllers.
    pub(crate) fn advance(&self, seconds: u64) {
        self.options.clock.advance(Duration::from_secs(seconds));
    }

    /// Starts the controllers after [`Self::kill_controllers`].
    pub(crate) fn start_controllers(&mut self) {
        self.stop = CancellationToken::new();
        // Each controller with its own rights, as in `sheave server`: what a role lacks fails here.
        let shared = self.server.client(Identity::user("system:kube-controller-manager", &[]));
        let server = self.server.clone();
        let account = move |name: &str| server.client(Identity::service_account("kube-system", name));
        let controllers =
            sheave_controllers::run(Clients::new(shared, account), self.options.clone(), self.stop.clone());
        self.controllers = Some(tokio::spawn(controllers));
    }

    /// Ends the controllers in the middle of whatever they do, as a crash would.
    pub(crate) async fn kill_controllers(&mut self) {
        if let Some(controllers) = self.controllers.take() {
            controllers.abort();
            let _ = controllers.await;
        }
    }

    /// The objects of kind `K` in the namespace `default`.
    pub(crate) fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// Makes an object in the namespace `default`.
    pub(crate) async fn create<K: Kind>(&self, object: Value) -> K {
        let object: K = serde_json::from_value(object).expect("an object of that kind");
        let created = self.api::<K>().create(&PostParams::default(), &object).await;
        created.unwrap_or_else(|error| panic!("cannot create {object:?}: {error}"))
    }

    /// Changes an object by a merge patch.
    pub(crate) async fn merge<K: Kind>(&self, name: &str, patch: Value) -> K {
        let patched = self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.unwrap_or_else(|error| panic!("cannot patch {name}: {error}"))
    }

    /// Deletes an object as `kubectl delete` does.
    pub(crate) async fn delete<K: Kind>(&self, name: &str) {
        let deleted = self.api::<K>().delete(name, &DeleteParams::background()).await;
        deleted.unwrap_or_else(|error| panic!("cannot delete {name}: {error}"));
    }

    /// One object.
    pub(crate) async fn get<K: Kind>(&self, name: &str) -> K {
        self.api::<K>().get(name).await.unwrap_or_else(|error| panic!("cannot get {name}: {error}"))
    }

    /// All objects of kind `K` in the namespace `default`, by name.
    pub(crate) async fn list<K: Kind>(&self) -> Vec<K> {
        let mut items = self.api::<K>().list(&ListParams::default()).await.expect("a list").items;
        items.sort_by(|one, two| one.meta().name.cmp(&two.meta().name));
        items
    }

    /// The pods with the label `key=value`, neither finished nor on their way out.
    pub(crate) async fn active_pods(&self, key: &str, value: &str) -> Vec<Pod> {
        let mut pods = self.list::<Pod>().await;
        pods.retain(|pod| {
            let labels = pod.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get(key)).is_some_and(|found| found == value)
                && pod.metadata.deletion_timestamp.is_none()
                && !matches!(phase(pod), "Succeeded" | "Failed")
        });
        pods
    }

    /// The events of an object, as `reason: message`.
    pub(crate) async fn events_of(&self, name: &str) -> Vec<String> {
        let mut events = self.list::<Event>().await;
        events.retain(|event| event.involved_object.name.as_deref() == Some(name));
        let line = |event: &Event| {
            format!("{}: {}", event.reason.clone().unwrap_or_default(), event.message.clone().unwrap_or_default())
        };
        events.iter().map(line).collect()
    }

    /// Waits until `check` gives something, and returns it.
    pub(crate) async fn eventually<T, F>(&self, what: &str, mut check: F) -> T
    where
        F: AsyncFnMut() -> Option<T>,
    {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = check().await {
                return found;
            }
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until an object satisfies `check`, and returns it.
    pub(crate) async fn until<K: Kind>(&self, name: &str, what: &str, check: impl Fn(&K) -> bool) -> K {
        let mut last = None;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(object) = self.api::<K>().get_opt(name).await.expect("the API answers") {
                if check(&object) {
                    return object;
                }
                last = Some(object);
            }
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}; {name} is {}", json!(last));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until an object is gone.
    pub(crate) async fn gone<K: Kind>(&self, name: &str) {
        let what = format!("{name} is gone");
        self.eventually(&what, async || {
            let found = self.api::<K>().get_opt(name).await.expect("the API answers");
            found.is_none().then_some(())
        })
        .await;
    }

    /// Waits until exactly `count` active pods have the label.
    pub(crate) async fn pods(&self, key: &str, value: &str, count: usize) -> Vec<Pod> {
        let what = format!("{count} pods with {key}={value}");
        self.eventually(&what, async || {
            let pods = self.active_pods(key, value).await;
            (pods.len() == count).then_some(pods)
        })
        .await
    }

    /// Asserts that `holds` is true at every look for a while: long enough for a controller that would do wrong to
    /// have done it.
    pub(crate) async fn stays<F>(&self, what: &str, mut holds: F)
    where
        F: AsyncFnMut() -> bool,
    {
        for _ in 0..15 {
            assert!(holds().await, "does not stay: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop.cancel();
        self.kubelet.iter().for_each(JoinHandle::abort);
        if let Some(controllers) = self.controllers.take() {
            controllers.abort();
        }
        self.server.drain();
    }
}

/// The phase of a pod.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

/// Whether a pod is ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Reports every pod that is not reported yet as running and ready, whether it has a node or not: what is tested here
/// is who makes and removes pods, not where they run.
async fn report_ready(client: Client) {
    let pods = Api::<Pod>::all(client.clone());
    let mut events = pin!(watcher(pods, watcher::Config::default()).default_backoff().applied_objects());
    while let Some(event) = events.next().await {
        let Ok(pod) = event else { continue };
        if phase(&pod) == "Pending" && pod.metadata.deletion_timestamp.is_none() {
            let (namespace, name) = (pod.metadata.namespace.unwrap_or_default(), pod.metadata.name.unwrap_or_default());
            let now = jiff::Timestamp::now().to_string();
            let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": now});
            let status = json!({"status": {"phase": "Running", "conditions": [ready]}});
            let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
            // A pod that has gone meanwhile needs no status.
            let _ = pods.patch_status(&name, &PatchParams::default(), &Patch::Strategic(status)).await;
        }
    }
}
