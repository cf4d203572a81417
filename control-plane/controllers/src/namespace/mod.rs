//! Namespaces that are being deleted: everything in them goes first.

mod conditions;
mod content;

use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Namespace, NamespaceStatus};

use self::content::Remains;
use crate::object::owner::is_deleted;
use crate::runtime::api::Requests;
use crate::runtime::cache::Cache;
use crate::runtime::clock::Clock;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::worker::{Action, Reconciler};

/// The finalizer by which this controller holds a namespace.
const FINALIZER: &str = "kubernetes";
const WORKERS: usize = 5;
/// How soon and how late a namespace with remaining content is looked at again.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

struct Controller {
    requests: Requests,
    clock: Clock,
    namespaces: Cache<Namespace>,
}

/// Adds the Namespace controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let namespaces = manager.cache::<Namespace>();
    let queue = manager.queue::<ObjectKey>(name);
    namespaces.on_change({
        let queue = queue.clone();
        move |change| {
            let deleted = change.new.filter(|namespace| is_deleted(&namespace.metadata));
            deleted.into_iter().for_each(|namespace| queue.add(ObjectKey::of(namespace.as_ref())));
        }
    });
    let controller =
        Controller { requests: manager.requests(), clock: manager.clock(), namespaces: namespaces.clone() };
    manager.run(name, WORKERS, Needs::default().and(&namespaces), queue, controller);
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let deleted = self.namespaces.get(key).filter(|namespace| is_deleted(&namespace.metadata));
        let Some(namespace) = deleted.filter(|namespace| is_held(namespace)) else { return Ok(Action::await_change()) };
        let remains = content::delete(self.requests.client(), &key.name).await;
        let namespace = self.report(&namespace, &remains).await?;
        if remains.is_nothing() {
            let mut released = namespace;
            if let Some(finalizers) = released.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
                finalizers.retain(|finalizer| finalizer != FINALIZER);
            }
            ignore_not_found(self.requests.replace_subresource("finalize", &released).await)?;
            return Ok(Action::await_change());
        }
        match remains.into_error() {
            Some(error) => Err(error),
            None => Ok(Action::requeue(self.wait(&namespace))),
        }
    }
}

impl Controller {
    /// Publishes what is left. Returns the namespace as it is then.
    async fn report(&self, namespace: &Namespace, remains: &Remains) -> Result<Namespace, Error> {
        let before = namespace.status.clone().unwrap_or_default();
        let conditions = conditions::update(before.conditions.clone(), remains, &self.clock.time());
        let status = NamespaceStatus { phase: Some("Terminating".into()), conditions: Some(conditions) };
        if status == before {
            return Ok(namespace.clone());
        }
        let updated = Namespace { status: Some(status), ..namespace.clone() };
        self.requests.replace_status(&updated).await
    }

    /// A tenth of the time since the deletion: content that goes quickly is noticed quickly, and content that hangs
    /// is not asked after all the time.
    fn wait(&self, namespace: &Namespace) -> Duration {
        let since = namespace
            .metadata
            .deletion_timestamp
            .as_ref()
            .map_or(SignedDuration::ZERO, |deleted| self.clock.now().duration_since(deleted.0));
        let tenth = Duration::try_from(since).unwrap_or_default() / 10;
        tenth.clamp(LOOK_AGAIN.0, LOOK_AGAIN.1)
    }
}

fn is_held(namespace: &Namespace) -> bool {
    let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_ref());
    finalizers.is_some_and(|finalizers| finalizers.iter().any(|finalizer| finalizer == FINALIZER))
}
