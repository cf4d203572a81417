//! The server killed at random moments (`kill -9` of a real process) while it rolls out, runs a job, deletes: it ends
//! where it would have ended, and at no moment there was a pod too many.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says why and stops")]

mod process;

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use simulated_nodes::SimulatedNodes;
use tokio::task::JoinHandle;

use crate::process::{PATIENCE, Server};

/// Each crash doubles the time after which the simulated nodes look for the server again, so there are few.
const CRASHES: usize = 3;

struct Cluster {
    server: Server,
    client: Client,
    _nodes: SimulatedNodes,
}

/// Looks at the pods over and over, as long as the server answers.
struct Watcher {
    looks: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

// === impl Cluster ===

impl Cluster {
    async fn start() -> Self {
        let server = Server::start().await;
        let client = server.client().await;
        let nodes = SimulatedNodes::start_plain(client.clone(), 3).await;
        Self { server, client, _nodes: nodes }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    async fn create<K>(&self, object: Value)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
    {
        let object: K = serde_json::from_value(object).unwrap();
        self.api::<K>().create(&PostParams::default(), &object).await.unwrap();
    }

    /// Crashes several times, each after a moment of work.
    async fn crash(&mut self) {
        for _ in 0..CRASHES {
            let moment = rand::random_range(5..400);
            tokio::time::sleep(Duration::from_millis(moment)).await;
            eprintln!("killed after {moment} ms");
            self.server.crash().await;
        }
    }

    async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let began = Instant::now();
        while !holds().await {
            assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn pods(&self) -> Vec<Pod> {
        pods(&self.api()).await.unwrap()
    }
}

async fn pods(api: &Api<Pod>) -> Option<Vec<Pod>> {
    api.list(&ListParams::default()).await.ok().map(|list| list.items)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn is_active(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
}

fn image(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.containers.first()?.image.as_deref()
}

// === impl Watcher ===

impl Watcher {
    fn start(api: Api<Pod>, check: impl Fn(&[Pod]) + Send + 'static) -> Self {
        let looks = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn({
            let looks = Arc::clone(&looks);
            async move {
                loop {
                    if let Some(pods) = pods(&api).await {
                        check(&pods);
                        looks.fetch_add(1, Ordering::Relaxed);
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        });
        Self { looks, task }
    }

    /// Ends it; fails if a look has failed, or if there was none.
    async fn finish(self) {
        self.task.abort();
        match self.task.await {
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            _ => assert!(self.looks.load(Ordering::Relaxed) > 10, "nobody looked"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_stays_within_its_limits_and_ends_through_crashes() {
    let mut cluster = Cluster::start().await;
    let (replicas, surge, unavailable) = (6, 2, 1);
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "old"}]}});
    let strategy = json!({"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}});
    let spec = json!({"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template,
                      "strategy": strategy});
    cluster.create::<Deployment>(json!({"metadata": {"name": "web"}, "spec": spec})).await;
    cluster
        .until("all serve", async || cluster.pods().await.iter().filter(|pod| is_ready(pod)).count() == replicas)
        .await;

    let watcher = Watcher::start(cluster.api(), move |pods| {
        let active: Vec<_> = pods.iter().filter(|pod| is_active(pod)).collect();
        let available = active.iter().filter(|pod| is_ready(pod)).count();
        assert!(active.len() <= replicas + surge, "{} pods", active.len());
        assert!(available >= replicas - unavailable, "{available} of {} available", active.len());
    });
    let image_patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "new"}]}}}});
    let patch = Patch::Strategic(image_patch);
    cluster.api::<Deployment>().patch("web", &PatchParams::default(), &patch).await.unwrap();
    cluster.crash().await;
    let done = async || {
        let pods = cluster.pods().await;
        pods.len() == replicas && pods.iter().all(|pod| is_ready(pod) && image(pod) == Some("new"))
    };
    cluster.until("every pod is new, and there are no others", done).await;
    watcher.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_counts_every_completion_once_through_crashes() {
    let mut cluster = Cluster::start().await;
    let (completions, parallelism) = (30, 4);
    let watcher = Watcher::start(cluster.api(), move |pods| {
        let active = pods.iter().filter(|pod| is_active(pod)).count();
        assert!(active <= parallelism && pods.len() <= completions, "{active} run, {} in all", pods.len());
    });
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}});
    let spec = json!({"completions": completions, "parallelism": parallelism, "template": template});
    cluster.create::<Job>(json!({"metadata": {"name": "work"}, "spec": spec})).await;
    cluster.crash().await;
    let complete = async || {
        let job = cluster.api::<Job>().get("work").await.unwrap();
        let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|condition| condition.type_ == "Complete" && condition.status == "True")
    };
    cluster.until("the job is complete", complete).await;
    watcher.finish().await;
    let status = cluster.api::<Job>().get("work").await.unwrap().status.unwrap();
    assert_eq!((status.succeeded, status.failed, status.active), (Some(30), None, None));
    let pods = cluster.pods().await;
    assert_eq!(pods.len(), completions);
    assert!(pods.iter().all(|pod| pod.metadata.finalizers.is_none()), "nothing holds them any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_takes_everything_along_through_crashes() {
    let mut cluster = Cluster::start().await;
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"replicas": 60, "selector": {"matchLabels": {"app": "web"}}, "template": template});
    cluster.create::<Deployment>(json!({"metadata": {"name": "web"}, "spec": spec})).await;
    cluster.until("all serve", async || cluster.pods().await.iter().filter(|pod| is_ready(pod)).count() == 60).await;
    cluster.api::<Deployment>().delete("web", &DeleteParams::foreground()).await.unwrap();
    cluster.crash().await;
    let gone = async || {
        let sets = cluster.api::<ReplicaSet>().list(&ListParams::default()).await.unwrap().items;
        let deployment = cluster.api::<Deployment>().get_opt("web").await.unwrap();
        deployment.is_none() && sets.is_empty() && cluster.pods().await.is_empty()
    };
    cluster.until("nothing is left", gone).await;
}
