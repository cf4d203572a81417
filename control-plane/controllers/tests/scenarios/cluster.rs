//! A cluster in one process: the real API server over a store in memory, the controllers under test, simulated nodes,
//! and a scheduler that takes the next node.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sheave_apiserver::{ApiServer, Identity, store_options};
use sheave_controllers::runtime::clock::Clock;
use sheave_controllers::{CancellationToken, Options};
use sheave_store::Store;
use simulated_nodes::{NodeTemplate, SimulatedNodes};
use tokio::task::JoinHandle;

/// How long a condition may take before a test gives up. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running cluster; everything ends when it is dropped.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) clock: Clock,
    pub(crate) nodes: SimulatedNodes,
    server: ApiServer,
    stop: CancellationToken,
    scheduler: JoinHandle<()>,
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
    /// Two nodes, and the controllers that `controllers` selects as `--controllers` does.
    pub(crate) async fn start(controllers: &str) -> Self {
        let nodes = (1..=2).map(|number| NodeTemplate::new(format!("node-{number}")));
        Self::start_with(nodes, Options { controllers: controllers.parse().unwrap(), ..Options::default() }).await
    }

    /// These nodes, and controllers with these options.
    pub(crate) async fn start_with(nodes: impl IntoIterator<Item = NodeTemplate>, options: Options) -> Self {
        let store = Store::in_memory(store_options()).expect("a store in memory opens");
        let server = ApiServer::start(Arc::new(store), sheave_apiserver::Options::default()).await;
        let server = server.expect("the bootstrap objects are made");
        let client = server.client(Identity::admin());
        let mut cluster = Self {
            nodes: SimulatedNodes::start(client.clone(), nodes).await,
            scheduler: tokio::spawn(bind_round_robin(client.clone())),
            clock: options.clock.clone(),
            client,
            server,
            stop: CancellationToken::new(),
            controllers: None,
            options,
        };
        cluster.start_controllers();
        cluster
    }

    /// Starts the controllers after [`Self::kill_controllers`].
    pub(crate) fn start_controllers(&mut self) {
        self.stop = CancellationToken::new();
        let client = self.server.client(Identity::admin());
        let controllers = sheave_controllers::run(client, self.options.clone(), self.stop.clone());
        self.controllers = Some(tokio::spawn(controllers));
    }

    /// Ends the controllers in the middle of whatever they do, as a crash would.
    pub(crate) async fn kill_controllers(&mut self) {
        if let Some(controllers) = self.controllers.take() {
            controllers.abort();
            let _ = controllers.await;
        }
    }

    /// Asks the controllers to end, and waits for it.
    pub(crate) async fn stop_controllers(&mut self) {
        self.stop.cancel();
        if let Some(controllers) = self.controllers.take() {
            controllers.await.expect("the controllers end in order");
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
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}; {name} is {last:#?}");
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
        self.scheduler.abort();
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

/// Binds each new pod to the next node, or to the one that its node affinity names.
async fn bind_round_robin(client: Client) {
    let pods = Api::<Pod>::all(client.clone());
    let mut events = pin!(watcher(pods, watcher::Config::default()).default_backoff().applied_objects());
    let mut next = 0;
    while let Some(event) = events.next().await {
        let Ok(pod) = event else { continue };
        if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_none()) && pod.metadata.deletion_timestamp.is_none() {
            let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await;
            let names: Vec<_> = nodes.into_iter().flatten().filter_map(|node| node.metadata.name).collect();
            if let Some(node) = required_node(&pod).or_else(|| names.get(next % names.len().max(1)).cloned()) {
                next += 1;
                bind(&client, &pod, &node).await;
            }
        }
    }
}

async fn bind(client: &Client, pod: &Pod, node: &str) {
    let (namespace, name) = (pod.metadata.namespace.clone().unwrap_or_default(), pod.metadata.name.clone());
    let name = name.unwrap_or_default();
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": {"kind": "Node", "name": node}});
    let body = serde_json::to_vec(&binding).expect("a Binding");
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    // A pod that has gone meanwhile needs no node.
    let _: Result<Value, _> = pods.create_subresource("binding", &name, &PostParams::default(), &body_of(body)).await;
}

fn body_of(bytes: Vec<u8>) -> Value {
    serde_json::from_slice(&bytes).expect("JSON")
}

fn required_node(pod: &Pod) -> Option<String> {
    let affinity = pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
    let terms = &affinity.required_during_scheduling_ignored_during_execution.as_ref()?.node_selector_terms;
    let field =
        terms.iter().flat_map(|term| term.match_fields.iter().flatten()).find(|field| field.key == "metadata.name");
    field?.values.as_ref()?.first().cloned()
}

/// Labels as a map, for comparing.
pub(crate) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
