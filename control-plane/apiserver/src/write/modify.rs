//! Every change of an object that exists: read, change, check, compare-and-swap, and again when somebody else was faster.

use sheave_api::Document;
use sheave_api::strategy::SubresourceUpdate;
use sheave_api::view::View;
use sheave_store::{Entry, Expect, Operation};

use super::commit::{Refused, commit};
use super::create::presented;
use super::system_fields::{check_name, check_namespace, check_uid, keep};
use super::{Written, ownership, rules};
use crate::admission::{self, Review};
use crate::call::{Call, decode};
use crate::convert;
use crate::document;
use crate::meta::Meta;
use crate::query::WriteOptions;
use crate::status::StatusError;

/// Which part of the object a request writes.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// Everything but the status.
    Main,
    /// The status.
    Status,
    /// What a subresource such as `ephemeralcontainers` writes.
    Subresource(&'static SubresourceUpdate),
    /// What the server itself decides (a binding, a finalized namespace): taken as it is.
    Trusted,
}

/// From the object as it is to the object as it should be.
pub(crate) type Change<'a> = dyn FnMut(&Document) -> Result<Document, StatusError> + Send + 'a;

/// Tries of a change that names no resource version. Each lost try means that another writer got through.
const TRIES: usize = 64;

/// Changes the object in the path.
///
/// `change` gets the object as it is, in the version of the call's kind, and gives it as it should be. It runs again when
/// another writer was faster. A result whose resource version is not the one that `change` was given is refused with 409:
/// so a client that names a version never overwrites a later one.
pub(crate) async fn modify(
    call: &Call,
    part: Part,
    options: &WriteOptions,
    change: &mut Change<'_>,
) -> Result<Written, StatusError> {
    for _ in 0..TRIES {
        let entry = call.entry()?;
        match try_modify(call, &entry, part, options, change).await {
            Ok(written) => return Ok(written),
            Err(Refused::Conflict(_)) => tokio::task::yield_now().await,
            Err(Refused::Failed(error)) => return Err(error),
        }
    }
    Err(StatusError::modified(&call.kind, call.name()))
}

async fn try_modify(
    call: &Call,
    entry: &Entry,
    part: Part,
    options: &WriteOptions,
    change: &mut Change<'_>,
) -> Result<Written, Refused> {
    let old = decode(entry).map_err(Refused::Failed)?;
    let mut new = wanted(call, &old, change).map_err(Refused::Failed)?;
    keep(&mut new, &old);
    call.server.carry_over(call, &mut new, &old);
    (call.stored_kind.strategy.default)(&mut new);
    if !options.is_apply {
        new = ownership::track(call, part, new, Some(&old), options);
    }
    let review = Review::of(call);
    let conditions = admission::admit_update(&review, &mut new, &old).map_err(Refused::Failed)?;
    prepare(call, part, &mut new, &old);
    let errors = rules::validate_update(call, part, &new, &old);
    if !errors.is_empty() {
        return Err(Refused::Failed(StatusError::invalid(&call.kind, call.name(), &errors)));
    }
    let reservations = call.server.reserve(call, &mut new, Some(&old), options.dry_run).map_err(Refused::Failed)?;
    let value = document::encode(&mut new);
    let unchanged = value == document::stored(&entry.value);
    if unchanged && reservations.is_empty() && !is_to_be_removed(&new) {
        return Ok(Written { value: entry.value.clone(), created: false });
    }
    if options.dry_run {
        let value = document::present(&value, entry.mod_revision.0);
        return Ok(Written { value, created: false });
    }
    let expect = Expect::Revision(entry.mod_revision);
    let key = entry.key.to_string();
    let removed = is_to_be_removed(&new);
    let first = if removed {
        Operation::Delete { key, expect }
    } else {
        let lease =
            call.server.event_leases.lease(&call.server.store, &call.stored_kind).await.map_err(Refused::Failed)?;
        Operation::Put { key, value: value.clone(), expect, lease }
    };
    let mut operations = vec![first];
    operations.extend(conditions);
    operations.extend(reservations);
    if removed {
        operations.extend(call.server.released(call, &new));
    }
    match commit(call, operations).await {
        Ok(committed) if removed => {
            Ok(Written { value: document::present(&value, committed.revision.0), created: false })
        }
        Ok(committed) => Ok(Written { value: presented(&committed), created: false }),
        Err(refused) => Err(refused),
    }
}

/// What the client wants, in the stored version.
fn wanted(call: &Call, old: &Document, change: &mut Change<'_>) -> Result<Document, StatusError> {
    let mut new = change(&convert::to_served(&call.kind, old))?;
    check_name(call, &mut new)?;
    check_namespace(call, &mut new)?;
    check_uid(call, &new, old)?;
    let version = new.resource_version();
    if !version.is_empty() && version != old.resource_version() {
        return Err(StatusError::modified(&call.kind, call.name()));
    }
    Ok(convert::to_stored(&call.kind, new))
}

fn prepare(call: &Call, part: Part, new: &mut Document, old: &Document) {
    let strategy = &call.stored_kind.strategy;
    match part {
        Part::Main => (strategy.prepare_update)(new, old),
        Part::Status => (strategy.prepare_status_update)(new, old),
        Part::Subresource(update) => (update.prepare)(new, old),
        Part::Trusted => {}
    }
}

/// A deleted object goes when nothing holds it any more: no finalizer, no grace period, and for a namespace no finalizer
/// in its spec.
pub(super) fn is_to_be_removed(object: &Document) -> bool {
    object.is_deleting()
        && object.list("metadata.finalizers").is_empty()
        && object.deletion_grace_period().unwrap_or(0) == 0
        && (object.text("kind") != "Namespace" || object.list("spec.finalizers").is_empty())
}
