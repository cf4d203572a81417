//! Who may do what: roles, bindings, certificates.

use crate::Document;
use crate::columns::{self, Table};
use crate::defaults;
use crate::field::{Errors, FieldError};
use crate::kind::Scope;
use crate::names;
use crate::strategy::rules::{Rules, keep_only};
use crate::strategy::{FieldReader, SubresourceUpdate};
use crate::validation::metadata::{self, NameRule};
use crate::validation::{Place, certificates, check, rbac};
use crate::view::{Edit, View};

/// rbac.authorization.k8s.io/v1 Role
pub(super) struct Role;

/// rbac.authorization.k8s.io/v1 `ClusterRole`
pub(super) struct ClusterRole;

/// rbac.authorization.k8s.io/v1 `RoleBinding`
pub(super) struct RoleBinding;

/// rbac.authorization.k8s.io/v1 `ClusterRoleBinding`
pub(super) struct ClusterRoleBinding;

/// certificates.k8s.io/v1 `CertificateSigningRequest`
pub(super) struct CertificateSigningRequest;

// === impl Role ===

impl Rules for Role {
    const NAME: NameRule = names::path_segment;
    const TABLE: Table = columns::cluster::CREATED;
    const CREATE_ON_UPDATE: bool = true;

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        rbac::role(object, Self::SCOPE, errors);
    }
}

// === impl ClusterRole ===

impl Rules for ClusterRole {
    const SCOPE: Scope = Scope::Cluster;
    const NAME: NameRule = names::path_segment;
    const TABLE: Table = columns::cluster::CREATED;
    const CREATE_ON_UPDATE: bool = true;

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        rbac::role(object, Self::SCOPE, errors);
    }
}

// === impl RoleBinding ===

impl Rules for RoleBinding {
    const NAME: NameRule = names::path_segment;
    const TABLE: Table = columns::access::ROLE_BINDING;
    const CREATE_ON_UPDATE: bool = true;

    fn default(object: &mut Document) {
        defaults::cluster::role_binding(object);
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        rbac::binding(object, Self::SCOPE, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        rbac::binding_update(new, old, Self::SCOPE, errors);
    }
}

// === impl ClusterRoleBinding ===

impl Rules for ClusterRoleBinding {
    const SCOPE: Scope = Scope::Cluster;
    const NAME: NameRule = names::path_segment;
    const TABLE: Table = columns::access::ROLE_BINDING;
    const CREATE_ON_UPDATE: bool = true;

    fn default(object: &mut Document) {
        defaults::cluster::role_binding(object);
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        rbac::binding(object, Self::SCOPE, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        rbac::binding_update(new, old, Self::SCOPE, errors);
    }
}

// === impl CertificateSigningRequest ===

impl Rules for CertificateSigningRequest {
    const SCOPE: Scope = Scope::Cluster;
    const NAME: NameRule = names::path_segment;
    const STATUS: bool = true;
    const TABLE: Table = columns::access::CERTIFICATE_SIGNING_REQUEST;
    const FIELDS: &'static [(&'static str, FieldReader)] =
        &[("spec.signerName", |request| request.text("spec.signerName").to_owned())];
    const SUBRESOURCES: &'static [SubresourceUpdate] =
        &[SubresourceUpdate { name: "approval", prepare: prepare_approval, validate: validate_approval }];

    fn default(object: &mut Document) {
        defaults::cluster::certificate_signing_request(object);
    }

    /// What was asked for stays: only metadata can be changed.
    fn prepare_update(new: &mut Document, old: &Document) {
        new.copy_from(old, "spec");
    }

    /// Only the approval subresource decides.
    fn prepare_status_update(new: &mut Document, old: &Document) {
        exchange_decisions(new, old, false);
    }

    fn validate(request: &Place<'_>, errors: &mut Errors) {
        certificates::request(request, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        certificates::update(new, old, certificates::Part::Metadata, errors);
    }

    fn validate_status_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        certificates::update(new, old, certificates::Part::Status, errors);
    }
}

/// Only decisions on the request change.
fn prepare_approval(new: &mut Document, old: &Document) {
    metadata::carry_over(new, old);
    keep_only(new, old, &["metadata", "status"]);
    new.copy_from(old, "status.certificate");
    exchange_decisions(new, old, true);
}

fn validate_approval(new: &Document, old: &Document) -> Vec<FieldError> {
    check(new, |request, errors| {
        metadata::validate_update(request, old, errors);
        certificates::update(request, old, certificates::Part::Approval, errors);
    })
}

/// Keeps from `new` either the decisions (`Approved`, `Denied`) or the other conditions, and from `old` the rest.
fn exchange_decisions(new: &mut Document, old: &Document, decide: bool) {
    let is_decision = |condition: &&Document| matches!(condition.text("type"), "Approved" | "Denied");
    let given = new.list("status.conditions").iter().filter(|condition| is_decision(condition) == decide);
    let kept = old.list("status.conditions").iter().filter(|condition| is_decision(condition) != decide);
    let conditions: Vec<Document> = kept.chain(given).cloned().collect();
    if !conditions.is_empty() || new.has("status.conditions") {
        new.put("status.conditions", conditions);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::strategy_for;

    #[test]
    fn only_the_approval_subresource_decides() {
        let strategy = strategy_for("certificates.k8s.io", "CertificateSigningRequest");
        let old = json!({"metadata": {"name": "a"}, "spec": {"request": "x"},
            "status": {"conditions": [{"type": "Failed"}]}});
        let given = json!({"metadata": {"name": "a"}, "spec": {"request": "y"},
            "status": {"certificate": "c", "conditions": [{"type": "Approved"}, {"type": "Other"}]}});
        let mut approved = given.clone();
        (strategy.subresource_updates[0].prepare)(&mut approved, &old);
        assert_eq!(approved.at("status"), &json!({"conditions": [{"type": "Failed"}, {"type": "Approved"}]}));
        assert_eq!(approved.text("spec.request"), "x");
        let mut issued = given;
        (strategy.prepare_status_update)(&mut issued, &old);
        assert_eq!(issued.at("status"), &json!({"certificate": "c", "conditions": [{"type": "Other"}]}));
    }
}
