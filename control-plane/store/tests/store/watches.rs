//! Watches: complete, ordered, bounded.

use std::sync::Arc;

use bytes::Bytes;
use sheave_store::{History, Operation, Options, Revision, WatchError};

use crate::scratch::{DEADLINE, delete, next, put, seen, store, store_with, text};

#[tokio::test]
async fn a_watch_tells_every_change_under_its_prefix_from_the_past_into_the_future() {
    let store = store();
    put(&store, "/p/a", "1").await;
    put(&store, "/q/a", "1").await;
    put(&store, "/p/a", "2").await;
    let mut watch = store.watch("/p/", Revision(1)).expect("the watch begins");
    assert_eq!(seen(&mut watch, 1).await, ["3 put /p/a=2"]);
    delete(&store, "/p/a").await;
    put(&store, "/q/b", "1").await;
    put(&store, "/p/b", "1").await;
    assert_eq!(seen(&mut watch, 2).await, ["4 delete /p/a=2", "6 put /p/b=1"]);
    assert_eq!(
        store.watch("/p/", Revision(7)).expect_err("from the future"),
        WatchError::Future { current: Revision(6) }
    );
}

#[tokio::test]
async fn events_of_one_transaction_arrive_together_with_what_was_there_before() {
    let store = store();
    put(&store, "/b", "1").await;
    let mut watch = store.watch("/", Revision(1)).expect("the watch begins");
    let operations = vec![Operation::create("/a", "1"), Operation::put("/b", "2")];
    store.commit(operations).await.expect("the commit succeeds");
    let events = next(&mut watch).await;
    assert_eq!(events.len(), 2);
    assert!(events[0].is_create());
    assert!(!events[1].is_create());
    assert_eq!(events[1].previous.as_ref().map(|entry| text(&entry.value)), Some("1".to_owned()));
    assert!(events.iter().all(|event| event.revision == Revision(2)));
}

#[tokio::test]
async fn the_progress_of_a_watch_moves_on_without_events_for_it() {
    let store = store();
    let mut watch = store.watch("/p/", Revision(0)).expect("the watch begins");
    put(&store, "/q", "1").await;
    let revision = put(&store, "/q", "2").await;
    let reached = async {
        while watch.progress() < revision {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, reached).await.expect("the watch hears of the revision");
    put(&store, "/p/a", "1").await;
    put(&store, "/q", "3").await;
    assert_eq!(seen(&mut watch, 1).await, ["3 put /p/a=1"]);
}

#[tokio::test]
async fn a_watch_that_falls_behind_the_history_is_told_so_and_the_others_go_on() {
    let history = History { events: 100, ..History::default() };
    let store = store_with(Options { history, ..Options::default() });
    let mut slow = store.watch("/p/", Revision(0)).expect("the watch begins");
    let mut elsewhere = store.watch("/q/", Revision(0)).expect("the watch begins");
    let mut quick = store.watch("/p/", Revision(0)).expect("the watch begins");
    for _ in 0..300 {
        put(&store, "/p/a", "1").await;
        seen(&mut quick, 1).await;
    }
    assert!(store.oldest_revision() >= Revision(200));
    let lost = tokio::time::timeout(DEADLINE, slow.next()).await.expect("an answer");
    assert!(matches!(lost, Err(WatchError::Lagged { oldest }) if oldest >= Revision(200)), "{lost:?}");
    put(&store, "/q/a", "1").await;
    assert_eq!(seen(&mut elsewhere, 1).await, ["301 put /q/a=1"], "it has missed nothing");
}

#[tokio::test]
async fn served_values_carry_the_revision_that_wrote_them_and_a_deletion_its_own() {
    let present = Arc::new(|_: &str, revision: Revision, stored: &Bytes| {
        Bytes::from(format!("{{\"rv\":\"{revision}\",{}", &text(stored)[1..]))
    });
    let store = store_with(Options { present, ..Options::default() });
    let created = store.commit(vec![Operation::create("/a", "{\"x\":1}")]).await.expect("created");
    assert_eq!(created.entries[0].as_ref().map(|entry| text(&entry.value)), Some("{\"rv\":\"1\",\"x\":1}".to_owned()));
    let mut watch = store.watch("/", Revision(0)).expect("the watch begins");
    delete(&store, "/a").await;
    assert_eq!(seen(&mut watch, 2).await, [r#"1 put /a={"rv":"1","x":1}"#, r#"2 delete /a={"rv":"2","x":1}"#]);
}

#[tokio::test]
async fn closing_the_store_ends_its_watches() {
    let store = store();
    let mut watch = store.watch("/", Revision(0)).expect("the watch begins");
    let closed = tokio::spawn(async move { watch.next().await });
    drop(store);
    let ended = tokio::time::timeout(DEADLINE, closed).await.expect("the watch ends").expect("the task ends");
    assert!(matches!(ended, Err(WatchError::Closed)), "{ended:?}");
}
