//! Tells users what controllers did, as Events of the object that it was done for.

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::clock::Clock;
use super::correlator::{Correlator, Verdict};

/// How serious an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Information.
    Normal,
    /// Something may go wrong.
    Warning,
}

/// Something that happened to an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Occurrence {
    /// The controller that reports it, such as `replicaset-controller`.
    pub component: &'static str,
    /// The object that it happened to.
    pub object: ObjectReference,
    /// How serious it is.
    pub severity: Severity,
    /// One word for programs, such as `SuccessfulCreate`.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// When it happened.
    pub at: Time,
}

/// Reports what one controller does. Never blocks and never fails: events are a courtesy.
#[derive(Clone)]
pub struct Recorder {
    component: &'static str,
    clock: Clock,
    sender: mpsc::Sender<Occurrence>,
}

/// Writes what the recorders of a process report, one after another.
pub struct EventWriter {
    client: Client,
    receiver: mpsc::Receiver<Occurrence>,
    correlator: Correlator,
}

/// Makes the recorder of each controller.
#[derive(Clone)]
pub struct Recorders {
    clock: Clock,
    sender: mpsc::Sender<Occurrence>,
}

/// Reports that wait to be written; beyond this, new ones are dropped.
const BACKLOG: usize = 1000;

/// A reference to `object`, as events and endpoints carry it.
pub fn reference<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    let meta = object.meta();
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        ..ObjectReference::default()
    }
}

// === impl Severity ===

impl Severity {
    /// As the `type` of an event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

// === impl Recorders ===

impl Recorders {
    /// The two ends: one for the controllers, one that writes.
    pub fn new(client: Client, clock: Clock) -> (Self, EventWriter) {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        (Self { clock, sender }, EventWriter { client, receiver, correlator: Correlator::default() })
    }

    /// The recorder of the controller `component`.
    pub fn component(&self, component: &'static str) -> Recorder {
        Recorder { component, clock: self.clock.clone(), sender: self.sender.clone() }
    }
}

// === impl Recorder ===

impl Recorder {
    /// Reports that `message` happened to `object`, which is fine.
    pub fn normal<K: Resource<DynamicType = ()>>(&self, object: &K, reason: &str, message: impl Into<String>) {
        self.report(reference(object), Severity::Normal, reason, message.into());
    }

    /// Reports that `message` happened to `object`, which may need somebody's attention.
    pub fn warning<K: Resource<DynamicType = ()>>(&self, object: &K, reason: &str, message: impl Into<String>) {
        self.report(reference(object), Severity::Warning, reason, message.into());
    }

    /// Reports an occurrence on whatever `object` refers to.
    pub fn report(&self, object: ObjectReference, severity: Severity, reason: &str, message: String) {
        let at = self.clock.time();
        let occurrence = Occurrence { component: self.component, object, severity, reason: reason.into(), message, at };
        if let Err(mpsc::error::TrySendError::Full(lost)) = self.sender.try_send(occurrence) {
            warn!(component = lost.component, reason = lost.reason, "too many events wait to be written, dropped one");
        }
    }
}

// === impl EventWriter ===

impl EventWriter {
    /// Writes until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let occurrence = tokio::select! {
                () = stop.cancelled() => return,
                occurrence = self.receiver.recv() => occurrence,
            };
            match occurrence {
                Some(occurrence) => self.write(occurrence).await,
                None => return,
            }
        }
    }

    async fn write(&mut self, occurrence: Occurrence) {
        let (reason, object) = (occurrence.reason.clone(), occurrence.object.name.clone().unwrap_or_default());
        let result = match self.correlator.observe(&occurrence) {
            Verdict::Drop => Ok(()),
            Verdict::Create { name, message } => self.create(&occurrence, &name, &message).await,
            Verdict::Count { name, message, count } => match self.count(&occurrence, &name, &message, count).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => {
                    let (name, message) = self.correlator.restart(&occurrence);
                    self.create(&occurrence, &name, &message).await
                }
                result => result,
            },
        };
        if let Err(error) = result {
            debug!(reason, object, error = &error as &dyn std::error::Error, "event could not be written");
        }
    }

    async fn create(&self, occurrence: &Occurrence, name: &str, message: &str) -> kube::Result<()> {
        let event = event(occurrence, name, message);
        self.api(&occurrence.object).create(&PostParams::default(), &event).await.map(drop)
    }

    async fn count(&self, occurrence: &Occurrence, name: &str, message: &str, count: i32) -> kube::Result<()> {
        let patch = json!({"count": count, "lastTimestamp": occurrence.at, "message": message});
        self.api(&occurrence.object).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
    }

    fn api(&self, object: &ObjectReference) -> Api<Event> {
        Api::namespaced(self.client.clone(), event_namespace(object))
    }
}

/// Events of cluster-scoped objects live in `default`.
fn event_namespace(object: &ObjectReference) -> &str {
    object.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or("default")
}

fn event(occurrence: &Occurrence, name: &str, message: &str) -> Event {
    Event {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(event_namespace(&occurrence.object).to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: occurrence.object.clone(),
        type_: Some(occurrence.severity.as_str().into()),
        reason: Some(occurrence.reason.clone()),
        message: Some(message.to_owned()),
        count: Some(1),
        first_timestamp: Some(occurrence.at.clone()),
        last_timestamp: Some(occurrence.at.clone()),
        source: Some(EventSource { component: Some(occurrence.component.into()), host: None }),
        reporting_component: Some(occurrence.component.into()),
        reporting_instance: Some(String::new()),
        ..Event::default()
    }
}
