//! The node in the API: it registers, says how it does, and renews its lease.

pub mod facts;
mod lease;
pub mod object;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerImage, Node, NodeCondition};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use object::{Description, Health};

use crate::event::Recorder;
use crate::runtime::{Observer, Runtime};

/// How often the runtime is asked how it does: often while the node waits for it.
const ASK_WAITING: Duration = Duration::from_millis(250);
const ASK_READY: Duration = Duration::from_secs(2);
/// How often the status is reported when nothing has changed.
const REPORT_EVERY: Duration = Duration::from_secs(300);
/// How often the API is asked whether it still says what was reported: while a node is silent, controllers speak for it,
/// and somebody may delete it.
const COMPARE_EVERY: Duration = Duration::from_secs(10);
/// Pause after the API server refused something.
const AGAIN: Duration = Duration::from_secs(1);

/// Keeps the node's object.
pub struct Reporter {
    client: Client,
    runtime: Runtime,
    observer: Observer,
    recorder: Recorder,
    description: Description,
    /// Why the runtime's network is not ready; none when it is.
    network: watch::Sender<Option<String>>,
    /// What was reported last.
    conditions: Vec<NodeCondition>,
    images: Vec<ContainerImage>,
}

// === impl Reporter ===

impl Reporter {
    /// A reporter that has said nothing yet; the receiver hears of the runtime's network.
    #[must_use]
    pub fn new(
        client: Client,
        runtime: Runtime,
        observer: Observer,
        recorder: Recorder,
        description: Description,
    ) -> (Self, watch::Receiver<Option<String>>) {
        let (network, receiver) = watch::channel(Some("the runtime has not been asked yet".to_owned()));
        let (conditions, images) = (Vec::new(), Vec::new());
        (Self { client, runtime, observer, recorder, description, network, conditions, images }, receiver)
    }

    /// Registers, then reports until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        self.recorder.node(&self.description.name, "Starting", "Starting kubelet.");
        let lease = tokio::spawn(lease::renew(self.client.clone(), self.description.name.clone(), stop.clone()));
        let mut health = None;
        let mut reported = tokio::time::Instant::now();
        let mut compared = reported;
        while !stop.is_cancelled() {
            let now = self.look().await;
            let mut is_due = reported.elapsed() >= REPORT_EVERY;
            if health.is_some() && compared.elapsed() >= COMPARE_EVERY {
                is_due |= self.is_overruled().await;
                compared = tokio::time::Instant::now();
            }
            let mut pause = if now.not_ready.is_some() { ASK_WAITING } else { ASK_READY };
            if health.as_ref() != Some(&now) || is_due {
                match self.report(&now).await {
                    Ok(()) => {
                        self.tell(health.as_ref(), &now);
                        (health, reported) = (Some(now), tokio::time::Instant::now());
                    }
                    Err(error) => {
                        warn!(%error, "the node's status could not be reported");
                        pause = AGAIN;
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        let _ = lease.await;
    }

    /// How the node does now.
    async fn look(&self) -> Health {
        let status = self.runtime.status(false).await;
        let status = status.map(|answer| answer.status.unwrap_or_default().conditions);
        let complaint = |kind: &str, conditions: &[k8s_cri::v1::RuntimeCondition]| {
            let condition = conditions.iter().find(|condition| condition.r#type == kind && !condition.status)?;
            let (reason, message) = (&condition.reason, &condition.message);
            Some(format!("{kind}=false reason:{reason} message:{message}"))
        };
        let (runtime, network) = match status {
            Ok(conditions) => (complaint("RuntimeReady", &conditions), complaint("NetworkReady", &conditions)),
            Err(error) => (Some(format!("container runtime is down: {error}")), None),
        };
        self.network.send_if_modified(|before| {
            let has_changed = *before != network;
            before.clone_from(&network);
            has_changed
        });
        let network = network.map(|cause| format!("container runtime network not ready: {cause}"));
        let silent =
            (!self.observer.is_healthy()).then(|| "PLEG is not healthy: containers were not listed lately".into());
        Health { not_ready: runtime.or(network).or(silent), ..Health::default() }
    }

    /// Whether the API says otherwise than was reported; what it says is then what the next report changes.
    async fn is_overruled(&mut self) -> bool {
        let node = match Api::<Node>::all(self.client.clone()).get_opt(&self.description.name).await {
            Ok(node) => node,
            Err(error) => {
                debug!(%error, "the node could not be read");
                return false;
            }
        };
        let said = node.and_then(|node| node.status?.conditions).unwrap_or_default();
        let agrees = |own: &NodeCondition| said.iter().any(|it| it.type_ == own.type_ && it.status == own.status);
        let is_overruled = !self.conditions.iter().all(agrees);
        if is_overruled {
            self.conditions = said;
        }
        is_overruled
    }

    /// Writes the status; registers the node if the API does not know it.
    async fn report(&mut self, health: &Health) -> kube::Result<()> {
        let nodes = Api::<Node>::all(self.client.clone());
        if self.conditions.is_empty() {
            self.register(&nodes).await?;
        }
        if let Ok(images) = self.runtime.list_images().await {
            self.images = object::images(images);
        }
        let conditions = health.conditions(&self.conditions, Timestamp::now());
        let status = self.description.status(&conditions, &self.images);
        let name = &self.description.name;
        match nodes.patch_status(name, &PatchParams::default(), &Patch::Strategic(status)).await {
            Ok(_) => {
                self.conditions = conditions;
                Ok(())
            }
            Err(error) => {
                if matches!(&error, kube::Error::Api(status) if status.is_not_found()) {
                    // Somebody deleted it: it registers again.
                    self.conditions.clear();
                }
                Err(error)
            }
        }
    }

    async fn register(&mut self, nodes: &Api<Node>) -> kube::Result<()> {
        let node = match nodes.create(&PostParams::default(), &self.description.node()).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                let labels = json!({ "metadata": { "labels": self.description.labels() } });
                nodes.patch(&self.description.name, &PatchParams::default(), &Patch::Merge(labels)).await?
            }
            created => created?,
        };
        info!(node = node.name_any(), "is registered");
        self.conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        Ok(())
    }

    fn tell(&self, before: Option<&Health>, now: &Health) {
        let name = &self.description.name;
        debug!(?now, "the node reported");
        let was_ready = before.map(|before| before.not_ready.is_none());
        match (was_ready, &now.not_ready) {
            (Some(true), None) => {}
            (_, None) => {
                self.recorder.node(name, "NodeReady", format!("Node {name} status is now: NodeReady"));
                info!("the node is ready");
            }
            (Some(false) | None, Some(cause)) => info!(cause, "the node is not ready"),
            (Some(true), Some(cause)) => {
                self.recorder.node(name, "NodeNotReady", format!("Node {name} status is now: NodeNotReady"));
                warn!(cause, "the node is not ready");
            }
        }
    }
}
