//! Nobody gives away more than they have: the check on writes of roles and bindings.

use sheave_api::Document;
use sheave_api::view::View;

use super::attributes::{Attributes, Subject};
use super::cover::uncovered;
use super::rbac::{Authorizer, Decision};
use super::rules::Rule;
use crate::authn::{Identity, MASTERS};
use crate::meta::Meta;

/// Why a role or a binding may not be written.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It would give what the user does not hold; says what.
    Escalates(String),
    /// The binding names a role that is not there: whoever makes it later would give away its rules unseen.
    NoSuchRole {
        /// The role's plural kind.
        resource: &'static str,
        /// Its name.
        name: String,
    },
}

/// Checks the role or binding that `user` wants to write; `resource` is its plural name, `old` the object that it
/// replaces.
///
/// # Errors
/// Why it is refused.
pub(crate) fn confirm_no_escalation(
    authorizer: &Authorizer,
    user: &Identity,
    resource: &str,
    object: &Document,
    old: Option<&Document>,
) -> Result<(), Refusal> {
    if user.is_in(MASTERS) {
        return Ok(());
    }
    match resource {
        "roles" | "clusterroles" => {
            if may(authorizer, user, "escalate", resource, object.name(), object.namespace()) {
                return Ok(());
            }
            let mut rules = Rule::all_of(object);
            // An aggregated role can come to hold anything, also by a change of what it gathers.
            if object.has("aggregationRule") || old.is_some_and(|old| old.has("aggregationRule")) {
                rules.extend(everything());
            }
            check(authorizer, user, object, &rules)
        }
        "rolebindings" | "clusterrolebindings" => {
            let role = if object.text("roleRef.kind") == "Role" { "roles" } else { "clusterroles" };
            let name = object.text("roleRef.name");
            if may(authorizer, user, "bind", role, name, object.namespace()) {
                return Ok(());
            }
            let rules = authorizer
                .rules_of_binding(object)
                .ok_or_else(|| Refusal::NoSuchRole { resource: role, name: name.to_owned() })?;
            check(authorizer, user, object, &rules)
        }
        _ => Ok(()),
    }
}

/// Whether the user has the right to give more than they have.
fn may(authorizer: &Authorizer, user: &Identity, verb: &str, resource: &str, name: &str, namespace: &str) -> bool {
    let attributes = Attributes {
        verb: verb.to_owned(),
        subject: Subject::Resource {
            group: "rbac.authorization.k8s.io".to_owned(),
            resource: resource.to_owned(),
            subresource: String::new(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        },
    };
    authorizer.authorize(user, &attributes) == Decision::Allowed
}

fn check(authorizer: &Authorizer, user: &Identity, object: &Document, rules: &[Rule]) -> Result<(), Refusal> {
    let missing = uncovered(&authorizer.rules_of(user, object.namespace()), rules);
    if missing.is_empty() { Ok(()) } else { Err(Refusal::Escalates(refusal(user, &missing))) }
}

/// All resources, and all paths.
fn everything() -> [Rule; 2] {
    let all = || vec!["*".to_owned()];
    let resources = Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() };
    [resources, Rule { verbs: all(), non_resource_urls: all(), ..Rule::default() }]
}

fn refusal(user: &Identity, missing: &[Rule]) -> String {
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    format!(
        "user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        user.groups,
        missing.join("\n")
    )
}
