//! Many at once: compare-and-swap on shared keys, watches that must see it all, lists while keys change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sheave_store::{CommitError, Operation, Range, Revision, Store, Watch};

use crate::scratch::{next, put, store};

const TASKS: u64 = 64;
const KEYS: u64 = 4;
const INCREMENTS: u64 = 20;

/// Adds one to a counter, as often as it takes.
async fn increment(store: &Store, key: &str, conflicts: &AtomicU64) {
    loop {
        let current = store.get(key).expect("the counter is there");
        let number = number(&current.value) + 1;
        match store.commit(vec![Operation::update(key, number.to_string(), current.mod_revision)]).await {
            Ok(_) => return,
            Err(CommitError::Conflict { current: Some(newer), .. }) => {
                assert!(newer.mod_revision > current.mod_revision, "a conflict shows what is newer");
                conflicts.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).expect("a number was written")
}

fn counter(number: u64) -> String {
    format!("/counter/{number}/value")
}

/// Reads a watch until the counters it sees are complete; checks that each value comes once and in order.
async fn follow(mut watch: Watch, counters: u64) -> Vec<Revision> {
    let mut values = BTreeMap::new();
    let mut revisions = Vec::new();
    while values.len() < usize::try_from(counters).expect("few") || values.values().any(|value| *value < total()) {
        for event in next(&mut watch).await {
            let value = number(&event.entry.value);
            let before = values.insert(event.entry.key.to_string(), value);
            assert_eq!(before.map_or(0, |before| before + 1), value, "{} in order, each once", event.entry.key);
            assert_eq!(event.previous.as_ref().map(|previous| number(&previous.value)), before);
            revisions.push(event.revision);
        }
    }
    revisions
}

fn total() -> u64 {
    TASKS / KEYS * INCREMENTS
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_tasks_swap_shared_keys_and_every_watch_sees_every_change_once_and_in_order() {
    let store = store();
    let watch = |prefix: String| store.watch(&prefix, Revision(0)).expect("the watch begins");
    let everything = (0..8).map(|_| tokio::spawn(follow(watch("/counter/".to_owned()), KEYS))).collect::<Vec<_>>();
    let single = (0..KEYS).map(|key| tokio::spawn(follow(watch(format!("/counter/{key}/")), 1))).collect::<Vec<_>>();
    for key in 0..KEYS {
        put(&store, &counter(key), "0").await;
    }
    let conflicts = Arc::new(AtomicU64::new(0));
    let tasks = (0..TASKS).map(|task| {
        let (store, conflicts) = (Store::clone(&store), conflicts.clone());
        tokio::spawn(async move {
            for _ in 0..INCREMENTS {
                increment(&store, &counter(task % KEYS), &conflicts).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("the task succeeds");
    }
    let late = tokio::spawn(follow(watch("/counter/".to_owned()), KEYS));
    let expected = (1..=KEYS + TASKS * INCREMENTS).map(Revision).collect::<Vec<_>>();
    for watch in everything.into_iter().chain([late]) {
        assert_eq!(watch.await.expect("the watch sees all"), expected);
    }
    for watch in single {
        assert_eq!(watch.await.expect("the watch sees all").len() as u64, total() + 1);
    }
    assert_eq!(store.revision().0, KEYS + TASKS * INCREMENTS, "a conflict makes no revision");
    assert!(conflicts.load(Ordering::Relaxed) > 0, "there was contention");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_of_ten_thousand_keys_shows_one_revision_while_they_change() {
    const COUNT: usize = 10_000;
    let store = store();
    for start in (0..COUNT).step_by(100) {
        let puts = (start..start + 100).map(|key| Operation::put(format!("/key/{key:05}"), "0"));
        store.commit(puts.collect()).await.expect("the puts succeed");
    }
    // Each transaction moves all of three far keys, so that a list which mixes revisions finds them different.
    let writer = tokio::spawn({
        let store = Store::clone(&store);
        async move {
            for number in 1..=300 {
                let keys = ["/key/00000", "/key/05000", "/key/09999"];
                let puts = keys.map(|key| Operation::put(key, number.to_string()));
                store.commit(puts.to_vec()).await.expect("the puts succeed");
            }
        }
    });
    let mut lists = 0;
    while !writer.is_finished() || lists < 3 {
        let list = store.range(&Range::prefix("/key/")).expect("the list can be read");
        assert_eq!(list.entries.len(), COUNT);
        let value = |index: usize| number(&list.entries[index].value);
        assert_eq!((value(0), value(0)), (value(COUNT / 2), value(COUNT - 1)), "at revision {}", list.revision);
        assert!(list.entries.iter().all(|entry| entry.mod_revision <= list.revision));
        lists += 1;
        tokio::task::yield_now().await;
    }
    writer.await.expect("the writer succeeds");
}
