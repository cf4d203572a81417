//! Requests to the API server, with errors that name the action and the object.

use kube::Client;
use kube::api::{
    DeleteParams, GetParams, ListParams, ObjectList, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy,
};
use kube::core::{Request, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::Error;
use super::key::ObjectKey;

/// The API as controllers use it. Cheap to clone.
#[derive(Clone)]
pub struct Requests {
    client: Client,
}

/// What a controller may ask for.
pub trait Object: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned {}

impl<K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + DeserializeOwned> Object for K {}

/// How and under which condition to delete.
#[derive(Clone, Debug, Default)]
pub struct Deletion {
    /// Only the object with this UID, not a successor of the same name.
    pub uid: Option<String>,
    /// Only this state of the object.
    pub resource_version: Option<String>,
    /// Instead of the object's own grace period.
    pub grace_seconds: Option<u32>,
    /// What happens to its dependents; the server's default if not given.
    pub propagation: Option<PropagationPolicy>,
}

/// Under which name the controllers' writes appear in managed fields, as users know it.
pub const FIELD_MANAGER: &str = "kube-controller-manager";

// === impl Deletion ===

impl Deletion {
    /// Deletes exactly `object`, with its own grace period.
    pub fn of<K: Resource>(object: &K) -> Self {
        Self { uid: object.meta().uid.clone(), ..Self::default() }
    }

    /// Dependents are deleted after the object.
    pub fn background(self) -> Self {
        Self { propagation: Some(PropagationPolicy::Background), ..self }
    }

    /// The object goes at once.
    pub fn immediately(self) -> Self {
        Self { grace_seconds: Some(0), ..self }
    }

    pub(super) fn params(&self) -> DeleteParams {
        let preconditions = (self.uid.is_some() || self.resource_version.is_some())
            .then(|| Preconditions { uid: self.uid.clone(), resource_version: self.resource_version.clone() });
        DeleteParams {
            grace_period_seconds: self.grace_seconds,
            propagation_policy: self.propagation.clone(),
            preconditions,
            ..DeleteParams::default()
        }
    }
}

// === impl Requests ===

impl Requests {
    /// Requests through `client`.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client behind the requests.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads an object from the server rather than from a cache; `None` when it is not there.
    pub async fn get<K: Object>(&self, key: &ObjectKey) -> Result<Option<K>, Error> {
        match self.send("get", key, path::<K>(&key.namespace).get(&key.name, &GetParams::default())).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists a namespace (or everything, for an empty namespace) from the server.
    pub async fn list<K: Object>(&self, namespace: &str) -> Result<Vec<K>, Error> {
        let request = path::<K>(namespace).list(&ListParams::default()).map_err(kube::Error::BuildRequest);
        let list = match request {
            Ok(request) => self.client.request::<ObjectList<K>>(request).await,
            Err(error) => Err(error),
        };
        Ok(list.map_err(Error::api("list", format!("{} in {namespace:?}", K::kind(&()))))?.items)
    }

    /// Creates `object`, which may have a name or only a `generateName`.
    pub async fn create<K: Object>(&self, object: &K) -> Result<K, Error> {
        let key = ObjectKey::of(object);
        let request = encode(object).and_then(|body| path::<K>(&key.namespace).create(&post(), body));
        self.send("create", &key, request).await
    }

    /// Replaces `object`; a conflict if it changed since its resourceVersion.
    pub async fn replace<K: Object>(&self, object: &K) -> Result<K, Error> {
        let key = ObjectKey::of(object);
        let request = encode(object).and_then(|body| path::<K>(&key.namespace).replace(&key.name, &post(), body));
        self.send("update", &key, request).await
    }

    /// Replaces the status of `object`; a conflict if it changed since its resourceVersion.
    pub async fn replace_status<K: Object>(&self, object: &K) -> Result<K, Error> {
        self.replace_subresource("status", object).await
    }

    /// Replaces `object` through one of its subresources, such as `finalize`.
    pub async fn replace_subresource<K: Object>(&self, subresource: &'static str, object: &K) -> Result<K, Error> {
        let key = ObjectKey::of(object);
        let path = path::<K>(&key.namespace);
        let request = encode(object).and_then(|body| path.replace_subresource(subresource, &key.name, &post(), body));
        self.send(if subresource == "status" { "update the status of" } else { "finalize" }, &key, request).await
    }

    /// Applies a JSON merge patch (RFC 7386). A `metadata.resourceVersion` in it makes it conditional.
    pub async fn merge<K: Object>(&self, key: &ObjectKey, patch: Value) -> Result<K, Error> {
        self.patch(key, Patch::Merge(patch)).await
    }

    /// Applies a strategic merge patch. A `metadata.uid` in it makes it conditional.
    pub async fn strategic<K: Object>(&self, key: &ObjectKey, patch: Value) -> Result<K, Error> {
        self.patch(key, Patch::Strategic(patch)).await
    }

    /// Applies a strategic merge patch to the status.
    pub async fn strategic_status<K: Object>(&self, key: &ObjectKey, patch: Value) -> Result<K, Error> {
        let (path, patch) = (path::<K>(&key.namespace), Patch::Strategic(patch));
        let request = path.patch_subresource("status", &key.name, &patch_params(), &patch);
        self.send("patch the status of", key, request).await
    }

    /// Deletes an object; "not found" is an error here.
    pub async fn delete<K: Object>(&self, key: &ObjectKey, deletion: &Deletion) -> Result<(), Error> {
        let request = path::<K>(&key.namespace).delete(&key.name, &deletion.params());
        let deleted = match request.map_err(kube::Error::BuildRequest) {
            Ok(request) => self.client.request_status::<K>(request).await,
            Err(error) => Err(error),
        };
        deleted.map(drop).map_err(Error::api("delete", title::<K>(key)))
    }

    async fn patch<K: Object>(&self, key: &ObjectKey, patch: Patch<Value>) -> Result<K, Error> {
        let request = path::<K>(&key.namespace).patch(&key.name, &patch_params(), &patch);
        self.send("patch", key, request).await
    }

    async fn send<K: Object>(
        &self,
        action: &'static str,
        key: &ObjectKey,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<K, Error> {
        let answer = match request.map_err(kube::Error::BuildRequest) {
            Ok(request) => self.client.request::<K>(request).await,
            Err(error) => Err(error),
        };
        answer.map_err(Error::api(action, title::<K>(key)))
    }
}

/// The path of the kind in a namespace, or of all its objects for an empty one.
fn path<K: Object>(namespace: &str) -> Request {
    Request::new(K::url_path(&(), (!namespace.is_empty()).then_some(namespace)))
}

fn encode<K: Object>(object: &K) -> Result<Vec<u8>, kube::core::request::Error> {
    serde_json::to_vec(object).map_err(kube::core::request::Error::SerializeBody)
}

fn title<K: Object>(key: &ObjectKey) -> String {
    format!("{} {key}", K::kind(&()))
}

fn post() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() }
}

fn patch_params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() }
}
