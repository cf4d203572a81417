//! A policy rule and what it allows.

use std::fmt;

use sheave_api::Document;
use sheave_api::view::View;

use super::attributes::{Attributes, Subject};

/// `rbac.authorization.k8s.io/v1 PolicyRule`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) verbs: Vec<String>,
    pub(crate) api_groups: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) resource_names: Vec<String>,
    pub(crate) non_resource_urls: Vec<String>,
}

const ALL: &str = "*";

// === impl Rule ===

impl Rule {
    pub(crate) fn of(rule: &Document) -> Self {
        let texts = |field: &str| rule.texts(field).map(ToOwned::to_owned).collect();
        Self {
            verbs: texts("verbs"),
            api_groups: texts("apiGroups"),
            resources: texts("resources"),
            resource_names: texts("resourceNames"),
            non_resource_urls: texts("nonResourceURLs"),
        }
    }

    /// The `rules` of a role.
    pub(crate) fn all_of(role: &Document) -> Vec<Self> {
        role.list("rules").iter().map(Self::of).collect()
    }

    /// The rule as a role has it.
    pub(crate) fn document(&self) -> Document {
        let parts = [
            ("verbs", &self.verbs),
            ("apiGroups", &self.api_groups),
            ("resources", &self.resources),
            ("resourceNames", &self.resource_names),
            ("nonResourceURLs", &self.non_resource_urls),
        ];
        let parts = parts.into_iter().filter(|(_, values)| !values.is_empty());
        parts.map(|(name, values)| (name.to_owned(), Document::from(values.clone()))).collect()
    }

    pub(crate) fn allows(&self, attributes: &Attributes) -> bool {
        self.has_verb(&attributes.verb)
            && match &attributes.subject {
                Subject::Path(path) => self.has_path(path),
                Subject::Resource { group, resource, subresource, name, .. } => {
                    self.has_group(group) && self.has_resource(resource, subresource) && self.has_name(name)
                }
            }
    }

    pub(super) fn has_verb(&self, verb: &str) -> bool {
        has(&self.verbs, verb)
    }

    pub(super) fn has_group(&self, group: &str) -> bool {
        has(&self.api_groups, group)
    }

    /// `pods/log` is allowed by `*`, `pods/log` and `*/log`.
    pub(super) fn has_resource(&self, resource: &str, subresource: &str) -> bool {
        self.resources.iter().any(|allowed| match allowed.split_once('/') {
            None if allowed == ALL => true,
            None => subresource.is_empty() && allowed == resource,
            Some((left, right)) => !subresource.is_empty() && right == subresource && (left == ALL || left == resource),
        })
    }

    pub(super) fn has_name(&self, name: &str) -> bool {
        self.resource_names.is_empty() || self.resource_names.iter().any(|allowed| allowed == name)
    }

    /// A path is allowed by itself and by a prefix that ends in `*`.
    pub(super) fn has_path(&self, path: &str) -> bool {
        self.non_resource_urls.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => allowed == path,
        })
    }
}

impl fmt::Display for Rule {
    /// As upstream prints a compact rule: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("NonResourceURLs", &self.non_resource_urls),
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let shown: Vec<String> = parts
            .into_iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(name, values)| format!("{name}:{values:?}"))
            .collect();
        write!(f, "{{{}}}", shown.join(", "))
    }
}

fn has(allowed: &[String], wanted: &str) -> bool {
    allowed.iter().any(|it| it == ALL || it == wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(rule: &Document, verb: &str, path: &str, allowed: bool) {
        let attributes = match crate::request::Target::parse(path).unwrap() {
            crate::request::Target::Resource(path) => Attributes::resource(verb, &path),
            crate::request::Target::Path(path) => Attributes::path(verb, &path),
        };
        assert_eq!(Rule::of(rule).allows(&attributes), allowed, "{verb} {path} by {rule}");
    }

    #[test]
    fn a_rule_allows_what_it_names() {
        let pods = json!({"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]});
        check(&pods, "list", "/api/v1/namespaces/a/pods", true);
        check(&pods, "get", "/api/v1/namespaces/a/pods/x/log", true);
        check(&pods, "get", "/api/v1/namespaces/a/pods/x/exec", false);
        check(&pods, "delete", "/api/v1/namespaces/a/pods/x", false);
        check(&pods, "list", "/apis/apps/v1/namespaces/a/pods", false);
        let everything = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
        check(&everything, "patch", "/apis/apps/v1/namespaces/a/deployments/d/scale", true);
        check(&everything, "get", "/healthz", false);
        let scales = json!({"apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["update"]});
        check(&scales, "update", "/apis/apps/v1/namespaces/a/deployments/d/scale", true);
        check(&scales, "update", "/apis/apps/v1/namespaces/a/deployments/d", false);
    }

    #[test]
    fn names_limit_a_rule_to_objects() {
        let one = json!({"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["x"], "verbs": ["*"]});
        check(&one, "get", "/api/v1/namespaces/a/configmaps/x", true);
        check(&one, "get", "/api/v1/namespaces/a/configmaps/y", false);
        check(&one, "create", "/api/v1/namespaces/a/configmaps", false);
    }

    #[test]
    fn paths_match_whole_or_by_prefix() {
        let health = json!({"nonResourceURLs": ["/healthz", "/livez/*"], "verbs": ["get"]});
        check(&health, "get", "/healthz", true);
        check(&health, "get", "/healthz/ping", false);
        check(&health, "get", "/livez/ping", true);
        check(&health, "get", "/livez", false);
        check(&health, "post", "/healthz", false);
    }

    #[test]
    fn a_rule_is_shown_as_upstream_shows_it() {
        let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
        assert_eq!(Rule::of(&rule).to_string(), r#"{APIGroups:[""], Resources:["pods"], Verbs:["get"]}"#);
    }
}
