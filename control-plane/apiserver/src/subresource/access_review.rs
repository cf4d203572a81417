//! `authorization.k8s.io`: asking the authorizer a question.

use serde_json::json;
use sheave_api::Document;
use sheave_api::view::View;

use crate::authn::{Identity, UserInfo};
use crate::authz::{Attributes, Decision, Rule, Subject};
use crate::call::Call;
use crate::status::StatusError;

/// May the asker do it?
pub(super) fn of_self(call: &Call, review: &Document) -> Result<Document, StatusError> {
    Ok(decided(call, &call.identity, &attributes(review)?))
}

/// May somebody do it?
pub(super) fn of_subject(call: &Call, review: &Document) -> Result<Document, StatusError> {
    let spec = &review["spec"];
    let groups: Vec<String> = spec.texts("groups").map(ToOwned::to_owned).collect();
    if spec.text("user").is_empty() && groups.is_empty() {
        return Err(StatusError::bad_request("at least one of user or group must be specified"));
    }
    // What the review says of the user is all there is: nobody is added to system:authenticated.
    let user = UserInfo {
        name: spec.text("user").to_owned(),
        uid: spec.text("uid").to_owned(),
        groups,
        ..UserInfo::default()
    };
    Ok(decided(call, &Identity::exactly(user), &attributes(review)?))
}

/// May somebody do it in the namespace of the path?
pub(super) fn of_subject_in_namespace(call: &Call, review: &Document) -> Result<Document, StatusError> {
    let namespace = call.namespace().unwrap_or_default();
    let asked = review.text("spec.resourceAttributes.namespace");
    if asked != namespace {
        return Err(StatusError::bad_request(format!(
            "spec.resourceAttributes.namespace must match metadata.namespace: {asked:?} is not {namespace:?}"
        )));
    }
    of_subject(call, review)
}

/// What the asker may do in a namespace.
pub(super) fn rules(call: &Call, review: &Document) -> Result<Document, StatusError> {
    let namespace = review.text("spec.namespace");
    if namespace.is_empty() {
        return Err(StatusError::bad_request("no namespace on request"));
    }
    let rules = call.server.authorizer.rules_of(&call.identity, namespace);
    let (paths, resources): (Vec<Rule>, Vec<Rule>) =
        rules.into_iter().partition(|rule| !rule.non_resource_urls.is_empty());
    let resources: Vec<Document> = resources.iter().map(resource_rule).collect();
    let paths: Vec<Document> =
        paths.iter().map(|rule| json!({"verbs": rule.verbs, "nonResourceURLs": rule.non_resource_urls})).collect();
    Ok(json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false}))
}

fn resource_rule(rule: &Rule) -> Document {
    let mut shown = json!({"verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": rule.resources});
    if !rule.resource_names.is_empty() {
        shown["resourceNames"] = json!(rule.resource_names);
    }
    shown
}

fn decided(call: &Call, user: &Identity, attributes: &Attributes) -> Document {
    json!({"allowed": call.server.authorizer.authorize(user, attributes) == Decision::Allowed})
}

fn attributes(review: &Document) -> Result<Attributes, StatusError> {
    let spec = &review["spec"];
    let text = |field: &str| spec.text(field).to_owned();
    match (spec.has("resourceAttributes"), spec.has("nonResourceAttributes")) {
        (true, false) => Ok(Attributes {
            verb: text("resourceAttributes.verb"),
            subject: Subject::Resource {
                group: text("resourceAttributes.group"),
                resource: text("resourceAttributes.resource"),
                subresource: text("resourceAttributes.subresource"),
                namespace: text("resourceAttributes.namespace"),
                name: text("resourceAttributes.name"),
            },
        }),
        (false, true) => Ok(Attributes::path(&text("nonResourceAttributes.verb"), &text("nonResourceAttributes.path"))),
        _ => Err(StatusError::bad_request(
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
    }
}
