//! The service account `default` of every namespace.

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::is_active;
use crate::runtime::api::Requests;
use crate::runtime::cache::Cache;
use crate::runtime::error::Error;
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::worker::{Action, Reconciler};

const DEFAULT: &str = "default";
const WORKERS: usize = 1;

/// Keys are namespaces.
struct Controller {
    requests: Requests,
    namespaces: Cache<Namespace>,
    accounts: Cache<ServiceAccount>,
}

/// Adds the controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let (namespaces, accounts) = (manager.cache::<Namespace>(), manager.cache::<ServiceAccount>());
    let queue = manager.queue::<ObjectKey>(name);
    namespaces.on_change({
        let queue = queue.clone();
        move |change| change.new.into_iter().for_each(|namespace| queue.add(ObjectKey::of(namespace.as_ref())))
    });
    accounts.on_change({
        let queue = queue.clone();
        move |change| {
            let lost = change.old.filter(|_| change.new.is_none()).map(|account| ObjectKey::of(account.as_ref()));
            lost.filter(|key| key.name == DEFAULT)
                .into_iter()
                .for_each(|key| queue.add(ObjectKey::cluster(key.namespace)));
        }
    });
    let controller =
        Controller { requests: manager.requests(), namespaces: namespaces.clone(), accounts: accounts.clone() };
    manager.run(name, WORKERS, Needs::default().and(&namespaces).and(&accounts), queue, controller);
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let active = self.namespaces.get(key).is_some_and(|namespace| is_active(&namespace));
        if !active || self.accounts.get(&ObjectKey::new(&key.name, DEFAULT)).is_some() {
            return Ok(Action::await_change());
        }
        let account = ServiceAccount {
            metadata: ObjectMeta {
                name: Some(DEFAULT.into()),
                namespace: Some(key.name.clone()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        match self.requests.create(&account).await {
            Err(error) if !error.is_already_exists() && !error.is_namespace_terminating() => Err(error),
            _ => Ok(Action::await_change()),
        }
    }
}
