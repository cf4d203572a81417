//! Aggregated discovery (KEP-3352): everything about a group and its resources in one document.

use serde_json::json;

use super::Form;
use crate::Document;
use crate::kind::{GroupVersionKind, Kind, Scope};
use crate::registry::{Group, Registry, Version};

/// The document at `/api`.
pub(super) fn core(registry: &Registry, form: Form) -> Document {
    list(registry.groups().iter().filter(|group| group.name.is_empty()), form)
}

/// The document at `/apis`.
pub(super) fn groups(registry: &Registry, form: Form) -> Document {
    list(registry.groups().iter().filter(|group| !group.name.is_empty()), form)
}

fn list<'a>(groups: impl Iterator<Item = &'a Group>, form: Form) -> Document {
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": form.api_version(),
        "metadata": {},
        "items": groups.map(group).collect::<Vec<_>>(),
    })
}

fn group(group: &Group) -> Document {
    let metadata = if group.name.is_empty() { json!({}) } else { json!({"name": group.name}) };
    json!({"metadata": metadata, "versions": group.versions.iter().map(version).collect::<Vec<_>>()})
}

fn version(version: &Version) -> Document {
    json!({
        "version": version.name,
        "freshness": "Current",
        "resources": version.kinds.iter().map(|kind| resource(kind)).collect::<Vec<_>>(),
    })
}

fn resource(kind: &Kind) -> Document {
    let mut resource = json!({
        "resource": kind.plural,
        "responseKind": response_kind(&kind.gvk, kind),
        "scope": match kind.scope {
            Scope::Namespaced => "Namespaced",
            Scope::Cluster => "Cluster",
        },
        "singularResource": kind.singular,
        "verbs": kind.verbs,
    });
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
    if !kind.subresources.is_empty() {
        resource["subresources"] = kind
            .subresources
            .iter()
            .map(|subresource| {
                json!({
                    "subresource": subresource.name,
                    "responseKind": response_kind(&subresource.response, kind),
                    "verbs": subresource.verbs,
                })
            })
            .collect();
    }
    resource
}

/// Clients fill an empty group and version in from the list's own.
fn response_kind(response: &GroupVersionKind, kind: &Kind) -> Document {
    let is_own = response.group == kind.gvk.group && response.version == kind.gvk.version;
    if is_own {
        json!({"group": "", "version": "", "kind": response.kind})
    } else {
        json!({"group": response.group, "version": response.version, "kind": response.kind})
    }
}
