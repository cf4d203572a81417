//! Endpoints of Services with a selector: one object per Service, for clients that do not know EndpointSlices.

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::subsets::subsets;
use super::trigger_time::TriggerTimes;
use super::{LAST_CHANGE, enqueue_services, has_selector, own_labels, picked};
use crate::object::owner::is_deleted;
use crate::runtime::api::{Deletion, Requests};
use crate::runtime::cache::{Cache, Change};
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::queue::WorkQueue;
use crate::runtime::recorder::Recorder;
use crate::runtime::worker::{Action, Reconciler};

/// Marks Endpoints that this controller keeps, so that they are not mirrored.
pub(super) const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const WORKERS: usize = 5;

struct Controller {
    requests: Requests,
    recorder: Recorder,
    services: Cache<Service>,
    pods: Cache<Pod>,
    endpoints: Cache<Endpoints>,
    trigger_times: TriggerTimes,
}

/// Adds the Endpoints controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let (services, pods) = (manager.cache::<Service>(), manager.cache::<Pod>());
    let endpoints = manager.cache::<Endpoints>();
    let queue = manager.queue::<ObjectKey>(name);
    services.on_change({
        let queue = queue.clone();
        move |change| change.latest().into_iter().for_each(|service| queue.add(ObjectKey::of(service)))
    });
    pods.on_change({
        let (services, queue) = (services.clone(), queue.clone());
        move |change| enqueue_services(change, &services, &queue)
    });
    endpoints.on_change({
        let queue = queue.clone();
        move |change| enqueue_lost(change, &queue)
    });
    let controller = Controller {
        requests: manager.requests(),
        recorder: manager.recorder(name),
        trigger_times: TriggerTimes::default(),
        services: services.clone(),
        pods: pods.clone(),
        endpoints: endpoints.clone(),
    };
    manager.run(name, WORKERS, Needs::default().and(&services).and(&pods).and(&endpoints), queue, controller);
}

/// Endpoints that somebody removed come back; those of a Service that went while nobody watched go. Endpoints that
/// somebody made before their Service are left alone.
fn enqueue_lost(change: &Change<'_, Endpoints>, queue: &WorkQueue<ObjectKey>) {
    let Some(latest) = change.latest() else { return };
    if change.new.is_none() || is_ours(latest) {
        queue.add(ObjectKey::of(latest));
    }
}

fn is_ours(endpoints: &Endpoints) -> bool {
    let labels = endpoints.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|manager| manager == MANAGER)
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let standing = self.endpoints.get(key);
        let Some(service) = self.services.get(key) else {
            self.trigger_times.forget(key);
            if let Some(standing) = standing {
                let deletion = Deletion::of(standing.as_ref());
                ignore_not_found(self.requests.delete::<Endpoints>(key, &deletion).await)?;
            }
            return Ok(Action::await_change());
        };
        if !has_selector(&service) || is_deleted(&service.metadata) {
            return Ok(Action::await_change());
        }
        let pods = picked(&service, &self.pods);
        let changed_at = self.trigger_times.observe(key, &service, pods.iter().map(AsRef::as_ref));
        let (subsets, truncated) = subsets(&service, &pods);
        let wanted = desired(&service, standing.as_deref(), subsets, truncated);
        if standing.as_deref() == Some(&wanted) {
            return Ok(Action::await_change());
        }
        let wanted = with_trigger_time(wanted, changed_at.map(|at| at.to_string()));
        self.write(&service, standing.is_some(), &wanted).await?;
        Ok(Action::await_change())
    }
}

impl Controller {
    async fn write(&self, service: &Service, stands: bool, endpoints: &Endpoints) -> Result<(), Error> {
        let result =
            if stands { self.requests.replace(endpoints).await } else { self.requests.create(endpoints).await };
        match result {
            Ok(_) => Ok(()),
            Err(error) if error.is_namespace_terminating() => Ok(()),
            Err(error) => {
                let (reason, what) = match stands {
                    true => ("FailedToUpdateEndpoint", "update endpoint"),
                    false => ("FailedToCreateEndpoint", "create endpoint for service"),
                };
                let key = ObjectKey::of(endpoints);
                self.recorder.warning(service, reason, format!("Failed to {what} {key}: {}", error.message()));
                Err(error)
            }
        }
    }
}

fn desired(
    service: &Service,
    standing: Option<&Endpoints>,
    subsets: Vec<k8s_openapi::api::core::v1::EndpointSubset>,
    truncated: bool,
) -> Endpoints {
    let mut labels = own_labels(service);
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    let mut metadata = standing.map_or_else(
        || ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            ..ObjectMeta::default()
        },
        |standing| standing.metadata.clone(),
    );
    metadata.labels = Some(labels);
    let mut annotations = metadata.annotations.take().unwrap_or_default();
    if truncated {
        annotations.insert(OVER_CAPACITY.into(), "truncated".into());
    } else {
        annotations.remove(OVER_CAPACITY);
    }
    metadata.annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
    Endpoints { metadata, subsets: (!subsets.is_empty()).then_some(subsets) }
}

fn with_trigger_time(mut endpoints: Endpoints, changed_at: Option<String>) -> Endpoints {
    let mut annotations = endpoints.metadata.annotations.take().unwrap_or_default();
    match changed_at {
        Some(at) => annotations.insert(LAST_CHANGE.into(), at),
        None => annotations.remove(LAST_CHANGE),
    };
    endpoints.metadata.annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
    endpoints
}
