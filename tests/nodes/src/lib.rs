//! Nodes that run nothing: they register, renew their lease, and report pods as told.
//!
//! A pod that is bound to a simulated node is reported Running and ready at once, or finished where its restart policy
//! says that it is meant to end. Annotations of the pod tell otherwise:
//!
//! | annotation | effect |
//! |---|---|
//! | `simulated-nodes/ready: "false"` | runs, never ready |
//! | `simulated-nodes/exit-code: "3"` | the containers end with 3 (restarted or not by the restart policy) |
//! | `simulated-nodes/runs: "forever"` | keeps running although its restart policy is not `Always` |
//! | `simulated-nodes/starts: "never"` | stays Pending in `ContainerCreating` |
//!
//! A change of the annotations takes effect at once. A pod with a deletion timestamp is removed at once.

mod node;
mod pod;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

pub use node::NodeTemplate;

/// Some nodes; dropping them is like pulling all their plugs: the objects stay, nobody renews or reports any more.
pub struct SimulatedNodes {
    client: Client,
    names: Arc<Mutex<BTreeSet<String>>>,
    reporter: JoinHandle<()>,
    heart: JoinHandle<()>,
}

impl SimulatedNodes {
    /// Registers `templates` and begins to report the pods that are bound to them.
    ///
    /// # Panics
    /// When a Node cannot be made.
    pub async fn start(client: Client, templates: impl IntoIterator<Item = NodeTemplate>) -> Self {
        let names = Arc::new(Mutex::new(BTreeSet::new()));
        let reporter = tokio::spawn(report_pods(client.clone(), Arc::clone(&names)));
        let heart = tokio::spawn(node::renew_leases(client.clone(), Arc::clone(&names)));
        let nodes = Self { client, names, reporter, heart };
        for template in templates {
            nodes.add(&template).await;
        }
        nodes
    }

    /// Nodes called `node-1` to `node-COUNT`, as [`NodeTemplate::new`] makes them.
    ///
    /// # Panics
    /// When a Node cannot be made.
    pub async fn start_plain(client: Client, count: usize) -> Self {
        Self::start(client, (1..=count).map(|number| NodeTemplate::new(format!("node-{number}")))).await
    }

    /// Adds one node to a running cluster.
    ///
    /// # Panics
    /// When the Node cannot be made.
    pub async fn add(&self, template: &NodeTemplate) {
        // Before the Node exists: the first pod may be bound as soon as it does.
        self.names.lock().insert(template.name.clone());
        node::register(&self.client, template).await;
    }

    /// Pulls the plug of one node: its lease is not renewed and its pods are not reported any more.
    pub fn silence(&self, name: &str) {
        self.names.lock().remove(name);
    }

    /// Puts the plug back.
    ///
    /// # Panics
    /// When the Node's status cannot be written.
    pub async fn wake(&self, name: &str) {
        self.names.lock().insert(name.to_owned());
        node::report_ready(&self.client, name).await;
        for pod in Api::<Pod>::all(self.client.clone()).list(&kube::api::ListParams::default()).await.expect("pods") {
            if is_ours(&pod, &self.names) {
                pod::report(&self.client, &pod).await;
            }
        }
    }
}

impl std::fmt::Debug for SimulatedNodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SimulatedNodes").field(&self.names.lock()).finish()
    }
}

impl Drop for SimulatedNodes {
    fn drop(&mut self) {
        self.reporter.abort();
        self.heart.abort();
    }
}

/// Follows every pod, and reports those of our nodes; each in a task of its own, so that a slow one holds up nobody.
async fn report_pods(client: Client, names: Arc<Mutex<BTreeSet<String>>>) {
    let pods = Api::<Pod>::all(client.clone());
    let mut events = std::pin::pin!(watcher(pods, watcher::Config::default()).default_backoff().applied_objects());
    while let Some(event) = events.next().await {
        let Ok(pod) = event else { continue };
        if is_ours(&pod, &names) {
            let client = client.clone();
            tokio::spawn(async move { pod::report(&client, &pod).await });
        }
    }
}

fn is_ours(pod: &Pod, names: &Mutex<BTreeSet<String>>) -> bool {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    node.is_some_and(|node| names.lock().contains(node)) && !pod.name_any().is_empty()
}
