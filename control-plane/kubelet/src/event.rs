//! Tells users what happens to pods and to the node, as Events of the object that it happened to. The same event again
//! counts on the first one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::sync::mpsc;
use tracing::{debug, warn};

/// Who reports.
const COMPONENT: &str = "kubelet";
/// Reports that wait to be written; beyond this, new ones are dropped.
const BACKLOG: usize = 1000;
/// Different events that are remembered so that the same one counts on.
const REMEMBERED: usize = 4096;
/// How long the same event counts on.
const SAME_FOR: Duration = Duration::from_secs(600);

/// Reports what happens. Never blocks and never fails: events are a courtesy.
#[derive(Clone, Debug)]
pub struct Recorder {
    sender: mpsc::Sender<Occurrence>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Occurrence {
    object: Object,
    warning: bool,
    reason: String,
    message: String,
}

/// What an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Object {
    kind: &'static str,
    namespace: String,
    name: String,
    uid: String,
    field_path: Option<String>,
}

/// Writes what the recorders report, one after another.
struct Writer {
    client: Client,
    host: String,
    known: HashMap<Occurrence, Written>,
    /// For names of events: no two in a process are alike.
    sequence: u32,
}

#[derive(Clone, Debug)]
struct Written {
    name: String,
    count: i32,
    at: Instant,
}

// === impl Recorder ===

impl Recorder {
    /// A recorder of the node `host`; its events are written by a task that ends with the last clone.
    #[must_use]
    pub fn spawn(client: Client, host: &str) -> Self {
        let (sender, mut receiver) = mpsc::channel(BACKLOG);
        let mut writer = Writer { client, host: host.to_owned(), known: HashMap::new(), sequence: 0 };
        tokio::spawn(async move {
            while let Some(occurrence) = receiver.recv().await {
                writer.write(occurrence).await;
            }
        });
        Self { sender }
    }

    /// Something that is fine happened to a pod.
    pub fn pod(&self, pod: &Pod, reason: &str, message: impl Into<String>) {
        self.report(pod_object(pod, None), false, reason, message.into());
    }

    /// Something that may need somebody's attention happened to a pod.
    pub fn pod_warning(&self, pod: &Pod, reason: &str, message: impl Into<String>) {
        self.report(pod_object(pod, None), true, reason, message.into());
    }

    /// Something that is fine happened to a container.
    pub fn container(&self, pod: &Pod, container: &str, reason: &str, message: impl Into<String>) {
        self.report(pod_object(pod, Some(container)), false, reason, message.into());
    }

    /// Something that may need somebody's attention happened to a container.
    pub fn container_warning(&self, pod: &Pod, container: &str, reason: &str, message: impl Into<String>) {
        self.report(pod_object(pod, Some(container)), true, reason, message.into());
    }

    /// Something happened to the node.
    pub fn node(&self, name: &str, reason: &str, message: impl Into<String>) {
        // As everywhere in Kubernetes, the UID of a node in its kubelet's events is its name.
        let (name, uid) = (name.to_owned(), name.to_owned());
        self.report(Object { kind: "Node", name, uid, ..Object::default() }, false, reason, message.into());
    }

    fn report(&self, object: Object, warning: bool, reason: &str, message: String) {
        let occurrence = Occurrence { object, warning, reason: reason.to_owned(), message };
        if let Err(mpsc::error::TrySendError::Full(lost)) = self.sender.try_send(occurrence) {
            warn!(lost.reason, "too many events wait to be written, dropped one");
        }
    }
}

fn pod_object(pod: &Pod, container: Option<&str>) -> Object {
    let list = |container: &str| {
        let spec = pod.spec.as_ref();
        let is_init = spec.and_then(|spec| spec.init_containers.as_ref());
        let is_init = is_init.is_some_and(|containers| containers.iter().any(|init| init.name == container));
        if is_init { "initContainers" } else { "containers" }
    };
    Object {
        kind: "Pod",
        namespace: pod.namespace().unwrap_or_default(),
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        field_path: container.map(|container| format!("spec.{}{{{container}}}", list(container))),
    }
}

// === impl Writer ===

impl Writer {
    async fn write(&mut self, occurrence: Occurrence) {
        let written = match self.known.get(&occurrence).filter(|known| known.at.elapsed() < SAME_FOR).cloned() {
            Some(known) => match self.count(&occurrence, &known).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => self.create(&occurrence).await,
                counted => counted,
            },
            None => self.create(&occurrence).await,
        };
        match written {
            Ok(written) => self.remember(occurrence, written),
            Err(error) => debug!(%error, occurrence.reason, "an event could not be written"),
        }
    }

    fn remember(&mut self, occurrence: Occurrence, written: Written) {
        if self.known.len() >= REMEMBERED {
            self.known.retain(|_, known| known.at.elapsed() < SAME_FOR / 10);
        }
        self.known.insert(occurrence, written);
    }

    async fn count(&self, occurrence: &Occurrence, known: &Written) -> kube::Result<Written> {
        let count = known.count + 1;
        let patch = json!({ "count": count, "lastTimestamp": now() });
        self.events(&occurrence.object).patch(&known.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(Written { name: known.name.clone(), count, at: Instant::now() })
    }

    async fn create(&mut self, occurrence: &Occurrence) -> kube::Result<Written> {
        self.sequence = self.sequence.wrapping_add(1);
        let moment = Timestamp::now().as_nanosecond().unsigned_abs() ^ u128::from(self.sequence);
        let name = format!("{}.{moment:x}", occurrence.object.name);
        let event = self.event(occurrence, &name);
        self.events(&occurrence.object).create(&PostParams::default(), &event).await?;
        Ok(Written { name, count: 1, at: Instant::now() })
    }

    fn events(&self, object: &Object) -> Api<Event> {
        Api::namespaced(self.client.clone(), object.event_namespace())
    }

    fn event(&self, occurrence: &Occurrence, name: &str) -> Event {
        let object = &occurrence.object;
        Event {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(object.event_namespace().to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some(object.kind.to_owned()),
                namespace: Some(object.namespace.clone()).filter(|namespace| !namespace.is_empty()),
                name: Some(object.name.clone()),
                uid: Some(object.uid.clone()),
                field_path: object.field_path.clone(),
                ..ObjectReference::default()
            },
            type_: Some(if occurrence.warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(occurrence.reason.clone()),
            message: Some(occurrence.message.clone()),
            count: Some(1),
            first_timestamp: Some(now()),
            last_timestamp: Some(now()),
            source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: Some(self.host.clone()) }),
            reporting_component: Some(COMPONENT.to_owned()),
            reporting_instance: Some(self.host.clone()),
            ..Event::default()
        }
    }
}

// === impl Object ===

impl Object {
    /// Events of cluster-scoped objects live in `default`.
    fn event_namespace(&self) -> &str {
        if self.namespace.is_empty() { "default" } else { &self.namespace }
    }
}

fn now() -> Time {
    Time(crate::seconds(Timestamp::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_container_names_the_list_that_it_is_in() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "p", "namespace": "n", "uid": "u" },
            "spec": { "initContainers": [{ "name": "i" }], "containers": [{ "name": "c" }] },
        }))
        .unwrap();
        let path = |container| pod_object(&pod, Some(container)).field_path.unwrap();
        assert_eq!(path("i"), "spec.initContainers{i}");
        assert_eq!(path("c"), "spec.containers{c}");
        assert_eq!(pod_object(&pod, None).field_path, None);
    }
}
