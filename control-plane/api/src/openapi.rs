//! The OpenAPI documents: version 3 per group version, and version 2 for all, as JSON and as protobuf.
//!
//! `kubectl explain` reads the descriptions, `kubectl apply` the merge keys, and every command that validates asks
//! whether the patch of a kind takes `fieldValidation`. A document is made when it is first asked for and kept gzipped:
//! together they are 4 MB, 1 MB compressed.

mod gnostic;
mod operations;
mod parameters;
mod schemas;
mod swagger;
mod version3;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::Document;
use crate::kind::GroupVersionKind;
use crate::registry::{Registry, Version};
use crate::schema::{Arena, Type, TypeId};

/// Every OpenAPI document of a registry.
pub struct OpenApi {
    registry: Arc<Registry>,
    /// By the path below `/openapi/v3`: `api/v1`, `apis/apps/v1`.
    group_versions: BTreeMap<String, GroupVersion>,
    etag: String,
    json: OnceLock<Page>,
    protobuf: OnceLock<Page>,
}

/// A document as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The body with `Content-Encoding: gzip`.
    pub gzip: Bytes,
    /// The value of the `ETag` header, with its quotes.
    pub etag: String,
    /// The value of the `Content-Type` header.
    pub content_type: &'static str,
}

/// The media type of version 2 in protobuf; clients before 1.27 write the first dot of its version as `@`.
pub const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

struct GroupVersion {
    group: String,
    version: String,
    hash: String,
    page: OnceLock<Page>,
}

/// Which version of OpenAPI a part is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Version2,
    Version3,
}

// === impl OpenApi ===

impl OpenApi {
    /// The documents of `registry`.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        let mut group_versions = BTreeMap::new();
        let mut all = DefaultHasher::new();
        for group in registry.groups() {
            for version in &group.versions {
                let hash = fingerprint(&registry, version);
                hash.hash(&mut all);
                let (group, version) = (group.name.clone(), version.name.clone());
                let path = format!("{}/{version}", group_root(&group).trim_start_matches('/'));
                let hash = format!("{hash:016X}");
                group_versions.insert(path, GroupVersion { group, version, hash, page: OnceLock::new() });
            }
        }
        let etag = format!("\"{:016X}\"", all.finish());
        Self { registry, group_versions, etag, json: OnceLock::new(), protobuf: OnceLock::new() }
    }

    /// `/openapi/v3`: where each group version's document is. The address carries the document's hash, so that a
    /// client may keep what it got from there for ever.
    #[must_use]
    pub fn index(&self) -> Document {
        let paths = self.group_versions.iter().map(|(path, group_version)| {
            let url = format!("/openapi/v3/{path}?hash={}", group_version.hash);
            (path.clone(), serde_json::json!({"serverRelativeURL": url}))
        });
        serde_json::json!({"paths": paths.collect::<serde_json::Map<_, _>>()})
    }

    /// The hash of the document at `path`, as the index gives it; another one in a request is out of date.
    #[must_use]
    pub fn hash(&self, path: &str) -> Option<&str> {
        self.group_versions.get(path).map(|group_version| group_version.hash.as_str())
    }

    /// `/openapi/v3/{path}`, where `path` is `api/v1`, `apis/apps/v1` and so on.
    #[must_use]
    pub fn group_version(&self, path: &str) -> Option<&Page> {
        let GroupVersion { group, version, hash, page } = self.group_versions.get(path)?;
        Some(page.get_or_init(|| {
            let json = version3::document(&self.registry, group, version);
            Page::new(json.as_bytes(), format!("\"{hash}\""), "application/json")
        }))
    }

    /// `/openapi/v2` in the first form of an `Accept` header that there is; none when there is none of them (406).
    #[must_use]
    pub fn swagger_as(&self, accept: &str) -> Option<&Page> {
        let media_types = accept.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
        let mut pages = media_types.filter_map(|media_type| match media_type.replace("v2@v1", "v2.v1").as_str() {
            "" | "application/json" | "application/*" | "*/*" => Some(self.swagger()),
            PROTOBUF => Some(self.swagger_protobuf()),
            _ => None,
        });
        pages.next()
    }

    /// `/openapi/v2` as JSON.
    #[must_use]
    pub fn swagger(&self) -> &Page {
        self.json.get_or_init(|| {
            let json = swagger::json(&self.registry);
            Page::new(json.as_bytes(), self.etag.clone(), "application/json")
        })
    }

    /// `/openapi/v2` as protobuf ([`PROTOBUF`]).
    #[must_use]
    pub fn swagger_protobuf(&self) -> &Page {
        self.protobuf.get_or_init(|| {
            // Another representation needs another tag.
            let etag = self.etag.replacen('"', "\"P", 1);
            Page::new(&swagger::protobuf(&self.registry), etag, PROTOBUF)
        })
    }
}

