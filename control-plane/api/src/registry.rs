//! Every kind that the API serves, found by path or by `apiVersion` and `kind`.
//!
//! A registry is a snapshot: nothing in it changes. When custom resources come or go, the server makes another one from
//! the built-in rows and theirs, and swaps the two.

mod builtin;
mod row;

pub(crate) use row::builtin_type;

use std::sync::Arc;

use crate::kind::{GroupVersionKind, Kind, Subresource};
use crate::schema::{Arena, TypeId};

/// All kinds, by group and version.
#[derive(Clone)]
pub struct Registry {
    groups: Vec<Group>,
    schema: Arc<Arena>,
}

/// An API group.
#[derive(Clone)]
pub struct Group {
    /// Its name, such as `apps`; empty for core.
    pub name: String,
    /// Its versions; the first is the preferred one.
    pub versions: Vec<Version>,
}

/// One version of an API group.
#[derive(Clone)]
pub struct Version {
    /// Its name, such as `v1`.
    pub name: String,
    /// Its kinds, in the order of their plural names.
    pub kinds: Vec<Arc<Kind>>,
}

// === impl Registry ===

impl Registry {
    /// The built-in kinds.
    #[must_use]
    pub fn builtin() -> Self {
        Self::new(builtin::rows(), Arc::clone(Arena::builtin()))
    }

    /// A registry of these kinds.
    ///
    /// Groups and versions keep the order in which the kinds name them first: a group's first version is its preferred
    /// one. Of two kinds with the same group, version and plural name, the later one is served.
    #[must_use]
    pub fn new(kinds: impl IntoIterator<Item = Arc<Kind>>, schema: Arc<Arena>) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for kind in kinds {
            let group = entry(&mut groups, |group| group.name == kind.gvk.group, || Group::new(&kind.gvk.group));
            let version = entry(
                &mut group.versions,
                |version| version.name == kind.gvk.version,
                || Version::new(&kind.gvk.version),
            );
            match version.kinds.binary_search_by(|other| other.plural.cmp(&kind.plural)) {
                Ok(position) => version.kinds[position] = kind,
                Err(position) => version.kinds.insert(position, kind),
            }
        }
        Self { groups, schema }
    }

    /// The group of this name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// Every group, core first, in the order of discovery.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The version of a group.
    #[must_use]
    pub fn version(&self, group: &str, version: &str) -> Option<&Version> {
        self.group(group)?.versions.iter().find(|found| found.name == version)
    }

    /// The kind served below `/apis/{group}/{version}/{plural}`, or `/api/{version}/{plural}` for core.
    #[must_use]
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        let kinds = &self.version(group, version)?.kinds;
        kinds.binary_search_by(|kind| kind.plural.as_str().cmp(plural)).ok().map(|position| &kinds[position])
    }

    /// The kind of a document's `apiVersion` and `kind`.
    #[must_use]
    pub fn kind(&self, gvk: &GroupVersionKind) -> Option<&Arc<Kind>> {
        self.version(&gvk.group, &gvk.version)?.kinds.iter().find(|kind| kind.gvk.kind == gvk.kind)
    }

    /// Every kind of every version, in the order of discovery.
    pub fn kinds(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.groups.iter().flat_map(|group| &group.versions).flat_map(|version| &version.kinds)
    }

    /// The types that the kinds' schemas are in.
    #[must_use]
    pub fn schema(&self) -> &Arc<Arena> {
        &self.schema
    }

    /// The type of any document of the API: of a kind in the registry, of a built-in list, or of a request or reply
    /// body that is no kind of its own (`DeleteOptions`, `Scale`, `Status`).
    #[must_use]
    pub fn type_of(&self, gvk: &GroupVersionKind) -> Option<TypeId> {
        self.kind(gvk).map(|kind| kind.schema).or_else(|| builtin_type(&self.schema, gvk))
    }
}

fn entry<T>(items: &mut Vec<T>, is_it: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> &mut T {
    let position = items.iter().position(is_it).unwrap_or_else(|| {
        items.push(make());
        items.len() - 1
    });
    &mut items[position]
}

// === impl Group ===

impl Group {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), versions: Vec::new() }
    }
}

// === impl Version ===

impl Version {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), kinds: Vec::new() }
    }
}

// === impl Kind ===

impl Kind {
    /// The subresource of this name.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// Whether objects of this kind are kept: reviews and other requests only get an answer.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.verbs.contains(&"watch")
    }
}

// === impl GroupVersionKind ===

