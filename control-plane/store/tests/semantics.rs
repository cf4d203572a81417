//! What the store promises, one sentence per test, through its public interface.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sheave_store::{
    CommitError, Event, EventKind, Expect, History, LeaseError, LeaseId, Operation, Options, Range, RangeError,
    Revision, Store, Watch, WatchError,
};

/// Longer than anything takes, shorter than anybody's patience.
const DEADLINE: Duration = Duration::from_secs(20);

fn store() -> Store {
    Store::in_memory(Options::default()).expect("the store opens")
}

async fn put(store: &Store, key: &str, value: &'static str) -> Revision {
    store.commit(vec![Operation::put(key, value)]).await.expect("the put succeeds").revision
}

async fn delete(store: &Store, key: &str) -> Revision {
    store.commit(vec![Operation::delete(key, Expect::Present)]).await.expect("the delete succeeds").revision
}

fn listed(store: &Store, range: Range) -> Vec<(String, String)> {
    let found = store.range(&range).expect("the range can be read");
    found.entries.iter().map(|entry| (entry.key.to_string(), text(&entry.value))).collect()
}

fn text(value: &Bytes) -> String {
    String::from_utf8_lossy(value).into_owned()
}

async fn next(watch: &mut Watch) -> Vec<Arc<Event>> {
    tokio::time::timeout(DEADLINE, watch.next()).await.expect("an event arrives").expect("the watch goes on")
}

/// Waits until the watch has given so many events; says each as `revision kind key=value`.
async fn seen(watch: &mut Watch, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.len() < count {
        lines.extend(next(watch).await.iter().map(|event| {
            let kind = if event.kind == EventKind::Put { "put" } else { "delete" };
            format!("{} {kind} {}={}", event.revision, event.entry.key, text(&event.entry.value))
        }));
    }
    lines
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

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
            tokio::task::yield_now().await
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
    let store = Store::in_memory(Options { history, ..Options::default() }).expect("the store opens");
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
async fn history_is_bounded_in_bytes_too() {
    let history = History { bytes: 100_000, ..History::default() };
    let store = Store::in_memory(Options { history, ..Options::default() }).expect("the store opens");
    for _ in 0..50 {
        store.commit(vec![Operation::put("/a", vec![0; 10_000])]).await.expect("the put succeeds");
    }
    assert!(store.oldest_revision() >= Revision(40), "{}", store.oldest_revision());
}

#[tokio::test]
async fn history_is_bounded_in_age_too() {
    let history = History { age: Duration::from_millis(500), ..History::default() };
    let store = Store::in_memory(Options { history, ..Options::default() }).expect("the store opens");
    let revision = put(&store, "/a", "1").await;
    let forgotten = async {
        while store.oldest_revision() < revision {
            tokio::time::sleep(Duration::from_millis(20)).await
        }
    };
    tokio::time::timeout(DEADLINE, forgotten).await.expect("the history is forgotten");
    assert_eq!(listed(&store, Range::default()), [pair("/a", "1")]);
}

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
async fn served_values_carry_the_revision_that_wrote_them_and_a_deletion_its_own() {
    let present = Arc::new(|_: &str, revision: Revision, stored: &Bytes| {
        Bytes::from(format!("{{\"rv\":\"{revision}\",{}", &text(stored)[1..]))
    });
    let store = Store::in_memory(Options { present, ..Options::default() }).expect("the store opens");
    let created = store.commit(vec![Operation::create("/a", "{\"x\":1}")]).await.expect("created");
    assert_eq!(created.entries[0].as_ref().map(|entry| text(&entry.value)), Some("{\"rv\":\"1\",\"x\":1}".to_owned()));
    let mut watch = store.watch("/", Revision(0)).expect("the watch begins");
    delete(&store, "/a").await;
    assert_eq!(seen(&mut watch, 2).await, [r#"1 put /a={"rv":"1","x":1}"#, r#"2 delete /a={"rv":"2","x":1}"#]);
}

#[tokio::test]
async fn a_value_may_have_a_mebibyte_and_a_half_and_no_more() {
    let store = store();
    let put = |bytes| vec![Operation::put("/a", vec![0; bytes])];
    store.commit(put(3 << 19)).await.expect("it fits");
    let error = store.commit(put((3 << 19) + 1)).await.expect_err("it does not fit");
    assert_eq!(error.to_string(), "the value of /a is 1572865 bytes long; at most 1572864 are allowed");
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