/// The path of a group: `/api` or `/apis/{group}`.
fn group_root(group: &str) -> String {
    if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") }
}

/// Changes when the document of a group version would.
fn fingerprint(registry: &Registry, version: &Version) -> u64 {
    let arena = registry.schema();
    let mut hasher = DefaultHasher::new();
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    for kind in &version.kinds {
        (&kind.gvk, &kind.plural, &kind.singular, &kind.list_kind, &kind.verbs).hash(&mut hasher);
        format!("{:?}{:?}", kind.scope, kind.subresources).hash(&mut hasher);
    }
    for id in reachable(arena, roots(registry, version)) {
        arena.get(id).hash(&mut hasher);
        arena.description(id).hash(&mut hasher);
    }
    hasher.finish()
}

/// The types that a group version's paths name.
fn roots(registry: &Registry, version: &Version) -> Vec<TypeId> {
    let mut gvks = vec![GroupVersionKind::new("", "v1", "DeleteOptions"), GroupVersionKind::new("", "v1", "Status")];
    for kind in &version.kinds {
        gvks.push(kind.gvk.clone());
        gvks.push(GroupVersionKind { kind: kind.list_kind.clone(), ..kind.gvk.clone() });
        gvks.extend(kind.subresources.iter().map(|subresource| subresource.response.clone()));
    }
    gvks.iter().filter_map(|gvk| registry.type_of(gvk)).collect()
}

/// The roots and every type below them.
fn reachable(arena: &Arena, roots: Vec<TypeId>) -> std::collections::BTreeSet<TypeId> {
    let mut found = std::collections::BTreeSet::new();
    let mut waiting = roots;
    while let Some(id) = waiting.pop() {
        if !found.insert(id) {
            continue;
        }
        match arena.get(id) {
            Type::Object(object) => waiting.extend(object.fields.values().map(|field| field.ty)),
            Type::Map(map) => waiting.push(map.values),
            Type::List(list) => waiting.push(list.items),
            Type::Scalar(_) | Type::Any => {}
        }
    }
    found
}

// === impl Page ===

impl Page {
    fn new(body: &[u8], etag: String, content_type: &'static str) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let written = encoder.write_all(body).and_then(|()| encoder.finish());
        let gzip = Bytes::from(written.expect("writing to memory does not fail"));
        Self { gzip, etag, content_type }
    }

