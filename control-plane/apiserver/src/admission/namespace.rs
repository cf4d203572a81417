//! NamespaceLifecycle: nothing is made in a namespace that is not there or is going away, and some never go.

use sheave_api::Document;
use sheave_api::view::View;
use sheave_store::{Expect, Operation};

use super::Review;
use crate::document;
use crate::keys;
use crate::meta::Meta;
use crate::status::{StatusDetails, StatusError};

/// Namespaces that may not be deleted.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// Refuses objects in missing and terminating namespaces. The condition makes the commit depend on the namespace as it
/// was found, so that no object slips into one that begins to terminate meanwhile.
pub(super) fn admit_create(review: &Review<'_>, object: &Document) -> Result<Vec<Operation>, StatusError> {
    let Some(namespace) = review.namespace else { return Ok(Vec::new()) };
    let key = keys::namespace_key(namespace);
    let Some(entry) = review.store.get(&key) else { return Err(no_namespace(namespace)) };
    let found = document::decode(&entry.value).map_err(StatusError::internal)?;
    if found.is_deleting() || found.text("status.phase") == "Terminating" {
        return Err(terminating(review, object, namespace));
    }
    Ok(vec![Operation::Check { key, expect: Expect::Revision(entry.mod_revision) }])
}

pub(super) fn admit_delete(review: &Review<'_>, old: &Document) -> Result<(), StatusError> {
    if review.is("", "Namespace") && IMMORTAL.contains(&old.name()) {
        return Err(StatusError::forbidden(review.kind, old.name(), "this namespace may not be deleted"));
    }
    Ok(())
}

fn no_namespace(namespace: &str) -> StatusError {
    StatusError::new(http::StatusCode::NOT_FOUND, "NotFound", format!("namespaces {namespace:?} not found"))
        .with_details(StatusDetails { name: namespace.into(), kind: "namespaces".into(), ..StatusDetails::default() })
}

fn terminating(review: &Review<'_>, object: &Document, namespace: &str) -> StatusError {
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let message = format!("namespace {namespace} is being terminated");
    StatusError::forbidden(review.kind, object.name(), &why).with_cause(
        "NamespaceTerminating",
        message,
        "metadata.namespace",
    )
}
