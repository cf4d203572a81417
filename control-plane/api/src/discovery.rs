//! What the API serves, told to clients: the aggregated and the legacy discovery documents.
//!
//! All of them are made from the [`Registry`] at once and kept as bytes: a client that asks again with `If-None-Match`
//! costs a comparison.

mod aggregated;
mod legacy;

use std::collections::BTreeMap;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::Document;
use crate::registry::Registry;

/// Every discovery document of a registry.
#[derive(Clone, Debug)]
pub struct Discovery {
    pages: BTreeMap<(String, Form), Page>,
}

/// A document as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The JSON.
    pub body: Bytes,
    /// The value of the `ETag` header, with its quotes.
    pub etag: String,
    /// The value of the `Content-Type` header.
    pub content_type: &'static str,
}

/// The form of a discovery document that a client asks for in its `Accept` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// `APIVersions`, `APIGroupList`, `APIGroup`, `APIResourceList`.
    Legacy,
    /// `APIGroupDiscoveryList` of `apidiscovery.k8s.io/v2`: `/api` and `/apis` only.
    AggregatedV2,
    /// The same of `apidiscovery.k8s.io/v2beta1`, which clients before 1.30 ask for.
    AggregatedV2Beta1,
}

// === impl Discovery ===

impl Discovery {
    /// The documents of `registry`. `server_address` is the `host:port` that `/api` names.
    #[must_use]
    pub fn new(registry: &Registry, server_address: &str) -> Self {
        let mut pages = BTreeMap::new();
        for form in [Form::AggregatedV2, Form::AggregatedV2Beta1] {
            pages.insert(("/api".to_owned(), form), Page::new(&aggregated::core(registry, form), form));
            pages.insert(("/apis".to_owned(), form), Page::new(&aggregated::groups(registry, form), form));
        }
        for (path, document) in legacy::documents(registry, server_address) {
            pages.insert((path, Form::Legacy), Page::new(&document, Form::Legacy));
        }
        Self { pages }
    }

    /// The document at `path`: `/api`, `/api/v1`, `/apis`, `/apis/{group}` or `/apis/{group}/{version}`.
    ///
    /// Only `/api` and `/apis` have aggregated forms; elsewhere those forms are the legacy one.
    #[must_use]
    pub fn page(&self, path: &str, form: Form) -> Option<&Page> {
        let path = path.to_owned();
        let form = if matches!(path.as_str(), "/api" | "/apis") { form } else { Form::Legacy };
        self.pages.get(&(path, form))
    }
}

// === impl Page ===

impl Page {
    fn new(document: &Document, form: Form) -> Self {
        let body = Bytes::from(document.to_string());
        let digest = Sha256::digest(&body);
        let etag = digest.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        Self { body, etag: format!("\"{etag}\""), content_type: form.content_type() }
    }
}

// === impl Form ===

impl Form {
    /// The first form in an `Accept` header that the server has; none when it has none of them (406).
    ///
    /// Weights are not read: clients list the newest form first.
    #[must_use]
    pub fn from_accept(accept: &str) -> Option<Self> {
        if accept.trim().is_empty() {
            return Some(Self::Legacy);
        }
        accept.split(',').find_map(Self::from_media_type)
    }

    fn from_media_type(media_type: &str) -> Option<Self> {
        let mut parts = media_type.split(';').map(str::trim);
        let is_json = matches!(parts.next()?, "application/json" | "application/*" | "*/*");
        let parameters: Vec<&str> = parts.collect();
        let has = |parameter: &str| parameters.contains(&parameter);
        let is_aggregated = has("as=APIGroupDiscoveryList") && has("g=apidiscovery.k8s.io");
        match () {
            () if !is_json => None,
            () if is_aggregated && has("v=v2") => Some(Self::AggregatedV2),
            () if is_aggregated && has("v=v2beta1") => Some(Self::AggregatedV2Beta1),
            () if parameters.iter().any(|parameter| parameter.starts_with("as=")) => None,
            () => Some(Self::Legacy),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Legacy => "application/json",
            Self::AggregatedV2 => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Self::AggregatedV2Beta1 => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        }
    }

