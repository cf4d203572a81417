//! Built-in admission: what the cluster's rules add to a write, and what they forbid.
//!
//! The steps run in upstream's order. Each is one function over a [`Review`]; webhooks would be further steps.

mod certificates;
mod namespace;
mod priority;
mod service_account;
mod tolerations;

use sheave_api::Document;
use sheave_api::kind::Kind;
use sheave_api::view::{Edit as _, equivalent};
use sheave_store::{Operation, Store};

use crate::authn::Identity;
use crate::authz::{Authorizer, Refusal, confirm_no_escalation};
use crate::call::Call;
use crate::meta::Meta as _;
use crate::status::StatusError;

/// A write under review.
pub(crate) struct Review<'a> {
    pub(crate) store: &'a Store,
    pub(crate) authorizer: &'a Authorizer,
    pub(crate) kind: &'a Kind,
    /// The subresource written, if any.
    pub(crate) subresource: Option<&'a str>,
    pub(crate) identity: &'a Identity,
    /// The namespace of the object; none for cluster scope.
    pub(crate) namespace: Option<&'a str>,
}

const RBAC: &str = "rbac.authorization.k8s.io";

// === impl Review ===

impl<'a> Review<'a> {
    pub(crate) fn of(call: &'a Call) -> Self {
        Self {
            store: &call.server.store,
            authorizer: &call.server.authorizer,
            kind: &call.stored_kind,
            subresource: call.path.subresource.as_deref(),
            identity: &call.identity,
            namespace: call.namespace(),
        }
    }

    fn is(&self, group: &str, kind: &str) -> bool {
        self.kind.gvk.group == group && self.kind.gvk.kind == kind
    }

    /// Nobody gives away more than they have.
    fn check_escalation(&self, object: &Document, old: Option<&Document>) -> Result<(), StatusError> {
        if self.kind.gvk.group != RBAC {
            return Ok(());
        }
        confirm_no_escalation(self.authorizer, self.identity, &self.kind.plural, object, old).map_err(|why| match why {
            Refusal::Escalates(why) => StatusError::forbidden(self.kind, object.name(), &why),
            Refusal::NoSuchRole { resource, name } => StatusError::not_found_resource(RBAC, resource, &name),
        })
    }

    fn is_whole_pod(&self) -> bool {
        self.is("", "Pod") && self.subresource.is_none()
    }
}

/// Reviews a new object and completes it. The operations that come back must hold when it is committed.
pub(crate) async fn admit_create(review: &Review<'_>, object: &mut Document) -> Result<Vec<Operation>, StatusError> {
    let conditions = namespace::admit_create(review, object)?;
    review.check_escalation(object, None)?;
    if review.is_whole_pod() {
        service_account::admit_create(review, object).await?;
        tolerations::admit(object);
        priority::admit_create(review, object)?;
    }
    if review.is("certificates.k8s.io", "CertificateSigningRequest") {
        certificates::admit_create(review, object);
    }
    if review.is("scheduling.k8s.io", "PriorityClass") {
        priority::admit_class(review, object)?;
    }
    Ok(conditions)
}

/// Reviews a changed object.
pub(crate) fn admit_update(
    review: &Review<'_>,
    object: &mut Document,
    old: &Document,
) -> Result<Vec<Operation>, StatusError> {
    if !changes_only_collection(object, old) {
        review.check_escalation(object, Some(old))?;
    }
    if review.is("certificates.k8s.io", "CertificateSigningRequest") {
        certificates::admit_update(review, object, old)?;
    }
    if review.is_whole_pod() {
        tolerations::admit(object);
    }
    Ok(Vec::new())
}

/// Whether nothing changes but what the garbage collector needs. Everything else counts, labels too: they decide which
/// roles gather this one.
fn changes_only_collection(object: &Document, old: &Document) -> bool {
    let mut object = object.clone();
    for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
        object.copy_from(old, &format!("metadata.{field}"));
    }
    equivalent(&object, old)
}

/// Reviews a deletion.
pub(crate) fn admit_delete(review: &Review<'_>, old: &Document) -> Result<(), StatusError> {
    namespace::admit_delete(review, old)
}
