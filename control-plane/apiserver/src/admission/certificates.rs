//! Certificate requests: who asks is the server's to say; deciding and signing need rights on the signer
//! (`plugin/pkg/admission/certificates` upstream).

use serde_json::json;
use sheave_api::Document;
use sheave_api::view::{Edit as _, View as _};

use super::Review;
use crate::authz::{Attributes, Decision, Subject};
use crate::meta::Meta as _;
use crate::status::StatusError;

const GROUP: &str = "certificates.k8s.io";

/// A request is its sender's, whatever it says.
pub(super) fn admit_create(review: &Review<'_>, request: &mut Document) {
    let user = review.identity;
    request.put("spec.username", user.name.as_str());
    request.put("spec.groups", user.groups.clone());
    for (field, value) in [("uid", json!(user.uid)), ("extra", json!(user.extra))] {
        let is_empty = value.as_str().is_some_and(str::is_empty) || value.as_object().is_some_and(|it| it.is_empty());
        if is_empty {
            request.remove(&format!("spec.{field}"));
        } else {
            request.put(&format!("spec.{field}"), value);
        }
    }
}

/// `approve` for a decision, `sign` for a certificate or a failure.
pub(super) fn admit_update(review: &Review<'_>, request: &Document, old: &Document) -> Result<(), StatusError> {
    let verb = match review.subresource {
        Some("approval") => "approve",
        Some("status") if changes_outcome(request, old) => "sign",
        _ => return Ok(()),
    };
    let signer = old.text("spec.signerName");
    if may(review, verb, signer) {
        return Ok(());
    }
    let why = format!("user not permitted to {verb} requests with signerName {signer:?}");
    Err(StatusError::forbidden(review.kind, old.name(), &why))
}

fn changes_outcome(request: &Document, old: &Document) -> bool {
    let failed = |request: &Document| {
        let conditions = request.list("status.conditions").iter();
        conditions.filter(|condition| condition.text("type") == "Failed").cloned().collect::<Vec<_>>()
    };
    request.at("status.certificate") != old.at("status.certificate") || failed(request) != failed(old)
}

/// Whether the sender has the right on the signer, or on all signers of its domain.
fn may(review: &Review<'_>, verb: &str, signer: &str) -> bool {
    let domain = signer.split_once('/').map(|(domain, _)| format!("{domain}/*"));
    [Some(signer.to_owned()), domain].into_iter().flatten().any(|name| {
        let subject = Subject::Resource {
            group: GROUP.to_owned(),
            resource: "signers".to_owned(),
            subresource: String::new(),
            namespace: String::new(),
            name,
        };
        let attributes = Attributes { verb: verb.to_owned(), subject };
        review.authorizer.authorize(review.identity, &attributes) == Decision::Allowed
    })
}
