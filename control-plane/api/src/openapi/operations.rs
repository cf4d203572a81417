//! The requests that each kind takes, independent of the OpenAPI version.

use super::group_root;
use super::parameters::{
    COMMAND, DELETION, DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE, LOG, NAME, NAMESPACE, PATH, PORTS, PROXY_PATH,
    Parameter, SELECTION, STREAMS, WATCH,
};
use super::schemas::PATCH;
use crate::kind::{GroupVersionKind, Kind, Scope, Subresource, SubresourceAction};
use crate::registry::Registry;

/// A path and its requests.
pub(super) struct PathItem {
    pub(super) path: String,
    /// The parameters in the path.
    pub(super) parameters: Vec<Parameter>,
    pub(super) operations: Vec<Operation>,
}

/// A request.
pub(super) struct Operation {
    /// The HTTP method in lower case.
    pub(super) method: &'static str,
    /// `x-kubernetes-action`.
    pub(super) action: &'static str,
    /// The name of the request for generated clients.
    pub(super) id: String,
    pub(super) description: String,
    /// The group and version, such as `core_v1`.
    pub(super) tag: String,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Body>,
    /// The definition of the reply; none for text.
    pub(super) reply: Option<String>,
    /// The status codes of success.
    pub(super) codes: &'static [&'static str],
    pub(super) gvk: GroupVersionKind,
}

/// The body of a request.
pub(super) struct Body {
    /// Its definition.
    pub(super) definition: String,
    pub(super) is_required: bool,
    pub(super) media_types: &'static [&'static str],
}

const ANY_MEDIA_TYPE: &[&str] = &["*/*"];
const PATCH_MEDIA_TYPES: &[&str] = &[
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// Every path of a kind.
pub(super) fn paths(registry: &Registry, kind: &Kind) -> Vec<PathItem> {
    let paths = Paths { registry, kind };
    let mut items = Vec::new();
    if kind.scope == Scope::Namespaced && kind.verbs.contains(&"list") {
        items.push(paths.everywhere());
    }
    items.push(paths.collection());
    items.push(paths.item());
    for subresource in &kind.subresources {
        items.push(paths.subresource(subresource));
        if subresource.action == SubresourceAction::Proxy {
            items.push(paths.proxy_below(subresource));
        }
    }
    items.retain(|item| !item.operations.is_empty());
    items
}

struct Paths<'a> {
    registry: &'a Registry,
    kind: &'a Kind,
}

// === impl Paths ===

