//! A kind is a row: group, version, names, scope, verbs, subresources, schema, strategy.
//!
//! The built-in rows are made once at start; a row can also be made at run time (a custom resource is the same row).

use std::sync::Arc;

use crate::schema::TypeId;
use crate::strategy::Strategy;

/// Whether objects of a kind live in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One per name and namespace.
    Namespaced,
    /// One per name.
    Cluster,
}

/// Group, version and kind, as in `apiVersion` and `kind`; the core group is the empty string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// The group, such as `apps`; empty for core.
    pub group: String,
    /// The version, such as `v1`.
    pub version: String,
    /// The kind, such as `Deployment`.
    pub kind: String,
}

/// What a subresource does, so that the server can pick its handler by an exhaustive match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubresourceAction {
    /// `status`: get, update, patch of the status alone.
    Status,
    /// `scale`: an autoscaling/v1 Scale over the object.
    Scale,
    /// `binding` of a pod to a node.
    Binding,
    /// `eviction` of a pod.
    Eviction,
    /// `token` of a service account.
    Token,
    /// `approval` of a certificate signing request.
    Approval,
    /// `finalize` of a namespace.
    Finalize,
    /// `ephemeralcontainers` of a pod.
    EphemeralContainers,
    /// `resize` of a pod.
    Resize,
    /// `log` of a pod, served by its node.
    Log,
    /// `exec` in a pod, served by its node.
    Exec,
    /// `attach` to a pod, served by its node.
    Attach,
    /// `portforward` to a pod, served by its node.
    PortForward,
    /// `proxy` to a pod, a service or a node.
    Proxy,
}

/// A subresource of a kind, as discovery lists it.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// The last path segment, such as `status`.
    pub name: &'static str,
    /// What it does.
    pub action: SubresourceAction,
    /// Group, version and kind of its body.
    pub response: GroupVersionKind,
    /// The verbs that it takes.
    pub verbs: Vec<&'static str>,
}

/// One kind of the API in one version.
///
/// Several rows may share one `storage` (events in core and events.k8s.io; autoscaling v1 and v2): the row whose
/// `gvk` equals the storage's is what is written, the others convert on the way in and out.
#[derive(Clone)]
pub struct Kind {
    /// Group, version, kind.
    pub gvk: GroupVersionKind,
    /// The plural name in paths, such as `deployments`.
    pub plural: String,
    /// The singular name, such as `deployment`.
    pub singular: String,
    /// The kind of a list of them, such as `DeploymentList`.
    pub list_kind: String,
    /// Short names, such as `deploy`.
    pub short_names: Vec<String>,
    /// Categories, such as `all`.
    pub categories: Vec<String>,
    /// Namespaced or not.
    pub scope: Scope,
    /// The verbs that it takes.
    pub verbs: Vec<&'static str>,
    /// Its subresources.
    pub subresources: Vec<Subresource>,
    /// The root of its schema, in the registry's schema arena.
    pub schema: TypeId,
    /// Defaults, validation, columns, selectable fields.
    pub strategy: Arc<Strategy>,
    /// What the store keeps: where it differs from `gvk`, documents are converted.
    pub storage: GroupVersionKind,
}
