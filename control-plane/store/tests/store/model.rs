//! Any sequence of operations does to the store what it does to a plain map of maps.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sheave_store::{
    CommitError, Event, EventKind, Expect, History, LeaseId, Operation, Options, Range, RangeError, Revision, Watch,
    WatchError,
};

use crate::scratch::{DEADLINE, Scratch, next, store_with};

/// Few keys, some of them beginnings of others, so that everything meets.
const KEYS: [&str; 8] = ["/a/1", "/a/2", "/a/22", "/b/1", "/b/1/x", "/b", "/c", "/a"];
const PREFIXES: [&str; 6] = ["", "/a/", "/a/2", "/b", "/b/1/x", "/none"];

/// What a test does. Numbers are reduced to what exists when the action is taken.
#[derive(Clone, Debug)]
enum Action {
    Commit(Vec<Write>),
    Range { prefix: usize, after: Option<usize>, limit: Option<usize>, back: u64 },
    Compact { back: u64 },
    Watch { prefix: usize, back: u64 },
    Grant,
    Revoke { lease: usize },
    Reopen,
}

#[derive(Clone, Debug)]
struct Write {
    key: usize,
    kind: WriteKind,
    expect: ExpectKind,
}

#[derive(Clone, Debug)]
enum WriteKind {
    Put { value: u8, lease: Option<usize> },
    Delete,
    Check,
}

#[derive(Clone, Debug)]
enum ExpectKind {
    Absent,
    Present,
    Any,
    /// The key's revision, less so many.
    Revision(u64),
}

/// A key as the model knows it: value, create revision, mod revision, version, lease.
#[derive(Clone, PartialEq, Debug)]
struct Known {
    value: Vec<u8>,
    created: u64,
    modified: u64,
    version: u64,
    lease: Option<LeaseId>,
}

type Keys = BTreeMap<String, Known>;

/// A change as the model knows it.
#[derive(Clone, PartialEq, Debug)]
struct Change {
    revision: u64,
    kind: EventKind,
    key: String,
    /// What a put wrote or a delete removed.
    value: Vec<u8>,
    previous: Option<Vec<u8>>,
}

/// Why the model refuses a transaction.
#[derive(PartialEq, Debug)]
enum Refusal {
    /// The operation, and the key's revision.
    Conflict(usize, Option<u64>),
    /// A key is written twice.
    Invalid,
}

#[derive(Default)]
struct Model {
    /// The keys at each revision since the store was made.
    states: Vec<Keys>,
    changes: Vec<Change>,
    compacted: u64,
    leases: Vec<LeaseId>,
}

/// A watch, and the revision up to which it has been checked.
struct Watched {
    watch: Watch,
    prefix: &'static str,
    cursor: u64,
}

struct Test {
    store: Scratch,
    model: Model,
    watches: Vec<Watched>,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let expect = prop_oneof![
        1 => Just(ExpectKind::Absent),
        1 => Just(ExpectKind::Present),
        4 => Just(ExpectKind::Any),
        1 => (0u64..2).prop_map(ExpectKind::Revision)
    ];
    let kind = prop_oneof![
        3 => (any::<u8>(), prop::option::of(0usize..4)).prop_map(|(value, lease)| WriteKind::Put { value, lease }),
        2 => Just(WriteKind::Delete),
        1 => Just(WriteKind::Check),
    ];
    let write = (0..KEYS.len(), kind, expect).prop_map(|(key, kind, expect)| Write { key, kind, expect });
    let range = (0..PREFIXES.len(), prop::option::of(0..KEYS.len()), prop::option::of(0usize..5), 0u64..12)
        .prop_map(|(prefix, after, limit, back)| Action::Range { prefix, after, limit, back });
    let action = prop_oneof![
        12 => prop::collection::vec(write, 1..4).prop_map(Action::Commit),
        6 => range,
        1 => (0u64..6).prop_map(|back| Action::Compact { back }),
        2 => (0..PREFIXES.len(), 0u64..8).prop_map(|(prefix, back)| Action::Watch { prefix, back }),
        1 => Just(Action::Grant),
        1 => (0usize..4).prop_map(|lease| Action::Revoke { lease }),
        1 => Just(Action::Reopen),
    ];
    prop::collection::vec(action, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_a_plain_map_does(actions in actions()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut test = Test::new();
            for action in actions {
                test.take(action).await;
                test.check_watches().await;
            }
        });
    }
}

fn options() -> Options {
    // Only the test compacts.
    let history = History { age: std::time::Duration::from_secs(3600), ..History::default() };
    Options { history, ..Options::default() }
}

// === impl Test ===

impl Test {
    fn new() -> Self {
        let model = Model { states: vec![Keys::new()], ..Model::default() };
        Self { store: store_with(options()), model, watches: Vec::new() }
    }

