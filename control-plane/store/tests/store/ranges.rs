//! Ranges, at the current and at old revisions, and compaction.

use std::time::Duration;

use sheave_store::{History, Operation, Options, Range, RangeError, Revision, WatchError};

use crate::scratch::{DEADLINE, delete, listed, pair, put, seen, store, store_with};

#[tokio::test]
async fn a_range_gives_the_keys_with_the_prefix_in_order_and_goes_on_after_a_key() {
    let store = store();
    for key in ["/p/c", "/p/a", "/q", "/p/b", "/o", "/p"] {
        put(&store, key, "1").await;
    }
    let page = |after: Option<&str>, limit| Range {
        prefix: "/p/".to_owned(),
        after: after.map(str::to_owned),
        limit,
        at: None,
    };
    let first = store.range(&page(None, Some(2))).expect("a page");
    assert_eq!(first.entries.iter().map(|entry| &*entry.key).collect::<Vec<_>>(), ["/p/a", "/p/b"]);
    assert_eq!((first.revision, first.remaining), (Revision(6), 1));
    let rest = store.range(&page(Some("/p/b"), Some(2))).expect("the rest");
    assert_eq!((rest.entries.len(), rest.remaining), (1, 0));
    assert_eq!(listed(&store, page(Some("/a"), None)).len(), 3, "a key before the prefix");
    assert_eq!(listed(&store, page(Some("/z"), None)).len(), 0, "a key behind the prefix");
    assert_eq!(store.range(&page(None, Some(0))).expect("a count").remaining, 3);
}

#[tokio::test]
async fn a_range_at_an_old_revision_shows_what_was_there() {
    let store = store();
    put(&store, "/a", "1").await;
    put(&store, "/b", "1").await;
    put(&store, "/a", "2").await;
    delete(&store, "/b").await;
    put(&store, "/c", "1").await;
    let at = |revision| Range { at: Some(Revision(revision)), ..Range::default() };
    let a = |value| pair("/a", value);
    assert_eq!(listed(&store, at(0)), []);
    assert_eq!(listed(&store, at(1)), [a("1")]);
    assert_eq!(listed(&store, at(2)), [a("1"), pair("/b", "1")]);
    assert_eq!(listed(&store, at(3)), [a("2"), pair("/b", "1")]);
    assert_eq!(listed(&store, at(4)), [a("2")]);
    assert_eq!(listed(&store, at(5)), [a("2"), pair("/c", "1")]);
    assert_eq!(store.range(&at(6)), Err(RangeError::Future { current: Revision(5) }));
    let behind_a = Range { after: Some("/a".to_owned()), ..at(2) };
    assert_eq!(listed(&store, behind_a), [pair("/b", "1")]);
}

#[tokio::test]
async fn compaction_ends_what_can_be_read_and_watched_but_keeps_the_state_at_its_revision() {
    let store = store();
    for value in ["1", "2", "3", "4"] {
        put(&store, "/a", value).await;
    }
    store.compact(Revision(3)).await.expect("the compaction succeeds");
    let at = |revision| Range { at: Some(Revision(revision)), ..Range::default() };
    assert_eq!(store.range(&at(2)), Err(RangeError::Compacted { oldest: Revision(3) }));
    assert_eq!(listed(&store, at(3)), [pair("/a", "3")]);
    assert_eq!(store.watch("/", Revision(2)).expect_err("too old"), WatchError::Compacted { oldest: Revision(3) });
    let mut watch = store.watch("/", Revision(3)).expect("the oldest revision can be watched from");
    assert_eq!(seen(&mut watch, 1).await, ["4 put /a=4"]);
    assert!(store.compact(Revision(2)).await.is_err());
    assert!(store.compact(Revision(5)).await.is_err());
}

#[tokio::test]
async fn history_is_bounded_in_bytes_too() {
    let history = History { bytes: 100_000, ..History::default() };
    let store = store_with(Options { history, ..Options::default() });
    for _ in 0..50 {
        store.commit(vec![Operation::put("/a", vec![0; 10_000])]).await.expect("the put succeeds");
    }
    assert!(store.oldest_revision() >= Revision(40), "{}", store.oldest_revision());
}

#[tokio::test]
async fn history_is_bounded_in_age_too() {
    let history = History { age: Duration::from_millis(500), ..History::default() };
    let store = store_with(Options { history, ..Options::default() });
    let revision = put(&store, "/a", "1").await;
    let forgotten = async {
        while store.oldest_revision() < revision {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, forgotten).await.expect("the history is forgotten");
    assert_eq!(listed(&store, Range::default()), [pair("/a", "1")]);
}
