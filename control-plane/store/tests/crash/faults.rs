//! The disk fails in the middle and then works again: writes, flushes, reads, one or several in a row.
//!
//! What was acknowledged must be there; what was refused must never appear; what was answered with "unknown" may. While
//! the disk fails, reads go on and show none of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sheave_store::{CommitError, Operation, Options, Range, Revision, Store};

use crate::disks::{FailingDisk, Image, RecordingDisk};
use crate::history::Recorded;

/// Phases of failure of one store.
const PHASES: u32 = 6;
/// Longer than any recovery takes.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn run(cycles: u32, mut random: StdRng) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut answers = Answers::default();
    for _ in 0..cycles {
        answers = runtime.block_on(cycle(answers, &mut random));
    }
    let Answers { acknowledged, refused, unknown } = answers;
    format!(
        "{PHASES} failures each; of the writes {acknowledged} were acknowledged and are there, {refused} refused and not \
         there, {unknown} of unknown fate"
    )
}

#[derive(Default)]
struct Answers {
    acknowledged: usize,
    refused: usize,
    unknown: usize,
}

/// What became of the writes; each has a key of its own.
#[derive(Default)]
struct Fates {
    acknowledged: BTreeMap<String, Revision>,
    refused: BTreeSet<String>,
    unknown: BTreeSet<String>,
}

async fn cycle(total: Answers, random: &mut StdRng) -> Answers {
    let disk = FailingDisk::new(empty_store(), StdRng::seed_from_u64(random.random()));
    let store = Store::open_on(disk.clone(), Options::default()).expect("the store opens");
    let mut fates = Fates::default();
    let mut number = 0;
    for _ in 0..PHASES {
        disk.fail(random.random_range(0..60), random.random_range(1..=4));
        for _ in 0..random.random_range(2..12) {
            number += 1;
            write_some(&store, number, &mut fates, random).await;
        }
        check_reads(&store, &fates);
        disk.fail(0, 0);
        recover(&store, number, &mut fates).await;
    }
    check_reads(&store, &fates);
    let recorded = Recorded::of(&store, Revision(0)).await.expect("nothing was compacted");
    check_events(&recorded, &fates);
    // The power goes: what was acknowledged must be on the device, not just in a cache.
    let revision = store.revision();
    let device = disk.device();
    drop(store);
    let store = Store::open_on(RecordingDisk::new(device), Options::default()).expect("the store opens again");
    recorded.check(&store, revision).await;
    Answers {
        acknowledged: total.acknowledged + fates.acknowledged.len(),
        refused: total.refused + fates.refused.len(),
        unknown: total.unknown + fates.unknown.len(),
    }
}

fn empty_store() -> Image {
    let disk = RecordingDisk::new(Image::default());
    drop(Store::open_on(disk.clone(), Options::default()).expect("an empty disk becomes a store"));
    disk.recording().image
}

/// A few commits at once, so that a group has more than one.
async fn write_some(store: &Store, number: u32, fates: &mut Fates, random: &mut StdRng) {
    let keys = (0..random.random_range(1..4)).map(|part| format!("/{number}/{part}"));
    let size = random.random_range(0..20_000);
    let writes = keys.map(|key| tokio::spawn(write(store.clone(), key, size))).collect::<Vec<_>>();
    for write in writes {
        let (key, answer) = write.await.expect("the write does not panic");
        fates.note(key, answer);
    }
}

async fn write(store: Store, key: String, size: usize) -> (String, Result<Revision, CommitError>) {
    let answer = store.commit(vec![Operation::create(key.clone(), vec![1; size])]).await;
    (key, answer.map(|committed| committed.revision))
}

/// The disk works again: so must the store, within a bearable time.
async fn recover(store: &Store, number: u32, fates: &mut Fates) {
    let begun = Instant::now();
    for attempt in 0.. {
        let key = format!("/{number}/after/{attempt}");
        let (key, answer) = write(store.clone(), key, 10).await;
        let is_well = answer.is_ok();
        fates.note(key, answer);
        if is_well {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "the disk works but the store takes no writes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn check_reads(store: &Store, fates: &Fates) {
    let found = store.range(&Range::default()).expect("the current revision can be read").entries;
    for (key, revision) in &fates.acknowledged {
        let entry = store.get(key).unwrap_or_else(|| panic!("{key} was acknowledged and cannot be read"));
        assert_eq!(entry.mod_revision, *revision, "{key}");
    }
    for entry in found {
        let key = &*entry.key;
        assert!(!fates.refused.contains(key), "{key} was refused and can be read");
        assert!(fates.acknowledged.contains_key(key) || fates.unknown.contains(key), "{key} was never written");
    }
}

fn check_events(recorded: &Recorded, fates: &Fates) {
    let mut seen = BTreeSet::new();
    for (index, event) in recorded.events.iter().enumerate() {
        assert_eq!(event.revision.0, index as u64 + 1, "every transaction wrote one key");
        assert!(seen.insert(event.entry.key.clone()), "{} was reported twice", event.entry.key);
    }
    for (key, revision) in &fates.acknowledged {
        let index = usize::try_from(revision.0 - 1).expect("a small number");
        assert_eq!(*recorded.events[index].entry.key, **key, "the event of revision {revision}");
    }
}

// === impl Fates ===

impl Fates {
    fn note(&mut self, key: String, answer: Result<Revision, CommitError>) {
        match answer {
            Ok(revision) => drop(self.acknowledged.insert(key, revision)),
            Err(CommitError::Unavailable { .. }) => drop(self.refused.insert(key)),
            Err(CommitError::Unknown { .. }) => drop(self.unknown.insert(key)),
            Err(other) => panic!("{key}: {other}"),
        }
    }
}