    async fn take(&mut self, action: Action) {
        match action {
            Action::Commit(writes) => self.commit(writes).await,
            Action::Range { prefix, after, limit, back } => self.range(prefix, after, limit, back),
            Action::Compact { back } => self.compact(back).await,
            Action::Watch { prefix, back } => self.watch(PREFIXES[prefix], back),
            Action::Grant => {
                let lease = self.store.grant_lease(std::time::Duration::from_secs(3600)).await.expect("a lease");
                self.model.leases.push(lease);
            }
            Action::Revoke { lease } => self.revoke(lease).await,
            Action::Reopen => self.reopen(),
        }
        assert_eq!(self.store.revision().0, self.model.revision());
        assert_eq!(self.store.oldest_revision().0, self.model.compacted);
        assert_eq!(self.store.len(), self.model.now().len());
    }

    async fn commit(&mut self, writes: Vec<Write>) {
        let operations = writes.iter().map(|write| self.model.operation(write)).collect::<Vec<_>>();
        let found = self.store.commit(operations.clone()).await;
        match (found, self.model.commit(&operations)) {
            (Ok(found), Ok(revision)) => assert_eq!(found.revision.0, revision),
            (Err(CommitError::Conflict { index, current }), Err(Refusal::Conflict(expected, known))) => {
                assert_eq!(index, expected);
                assert_eq!(current.map(|entry| entry.mod_revision.0), known);
            }
            (Err(CommitError::Invalid(_)), Err(Refusal::Invalid)) => {}
            (found, expected) => panic!("{operations:?}: {found:?} instead of {expected:?}"),
        }
    }

    fn range(&self, prefix: usize, after: Option<usize>, limit: Option<usize>, back: u64) {
        let prefix = PREFIXES[prefix];
        let after = after.map(|key| KEYS[key].to_owned());
        let at = self.model.revision().checked_sub(back).map(Revision);
        let range = Range { prefix: prefix.to_owned(), after: after.clone(), limit, at };
        let revision = at.map_or(self.model.revision(), |at| at.0);
        let found = self.store.range(&range);
        if revision < self.model.compacted {
            assert_eq!(found, Err(RangeError::Compacted { oldest: Revision(self.model.compacted) }));
            return;
        }
        let found = found.expect("the revision can be read");
        let state = &self.model.states[usize::try_from(revision).expect("small")];
        let matching =
            state.iter().filter(|(key, _)| key.starts_with(prefix) && after.as_ref().is_none_or(|after| *key > after));
        let expected = matching.map(|(key, known)| (key.clone(), known.clone())).collect::<Vec<_>>();
        let shown = limit.unwrap_or(usize::MAX).min(expected.len());
        assert_eq!(found.revision.0, revision);
        assert_eq!(found.remaining, expected.len() - shown);
        assert_eq!(found.entries.len(), shown, "{range:?}");
        for (entry, (key, known)) in found.entries.iter().zip(&expected) {
            assert_eq!((&*entry.key, &entry.value[..]), (&**key, &known.value[..]), "{range:?}");
            assert_eq!(
                (entry.create_revision.0, entry.mod_revision.0, entry.version),
                (known.created, known.modified, known.version)
            );
        }
    }

    async fn compact(&mut self, back: u64) {
        let Some(revision) = self.model.revision().checked_sub(back) else { return };
        let found = self.store.compact(Revision(revision)).await;
        if revision < self.model.compacted {
            assert!(found.is_err());
        } else {
            found.expect("the compaction succeeds");
            self.model.compacted = revision;
        }
    }

    fn watch(&mut self, prefix: &'static str, back: u64) {
        let cursor = self.model.revision().saturating_sub(back);
        match self.store.watch(prefix, Revision(cursor)) {
            Ok(watch) => {
                assert!(cursor >= self.model.compacted);
                self.watches.push(Watched { watch, prefix, cursor });
            }
            Err(error) => {
                assert!(cursor < self.model.compacted);
                assert_eq!(error, WatchError::Compacted { oldest: Revision(self.model.compacted) });
            }
        }
    }

    async fn revoke(&mut self, lease: usize) {
        if lease >= self.model.leases.len() {
            return;
        }
        let lease = self.model.leases.remove(lease);
        self.store.revoke_lease(lease).await.expect("the lease is there");
        self.model.end_lease(lease);
    }

    fn reopen(&mut self) {
        self.watches.clear();
        let store = std::mem::replace(&mut self.store, store_with(options()));
        self.store = store.reopen(options());
    }

