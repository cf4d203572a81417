//! POST of a collection.

use bytes::Bytes;
use sheave_api::Document;
use sheave_api::view::View;
use sheave_store::{Expect, Operation};

use super::commit::{Refused, commit};
use super::system_fields::{check_name, check_namespace, generated_name, set_new};
use super::{Part, Written, ownership, rules};
use crate::admission::{self, Review};
use crate::call::Call;
use crate::convert;
use crate::document;
use crate::input;
use crate::meta::Meta;
use crate::query::WriteOptions;
use crate::reply::Reply;
use crate::status::StatusError;

/// Upstream tries so often to find a generated name that is free.
const NAMES_TRIED: usize = 8;
/// Tries after which a create that keeps losing races over its namespace or its addresses gives up.
const RACES: usize = 16;

/// Answers a POST.
pub(crate) async fn create(call: &Call, body: &Bytes) -> Result<Reply, StatusError> {
    let options = WriteOptions::parse(&call.query, &call.headers, "CreateOptions")?;
    let object = input::document(call, body, &call.kind.gvk, options.validation)?;
    create_object(call, object, &options).await?.reply(call)
}

/// Makes an object from a document in the version of the call's kind.
pub(crate) async fn create_object(
    call: &Call,
    mut object: Document,
    options: &WriteOptions,
) -> Result<Written, StatusError> {
    check_name(call, &mut object)?;
    check_namespace(call, &mut object)?;
    if !object.resource_version().is_empty() {
        return Err(StatusError::bad_request("resourceVersion should not be set on objects to be created"));
    }
    let object = convert::to_stored(&call.kind, object);
    let base = object.text("metadata.generateName").to_owned();
    if !object.name().is_empty() || base.is_empty() {
        return create_named(call, object, options).await;
    }
    let mut tries = 1;
    loop {
        let mut named = object.clone();
        named.set_meta("name", generated_name(&base));
        match create_named(call, named, options).await {
            Err(error) if error.reason() == "AlreadyExists" && tries < NAMES_TRIED => tries += 1,
            outcome => return outcome,
        }
    }
}

async fn create_named(call: &Call, mut object: Document, options: &WriteOptions) -> Result<Written, StatusError> {
    set_new(&mut object);
    let mut races = 0;
    loop {
        match try_create(call, object.clone(), options).await {
            Err(Refused::Conflict(0)) => return Err(StatusError::already_exists(&call.kind, object.name())),
            Err(Refused::Conflict(_)) if races < RACES => races += 1,
            Err(Refused::Conflict(_)) => {
                return Err(StatusError::conflict(&call.kind, object.name(), "too many writers at once; try again"));
            }
            Err(Refused::Failed(error)) => return Err(error),
            Ok(written) => return Ok(written),
        }
    }
}

async fn try_create(call: &Call, mut object: Document, options: &WriteOptions) -> Result<Written, Refused> {
    let strategy = &call.stored_kind.strategy;
    (strategy.default)(&mut object);
    if !options.is_apply {
        object = ownership::track(call, Part::Main, object, None, options);
    }
    let review = Review::of(call);
    let conditions = admission::admit_create(&review, &mut object).await.map_err(Refused::Failed)?;
    (strategy.prepare_create)(&mut object);
    (strategy.default)(&mut object);
    let errors = rules::validate(call, &object);
    if !errors.is_empty() {
        return Err(Refused::Failed(StatusError::invalid(&call.kind, object.name(), &errors)));
    }
    let key = call.key_of(object.name());
    if call.server.store.get(&key).is_some() {
        return Err(Refused::Conflict(0));
    }
    let reservations = call.server.reserve(call, &mut object, None, options.dry_run).map_err(Refused::Failed)?;
    let value = document::encode(&mut object);
    if options.dry_run {
        return Ok(Written { value: document::present(&value, 0), created: true });
    }
    let lease = call.server.event_leases.lease(&call.server.store, &call.stored_kind).await.map_err(Refused::Failed)?;
    let mut operations = vec![Operation::Put { key, value, expect: Expect::Absent, lease }];
    operations.extend(conditions);
    operations.extend(reservations);
    let committed = commit(call, operations).await?;
    Ok(Written { value: presented(&committed), created: true })
}

/// The first entry of a commit.
pub(super) fn presented(committed: &sheave_store::Committed) -> Bytes {
    let first = committed.entries.first().and_then(Option::as_ref);
    first.map(|entry| entry.value.clone()).unwrap_or_default()
}
