//! What a request wants to do, as rules see it.

use std::fmt;

use crate::request::ResourcePath;

/// The request in the words of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// `get`, `list`, `bind` ...; the lower-case method for a path.
    pub(crate) verb: String,
    pub(crate) subject: Subject,
}

/// What the request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Resource {
        group: String,
        resource: String,
        subresource: String,
        /// Empty for cluster scope and for all namespaces.
        namespace: String,
        /// Empty for collections and creates.
        name: String,
    },
    Path(String),
}

// === impl Attributes ===

impl Attributes {
    pub(crate) fn resource(verb: &str, path: &ResourcePath) -> Self {
        let subject = Subject::Resource {
            group: path.group.clone(),
            resource: path.resource.clone(),
            subresource: path.subresource.clone().unwrap_or_default(),
            namespace: path.namespace.clone().unwrap_or_default(),
            name: path.name.clone().unwrap_or_default(),
        };
        Self { verb: verb.to_owned(), subject }
    }

    pub(crate) fn path(verb: &str, path: &str) -> Self {
        Self { verb: verb.to_owned(), subject: Subject::Path(path.to_owned()) }
    }

    /// The namespace whose role bindings apply; empty for none.
    pub(crate) fn namespace(&self) -> &str {
        match &self.subject {
            Subject::Resource { namespace, .. } => namespace,
            Subject::Path(_) => "",
        }
    }
}

impl fmt::Display for Attributes {
    /// `cannot list resource "pods" in API group "" in the namespace "default"`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = &self.verb;
        match &self.subject {
            Subject::Path(path) => write!(f, "cannot {verb} path {path:?}"),
            Subject::Resource { group, resource, subresource, namespace, .. } => {
                let slash = if subresource.is_empty() { "" } else { "/" };
                write!(f, "cannot {verb} resource \"{resource}{slash}{subresource}\" in API group {group:?}")?;
                match namespace.as_str() {
                    "" => write!(f, " at the cluster scope"),
                    namespace => write!(f, " in the namespace {namespace:?}"),
                }
            }
        }
    }
}
