//! At start: every Service holds what it says, and nobody holds what no Service says.
//!
//! A commit writes both at once, so there is nothing to repair unless somebody changed the store by other means.

use std::collections::BTreeMap;

use bytes::Bytes;
use sheave_store::{CommitError, Entry, Expect, Operation, Range, Store};

use super::reservation::{ADDRESSES, MANAGER, PORTS, Reservations};
use crate::document;

const SERVICES: &str = "/registry/services/";

/// Brings reservations in line with the Services.
///
/// # Errors
/// When the store cannot be written.
pub(crate) async fn repair(store: &Store) -> Result<(), CommitError> {
    let wanted: BTreeMap<String, Bytes> = entries(store, SERVICES)
        .iter()
        .filter_map(|entry| document::decode(&entry.value).ok())
        .flat_map(|service| Reservations::of(&service).entries(&service))
        .collect();
    let held: Vec<Entry> = entries(store, ADDRESSES).into_iter().filter(is_ours).chain(entries(store, PORTS)).collect();
    for entry in held.iter().filter(|entry| !wanted.contains_key(&*entry.key)) {
        tracing::warn!(key = %entry.key, "releasing what no Service holds");
        commit(store, Operation::delete(entry.key.to_string(), Expect::Revision(entry.mod_revision))).await?;
    }
    for (key, value) in wanted.into_iter().filter(|(key, _)| store.get(key).is_none()) {
        tracing::warn!(key, "reserving what a Service holds");
        commit(store, Operation::create(key, value)).await?;
    }
    Ok(())
}

/// A conflict means that somebody else was faster, which is fine.
async fn commit(store: &Store, operation: Operation) -> Result<(), CommitError> {
    match store.commit(vec![operation]).await {
        Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn entries(store: &Store, prefix: &str) -> Vec<Entry> {
    store.range(&Range::prefix(prefix)).map(|found| found.entries).unwrap_or_default()
}

fn is_ours(entry: &Entry) -> bool {
    let object = document::decode(&entry.value).unwrap_or_default();
    object["metadata"]["labels"]["ipaddress.kubernetes.io/managed-by"] == MANAGER
}