impl Paths<'_> {
    fn everywhere(&self) -> PathItem {
        let mut list = self.list();
        list.id = format!("list{}{}ForAllNamespaces", self.api(), self.kind.gvk.kind);
        PathItem { path: self.root(), parameters: Vec::new(), operations: vec![list] }
    }

    fn collection(&self) -> PathItem {
        let operations = self.kind.verbs.iter().filter_map(|verb| match *verb {
            "list" => Some(self.list()),
            "create" => Some(self.create()),
            "deletecollection" => Some(self.delete_collection()),
            _ => None,
        });
        PathItem { path: self.collection_path(), parameters: self.scope_parameters(), operations: operations.collect() }
    }

    fn item(&self) -> PathItem {
        let operations = self.kind.verbs.iter().filter_map(|verb| match *verb {
            "get" => Some(self.read("", &self.kind.gvk)),
            "update" => Some(self.replace("", &self.kind.gvk)),
            "patch" => Some(self.patch("", &self.kind.gvk)),
            "delete" => Some(self.delete()),
            _ => None,
        });
        PathItem { path: self.item_path(), parameters: self.item_parameters(), operations: operations.collect() }
    }

    fn subresource(&self, subresource: &Subresource) -> PathItem {
        let path = format!("{}/{}", self.item_path(), subresource.name);
        let operations = match subresource.action {
            SubresourceAction::Status
            | SubresourceAction::Scale
            | SubresourceAction::Approval
            | SubresourceAction::Finalize
            | SubresourceAction::EphemeralContainers
            | SubresourceAction::Resize => self.change(subresource),
            SubresourceAction::Binding | SubresourceAction::Eviction | SubresourceAction::Token => {
                vec![self.create_below(subresource)]
            }
            SubresourceAction::Log => vec![self.log(subresource)],
            SubresourceAction::Exec => self.connect(subresource, &[&[COMMAND], STREAMS].concat(), ""),
            SubresourceAction::Attach => self.connect(subresource, STREAMS, ""),
            SubresourceAction::PortForward => self.connect(subresource, &[PORTS], ""),
            SubresourceAction::Proxy => self.connect(subresource, &[PROXY_PATH], ""),
        };
        PathItem { path, parameters: self.item_parameters(), operations }
    }

    fn proxy_below(&self, subresource: &Subresource) -> PathItem {
        let path = format!("{}/{}/{{path}}", self.item_path(), subresource.name);
        let mut parameters = self.item_parameters();
        parameters.push(PATH);
        PathItem { path, parameters, operations: self.connect(subresource, &[PROXY_PATH], "WithPath") }
    }

    fn list(&self) -> Operation {
        let kind = &self.kind.gvk.kind;
        let list = GroupVersionKind { kind: self.kind.list_kind.clone(), ..self.kind.gvk.clone() };
        Operation {
            parameters: [WATCH, SELECTION].concat(),
            reply: self.definition(&list),
            description: format!("list or watch objects of kind {kind}"),
            ..self.operation("get", "list", format!("list{}{}", self.api(), self.scoped()), &self.kind.gvk)
        }
    }

    fn create(&self) -> Operation {
        Operation {
            parameters: vec![DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION],
            body: self.body(&self.kind.gvk),
            codes: &["200", "201", "202"],
            description: format!("create {}", with_article(&self.kind.gvk.kind)),
            ..self.operation("post", "post", format!("create{}{}", self.api(), self.scoped()), &self.kind.gvk)
        }
    }

    fn delete_collection(&self) -> Operation {
        Operation {
            parameters: [DELETION, SELECTION].concat(),
            body: self.deletion_body(),
            reply: self.definition(&GroupVersionKind::new("", "v1", "Status")),
            description: format!("delete collection of {}", self.kind.gvk.kind),
            ..self.operation(
                "delete",
                "deletecollection",
                format!("delete{}Collection{}", self.api(), self.scoped()),
                &self.kind.gvk,
            )
        }
    }

    fn delete(&self) -> Operation {
        Operation {
            parameters: DELETION.to_vec(),
            body: self.deletion_body(),
            reply: self.definition(&GroupVersionKind::new("", "v1", "Status")),
            codes: &["200", "202"],
            description: format!("delete {}", with_article(&self.kind.gvk.kind)),
            ..self.operation("delete", "delete", format!("delete{}{}", self.api(), self.scoped()), &self.kind.gvk)
        }
    }

    /// Read, replace and patch of a subresource, as far as it takes them.
    fn change(&self, subresource: &Subresource) -> Vec<Operation> {
        let operation = |verb: &&str| match *verb {
            "get" => Some(self.read(subresource.name, &subresource.response)),
            "update" => Some(self.replace(subresource.name, &subresource.response)),
            "patch" => Some(self.patch(subresource.name, &subresource.response)),
            _ => None,
        };
        subresource.verbs.iter().filter_map(operation).collect()
    }

    fn read(&self, subresource: &str, gvk: &GroupVersionKind) -> Operation {
        let id = format!("read{}{}{}", self.api(), self.scoped(), title(subresource));
        let description = format!("read {}", self.specified(subresource));
        Operation { description, ..self.operation("get", "get", id, gvk) }
    }

    fn replace(&self, subresource: &str, gvk: &GroupVersionKind) -> Operation {
        let id = format!("replace{}{}{}", self.api(), self.scoped(), title(subresource));
        Operation {
            parameters: vec![DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION],
            body: self.body(gvk),
            codes: &["200", "201"],
            description: format!("replace {}", self.specified(subresource)),
            ..self.operation("put", "put", id, gvk)
        }
    }

    fn patch(&self, subresource: &str, gvk: &GroupVersionKind) -> Operation {
        let id = format!("patch{}{}{}", self.api(), self.scoped(), title(subresource));
        Operation {
            parameters: vec![DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE],
            body: Some(Body { definition: PATCH.to_owned(), is_required: true, media_types: PATCH_MEDIA_TYPES }),
            codes: &["200", "201"],
            description: format!("partially update {}", self.specified(subresource)),
            ..self.operation("patch", "patch", id, gvk)
        }
    }

    fn create_below(&self, subresource: &Subresource) -> Operation {
        let id = format!("create{}{}{}", self.api(), self.scoped(), title(subresource.name));
        Operation {
            parameters: vec![DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION],
            body: self.body(&subresource.response),
            codes: &["200", "201", "202"],
            description: format!("create {} of {}", subresource.name, with_article(&self.kind.gvk.kind)),
            ..self.operation("post", "post", id, &subresource.response)
        }
    }

    fn log(&self, subresource: &Subresource) -> Operation {
        let id = format!("read{}{}{}", self.api(), self.scoped(), title(subresource.name));
        Operation {
            parameters: LOG.to_vec(),
            reply: None,
            description: format!("read {}", self.specified(subresource.name)),
            ..self.operation("get", "get", id, &subresource.response)
        }
    }

    fn connect(&self, subresource: &Subresource, parameters: &[Parameter], suffix: &str) -> Vec<Operation> {
        let methods: &[&str] = match subresource.action {
            SubresourceAction::Proxy => &["get", "put", "post", "delete", "options", "head", "patch"],
            _ => &["get", "post"],
        };
        let operation = |method: &&'static str| Operation {
            parameters: parameters.to_vec(),
            reply: None,
            description: format!(
                "connect {} requests to {} of {}",
                method.to_uppercase(),
                subresource.name,
                self.kind.gvk.kind
            ),
            ..self.operation(
                method,
                "connect",
                format!("connect{}{}{}{}{suffix}", self.api(), title(method), self.scoped(), title(subresource.name)),
                &subresource.response,
            )
        };
        methods.iter().map(operation).collect()
    }

    fn operation(&self, method: &'static str, action: &'static str, id: String, gvk: &GroupVersionKind) -> Operation {
        Operation {
            method,
            action,
            id,
            description: String::new(),
            tag: self.tag(),
            parameters: Vec::new(),
            body: None,
            reply: self.definition(gvk),
            codes: &["200"],
            gvk: gvk.clone(),
        }
    }

    fn definition(&self, gvk: &GroupVersionKind) -> Option<String> {
        let schema = self.registry.schema();
        schema.name(self.registry.type_of(gvk)?).map(str::to_owned)
    }

    fn body(&self, gvk: &GroupVersionKind) -> Option<Body> {
        let definition = self.definition(gvk)?;
        Some(Body { definition, is_required: true, media_types: ANY_MEDIA_TYPE })
    }

    fn deletion_body(&self) -> Option<Body> {
        let body = self.body(&GroupVersionKind::new("", "v1", "DeleteOptions"))?;
        Some(Body { is_required: false, ..body })
    }

    /// `/api/v1/pods`: the objects of all namespaces.
    fn root(&self) -> String {
        let GroupVersionKind { group, version, .. } = &self.kind.gvk;
        format!("{}/{version}/{}", group_root(group), self.kind.plural)
    }

    fn collection_path(&self) -> String {
        let GroupVersionKind { group, version, .. } = &self.kind.gvk;
        match self.kind.scope {
            Scope::Cluster => self.root(),
            Scope::Namespaced => {
                format!("{}/{version}/namespaces/{{namespace}}/{}", group_root(group), self.kind.plural)
            }
        }
    }

    fn item_path(&self) -> String {
        format!("{}/{{name}}", self.collection_path())
    }

    fn scope_parameters(&self) -> Vec<Parameter> {
        match self.kind.scope {
            Scope::Cluster => Vec::new(),
            Scope::Namespaced => vec![NAMESPACE],
        }
    }

    fn item_parameters(&self) -> Vec<Parameter> {
        [vec![NAME], self.scope_parameters()].concat()
    }

    /// Group and version as in names of requests: `CoreV1`, `RbacAuthorizationV1`.
    fn api(&self) -> String {
        let words = group_words(&self.kind.gvk.group);
        let group: String = words.iter().map(|word| title(word)).collect();
        format!("{group}{}", title(&self.kind.gvk.version))
    }

    fn tag(&self) -> String {
        let words = group_words(&self.kind.gvk.group);
        let (first, rest) = words.split_first().map_or(("", &[][..]), |(first, rest)| (*first, rest));
        let rest: String = rest.iter().map(|word| title(word)).collect();
        format!("{first}{rest}_{}", self.kind.gvk.version)
    }

    /// The kind with its scope: `NamespacedPod`.
    fn scoped(&self) -> String {
        match self.kind.scope {
            Scope::Cluster => self.kind.gvk.kind.clone(),
            Scope::Namespaced => format!("Namespaced{}", self.kind.gvk.kind),
        }
    }

    fn specified(&self, subresource: &str) -> String {
        match subresource {
            "" => format!("the specified {}", self.kind.gvk.kind),
            subresource => format!("{subresource} of the specified {}", self.kind.gvk.kind),
        }
    }
}

/// The words of a group: `core`, or the labels before `k8s.io`.
fn group_words(group: &str) -> Vec<&str> {
    match group {
        "" => vec!["core"],
        group => group.trim_end_matches(".k8s.io").split('.').collect(),
    }
}

fn title(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn with_article(kind: &str) -> String {
    let article = if kind.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
    format!("{article} {kind}")
}
