//! 64 clients count in the same objects by compare-and-swap; watchers see every count once and in order.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{PostParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::{connect, with_server};

const CLIENTS: usize = 64;
const OBJECTS: usize = 4;
/// Successful increments of each client.
const INCREMENTS: usize = 8;
const WATCHERS: usize = 6;

/// What a watcher saw: for each object its counts, in the order in which they came.
type Seen = BTreeMap<String, Vec<usize>>;

fn name(object: usize) -> String {
    format!("counter-{object}")
}

fn count(map: &ConfigMap) -> usize {
    map.data.as_ref().and_then(|data| data.get("count")?.parse().ok()).expect("a count")
}

fn version(map: &ConfigMap) -> u64 {
    map.metadata.resource_version.as_ref().and_then(|version| version.parse().ok()).expect("a version")
}

async fn make_counters(maps: &Api<ConfigMap>) -> String {
    for object in 0..OBJECTS {
        let counter = json!({"metadata": {"name": name(object), "labels": {"counter": "yes"}}, "data": {"count": "0"}});
        let counter = serde_json::from_value(counter).expect("a ConfigMap");
        maps.create(&PostParams::default(), &counter).await.expect("it is made");
    }
    maps.list(&Default::default()).await.expect("a list").metadata.resource_version.expect("a version")
}

/// Adds one, and again from the start when somebody else was faster.
async fn increment(maps: &Api<ConfigMap>, object: usize) {
    loop {
        let mut map = maps.get(&name(object)).await.expect("the counter is there");
        let next = count(&map) + 1;
        map.data.get_or_insert_default().insert("count".to_owned(), next.to_string());
        match maps.replace(&name(object), &PostParams::default(), &map).await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("an increment fails: {error}"),
        }
    }
}

/// Follows the counters until each has reached its end; `interrupt` ends the watch every few events and goes on from the
/// last version seen.
async fn follow(client: Client, mut from: String, interrupt: Option<usize>) -> Seen {
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let last = CLIENTS * INCREMENTS / OBJECTS;
    let (mut seen, mut newest) = (Seen::new(), 0);
    while seen.len() < OBJECTS || seen.values().any(|counts| counts.last() != Some(&last)) {
        let events = maps.watch(&WatchParams::default().labels("counter=yes"), &from).await.expect("a watch");
        let mut events = events.take(interrupt.unwrap_or(usize::MAX)).boxed();
        while let Some(event) = events.try_next().await.expect("the watch goes on") {
            let map = match event {
                WatchEvent::Modified(map) => map,
                WatchEvent::Bookmark(bookmark) => {
                    from = bookmark.metadata.resource_version;
                    continue;
                }
                other => panic!("not a change of a counter: {other:?}"),
            };
            let of_event = version(&map);
            assert!(of_event > newest, "{of_event} after {newest}");
            newest = of_event;
            from = of_event.to_string();
            seen.entry(map.metadata.name.clone().expect("a name")).or_default().push(count(&map));
            if seen.len() == OBJECTS && seen.values().all(|counts| counts.last() == Some(&last)) {
                break;
            }
        }
    }
    seen
}

#[test]
fn every_watcher_sees_every_count_of_64_clients_once_and_in_order() {
    with_server(async |kubeconfig| {
        let maps: Api<ConfigMap> = Api::default_namespaced(connect(&kubeconfig).await);
        let from = make_counters(&maps).await;
        let mut watchers = Vec::new();
        for watcher in 0..WATCHERS {
            // Half of them are cut off again and again.
            let interrupt = (watcher % 2 == 1).then_some(5 + watcher);
            watchers.push(tokio::spawn(follow(connect(&kubeconfig).await, from.clone(), interrupt)));
        }
        let mut writers = Vec::new();
        for client in 0..CLIENTS {
            let maps: Api<ConfigMap> = Api::default_namespaced(connect(&kubeconfig).await);
            writers.push(tokio::spawn(async move {
                for _ in 0..INCREMENTS {
                    increment(&maps, client % OBJECTS).await;
                }
            }));
        }
        for writer in writers {
            writer.await.expect("a writer comes to its end");
        }
        let all: Vec<usize> = (1..=CLIENTS * INCREMENTS / OBJECTS).collect();
        let expected: Seen = (0..OBJECTS).map(|object| (name(object), all.clone())).collect();
        for watcher in watchers {
            assert_eq!(watcher.await.expect("a watcher comes to its end"), expected);
        }
    });
}
