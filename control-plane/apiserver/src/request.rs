//! What a request asks for: the path taken apart as Kubernetes takes it apart.
//!
//! Follows `k8s.io/apiserver/pkg/endpoints/request`, because authorization rules name the parts found here.

use http::Method;
use percent_encoding::percent_decode_str;

/// What is done, in the words of authorization rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read a collection.
    List,
    /// Follow a collection.
    Watch,
    /// Make an object, or connect to a subresource.
    Create,
    /// Replace an object.
    Update,
    /// Change parts of an object.
    Patch,
    /// Delete one object.
    Delete,
    /// Delete every object that a selector matches.
    DeleteCollection,
}

/// A request's path, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Something below `/api/v1` or `/apis/<group>/<version>`.
    Resource(ResourcePath),
    /// Any other path, such as `/healthz` or `/apis`.
    Path(String),
}

/// The parts of a resource's path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourcePath {
    /// The group; empty for core.
    pub group: String,
    /// The version.
    pub version: String,
    /// The namespace; none for cluster scope and for all namespaces.
    pub namespace: Option<String>,
    /// The plural resource name.
    pub resource: String,
    /// The object's name; none for a collection.
    pub name: Option<String>,
    /// The subresource, such as `status`.
    pub subresource: Option<String>,
    /// What follows the subresource, with its leading slash: the path that a proxy forwards.
    pub rest: String,
    /// The deprecated `/watch/` prefix was there.
    pub watch: bool,
}

/// A path that cannot be taken apart.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PathError {
    #[error("the path segment {0:?} is not valid percent-encoded UTF-8")]
    Encoding(String),
    #[error("the path segment {0:?} may not contain a slash or a null byte")]
    Separator(String),
}

// === impl Verb ===

impl Verb {
    /// The verb as rules and metrics write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// Whether the verb only reads.
    #[must_use]
    pub fn is_read(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch)
    }

    /// The verb of a resource request; none for methods that no resource takes.
    pub(crate) fn of_resource(method: &Method, path: &ResourcePath, watch: bool) -> Option<Self> {
        let collection = path.name.is_none();
        Some(match *method {
            Method::GET | Method::HEAD if watch || path.watch => Self::Watch,
            Method::GET | Method::HEAD if collection => Self::List,
            Method::GET | Method::HEAD => Self::Get,
            Method::POST => Self::Create,
            Method::PUT => Self::Update,
            Method::PATCH => Self::Patch,
            Method::DELETE if collection => Self::DeleteCollection,
            Method::DELETE => Self::Delete,
            // Proxied paths take any method; rules see OPTIONS as a read.
            Method::OPTIONS if path.subresource.as_deref() == Some("proxy") => Self::Get,
            _ => return None,
        })
    }
}

// === impl Target ===

impl Target {
    /// Takes `path` apart. Discovery documents (`/apis/apps/v1`) are plain paths: they name no resource.
    pub(crate) fn parse(path: &str) -> Result<Self, PathError> {
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Ok(Self::Path(path.to_owned())),
        };
        if rest.iter().all(|segment| segment.is_empty()) {
            return Ok(Self::Path(path.to_owned()));
        }
        Ok(Self::Resource(ResourcePath::parse(group, version, rest)?))
    }
}

// === impl ResourcePath ===

impl ResourcePath {
    fn parse(group: &str, version: &str, mut rest: &[&str]) -> Result<Self, PathError> {
        let watch = rest[0] == "watch" && rest.len() > 1;
        if watch {
            rest = &rest[1..];
        }
        let mut path = Self { group: decode(group)?, version: decode(version)?, watch, ..Self::default() };
        if let ["namespaces", namespace, resource, ..] = rest
            && !namespace.is_empty()
            && !matches!(*resource, "" | "status" | "finalize")
        {
            path.namespace = Some(decode(namespace)?);
            rest = &rest[2..];
        }
        path.take_object(rest)?;
        Ok(path)
    }