    /// The body for a client that does not take gzip.
    #[must_use]
    pub fn plain(&self) -> Bytes {
        let mut plain = Vec::new();
        GzDecoder::new(&*self.gzip).read_to_end(&mut plain).expect("what was compressed here decompresses");
        Bytes::from(plain)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn openapi() -> OpenApi {
        OpenApi::new(Arc::new(Registry::builtin()))
    }

    fn document(path: &str) -> Document {
        serde_json::from_slice(&openapi().group_version(path).unwrap().plain()).unwrap()
    }

    fn swagger_document() -> Document {
        serde_json::from_slice(&openapi().swagger().plain()).unwrap()
    }

    /// Every `$ref` below a value.
    fn references(value: &Document, found: &mut Vec<String>) {
        match value {
            Document::Object(fields) => {
                for (name, value) in fields {
                    match value.as_str() {
                        Some(reference) if name == "$ref" => found.push(reference.to_owned()),
                        _ => references(value, found),
                    }
                }
            }
            Document::Array(items) => items.iter().for_each(|item| references(item, found)),
            Document::Null | Document::Bool(_) | Document::Number(_) | Document::String(_) => {}
        }
    }

    #[test]
    fn the_index_names_every_group_version_with_its_hash() {
        let openapi = openapi();
        let index = openapi.index();
        let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
        assert_eq!(url, format!("/openapi/v3/apis/apps/v1?hash={}", openapi.hash("apis/apps/v1").unwrap()));
        assert_eq!(index["paths"].as_object().unwrap().len(), 17);
        assert!(openapi.group_version("apis/example.com/v1").is_none());
    }

    #[test]
    fn every_reference_resolves() {
        let openapi = openapi();
        for path in openapi.group_versions.keys() {
            let document = document(path);
            let mut found = Vec::new();
            references(&document, &mut found);
            for reference in found {
                let pointer = reference.trim_start_matches('#');
                assert!(document.pointer(pointer).is_some(), "{path}: {reference}");
            }
        }
        let swagger = swagger_document();
        let mut found = Vec::new();
        references(&swagger, &mut found);
        assert!(found.iter().all(|reference| swagger.pointer(reference.trim_start_matches('#')).is_some()));
    }

    #[test]
    fn a_hash_changes_with_the_group_version_and_no_other() {
        let builtin = Registry::builtin();
        let mut kinds: Vec<_> = builtin.kinds().cloned().collect();
        for kind in &mut kinds {
            if kind.plural == "deployments" {
                Arc::make_mut(kind).verbs = vec!["get"];
            }
        }
        let changed = OpenApi::new(Arc::new(Registry::new(kinds, builtin.schema().clone())));
        let unchanged = openapi();
        assert_ne!(changed.hash("apis/apps/v1"), unchanged.hash("apis/apps/v1"));
        assert_eq!(changed.hash("api/v1"), unchanged.hash("api/v1"));
        assert_eq!(unchanged.hash("api/v1"), openapi().hash("api/v1"));
        assert_ne!(changed.etag, unchanged.etag);
    }

    #[test]
    fn every_patchable_kind_takes_field_validation() {
        let registry = Registry::builtin();
        for kind in registry.kinds().filter(|kind| kind.verbs.contains(&"patch")) {
            let path = format!("{}/{}", group_root(&kind.gvk.group).trim_start_matches('/'), kind.gvk.version);
            let document = document(&path);
            let patches = document["paths"].as_object().unwrap().values().map(|item| &item["patch"]);
            let gvk = schemas::group_version_kind(&kind.gvk);
            let mut own = patches.filter(|patch| patch["x-kubernetes-group-version-kind"] == gvk);
            let first = own.next().unwrap_or_else(|| panic!("{:?} has no patch", kind.gvk));
            let has = |name: &str| first["parameters"].as_array().unwrap().iter().any(|one| one["name"] == name);
            assert!(has("fieldValidation") && has("dryRun"), "{:?}", kind.gvk);
        }
    }

    #[test]
    fn a_schema_carries_what_apply_and_explain_read() {
        let core = document("api/v1");
        let schemas = &core["components"]["schemas"];
        let pod_spec = &schemas["io.k8s.api.core.v1.PodSpec"];
        let containers = &pod_spec["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(containers["x-kubernetes-list-type"], "map");
        assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
        assert_eq!(containers["items"], json!({"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}));
        assert_eq!(pod_spec["required"], json!(["containers"]));
        assert_eq!(pod_spec["properties"]["volumes"]["x-kubernetes-patch-strategy"], "merge,retainKeys");
        assert_eq!(pod_spec["properties"]["nodeSelector"]["x-kubernetes-map-type"], "atomic");
        let pod = &schemas["io.k8s.api.core.v1.Pod"];
        assert_eq!(pod["x-kubernetes-group-version-kind"], json!([{"group": "", "version": "v1", "kind": "Pod"}]));
        assert!(pod["properties"]["spec"]["description"].as_str().unwrap().starts_with("Specification of the desired"));
        assert_eq!(
            schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["oneOf"],
            json!([{"type": "integer"}, {"type": "string"}])
        );
    }

    #[test]
    fn operations_have_upstreams_names_and_actions() {
        let core = document("api/v1");
        let rows = [
            ("/api/v1/pods", "get", "list", "listCoreV1PodForAllNamespaces"),
            ("/api/v1/namespaces/{namespace}/pods", "post", "post", "createCoreV1NamespacedPod"),
            (
                "/api/v1/namespaces/{namespace}/pods",
                "delete",
                "deletecollection",
                "deleteCoreV1CollectionNamespacedPod",
            ),
            ("/api/v1/namespaces/{namespace}/pods/{name}", "put", "put", "replaceCoreV1NamespacedPod"),
            ("/api/v1/namespaces/{namespace}/pods/{name}/log", "get", "get", "readCoreV1NamespacedPodLog"),
            (
                "/api/v1/namespaces/{namespace}/pods/{name}/exec",
                "post",
                "connect",
                "connectCoreV1PostNamespacedPodExec",
            ),
            (
                "/api/v1/namespaces/{namespace}/pods/{name}/eviction",
                "post",
                "post",
                "createCoreV1NamespacedPodEviction",
            ),
            ("/api/v1/nodes/{name}/proxy/{path}", "get", "connect", "connectCoreV1GetNodeProxyWithPath"),
            ("/api/v1/namespaces/{name}/finalize", "put", "put", "replaceCoreV1NamespaceFinalize"),
        ];
        for (path, method, action, id) in rows {
            let operation = &core["paths"][path][method];
            assert_eq!(operation["operationId"], id, "{path}");
            assert_eq!(operation["x-kubernetes-action"], action, "{path}");
        }
        let rbac = document("apis/rbac.authorization.k8s.io/v1");
        let roles = &rbac["paths"]["/apis/rbac.authorization.k8s.io/v1/clusterroles"]["get"];
        assert_eq!(roles["operationId"], "listRbacAuthorizationV1ClusterRole");
        assert_eq!(roles["tags"], json!(["rbacAuthorization_v1"]));
    }

    #[test]
    fn names_of_requests_are_unique() {
        let swagger = swagger_document();
        let mut ids = Vec::new();
        for item in swagger["paths"].as_object().unwrap().values() {
            let operations = item.as_object().unwrap().values();
            ids.extend(operations.filter_map(|operation| operation["operationId"].as_str().map(str::to_owned)));
        }
        let count = ids.len();
        assert!(count > 400, "{count}");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn version_2_comes_in_the_form_that_the_client_takes() {
        let openapi = openapi();
        let content_type = |accept: &str| openapi.swagger_as(accept).map(|page| page.content_type);
        let old = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
        for (accept, expected) in [
            (old, Some(PROTOBUF)),
            (PROTOBUF, Some(PROTOBUF)),
            ("application/json, */*", Some("application/json")),
            ("", Some("application/json")),
            ("text/html", None),
        ] {
            assert_eq!(content_type(accept), expected, "{accept}");
        }
        assert_ne!(openapi.swagger().etag, openapi.swagger_protobuf().etag);
    }

    #[test]
    fn words_stand_beside_the_field_or_its_elements() {
        let core = document("api/v1");
        let schemas = &core["components"]["schemas"];
        let protocol = &schemas["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"];
        assert_eq!(protocol["enum"], json!(["SCTP", "TCP", "UDP"]));
        let modes = &schemas["io.k8s.api.core.v1.PersistentVolumeSpec"]["properties"]["accessModes"];
        assert_eq!(modes["items"]["enum"][3], "ReadWriteOncePod");
    }

    #[test]
    fn scales_and_reviews_have_their_own_kinds() {
        let apps = document("apis/apps/v1");
        let scale = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]["patch"];
        assert_eq!(
            scale["x-kubernetes-group-version-kind"],
            json!({"group": "autoscaling", "version": "v1", "kind": "Scale"})
        );
        assert_eq!(scale["requestBody"]["content"].as_object().unwrap().len(), 4);
        let authorization = document("apis/authorization.k8s.io/v1");
        let paths: Vec<&String> = authorization["paths"].as_object().unwrap().keys().collect();
        assert_eq!(paths.len(), 4, "{paths:?}");
    }
}
