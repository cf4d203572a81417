//! Nobody gives away more than they have: the check on writes of roles and bindings.

use sheave_api::Document;
use sheave_api::view::View;

use super::attributes::{Attributes, Subject};
use super::cover::uncovered;
use super::rbac::{Authorizer, Decision};
use super::rules::Rule;
use crate::authn::{Identity, MASTERS};
use crate::meta::Meta;

/// Checks the role or binding that `user` wants to write; `resource` is its plural name.
///
/// # Errors
/// Why it is refused: the rules that the user does not hold.
pub(crate) fn confirm_no_escalation(
    authorizer: &Authorizer,
    user: &Identity,
    resource: &str,
    object: &Document,
) -> Result<(), String> {
    if user.is_in(MASTERS) {
        return Ok(());
    }
    let (verb, target, rules) = match resource {
        "roles" | "clusterroles" => {
            let gathers = object.has("aggregationRule");
            // An aggregated role can come to hold anything.
            let rules = if gathers { vec![everything()] } else { Rule::all_of(object) };
            ("escalate", (resource, object.name()), rules)
        }
        "rolebindings" | "clusterrolebindings" => {
            let role = if object.text("roleRef.kind") == "Role" { "roles" } else { "clusterroles" };
            ("bind", (role, object.text("roleRef.name")), authorizer.rules_of_binding(object))
        }
        _ => return Ok(()),
    };
    let attributes = Attributes {
        verb: verb.to_owned(),
        subject: Subject::Resource {
            group: "rbac.authorization.k8s.io".to_owned(),
            resource: target.0.to_owned(),
            subresource: String::new(),
            namespace: object.namespace().to_owned(),
            name: target.1.to_owned(),
        },
    };
    if authorizer.authorize(user, &attributes) == Decision::Allowed {
        return Ok(());
    }
    let missing = uncovered(&authorizer.rules_of(user, object.namespace()), &rules);
    if missing.is_empty() { Ok(()) } else { Err(refusal(user, &missing)) }
}

fn everything() -> Rule {
    let all = || vec!["*".to_owned()];
    Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() }
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
