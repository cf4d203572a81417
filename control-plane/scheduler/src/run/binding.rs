//! What the scheduler writes: bindings, conditions and events, each in a task of its own.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use tracing::warn;

use crate::pod::PodRequirements;

/// So many writes are on the way at once; more would only queue up in the API server.
const AT_ONCE: usize = 64;

/// How a binding went.
pub(super) struct Bound {
    pub(super) pod: Arc<PodRequirements>,
    pub(super) outcome: Result<(), kube::Error>,
}

/// Sends bindings and reports.
#[derive(Clone)]
pub(super) struct Binder {
    client: Client,
    recorder: Recorder,
    permits: Arc<Semaphore>,
    bound: mpsc::UnboundedSender<Bound>,
}

// === impl Binder ===

impl Binder {
    /// The outcome of each binding is told on `bound`.
    pub(super) fn new(client: Client, name: &str, bound: mpsc::UnboundedSender<Bound>) -> Self {
        let reporter = Reporter { controller: name.to_owned(), instance: None };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, recorder, permits: Arc::new(Semaphore::new(AT_ONCE)), bound }
    }

    /// Binds a pod, in the background.
    pub(super) fn bind(&self, pod: Arc<PodRequirements>, node: String) {
        let binder = self.clone();
        tokio::spawn(async move {
            let _permit = binder.permits.acquire().await;
            let outcome = binder.post(&pod, &node).await;
            let bound = outcome.is_ok();
            // The receiver is gone only when the scheduler has ended.
            let _ = binder.bound.send(Bound { pod: Arc::clone(&pod), outcome });
            if bound {
                let note = format!("Successfully assigned {} to {node}", pod.full_name());
                binder.record(&pod, EventType::Normal, "Scheduled", "Binding", note).await;
            }
        });
    }

    /// Tells why a pod waits: an event each time, the condition when the message has changed.
    pub(super) fn report_unschedulable(&self, pod: Arc<PodRequirements>, message: String, changed: bool) {
        let binder = self.clone();
        tokio::spawn(async move {
            let _permit = binder.permits.acquire().await;
            if changed && let Err(error) = binder.patch_condition(&pod, &message).await {
                warn!(pod = %pod.full_name(), %error, "cannot write the condition PodScheduled");
            }
            binder.record(&pod, EventType::Warning, "FailedScheduling", "Scheduling", message).await;
        });
    }

    async fn post(&self, pod: &PodRequirements, node: &str) -> Result<(), kube::Error> {
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": { "name": pod.name, "namespace": pod.namespace, "uid": pod.uid },
            "target": { "apiVersion": "v1", "kind": "Node", "name": node },
        });
        let parameters = PostParams::default();
        self.pods(pod).create_subresource::<Value, Value>("binding", &pod.name, &parameters, &binding).await?;
        Ok(())
    }

    async fn patch_condition(&self, pod: &PodRequirements, message: &str) -> Result<(), kube::Error> {
        let now = jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default().to_string();
        let patch = json!({
            "metadata": { "uid": pod.uid },
            "status": { "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                "lastTransitionTime": now, "lastProbeTime": null,
            }]},
        });
        self.pods(pod).patch_status(&pod.name, &PatchParams::default(), &Patch::Strategic(patch)).await?;
        Ok(())
    }

    async fn record(&self, pod: &PodRequirements, type_: EventType, reason: &str, action: &str, note: String) {
        let event =
            Event { type_, reason: reason.to_owned(), action: action.to_owned(), note: Some(note), secondary: None };
        let reference = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(pod.name.clone()),
            namespace: Some(pod.namespace.clone()),
            uid: Some(pod.uid.clone()),
            ..ObjectReference::default()
        };
        if let Err(error) = self.recorder.publish(&event, &reference).await {
            warn!(pod = %pod.full_name(), %error, "cannot write an event");
        }
    }

    fn pods(&self, pod: &PodRequirements) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &pod.namespace)
    }
}
