//! The loop: watched objects go into the cluster and the queue, decisions come out, bindings are sent without waiting.

mod binding;
mod inventory;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::cluster::Cluster;
use crate::decide::{Decision, Unschedulable, decide};
use crate::pod::PodRequirements;
use crate::queue::{Change, Queue};
use binding::{Binder, Bound};
use inventory::Inventory;

/// So many pods are decided between two looks at the watches.
const BATCH: usize = 128;
/// How often pods are looked for that nothing has woken for very long.
const OVERDUE_EVERY: Duration = Duration::from_secs(30);

/// Settings of the scheduler.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pods whose `spec.schedulerName` is this are scheduled.
    pub name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { name: "default-scheduler".to_owned() }
    }
}

/// Schedules pods until `shutdown` is cancelled.
///
/// Watches that break are opened again with back-off; a binding that fails is logged and the pod tried again. Only one
/// scheduler of a name may run against a cluster.
pub async fn run(client: Client, options: Options, shutdown: CancellationToken) {
    let (bound_sender, bound) = mpsc::unbounded_channel();
    let mut scheduler = Scheduler {
        binder: Binder::new(client.clone(), &options.name, bound_sender),
        options,
        cluster: Cluster::default(),
        queue: Queue::default(),
        start: 0,
        nodes: Inventory::default(),
        pods: Inventory::default(),
        namespaces: Inventory::default(),
        told: HashMap::new(),
    };
    let events = events(client, bound);
    tokio::select! {
        () = scheduler.work(events) => {}
        () = shutdown.cancelled() => debug!("scheduler ends"),
    }
}

/// Everything that can wake the scheduler.
enum Event {
    Node(Box<watcher::Event<Node>>),
    Pod(Box<watcher::Event<Pod>>),
    Namespace(Box<watcher::Event<Namespace>>),
    Bound(Bound),
    Overdue,
}

struct Scheduler {
    options: Options,
    cluster: Cluster,
    queue: Queue,
    binder: Binder,
    /// Where in the ring of nodes the next decision begins.
    start: usize,
    nodes: Inventory,
    pods: Inventory,
    namespaces: Inventory,
    /// The message that each waiting pod's condition has, so that it is written only when it changes.
    told: HashMap<String, String>,
}

/// All sources in one stream.
fn events(client: Client, bound: mpsc::UnboundedReceiver<Bound>) -> BoxStream<'static, Event> {
    let bound = futures::stream::unfold(bound, async |mut bound| Some((Event::Bound(bound.recv().await?), bound)));
    let overdue = futures::stream::unfold(tokio::time::interval(OVERDUE_EVERY), async |mut interval| {
        interval.tick().await;
        Some((Event::Overdue, interval))
    });
    futures::stream::select_all([
        watched::<Node>(client.clone()).map(|event| Event::Node(Box::new(event))).boxed(),
        watched::<Pod>(client.clone()).map(|event| Event::Pod(Box::new(event))).boxed(),
        watched::<Namespace>(client).map(|event| Event::Namespace(Box::new(event))).boxed(),
        bound.boxed(),
        overdue.boxed(),
    ])
    .boxed()
}

fn watched<K>(client: Client) -> impl Stream<Item = watcher::Event<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
{
    let events = watcher(Api::<K>::all(client), watcher::Config::default()).default_backoff();
    events.filter_map(async |event| match event {
        Ok(event) => Some(event),
        Err(error) => {
            warn!(kind = %K::kind(&()), %error, "the scheduler's watch broke and is opened again");
            None
        }
    })
}

// === impl Scheduler ===

