//! DELETE of one object: at once, after a grace period, or when its last finalizer goes.

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use sheave_api::Document;
use sheave_api::decode::FieldValidation;
use sheave_api::kind::GroupVersionKind;
use sheave_api::view::Edit;
use sheave_store::{Entry, Expect, Operation};

use super::Written;
use super::commit::{Refused, commit};
use super::create::presented;
use super::modify::is_to_be_removed;
use crate::admission::{self, Review};
use crate::call::{Call, decode};
use crate::document;
use crate::input;
use crate::meta::Meta;
use crate::query::{DeleteOptions, Propagation};
use crate::reply::Reply;
use crate::status::{self, StatusDetails, StatusError};

/// What became of a deleted object.
pub(crate) enum Deleted {
    /// It is gone; this was its last state.
    Gone(Bytes),
    /// It lingers: finalizers or a grace period hold it.
    Lingers(Bytes),
}

const TRIES: usize = 64;
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// Kinds whose deletion answers with the object rather than with a Status (`ReturnDeletedObject` upstream).
const ANSWERED_WITH_OBJECT: &[&str] =
    &["Pod", "Service", "ServiceAccount", "PersistentVolume", "PersistentVolumeClaim", "PodTemplate", "ResourceQuota"];

/// Answers a DELETE.
pub(crate) async fn delete(call: &Call, body: &Bytes) -> Result<Reply, StatusError> {
    let options = options(call, body)?;
    match delete_object(call, call.name(), &options).await? {
        Deleted::Gone(last) if !ANSWERED_WITH_OBJECT.contains(&call.kind.gvk.kind.as_str()) => Ok(gone(call, &last)),
        Deleted::Gone(value) | Deleted::Lingers(value) => Written { value, created: false }.reply(call),
    }
}

/// `DeleteOptions` of the body, or of the query where there is no body.
pub(crate) fn options(call: &Call, body: &Bytes) -> Result<DeleteOptions, StatusError> {
    if body.is_empty() {
        return DeleteOptions::from_query(&call.query);
    }
    let expected = GroupVersionKind::new("", "v1", "DeleteOptions");
    DeleteOptions::from_body(&input::document(call, body, &expected, FieldValidation::Ignore)?)
}

/// Deletes an object of the call's kind and namespace.
pub(crate) async fn delete_object(call: &Call, name: &str, options: &DeleteOptions) -> Result<Deleted, StatusError> {
    for _ in 0..TRIES {
        let key = call.key_of(name);
        let entry = call.server.store.get(&key).ok_or_else(|| StatusError::not_found(&call.kind, name))?;
        match try_delete(call, &entry, options).await {
            Ok(deleted) => return Ok(deleted),
            Err(Refused::Conflict(_)) => tokio::task::yield_now().await,
            Err(Refused::Failed(error)) => return Err(error),
        }
    }
    Err(StatusError::modified(&call.kind, name))
}

async fn try_delete(call: &Call, entry: &Entry, options: &DeleteOptions) -> Result<Deleted, Refused> {
    let old = decode(entry).map_err(Refused::Failed)?;
    check_preconditions(call, &old, options).map_err(Refused::Failed)?;
    admission::admit_delete(&Review::of(call), &old).map_err(Refused::Failed)?;
    let mut new = old.clone();
    mark(call, &mut new, options);
    let expect = Expect::Revision(entry.mod_revision);
    if is_to_be_removed(&new) {
        return remove(call, entry, &new, expect, options).await;
    }
    let value = document::encode(&mut new);
    if options.dry_run || value == document::stored(&entry.value) {
        return Ok(Deleted::Lingers(document::present(&value, entry.mod_revision.0)));
    }
    let put = Operation::Put { key: entry.key.to_string(), value, expect, lease: None };
    commit(call, vec![put]).await.map(|committed| Deleted::Lingers(presented(&committed)))
}

async fn remove(
    call: &Call,
    entry: &Entry,
    new: &Document,
    expect: Expect,
    options: &DeleteOptions,
) -> Result<Deleted, Refused> {
    if options.dry_run {
        return Ok(Deleted::Gone(entry.value.clone()));
    }
    let mut operations = vec![Operation::Delete { key: entry.key.to_string(), expect }];
    operations.extend(call.server.released(call, new));
    commit(call, operations).await.map(|committed| Deleted::Gone(presented(&committed)))
}

/// Marks the object as going away: its time, its grace period, the finalizers that the propagation policy asks for.
fn mark(call: &Call, object: &mut Document, options: &DeleteOptions) {
    set_propagation(object, options.propagation);
    let grace = grace_period(call, object, options);
    if object.is_deleting() {
        // A second deletion can only shorten the time that is left.
        if object.deletion_grace_period().is_some_and(|left| grace < left) {
            object.set_deleting(Timestamp::now(), grace);
        }
        return;
    }
    object.set_deleting(Timestamp::now(), grace);
    if let Some(generation) = object.pointer("/metadata/generation").and_then(Document::as_i64) {
        object.set_meta("generation", generation + 1);
    }
    if call.kind.gvk.kind == "Namespace" && call.kind.gvk.group.is_empty() {
        object.put("status.phase", "Terminating");
    }
}

/// Seconds for which the object may linger. Only kinds that run something have a grace period.
fn grace_period(call: &Call, object: &Document, options: &DeleteOptions) -> i64 {
    let Some(default) = call.stored_kind.strategy.default_grace_period else { return 0 };
    match (default(object), options.grace_period_seconds) {
        (0, _) => 0,
        (default, None) => object.deletion_grace_period().unwrap_or(default),
        (_, Some(asked)) => asked,
    }
}

fn set_propagation(object: &mut Document, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else { return };
    let mut finalizers = object.finalizers();
    finalizers.retain(|finalizer| finalizer != ORPHAN && finalizer != FOREGROUND);
    match propagation {
        Propagation::Orphan => finalizers.push(ORPHAN.to_owned()),
        Propagation::Foreground => finalizers.push(FOREGROUND.to_owned()),
        Propagation::Background => {}
    }
    object.set_finalizers(finalizers);
}

/// Whether the object is the one that the client means.
pub(crate) fn check_preconditions(call: &Call, object: &Document, options: &DeleteOptions) -> Result<(), StatusError> {
    if let Some(wanted) = options.uid.as_deref().filter(|&wanted| wanted != object.uid()) {
        let why = format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({}). \
             The object might have been deleted and then recreated",
            object.uid()
        );
        return Err(StatusError::conflict(&call.kind, object.name(), &why));
    }
    if let Some(wanted) = options.resource_version.as_deref().filter(|&it| it != object.resource_version()) {
        let why = format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({}). \
             The object might have been modified",
            object.resource_version()
        );
        return Err(StatusError::conflict(&call.kind, object.name(), &why));
    }
    Ok(())
}

/// The Status of a deletion; kubectl waits for the UID in it to be gone.
fn gone(call: &Call, last: &Bytes) -> Reply {
    let uid = document::decode(last).map(|object| object.uid().to_owned()).unwrap_or_default();
    let details = StatusDetails {
        name: call.name().to_owned(),
        group: call.kind.gvk.group.clone(),
        kind: call.kind.plural.clone(),
        uid,
        ..StatusDetails::default()
    };
    Reply::new(StatusCode::OK, crate::body::full(status::success(Some(&details), None)))
}
