//! The ConfigMap `kube-root-ca.crt` of every namespace: how a pod knows the API server.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::is_active;
use crate::runtime::api::Requests;
use crate::runtime::cache::Cache;
use crate::runtime::error::Error;
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::worker::{Action, Reconciler};

const NAME: &str = "kube-root-ca.crt";
const DESCRIPTION: (&str, &str) = (
    "kubernetes.io/description",
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the \
     internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes \
     clusters.",
);
const WORKERS: usize = 1;

/// Keys are namespaces.
struct Controller {
    requests: Requests,
    namespaces: Cache<Namespace>,
    config_maps: Cache<ConfigMap>,
    certificates: String,
}

/// Adds the controller; `certificates` are the cluster's root certificates in PEM.
pub(crate) fn register(manager: &mut Manager, name: &'static str, certificates: String) {
    let (namespaces, config_maps) = (manager.cache::<Namespace>(), manager.cache::<ConfigMap>());
    let queue = manager.queue::<ObjectKey>(name);
    namespaces.on_change({
        let queue = queue.clone();
        move |change| change.new.into_iter().for_each(|namespace| queue.add(ObjectKey::of(namespace.as_ref())))
    });
    config_maps.on_change({
        let queue = queue.clone();
        move |change| {
            let key = change.latest().map(ObjectKey::of).filter(|key| key.name == NAME);
            key.into_iter().for_each(|key| queue.add(ObjectKey::cluster(key.namespace)));
        }
    });
    let controller = Controller {
        requests: manager.requests(),
        namespaces: namespaces.clone(),
        config_maps: config_maps.clone(),
        certificates,
    };
    manager.run(name, WORKERS, Needs::default().and(&namespaces).and(&config_maps), queue, controller);
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        if !self.namespaces.get(key).is_some_and(|namespace| is_active(&namespace)) {
            return Ok(Action::await_change());
        }
        let data = BTreeMap::from([("ca.crt".to_owned(), self.certificates.clone())]);
        match self.config_maps.get(&ObjectKey::new(&key.name, NAME)) {
            Some(standing) if standing.data.as_ref() == Some(&data) && standing.binary_data.is_none() => {}
            Some(standing) => {
                let map = ConfigMap { data: Some(data), binary_data: None, ..standing.as_ref().clone() };
                self.requests.replace(&map).await?;
            }
            None => self.create(&key.name, data).await?,
        }
        Ok(Action::await_change())
    }
}

impl Controller {
    async fn create(&self, namespace: &str, data: BTreeMap<String, String>) -> Result<(), Error> {
        let (key, description) = DESCRIPTION;
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(NAME.into()),
                namespace: Some(namespace.to_owned()),
                annotations: Some([(key.to_owned(), description.to_owned())].into()),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..ConfigMap::default()
        };
        match self.requests.create(&map).await {
            Err(error) if !error.is_already_exists() && !error.is_namespace_terminating() => Err(error),
            _ => Ok(()),
        }
    }
}