    /// Every watch gives what it must, and no more.
    async fn check_watches(&mut self) {
        let revision = self.model.revision();
        for watched in &mut self.watches {
            let expected = self.model.changes_since(watched.cursor, watched.prefix);
            let mut found = Vec::new();
            while found.len() < expected.len() {
                found.extend(next(&mut watched.watch).await.iter().map(|event| Change::of(event)));
            }
            assert_eq!(found, expected, "watch of {:?} from {}", watched.prefix, watched.cursor);
            let told = async {
                while watched.watch.progress().0 < revision {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(DEADLINE, told).await.expect("the watch hears that there is nothing more");
            watched.cursor = revision;
        }
    }
}

// === impl Change ===

impl Change {
    fn of(event: &Event) -> Self {
        Self {
            revision: event.revision.0,
            kind: event.kind,
            key: event.entry.key.to_string(),
            value: event.entry.value.to_vec(),
            previous: event.previous.as_ref().map(|previous| previous.value.to_vec()),
        }
    }
}

// === impl Model ===

impl Model {
    fn revision(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    fn now(&self) -> &Keys {
        &self.states[self.states.len() - 1]
    }

    fn changes_since(&self, revision: u64, prefix: &str) -> Vec<Change> {
        let is_due = |change: &&Change| change.revision > revision && change.key.starts_with(prefix);
        self.changes.iter().filter(is_due).cloned().collect()
    }

    fn operation(&self, write: &Write) -> Operation {
        let key = KEYS[write.key].to_owned();
        let modified = self.now().get(&key).map_or(0, |known| known.modified);
        let expect = match write.expect {
            ExpectKind::Absent => Expect::Absent,
            ExpectKind::Present => Expect::Present,
            ExpectKind::Any => Expect::Any,
            ExpectKind::Revision(back) => Expect::Revision(Revision(modified.saturating_sub(back))),
        };
        match write.kind {
            WriteKind::Put { value, lease } => {
                let lease = lease.and_then(|lease| self.leases.get(lease)).copied();
                Operation::Put { key, value: vec![value; usize::from(value)].into(), expect, lease }
            }
            WriteKind::Delete => Operation::Delete { key, expect },
            WriteKind::Check => Operation::Check { key, expect },
        }
    }

    fn commit(&mut self, operations: &[Operation]) -> Result<u64, Refusal> {
        let written = operations.iter().filter(|operation| !matches!(operation, Operation::Check { .. }));
        let mut written = written.map(Operation::key).collect::<Vec<_>>();
        written.sort_unstable();
        if written.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Refusal::Invalid);
        }
        for (index, operation) in operations.iter().enumerate() {
            let modified = self.now().get(operation.key()).map(|known| known.modified);
            let holds = match operation.expect() {
                Expect::Absent => modified.is_none(),
                Expect::Present => modified.is_some(),
                Expect::Any => true,
                Expect::Revision(revision) => modified == Some(revision.0),
            };
            if !holds {
                return Err(Refusal::Conflict(index, modified));
            }
        }
        let mut keys = self.now().clone();
        let revision = self.revision() + 1;
        let before = self.changes.len();
        for operation in operations {
            match operation {
                Operation::Put { key, value, lease, .. } => self.put(&mut keys, revision, key, value, *lease),
                Operation::Delete { key, .. } => self.delete(&mut keys, revision, key),
                Operation::Check { .. } => {}
            }
        }
        if self.changes.len() > before {
            self.states.push(keys);
        }
        Ok(self.revision())
    }

    fn put(&mut self, keys: &mut Keys, revision: u64, key: &str, value: &[u8], lease: Option<LeaseId>) {
        let previous = keys.get(key).cloned();
        let created = previous.as_ref().map_or(revision, |known| known.created);
        let version = previous.as_ref().map_or(1, |known| known.version + 1);
        let known = Known { value: value.to_vec(), created, modified: revision, version, lease };
        keys.insert(key.to_owned(), known);
        let (key, value, previous) = (key.to_owned(), value.to_vec(), previous.map(|known| known.value));
        self.changes.push(Change { revision, kind: EventKind::Put, key, value, previous });
    }

    fn delete(&mut self, keys: &mut Keys, revision: u64, key: &str) {
        if let Some(known) = keys.remove(key) {
            let (key, previous) = (key.to_owned(), Some(known.value.clone()));
            self.changes.push(Change { revision, kind: EventKind::Delete, key, value: known.value, previous });
        }
    }

    fn end_lease(&mut self, lease: LeaseId) {
        let mut keys = self.now().clone();
        let revision = self.revision() + 1;
        let leased = keys.iter().filter(|(_, known)| known.lease == Some(lease)).map(|(key, _)| key.clone());
        let leased = leased.collect::<Vec<_>>();
        for key in &leased {
            self.delete(&mut keys, revision, key);
        }
        if !leased.is_empty() {
            self.states.push(keys);
        }
    }
}
