//! Transactions: revisions, versions, expectations, limits.

use sheave_store::{CommitError, Expect, Operation, Range, Revision};

use crate::scratch::{delete, listed, pair, put, store, text};

#[tokio::test]
async fn each_transaction_makes_one_revision_and_each_put_one_version() {
    let store = store();
    assert_eq!(store.revision(), Revision(0));
    assert_eq!(put(&store, "/a", "1").await, Revision(1));
    assert_eq!(put(&store, "/b", "1").await, Revision(2));
    assert_eq!(put(&store, "/a", "2").await, Revision(3));
    let entry = store.get("/a").expect("the key is there");
    assert_eq!((entry.create_revision, entry.mod_revision, entry.version), (Revision(1), Revision(3), 2));
    delete(&store, "/a").await;
    assert_eq!(store.get("/a"), None);
    put(&store, "/a", "3").await;
    let entry = store.get("/a").expect("the key is there again");
    assert_eq!((entry.create_revision, entry.mod_revision, entry.version), (Revision(5), Revision(5), 1));
}

#[tokio::test]
async fn a_transaction_happens_as_a_whole_or_not_at_all() {
    let store = store();
    put(&store, "/a", "1").await;
    let operations = vec![
        Operation::put("/b", "1"),
        Operation::delete("/a", Expect::Present),
        Operation::create("/c", "1"),
        Operation::check("/d", Expect::Absent),
    ];
    let committed = store.commit(operations.clone()).await.expect("all expectations hold");
    assert_eq!(committed.revision, Revision(2));
    assert_eq!(committed.entries.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, true, false]);
    assert_eq!(listed(&store, Range::default()), [pair("/b", "1"), pair("/c", "1")]);

    let error = store.commit(operations).await.expect_err("/a is gone");
    assert!(matches!(error, CommitError::Conflict { index: 1, current: None }), "{error:?}");
    assert_eq!(store.revision(), Revision(2));
    assert_eq!(store.get("/b").map(|entry| entry.version), Some(1));
}

#[tokio::test]
async fn a_conflict_says_which_operation_and_what_is_there() {
    let store = store();
    put(&store, "/a", "1").await;
    put(&store, "/a", "2").await;
    let error = store.commit(vec![Operation::update("/a", "3", Revision(1))]).await.expect_err("an old revision");
    let CommitError::Conflict { index: 0, current: Some(current) } = &error else { panic!("{error:?}") };
    assert_eq!((current.mod_revision, text(&current.value)), (Revision(2), "2".to_owned()));
    assert_eq!(error.to_string(), "operation 0 expected another state of its key: /a exists at revision 2");
    let error = store.commit(vec![Operation::create("/a", "3")]).await.expect_err("it exists");
    assert!(matches!(error, CommitError::Conflict { .. }), "{error:?}");
}

#[tokio::test]
async fn a_transaction_that_changes_nothing_makes_no_revision() {
    let store = store();
    put(&store, "/a", "1").await;
    for operations in
        [vec![], vec![Operation::check("/a", Expect::Present)], vec![Operation::delete("/b", Expect::Any)]]
    {
        assert_eq!(store.commit(operations).await.expect("nothing is in the way").revision, Revision(1));
    }
    assert_eq!(store.revision(), Revision(1));
}

#[tokio::test]
async fn a_value_may_have_a_mebibyte_and_a_half_and_no_more() {
    let store = store();
    let put = |bytes| vec![Operation::put("/a", vec![0; bytes])];
    store.commit(put(3 << 19)).await.expect("it fits");
    let error = store.commit(put((3 << 19) + 1)).await.expect_err("it does not fit");
    assert_eq!(error.to_string(), "the value of /a is 1572865 bytes long; at most 1572864 are allowed");
}
