//! Discovery in one document per group and version, as `kubectl drain`, Helm and older clients ask for it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::Document;
use crate::kind::{GroupVersionKind, Kind, Scope, Subresource};
use crate::registry::{Group, Registry, Version};

/// Every document with its path.
pub(super) fn documents(registry: &Registry, server_address: &str) -> Vec<(String, Document)> {
    let mut documents = Vec::new();
    let mut groups = Vec::new();
    for group in registry.groups() {
        if group.name.is_empty() {
            documents.push(("/api".to_owned(), api_versions(group, server_address)));
        } else {
            let mut document = api_group(group);
            groups.push(document.clone());
            document["kind"] = "APIGroup".into();
            document["apiVersion"] = "v1".into();
            documents.push((format!("/apis/{}", group.name), document));
        }
        for version in &group.versions {
            let group_version = api_version(group, version);
            let root = if group.name.is_empty() { "/api" } else { "/apis" };
            documents.push((format!("{root}/{group_version}"), resource_list(&group_version, version)));
        }
    }
    documents.push(("/apis".to_owned(), json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})));
    documents
}

fn api_version(group: &Group, version: &Version) -> String {
    GroupVersionKind::new(&group.name, &version.name, "").api_version()
}

fn api_versions(core: &Group, server_address: &str) -> Document {
    json!({
        "kind": "APIVersions",
        "versions": core.versions.iter().map(|version| version.name.as_str()).collect::<Vec<_>>(),
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
    })
}

fn api_group(group: &Group) -> Document {
    let versions: Vec<Document> = group
        .versions
        .iter()
        .map(|version| json!({"groupVersion": api_version(group, version), "version": version.name}))
        .collect();
    json!({"name": group.name, "preferredVersion": versions.first(), "versions": versions})
}

fn resource_list(group_version: &str, version: &Version) -> Document {
    let mut resources = Vec::new();
    for kind in &version.kinds {
        resources.push(resource(kind));
        resources.extend(kind.subresources.iter().map(|subresource| subresource_entry(kind, subresource)));
    }
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
}

fn resource(kind: &Kind) -> Document {
    let mut resource = json!({
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.scope == Scope::Namespaced,
        "kind": kind.gvk.kind,
        "verbs": kind.verbs,
    });
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
    if kind.is_stored() {
        resource["storageVersionHash"] = storage_version_hash(&kind.storage).into();
    }
    resource
}

fn subresource_entry(kind: &Kind, subresource: &Subresource) -> Document {
    let mut entry = json!({
        "name": format!("{}/{}", kind.plural, subresource.name),
        "singularName": "",
        "namespaced": kind.scope == Scope::Namespaced,
        "kind": subresource.response.kind,
        "verbs": subresource.verbs,
    });
    if (&subresource.response.group, &subresource.response.version) != (&kind.gvk.group, &kind.gvk.version) {
        entry["group"] = json!(subresource.response.group);
        entry["version"] = json!(subresource.response.version);
    }
    entry
}

/// Names the stored version, so that storage migrators see when it changes; the formula is upstream's.
fn storage_version_hash(storage: &GroupVersionKind) -> String {
    let GroupVersionKind { group, version, kind } = storage;
    let digest = Sha256::digest(format!("{group}/{version}/{kind}"));
    STANDARD.encode(&digest[..8])
}