    /// `resource[/name[/subresource[/rest...]]]`
    fn take_object(&mut self, rest: &[&str]) -> Result<(), PathError> {
        self.resource = decode(rest[0])?;
        self.name = optional(rest.get(1))?;
        self.subresource = optional(rest.get(2))?;
        if rest.len() > 3 {
            self.rest = format!("/{}", rest[3..].join("/"));
        }
        // `kubectl get ns x` is a get of the object x, but rules in x's namespace apply to it.
        if self.group.is_empty() && self.resource == "namespaces" {
            self.namespace.clone_from(&self.name);
        }
        Ok(())
    }

    /// `pods` or `pods/log`, as rules write it.
    #[must_use]
    pub fn qualified(&self) -> String {
        match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.resource),
            None => self.resource.clone(),
        }
    }
}

fn optional(segment: Option<&&str>) -> Result<Option<String>, PathError> {
    segment.filter(|segment| !segment.is_empty()).map(|segment| decode(segment)).transpose()
}

fn decode(segment: &str) -> Result<String, PathError> {
    let decoded = percent_decode_str(segment).decode_utf8().map_err(|_| PathError::Encoding(segment.to_owned()))?;
    if decoded.contains(['/', '\0']) || decoded == ".." || decoded == "." {
        return Err(PathError::Separator(segment.to_owned()));
    }
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &str) {
        let shown = match Target::parse(path) {
            Ok(Target::Path(path)) => format!("path {path}"),
            Ok(Target::Resource(it)) => format!(
                "{}/{} ns={} {} name={} rest={}{}",
                it.group,
                it.version,
                it.namespace.as_deref().unwrap_or("-"),
                it.qualified(),
                it.name.as_deref().unwrap_or("-"),
                it.rest,
                if it.watch { " watch" } else { "" },
            ),
            Err(error) => format!("error {error}"),
        };
        assert_eq!(shown, expected, "{path}");
    }

    #[test]
    fn paths_are_taken_apart_as_kubernetes_does() {
        check("/api/v1/pods", "/v1 ns=- pods name=- rest=");
        check("/api/v1/namespaces/default/pods/web", "/v1 ns=default pods name=web rest=");
        check("/api/v1/namespaces/default/pods/web/log", "/v1 ns=default pods/log name=web rest=");
        check("/apis/apps/v1/namespaces/a/deployments/d/scale", "apps/v1 ns=a deployments/scale name=d rest=");
        check("/api/v1/namespaces", "/v1 ns=- namespaces name=- rest=");
        check("/api/v1/namespaces/a", "/v1 ns=a namespaces name=a rest=");
        check("/api/v1/namespaces/a/finalize", "/v1 ns=a namespaces/finalize name=a rest=");
        check("/api/v1/namespaces/a/status", "/v1 ns=a namespaces/status name=a rest=");
        check("/api/v1/watch/namespaces/a/pods", "/v1 ns=a pods name=- rest= watch");
        check("/api/v1/namespaces/a/services/s:80/proxy/x/y", "/v1 ns=a services/proxy name=s:80 rest=/x/y");
        check(
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
            "rbac.authorization.k8s.io/v1 ns=- clusterroles name=system:node rest=",
        );
        check("/api/v1/namespaces/a/pods/", "/v1 ns=a pods name=- rest=");
    }

    #[test]
    fn other_paths_are_left_whole() {
        for path in ["/", "/api", "/apis", "/apis/apps", "/apis/apps/v1", "/api/v1", "/api/v1/", "/healthz/ping"] {
            check(path, &format!("path {path}"));
        }
    }

    #[test]
    fn a_segment_cannot_smuggle_a_separator() {
        check(
            "/api/v1/namespaces/a/pods/x%2Fy",
            "error the path segment \"x%2Fy\" may not contain a slash or a null byte",
        );
        check("/api/v1/pods/%ff", "error the path segment \"%ff\" is not valid percent-encoded UTF-8");
        check(
            "/api/v1/namespaces/%2e%2e/pods",
            "error the path segment \"%2e%2e\" may not contain a slash or a null byte",
        );
    }
}
