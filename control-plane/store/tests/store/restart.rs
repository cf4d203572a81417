//! What a restart keeps, and files that are no stores.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sheave_store::{History, OpenError, Operation, Options, Range, Revision, Store, WatchError};

use crate::scratch::{delete, put, seen, store, store_with, text};

#[tokio::test]
async fn a_restart_keeps_the_keys_the_history_and_the_counter() {
    let store = store();
    put(&store, "/a", "1").await;
    put(&store, "/b", "1").await;
    put(&store, "/a", "2").await;
    delete(&store, "/b").await;
    let before = (store.range(&Range::default()), store.range(&Range { at: Some(Revision(2)), ..Range::default() }));
    let store = store.reopen(Options::default());
    assert_eq!(store.revision(), Revision(4));
    let after = (store.range(&Range::default()), store.range(&Range { at: Some(Revision(2)), ..Range::default() }));
    assert_eq!(before, after);
    let mut watch = store.watch("/", Revision(1)).expect("the watch begins before the restart");
    assert_eq!(seen(&mut watch, 3).await, ["2 put /b=1", "3 put /a=2", "4 delete /b=1"]);
    assert_eq!(put(&store, "/b", "2").await, Revision(5));
}

#[tokio::test]
async fn a_restart_remembers_what_was_compacted_and_the_counter_even_if_no_change_is_left() {
    let store = store();
    put(&store, "/a", "1").await;
    delete(&store, "/a").await;
    store.compact(Revision(2)).await.expect("the compaction succeeds");
    // The removal of both changes waits for a quiet moment; a later commit takes it along.
    store.grant_lease(Duration::from_secs(60)).await.expect("a lease");
    let store = store.reopen(Options::default());
    assert_eq!((store.revision(), store.oldest_revision(), store.len()), (Revision(2), Revision(2), 0));
    assert_eq!(store.watch("/", Revision(1)).expect_err("too old"), WatchError::Compacted { oldest: Revision(2) });
    assert_eq!(put(&store, "/a", "2").await, Revision(3));
}

#[tokio::test]
async fn a_restart_presents_values_as_before() {
    let present = Arc::new(|key: &str, revision: Revision, stored: &Bytes| {
        Bytes::from(format!("{key}@{revision}:{}", text(stored)))
    });
    let options = Options { present, ..Options::default() };
    let store = store_with(options.clone());
    put(&store, "/a", "1").await;
    put(&store, "/a", "2").await;
    delete(&store, "/a").await;
    let store = store.reopen(options);
    let mut watch = store.watch("/", Revision(0)).expect("the watch begins");
    let expected = ["1 put /a=/a@1:1", "2 put /a=/a@2:2", "3 delete /a=/a@3:2"];
    assert_eq!(seen(&mut watch, 3).await, expected);
}

#[tokio::test]
async fn compaction_frees_space_on_disk() {
    let history = History { events: 64, ..History::default() };
    let store = store_with(Options { history, ..Options::default() });
    for _ in 0..400 {
        store.commit(vec![Operation::put("/a", vec![7; 100_000])]).await.expect("the put succeeds");
    }
    let bytes = std::fs::metadata(store.folder.path().join("data/store.redb")).expect("the file is there").len();
    assert!(bytes < 34_000_000, "40 MB were written, 6.4 MB are kept, the file has {bytes} bytes");
}

#[tokio::test]
async fn a_file_that_is_open_cannot_be_opened_again() {
    let store = store();
    let path = store.folder.path().join("data/store.redb");
    let error = Store::open(&path, Options::default()).expect_err("it is locked");
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
}

#[tokio::test]
async fn a_file_of_another_kind_or_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("text");
    std::fs::write(&path, "not a store").expect("the file can be written");
    let error = Store::open(&path, Options::default()).expect_err("it is text").to_string();
    assert!(error.contains("is not a readable store"), "{error}");
    assert_eq!(std::fs::read(&path).expect("it is there"), b"not a store");

    let table = redb::TableDefinition::<&str, u64>::new("meta");
    for (format, expected) in
        [(None, "it has no format number"), (Some(2), "has format 2; this version reads format 1")]
    {
        let path = folder.path().join("other.redb");
        let database = redb::Database::create(&path).expect("a database");
        let transaction = database.begin_write().expect("a transaction");
        if let Some(format) = format {
            transaction.open_table(table).expect("a table").insert("format", format).expect("inserted");
        }
        transaction.commit().expect("committed");
        drop(database);
        let error = Store::open(&path, Options::default()).expect_err("it is no store of this format").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn the_file_can_be_read_by_its_owner_only() {
    let store = store();
    let metadata = std::fs::metadata(store.folder.path().join("data/store.redb")).expect("the file is there");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_restart_with_lower_limits_forgets_what_is_above_them() {
    let store = store();
    for value in ["1", "2", "3", "4", "5", "6"] {
        put(&store, "/a", value).await;
    }
    let store = store.reopen(Options { history: History { events: 2, ..History::default() }, ..Options::default() });
    assert_eq!((store.revision(), store.oldest_revision()), (Revision(6), Revision(4)));
    let mut watch = store.watch("/", Revision(4)).expect("the watch begins");
    assert_eq!(seen(&mut watch, 2).await, ["5 put /a=5", "6 put /a=6"]);
}
