//! Where objects are in the store: `/registry/<plural>/...` for the core group, `/registry/<group>/<plural>/...` for the
//! others, then the namespace where there is one, then the name. This is etcd's layout as Kubernetes uses it for custom
//! resources, applied to every kind.

use sheave_api::kind::{Kind, Scope};

/// The prefix of every object of a kind, ending in a slash.
pub(crate) fn kind_prefix(kind: &Kind) -> String {
    match kind.storage.group.as_str() {
        "" => format!("/registry/{}/", kind.plural),
        group => format!("/registry/{group}/{}/", kind.plural),
    }
}

/// The prefix of a kind's objects in one namespace, or of all of them, ending in a slash.
pub(crate) fn collection_prefix(kind: &Kind, namespace: Option<&str>) -> String {
    let mut prefix = kind_prefix(kind);
    if let (Scope::Namespaced, Some(namespace)) = (kind.scope, namespace) {
        prefix.push_str(namespace);
        prefix.push('/');
    }
    prefix
}

/// The key of one object; the namespace is ignored for kinds that have none.
pub(crate) fn object_key(kind: &Kind, namespace: Option<&str>, name: &str) -> String {
    let mut key = collection_prefix(kind, namespace);
    key.push_str(name);
    key
}

/// The key of a namespace.
pub(crate) fn namespace_key(name: &str) -> String {
    format!("/registry/namespaces/{name}")
}

/// The name at the end of a key.
pub(crate) fn name_of(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or_default()
}