impl GroupVersionKind {
    /// From its three parts; the core group is the empty string.
    #[must_use]
    pub fn new(group: &str, version: &str, kind: &str) -> Self {
        Self { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }

    /// From a document's `apiVersion` (`v1`, `apps/v1`) and `kind`.
    #[must_use]
    pub fn from_api_version(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self::new(group, version, kind)
    }

    /// The `apiVersion` of its documents: `v1`, `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::{Scope, SubresourceAction};

    #[test]
    fn a_resource_is_found_by_its_path_and_a_kind_by_its_names() {
        let registry = Registry::builtin();
        let deployments = registry.resource("apps", "v1", "deployments").unwrap();
        assert_eq!(deployments.gvk, GroupVersionKind::from_api_version("apps/v1", "Deployment"));
        assert_eq!(registry.kind(&deployments.gvk).unwrap().plural, "deployments");
        assert_eq!(registry.resource("", "v1", "pods").unwrap().gvk.api_version(), "v1");
        for missing in [("apps", "v1", "pods"), ("apps", "v2", "deployments"), ("example.com", "v1", "pods")] {
            assert!(registry.resource(missing.0, missing.1, missing.2).is_none(), "{missing:?}");
        }
    }

    #[test]
    fn every_kind_is_found_and_has_an_object_schema() {
        let registry = Registry::builtin();
        assert_eq!(registry.kinds().count(), 54);
        for kind in registry.kinds() {
            let GroupVersionKind { group, version, .. } = &kind.gvk;
            assert!(Arc::ptr_eq(registry.resource(group, version, &kind.plural).unwrap(), kind));
            assert!(Arc::ptr_eq(registry.kind(&kind.gvk).unwrap(), kind));
            assert!(matches!(registry.schema().get(kind.schema), crate::schema::Type::Object(_)), "{:?}", kind.gvk);
            assert!(registry.kind(&kind.storage).is_some(), "{:?} is stored as no kind", kind.gvk);
        }
    }

    #[test]
    fn every_subresource_that_carries_a_body_has_its_type() {
        let registry = Registry::builtin();
        let subresources = registry.kinds().flat_map(|kind| &kind.subresources);
        for subresource in subresources.filter(|subresource| !subresource.response.kind.ends_with("Options")) {
            assert!(registry.type_of(&subresource.response).is_some(), "{:?}", subresource.response);
        }
    }

    #[test]
    fn versions_that_share_storage_say_so() {
        let registry = Registry::builtin();
        let storage = |group, version, plural| registry.resource(group, version, plural).unwrap().storage.api_version();
        assert_eq!(storage("autoscaling", "v1", "horizontalpodautoscalers"), "autoscaling/v2");
        assert_eq!(storage("autoscaling", "v2", "horizontalpodautoscalers"), "autoscaling/v2");
        assert_eq!(storage("events.k8s.io", "v1", "events"), "v1");
        assert_eq!(registry.group("autoscaling").unwrap().versions[0].name, "v2");
    }

    #[test]
    fn bodies_that_are_no_kind_have_a_type() {
        let registry = Registry::builtin();
        for (api_version, kind) in [
            ("v1", "DeleteOptions"),
            ("apps/v1", "DeleteOptions"),
            ("v1", "Status"),
            ("v1", "PodList"),
            ("policy/v1", "Eviction"),
            ("policy/v1beta1", "Eviction"),
            ("autoscaling/v1", "Scale"),
            ("authentication.k8s.io/v1", "TokenRequest"),
        ] {
            let gvk = GroupVersionKind::from_api_version(api_version, kind);
            assert!(registry.type_of(&gvk).is_some(), "{api_version} {kind}");
        }
        let type_of = |version: &str| registry.type_of(&GroupVersionKind::new("policy", version, "Eviction"));
        assert_eq!(type_of("v1beta1"), type_of("v1"));
        for missing in ["Nothing", "PodSpec", "ObjectMeta"] {
            assert!(registry.type_of(&GroupVersionKind::new("", "v1", missing)).is_none(), "{missing}");
        }
    }

    #[test]
    fn a_registry_is_rebuilt_with_a_custom_resource() {
        let builtin = Registry::builtin();
        let mut schema = Arena::clone(builtin.schema());
        let widget = schema.add(crate::schema::Type::Object(crate::schema::ObjectType {
            name: Some("com.example.v1.Widget".to_owned()),
            preserve_unknown: true,
            ..Default::default()
        }));
        let pods = builtin.resource("", "v1", "pods").unwrap();
        let gvk = GroupVersionKind::new("example.com", "v1", "Widget");
        let kind = Arc::new(Kind {
            gvk: gvk.clone(),
            plural: "widgets".to_owned(),
            scope: Scope::Cluster,
            schema: widget,
            storage: gvk.clone(),
            ..Kind::clone(pods)
        });
        let registry = Registry::new(builtin.kinds().cloned().chain([kind]), Arc::new(schema));
        assert_eq!(registry.resource("example.com", "v1", "widgets").unwrap().gvk, gvk);
        assert_eq!(registry.groups().last().unwrap().name, "example.com");
        assert!(registry.resource("", "v1", "pods").is_some());
    }

    #[test]
    fn drain_finds_the_eviction_subresource() {
        let registry = Registry::builtin();
        let eviction = registry.resource("", "v1", "pods").unwrap().subresource("eviction").unwrap();
        assert_eq!(eviction.action, SubresourceAction::Eviction);
        assert_eq!(eviction.response, GroupVersionKind::new("policy", "v1", "Eviction"));
    }
}
