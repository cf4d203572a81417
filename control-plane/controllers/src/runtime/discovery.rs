//! Which kinds the API server serves, and requests to kinds that are known only at run time.

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, ObjectList, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Client, Error as ClientError};
use serde_json::Value;

use super::api::{Deletion, FIELD_MANAGER};
use super::error::Error;
use super::key::ObjectKey;

/// Group and kind, whatever the version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKind {
    /// The group; empty for core.
    pub group: String,
    /// The kind, such as `Pod`.
    pub kind: String,
}

/// A kind that the API server serves, in its most stable version.
#[derive(Clone, Debug)]
pub struct ServedKind {
    /// How to reach it.
    pub resource: ApiResource,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    verbs: Vec<String>,
}

/// An object of any kind, without its content.
pub type Metadata = PartialObjectMeta<DynamicObject>;

/// Every kind that the API server serves, in two requests.
pub async fn served_kinds(client: &Client) -> Result<Vec<ServedKind>, Error> {
    let discovery = match Discovery::new(client.clone()).run_aggregated().await {
        Ok(discovery) => Ok(discovery),
        // A server that does not aggregate is asked group by group.
        Err(_) => Discovery::new(client.clone()).run().await,
    };
    let discovery = discovery.map_err(Error::api("discover", "the API's kinds"))?;
    let mut kinds: Vec<_> =
        discovery.groups().flat_map(kube::discovery::ApiGroup::resources_by_stability).map(served).collect();
    kinds.sort_by_key(ServedKind::group_kind);
    Ok(kinds)
}

fn served((resource, capabilities): (ApiResource, kube::discovery::ApiCapabilities)) -> ServedKind {
    ServedKind { resource, namespaced: capabilities.scope == Scope::Namespaced, verbs: capabilities.operations }
}

// === impl GroupKind ===

impl GroupKind {
    /// From an `apiVersion` and a `kind`.
    pub fn new(api_version: &str, kind: &str) -> Self {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        Self { group: group.to_owned(), kind: kind.to_owned() }
    }
}

impl std::fmt::Display for GroupKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.group.is_empty() { f.write_str(&self.kind) } else { write!(f, "{}.{}", self.kind, self.group) }
    }
}

// === impl ServedKind ===

impl ServedKind {
    /// Its group and kind.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind { group: self.resource.group.clone(), kind: self.resource.kind.clone() }
    }

    /// Whether it takes the verb.
    pub fn takes(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    /// Whether its objects can be listed, watched and deleted: all that collecting garbage needs.
    pub fn is_collectable(&self) -> bool {
        [verbs::LIST, verbs::WATCH, verbs::DELETE].into_iter().all(|verb| self.takes(verb))
    }

    /// Its name in messages, such as `pods` or `deployments.apps`.
    pub fn title(&self) -> String {
        match self.resource.group.as_str() {
            "" => format!("{}.", self.resource.plural),
            group => format!("{}.{group}", self.resource.plural),
        }
    }

    /// Metadata of its objects, in all namespaces.
    pub fn everywhere(&self, client: &Client) -> Api<Metadata> {
        Api::all_with(client.clone(), &self.resource)
    }

    /// Metadata of one object; `None` when it is not there.
    pub async fn get(&self, client: &Client, key: &ObjectKey) -> Result<Option<Metadata>, Error> {
        self.within(client, &key.namespace).get_opt(&key.name).await.map_err(Error::api("get", self.object(key)))
    }

    /// Metadata of all objects of a namespace.
    pub async fn list(&self, client: &Client, namespace: &str) -> Result<ObjectList<Metadata>, Error> {
        let list = self.within(client, namespace).list(&ListParams::default()).await;
        list.map_err(Error::api("list", format!("{} in {namespace}", self.title())))
    }

    /// Applies a JSON merge patch.
    pub async fn merge(&self, client: &Client, key: &ObjectKey, patch: Value) -> Result<(), Error> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let patched = self.within(client, &key.namespace).patch(&key.name, &params, &Patch::Merge(patch)).await;
        patched.map(drop).map_err(Error::api("patch", self.object(key)))
    }

    /// Deletes one object.
    pub async fn delete(&self, client: &Client, key: &ObjectKey, deletion: &Deletion) -> Result<(), Error> {
        let deleted = self.within(client, &key.namespace).delete(&key.name, &deletion.params()).await;
        deleted.map(drop).map_err(Error::api("delete", self.object(key)))
    }

    /// Deletes all objects of a namespace in one request; `false` when the kind has no such verb.
    pub async fn delete_all(&self, client: &Client, namespace: &str) -> Result<bool, Error> {
        if !self.takes("deletecollection") {
            return Ok(false);
        }
        let api = self.within(client, namespace);
        let params = DeleteParams::background();
        match api.delete_collection(&params, &ListParams::default()).await {
            Ok(_) => Ok(true),
            Err(ClientError::Api(status)) if [404, 405].contains(&status.code) => Ok(false),
            Err(error) => Err(Error::api("delete all", format!("{} in {namespace}", self.title()))(error)),
        }
    }

    fn within(&self, client: &Client, namespace: &str) -> Api<Metadata> {
        if namespace.is_empty() {
            self.everywhere(client)
        } else {
            Api::namespaced_with(client.clone(), namespace, &self.resource)
        }
    }

    fn object(&self, key: &ObjectKey) -> String {
        format!("{} {key}", self.resource.kind)
    }
}
