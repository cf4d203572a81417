//! What every namespace needs before a pod can run in it: a `default` service account and the cluster's root
//! certificates. And tokens of accounts that are gone.

pub(crate) mod defaults;
pub(crate) mod root_ca;
pub(crate) mod tokens;

use k8s_openapi::api::core::v1::Namespace;

use crate::object::owner::is_deleted;

/// Whether new objects are still taken by the namespace.
fn is_active(namespace: &Namespace) -> bool {
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    !is_deleted(&namespace.metadata) && phase != Some("Terminating")
}
