//! Leases.

use std::time::Duration;

use bytes::Bytes;
use sheave_store::{CommitError, Expect, LeaseError, LeaseId, Operation, Options, Revision};

use crate::scratch::{put, seen, store};

#[tokio::test]
async fn the_end_of_a_lease_deletes_its_keys_in_one_transaction() {
    let store = store();
    let lease = store.grant_lease(Duration::from_millis(300)).await.expect("a lease");
    let leased = |key: &str| Operation::Put {
        key: key.to_owned(),
        value: Bytes::from_static(b"1"),
        expect: Expect::Any,
        lease: Some(lease),
    };
    store.commit(vec![leased("/a"), leased("/b"), leased("/c")]).await.expect("the puts succeed");
    put(&store, "/c", "a put without a lease detaches").await;
    let mut watch = store.watch("/", store.revision()).expect("the watch begins");
    assert_eq!(seen(&mut watch, 2).await, ["3 delete /a=1", "3 delete /b=1"]);
    assert_eq!(store.len(), 1);
    let error = store.commit(vec![leased("/d")]).await.expect_err("the lease has ended");
    assert!(matches!(error, CommitError::LeaseNotFound(gone) if gone == lease), "{error:?}");
}

#[tokio::test]
async fn a_lease_can_be_prolonged_and_revoked_until_it_ends() {
    let store = store();
    let lease = store.grant_lease(Duration::from_secs(3600)).await.expect("a lease");
    let leased = Operation::Put { key: "/a".to_owned(), value: Bytes::new(), expect: Expect::Any, lease: Some(lease) };
    store.commit(vec![leased]).await.expect("the put succeeds");
    store.keep_lease_alive(lease).await.expect("it is there");
    assert!(store.get("/a").is_some());
    store.revoke_lease(lease).await.expect("the lease is revoked");
    assert_eq!(store.get("/a"), None);
    assert!(matches!(store.revoke_lease(lease).await, Err(LeaseError::NotFound(LeaseId(1)))));
    assert!(matches!(store.keep_lease_alive(lease).await, Err(LeaseError::NotFound(_))));
}

#[tokio::test]
async fn a_lease_survives_a_restart() {
    let store = store();
    let leased = |key: &str, lease| Operation::Put {
        key: key.to_owned(),
        value: Bytes::from_static(b"1"),
        expect: Expect::Any,
        lease: Some(lease),
    };
    let long = store.grant_lease(Duration::from_secs(3600)).await.expect("a lease");
    let short = store.grant_lease(Duration::from_millis(200)).await.expect("a lease");
    store.commit(vec![leased("/long", long), leased("/short", short)]).await.expect("the puts succeed");
    let store = store.reopen(Options::default());
    let mut watch = store.watch("/", Revision(1)).expect("the watch begins");
    assert_eq!(seen(&mut watch, 1).await, ["2 delete /short=1"]);
    assert!(store.get("/long").is_some());
    store.revoke_lease(long).await.expect("it is still there");
    assert!(store.is_empty());
    let store = store.reopen(Options::default());
    let next = store.grant_lease(Duration::from_secs(1)).await.expect("a lease");
    assert_eq!(next, LeaseId(3), "an id is not given twice");
}
