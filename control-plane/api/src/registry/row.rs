//! A row of the built-in table: what cannot be derived from a kind's name.

use crate::kind::{GroupVersionKind, Kind, Scope, Subresource, SubresourceAction};
use crate::schema::{Arena, Type, TypeId};
use crate::strategy::strategy_for;

/// A kind in the table.
#[derive(Clone, Copy)]
pub(super) struct Row {
    kind: &'static str,
    plural: &'static str,
    scope: Scope,
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    verbs: &'static [&'static str],
    subresources: &'static [SubresourceRow],
    storage: Option<(&'static str, &'static str)>,
}

/// A subresource in the table.
#[derive(Clone, Copy)]
pub(super) struct SubresourceRow {
    name: &'static str,
    action: SubresourceAction,
    response: Response,
    verbs: &'static [&'static str],
}

/// The body that a subresource answers with.
#[derive(Clone, Copy)]
enum Response {
    /// An object of the kind itself.
    Parent,
    /// Another kind of the parent's group and version.
    Sibling(&'static str),
    /// Group, version and kind.
    Other(&'static str, &'static str, &'static str),
}

const ALL_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const CHANGE: &[&str] = &["get", "patch", "update"];
const CREATE: &[&str] = &["create"];
const CONNECT: &[&str] = &["create", "get"];
const EVERY_METHOD: &[&str] = &["create", "delete", "get", "patch", "update"];

pub(super) const STATUS: SubresourceRow = parent("status", SubresourceAction::Status, CHANGE);
pub(super) const APPROVAL: SubresourceRow = parent("approval", SubresourceAction::Approval, CHANGE);
pub(super) const FINALIZE: SubresourceRow = parent("finalize", SubresourceAction::Finalize, &["update"]);
pub(super) const EPHEMERAL_CONTAINERS: SubresourceRow =
    parent("ephemeralcontainers", SubresourceAction::EphemeralContainers, CHANGE);
pub(super) const RESIZE: SubresourceRow = parent("resize", SubresourceAction::Resize, CHANGE);
pub(super) const LOG: SubresourceRow = parent("log", SubresourceAction::Log, &["get"]);
pub(super) const ATTACH: SubresourceRow = sibling("attach", SubresourceAction::Attach, "PodAttachOptions", CONNECT);
pub(super) const BINDING: SubresourceRow = sibling("binding", SubresourceAction::Binding, "Binding", CREATE);
pub(super) const EXEC: SubresourceRow = sibling("exec", SubresourceAction::Exec, "PodExecOptions", CONNECT);
pub(super) const PORT_FORWARD: SubresourceRow =
    sibling("portforward", SubresourceAction::PortForward, "PodPortForwardOptions", CONNECT);
pub(super) const EVICTION: SubresourceRow = SubresourceRow {
    name: "eviction",
    action: SubresourceAction::Eviction,
    response: Response::Other("policy", "v1", "Eviction"),
    verbs: CREATE,
};
pub(super) const SCALE: SubresourceRow = SubresourceRow {
    name: "scale",
    action: SubresourceAction::Scale,
    response: Response::Other("autoscaling", "v1", "Scale"),
    verbs: CHANGE,
};
pub(super) const TOKEN: SubresourceRow = SubresourceRow {
    name: "token",
    action: SubresourceAction::Token,
    response: Response::Other("authentication.k8s.io", "v1", "TokenRequest"),
    verbs: CREATE,
};

/// `proxy`, with the kind of its options.
pub(super) const fn proxy(options: &'static str) -> SubresourceRow {
    sibling("proxy", SubresourceAction::Proxy, options, EVERY_METHOD)
}

/// A namespaced kind with every verb.
pub(super) const fn namespaced(kind: &'static str, plural: &'static str) -> Row {
    Row {
        kind,
        plural,
        scope: Scope::Namespaced,
        short_names: &[],
        categories: &[],
        verbs: ALL_VERBS,
        subresources: &[],
        storage: None,
    }
}

/// A cluster-wide kind with every verb.
pub(super) const fn cluster(kind: &'static str, plural: &'static str) -> Row {
    Row { scope: Scope::Cluster, ..namespaced(kind, plural) }
}

/// The type of a built-in document: `rbac.authorization.k8s.io/v1 Role` is `io.k8s.api.rbac.v1.Role`, and options and
/// replies that every group shares are in the meta package. An Eviction may still come in its beta version, which has
/// the same fields: clients up to 1.21 know no other (upstream's `EvictionREST` accepts both).
pub(crate) fn builtin_type(arena: &Arena, gvk: &GroupVersionKind) -> Option<TypeId> {
    let GroupVersionKind { group, version, kind } = gvk;
    let version = match (group.as_str(), version.as_str(), kind.as_str()) {
        ("policy", "v1beta1", "Eviction") => "v1",
        (_, version, _) => version,
    };
    let package = match group.split('.').next() {
        None | Some("") => "core",
        Some(package) => package,
    };
    let own = arena.named(&format!("io.k8s.api.{package}.{version}.{kind}"));
    own.or_else(|| arena.named(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{kind}")))
        .filter(|id| is_document(arena, *id))
}

fn is_document(arena: &Arena, id: TypeId) -> bool {
    matches!(arena.get(id), Type::Object(object) if object.fields.contains_key("apiVersion") && object.fields.contains_key("kind"))
}

const fn parent(name: &'static str, action: SubresourceAction, verbs: &'static [&'static str]) -> SubresourceRow {
    SubresourceRow { name, action, response: Response::Parent, verbs }
}

const fn sibling(
    name: &'static str,
    action: SubresourceAction,
    kind: &'static str,
    verbs: &'static [&'static str],
) -> SubresourceRow {
    SubresourceRow { name, action, response: Response::Sibling(kind), verbs }
}

// === impl Row ===

impl Row {
    pub(super) const fn short(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }

    /// Listed by `kubectl get all`.
    pub(super) const fn in_all(mut self) -> Self {
        self.categories = &["all"];
        self
    }

    pub(super) const fn with(mut self, subresources: &'static [SubresourceRow]) -> Self {
        self.subresources = subresources;
        self
    }

    pub(super) const fn only(mut self, verbs: &'static [&'static str]) -> Self {
        self.verbs = verbs;
        self
    }

    /// A review or other request: it gets an answer and is not kept.
    pub(super) const fn request(self) -> Self {
        self.only(CREATE)
    }

    /// Kept as the same kind of another group and version.
    pub(super) const fn stored_as(mut self, group: &'static str, version: &'static str) -> Self {
        self.storage = Some((group, version));
        self
    }

    /// The kind, in this group and version.
    pub(super) fn kind(&self, group: &str, version: &str) -> Option<Kind> {
        let gvk = GroupVersionKind::new(group, version, self.kind);
        Some(Kind {
            plural: self.plural.to_owned(),
            singular: self.kind.to_lowercase(),
            list_kind: format!("{}List", self.kind),
            short_names: self.short_names.iter().map(|name| (*name).to_owned()).collect(),
            categories: self.categories.iter().map(|name| (*name).to_owned()).collect(),
            scope: self.scope,
            verbs: self.verbs.to_vec(),
            subresources: self.subresources.iter().map(|subresource| subresource.resolve(&gvk)).collect(),
            schema: builtin_type(Arena::builtin(), &gvk)?,
            strategy: strategy_for(group, self.kind),
            storage: self
                .storage
                .map_or_else(|| gvk.clone(), |(group, version)| GroupVersionKind::new(group, version, self.kind)),
            gvk,
        })
    }
}

// === impl SubresourceRow ===

impl SubresourceRow {
    fn resolve(&self, parent: &GroupVersionKind) -> Subresource {
        let response = match self.response {
            Response::Parent => parent.clone(),
            Response::Sibling(kind) => GroupVersionKind::new(&parent.group, &parent.version, kind),
            Response::Other(group, version, kind) => GroupVersionKind::new(group, version, kind),
        };
        Subresource { name: self.name, action: self.action, response, verbs: self.verbs.to_vec() }
    }
}