    fn api_version(self) -> &'static str {
        match self {
            Self::Legacy => "v1",
            Self::AggregatedV2 => "apidiscovery.k8s.io/v2",
            Self::AggregatedV2Beta1 => "apidiscovery.k8s.io/v2beta1",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(path: &str, form: Form) -> Document {
        let discovery = Discovery::new(&Registry::builtin(), "192.0.2.1:6443");
        serde_json::from_slice(&discovery.page(path, form).unwrap().body).unwrap()
    }

    fn named<'a>(list: &'a Document, key: &str, name: &str) -> &'a Document {
        list.as_array().unwrap().iter().find(|entry| entry[key] == name).unwrap()
    }

    #[test]
    fn the_accept_header_of_each_client_gets_its_form() {
        let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let v2beta1 = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
        let rows = [
            (format!("{v2},{v2beta1},application/json"), Some(Form::AggregatedV2)),
            (format!("{v2beta1},application/json"), Some(Form::AggregatedV2Beta1)),
            (
                "application/json; as=APIGroupDiscoveryList; v=v2; g=apidiscovery.k8s.io".to_owned(),
                Some(Form::AggregatedV2),
            ),
            ("application/json, */*".to_owned(), Some(Form::Legacy)),
            ("*/*".to_owned(), Some(Form::Legacy)),
            (String::new(), Some(Form::Legacy)),
            (
                "application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList,application/json".to_owned(),
                Some(Form::Legacy),
            ),
            ("application/json;g=meta.k8s.io;v=v1;as=Table".to_owned(), None),
            ("application/vnd.kubernetes.protobuf".to_owned(), None),
        ];
        for (accept, form) in rows {
            assert_eq!(Form::from_accept(&accept), form, "{accept}");
        }
    }

    #[test]
    fn the_content_type_names_the_form_that_was_chosen() {
        let discovery = Discovery::new(&Registry::builtin(), "");
        for form in [Form::Legacy, Form::AggregatedV2, Form::AggregatedV2Beta1] {
            let page = discovery.page("/apis", form).unwrap();
            assert_eq!(Form::from_accept(page.content_type), Some(form));
            assert!(page.etag.starts_with('"') && page.etag.ends_with('"'));
        }
    }

    #[test]
    fn etags_are_stable_and_differ_between_documents() {
        let etags = || {
            let discovery = Discovery::new(&Registry::builtin(), "192.0.2.1:6443");
            discovery.pages.into_values().map(|page| page.etag).collect::<Vec<_>>()
        };
        let mut first = etags();
        assert_eq!(first, etags());
        let count = first.len();
        first.sort();
        first.dedup();
        assert_eq!(first.len(), count);
    }

    #[test]
    fn aggregated_core_lists_pods_with_their_subresources() {
        let core = document("/api", Form::AggregatedV2);
        assert_eq!(core["apiVersion"], "apidiscovery.k8s.io/v2");
        assert_eq!(core["items"][0]["metadata"], json!({}));
        let pods = named(&core["items"][0]["versions"][0]["resources"], "resource", "pods");
        assert_eq!(pods["shortNames"], json!(["po"]));
        assert_eq!(pods["categories"], json!(["all"]));
        assert_eq!(pods["responseKind"], json!({"group": "", "version": "", "kind": "Pod"}));
        assert_eq!(
            *named(&pods["subresources"], "subresource", "eviction"),
            json!({
                "subresource": "eviction",
                "responseKind": {"group": "policy", "version": "v1", "kind": "Eviction"},
                "verbs": ["create"],
            })
        );
    }

    #[test]
    fn aggregated_groups_come_by_priority_with_the_preferred_version_first() {
        let groups = document("/apis", Form::AggregatedV2Beta1);
        assert_eq!(groups["apiVersion"], "apidiscovery.k8s.io/v2beta1");
        assert_eq!(groups["items"][0]["metadata"]["name"], "apps");
        let autoscaling =
            groups["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == "autoscaling");
        let versions: Vec<&Document> =
            autoscaling.unwrap()["versions"].as_array().unwrap().iter().map(|version| &version["version"]).collect();
        assert_eq!(versions, ["v2", "v1"]);
    }

    #[test]
    fn legacy_core_lists_subresources_for_drain() {
        let core = document("/api/v1", Form::AggregatedV2);
        let resources = &core["resources"];
        assert_eq!(
            *named(resources, "name", "pods/eviction"),
            json!({
                "name": "pods/eviction", "singularName": "", "namespaced": true,
                "group": "policy", "version": "v1", "kind": "Eviction", "verbs": ["create"],
            })
        );
        assert_eq!(
            *named(resources, "name", "configmaps"),
            json!({
                "name": "configmaps", "singularName": "configmap", "namespaced": true, "kind": "ConfigMap",
                "shortNames": ["cm"], "storageVersionHash": "qFsyl6wFWjQ=",
                "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            })
        );
        let names: Vec<&str> =
            resources.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn storage_version_hashes_are_those_of_the_stored_version() {
        let hash = |path: &str, name: &str| {
            named(&document(path, Form::Legacy)["resources"], "name", name)["storageVersionHash"].clone()
        };
        assert_eq!(hash("/apis/events.k8s.io/v1", "events"), hash("/api/v1", "events"));
        assert_eq!(hash("/api/v1", "events"), "r2yiGXH7wu8=");
        assert_eq!(hash("/apis/autoscaling/v1", "horizontalpodautoscalers"), "qwQve8ut294=");
        assert_eq!(hash("/apis/authorization.k8s.io/v1", "subjectaccessreviews"), Document::Null);
    }

    #[test]
    fn legacy_groups_name_their_preferred_version() {
        let autoscaling = document("/apis/autoscaling", Form::Legacy);
        assert_eq!(autoscaling["kind"], "APIGroup");
        assert_eq!(autoscaling["preferredVersion"], json!({"groupVersion": "autoscaling/v2", "version": "v2"}));
        let list = document("/apis", Form::Legacy);
        assert_eq!(list["kind"], "APIGroupList");
        assert_eq!(named(&list["groups"], "name", "autoscaling")["versions"], autoscaling["versions"]);
        assert_eq!(document("/api", Form::Legacy)["versions"], json!(["v1"]));
    }

    #[test]
    fn what_is_not_served_has_no_document() {
        let discovery = Discovery::new(&Registry::builtin(), "");
        for path in ["/apis/example.com", "/apis/apps/v2", "/api/v2", "/", "/apis/"] {
            assert!(discovery.page(path, Form::Legacy).is_none(), "{path}");
        }
    }
}