impl Scheduler {
    /// Takes in everything that has come before it decides; between decisions it never waits for the API.
    async fn work(&mut self, mut events: BoxStream<'static, Event>) {
        loop {
            let wake = self.queue.next_wake().map(tokio::time::Instant::from_std);
            let back_off = async {
                match wake {
                    Some(wake) => tokio::time::sleep_until(wake).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => self.take(event),
                    None => return,
                },
                () = back_off => {}
            }
            while let Some(Some(event)) = futures::FutureExt::now_or_never(events.next()) {
                self.take(event);
            }
            while self.is_synced() && self.decide_batch() {
                while let Some(Some(event)) = futures::FutureExt::now_or_never(events.next()) {
                    self.take(event);
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// Nothing is decided on half of the cluster.
    fn is_synced(&self) -> bool {
        self.nodes.is_synced() && self.pods.is_synced() && self.namespaces.is_synced()
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Node(event) => self.take_node(*event),
            Event::Pod(event) => self.take_pod(*event),
            Event::Namespace(event) => self.take_namespace(*event),
            Event::Bound(bound) => self.take_bound(bound),
            Event::Overdue => self.queue.wake_overdue(Instant::now()),
        }
    }

    fn take_node(&mut self, event: watcher::Event<Node>) {
        for name in self.nodes.take(&event, |node: &Node| node.metadata.name.clone().unwrap_or_default()) {
            self.cluster.remove_node(&name);
        }
        if let watcher::Event::Apply(node) | watcher::Event::InitApply(node) = event
            && self.cluster.set_node(&node)
        {
            self.wake_for_node(node.metadata.name.as_deref().unwrap_or_default());
        }
    }

    fn take_namespace(&mut self, event: watcher::Event<Namespace>) {
        for name in self.namespaces.take(&event, |object: &Namespace| object.metadata.name.clone().unwrap_or_default())
        {
            self.cluster.remove_namespace(&name);
        }
        if let watcher::Event::Apply(object) | watcher::Event::InitApply(object) = event {
            let name = object.metadata.name.unwrap_or_default();
            self.cluster.set_namespace(&name, object.metadata.labels.unwrap_or_default());
            self.queue.wake(Change::Namespace, Instant::now());
        }
    }

    fn take_pod(&mut self, event: watcher::Event<Pod>) {
        for uid in self.pods.take(&event, |pod: &Pod| pod.metadata.uid.clone().unwrap_or_default()) {
            self.forget(&uid);
        }
        if let watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) = event {
            let requirements = Arc::new(self.cluster.compile(&pod));
            self.set_pod(requirements, pod.metadata.deletion_timestamp.is_some());
        }
    }

    fn set_pod(&mut self, pod: Arc<PodRequirements>, deleting: bool) {
        let now = Instant::now();
        if pod.ended {
            self.forget(&pod.uid.clone());
        } else if let Some(node) = pod.node_name.clone() {
            self.told.remove(&pod.uid);
            self.queue.remove(&pod.uid);
            if self.cluster.set_pod(pod, &node) {
                self.queue.wake(Change::PodCame, now);
            }
        } else if deleting || pod.gated || pod.scheduler_name != self.options.name {
            self.queue.remove(&pod.uid);
        } else if self.cluster.node_of(&pod.uid).is_none() {
            // A pod that is assumed on a node is left alone: its binding is on the way.
            self.queue.set(pod, now);
        }
    }

    fn forget(&mut self, uid: &str) {
        self.told.remove(uid);
        self.queue.remove(uid);
        self.take_off(uid);
    }

    /// Takes a pod off its node, which may now take another.
    fn take_off(&mut self, uid: &str) {
        let node = self.cluster.node_of(uid).map(str::to_owned);
        if self.cluster.remove_pod(uid) {
            self.wake_for_node(&node.unwrap_or_default());
        }
    }

    fn wake_for_node(&mut self, node: &str) {
        let cluster = &self.cluster;
        self.queue.wake(Change::Node(&|pod| cluster.would_take(node, pod)), Instant::now());
    }

    fn take_bound(&mut self, bound: Bound) {
        let Err(error) = bound.outcome else { return };
        warn!(pod = %bound.pod.full_name(), %error, "cannot bind the pod; it is tried again");
        self.take_off(&bound.pod.uid);
        self.queue.failed(&bound.pod.uid, Instant::now());
    }

    /// Decides some pods; whether there may be more.
    fn decide_batch(&mut self) -> bool {
        for _ in 0..BATCH {
            let Some(pod) = self.queue.pop(Instant::now()) else { return false };
            match decide(&self.cluster, &pod, &mut self.start) {
                Decision::Node(node) => {
                    self.cluster.set_pod(Arc::clone(&pod), &node);
                    // The API's word of it will be nothing new, so whoever waits for this pod is woken here.
                    self.queue.wake(Change::PodCame, Instant::now());
                    self.binder.bind(pod, node);
                }
                Decision::Unschedulable(why) => self.leave_waiting(&pod, &why),
            }
        }
        true
    }

    fn leave_waiting(&mut self, pod: &Arc<PodRequirements>, why: &Unschedulable) {
        self.queue.unschedulable(&pod.uid, why.reasons.keys(), Instant::now());
        let message = why.to_string();
        let changed = self.told.insert(pod.uid.clone(), message.clone()).as_ref() != Some(&message);
        self.binder.report_unschedulable(Arc::clone(pod), message, changed);
    }
}
