//! Puts controllers together: shared caches, queues, workers, and one orderly end.

use std::collections::HashSet;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::api::Requests;
use super::cache::{Cache, Cached};
use super::clients::Clients;
use super::clock::Clock;
use super::discovery::GroupKind;
use super::metrics::Metrics;
use super::queue::{WorkKey, WorkQueue};
use super::recorder::{EventWriter, Recorder, Recorders};
use super::watches::{MetadataHandler, Watches};
use super::worker::{Reconciler, workers};

/// Collects what is to run, then runs it.
pub struct Manager {
    clients: Clients,
    /// The service account of whoever is being added.
    account: Option<&'static str>,
    clock: Clock,
    metrics: Metrics,
    watches: Watches,
    recorders: Recorders,
    writer: EventWriter,
    tasks: Vec<Task>,
}

type Task = Box<dyn FnOnce(CancellationToken) -> Vec<BoxFuture<'static, ()>> + Send>;

/// Caches that must be complete before a controller may draw conclusions from what they lack.
#[derive(Default)]
pub struct Needs(Vec<BoxFuture<'static, ()>>);

// === impl Needs ===

impl Needs {
    /// Adds a cache.
    pub fn and<K: Cached>(mut self, cache: &Cache<K>) -> Self {
        let cache = cache.clone();
        self.0.push(async move { cache.synced().await }.boxed());
        self
    }

    async fn met(self) {
        futures::future::join_all(self.0).await;
    }
}

// === impl Manager ===

impl Manager {
    /// Nothing runs yet. What controllers count goes to `metrics`.
    pub fn new(clients: Clients, clock: Clock, metrics: Metrics) -> Self {
        let (recorders, writer) = Recorders::new(clients.shared().clone(), clock.clone());
        let watches = Watches::new(clients.shared().clone());
        Self { clients, account: None, clock, metrics, watches, recorders, writer, tasks: Vec::new() }
    }

    /// From here on, [`requests`](Self::requests) are made by this service account in kube-system.
    pub fn act_as(&mut self, account: Option<&'static str>) {
        self.account = account;
    }

    /// Requests to the API server, in the name of whoever is being added.
    pub fn requests(&self) -> Requests {
        Requests::new(self.clients.of(self.account))
    }

    /// The clock that everything here goes by.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The one cache of kind `K`.
    pub fn cache<K: Cached>(&mut self) -> Cache<K> {
        self.watches.cache()
    }

    /// Calls `handler` with the metadata of each object that any cache so far holds, before and after each change.
    /// Returns the kinds of those caches.
    pub fn on_metadata(
        &self,
        handler: impl Fn(&Arc<GroupKind>, Option<&ObjectMeta>, Option<&ObjectMeta>) + Send + Sync + 'static,
    ) -> HashSet<GroupKind> {
        let handler: MetadataHandler = Arc::new(handler);
        self.watches.on_metadata(&handler)
    }

    /// The recorder of the controller `name`.
    pub fn recorder(&self, name: &'static str) -> Recorder {
        self.recorders.component(name)
    }

    /// A work queue for the controller `name`.
    pub fn queue<Q: WorkKey>(&self, name: &'static str) -> WorkQueue<Q> {
        WorkQueue::new(self.clock.clone(), self.metrics.controller(name))
    }

    /// Runs `reconciler` over `queue` with so many workers, once the caches that it needs are complete.
    pub fn run<R: Reconciler>(
        &mut self,
        name: &'static str,
        count: usize,
        needs: Needs,
        queue: WorkQueue<R::Key>,
        reconciler: R,
    ) {
        let metrics = self.metrics.controller(name);
        self.background(move |stop| {
            async move {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = needs.met() => {}
                }
                let workers = workers(reconciler, &queue, &metrics, name, count, &stop);
                info!(controller = name, workers = count, "started");
                JoinSet::from_iter(workers).join_all().await;
            }
            .boxed()
        });
    }

    /// Runs a future beside the controllers; it has to end when the token is cancelled.
    pub fn background(&mut self, task: impl FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send + 'static) {
        self.tasks.push(Box::new(move |stop| vec![task(stop)]));
    }

    /// Runs everything until `stop` is cancelled and every run in progress is done.
    pub async fn until(self, stop: CancellationToken) {
        let mut running = JoinSet::new();
        for driver in self.watches.into_drivers(&stop) {
            running.spawn(driver);
        }
        for task in self.tasks.into_iter().flat_map(|task| task(stop.clone())) {
            running.spawn(task);
        }
        running.spawn(self.writer.run(stop));
        while let Some(ended) = running.join_next().await {
            if let Err(error) = ended {
                tracing::error!(error = &error as &dyn std::error::Error, "a part of the controllers ended early");
            }
        }
    }
}
