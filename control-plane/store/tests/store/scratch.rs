//! Stores for tests, and short words for what tests do with them.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sheave_store::{Event, EventKind, Expect, Operation, Options, Range, Revision, Store, Watch};
use tempfile::TempDir;

/// Longer than anything takes, shorter than anybody's patience.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A store in a file that goes with it.
pub(crate) struct Scratch {
    pub(crate) store: Store,
    pub(crate) folder: TempDir,
}

impl Deref for Scratch {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Scratch {
    /// Closes the store and opens it again.
    pub(crate) fn reopen(self, options: Options) -> Self {
        drop(self.store);
        open(self.folder, options)
    }
}

pub(crate) fn open(folder: TempDir, options: Options) -> Scratch {
    let store = Store::open(&folder.path().join("data/store.redb"), options).expect("the store opens");
    Scratch { store, folder }
}

pub(crate) fn store() -> Scratch {
    store_with(Options::default())
}

pub(crate) fn store_with(options: Options) -> Scratch {
    open(tempfile::tempdir().expect("a folder"), options)
}

pub(crate) async fn put(store: &Store, key: &str, value: &'static str) -> Revision {
    store.commit(vec![Operation::put(key, value)]).await.expect("the put succeeds").revision
}

pub(crate) async fn delete(store: &Store, key: &str) -> Revision {
    store.commit(vec![Operation::delete(key, Expect::Present)]).await.expect("the delete succeeds").revision
}

pub(crate) fn listed(store: &Store, range: Range) -> Vec<(String, String)> {
    let found = store.range(&range).expect("the range can be read");
    found.entries.iter().map(|entry| (entry.key.to_string(), text(&entry.value))).collect()
}

pub(crate) fn text(value: &Bytes) -> String {
    String::from_utf8_lossy(value).into_owned()
}

pub(crate) async fn next(watch: &mut Watch) -> Vec<Arc<Event>> {
    tokio::time::timeout(DEADLINE, watch.next()).await.expect("an event arrives").expect("the watch goes on")
}

/// Waits until the watch has given so many events; says each as `revision kind key=value`.
pub(crate) async fn seen(watch: &mut Watch, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.len() < count {
        lines.extend(next(watch).await.iter().map(|event| {
            let kind = if event.kind == EventKind::Put { "put" } else { "delete" };
            format!("{} {kind} {}={}", event.revision, event.entry.key, text(&event.entry.value))
        }));
    }
    lines
}

pub(crate) fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}
