//! The power goes: what was not synced arrives in any part and any order, in the middle of a commit or of a recovery.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use sheave_store::{Expect, History, Operation, Options, Revision, Store};

use crate::disks::{Image, Loss, RecordingDisk, Step};
use crate::history::Recorded;

/// Commits of a run whose recording is cut again and again.
const COMMITS: u32 = 400;
/// Cuts of one recording.
const CUTS: u32 = 100;

pub(crate) fn run(cycles: u32, mut random: StdRng) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (mut cuts, mut steps, mut in_recovery, mut unacknowledged) = (0, 0, 0, 0);
    while cuts < cycles {
        let recording = runtime.block_on(record(&mut random));
        for _ in 0..CUTS.min(cycles - cuts) {
            let outcome = runtime.block_on(cut(&recording, &mut random));
            cuts += 1;
            steps += outcome.lost_steps;
            in_recovery += u32::from(outcome.was_cut_twice);
            unacknowledged += u32::from(outcome.kept_more_than_acknowledged);
        }
    }
    format!(
        "power lost {} times, {in_recovery} of them again during recovery; {steps} unsynced writes lost, torn or reordered; \
         nothing acknowledged was lost; {unacknowledged} times a write survived that nobody had been told of",
        cuts + in_recovery
    )
}

/// A run without a crash.
struct Run {
    /// The disk before the first step.
    made: Image,
    steps: Vec<Step>,
    recorded: Recorded,
}

struct Outcome {
    lost_steps: usize,
    was_cut_twice: bool,
    kept_more_than_acknowledged: bool,
}

fn options() -> Options {
    let history = History { events: 150, age: Duration::from_secs(3600), ..History::default() };
    Options { history, ..Options::default() }
}

/// Writes creates, updates, deletes, transactions of several keys and leases, eight at a time, while compactions go on.
async fn record(random: &mut StdRng) -> Run {
    let empty = RecordingDisk::new(Image::default());
    drop(Store::open_on(empty.clone(), options()).expect("an empty disk becomes a store"));
    let made = empty.recording().image;

    let disk = RecordingDisk::new(made.clone());
    let store = Store::open_on(disk.clone(), options()).expect("the store opens");
    let mut watch = store.watch("", Revision(0)).expect("the watch begins");
    let mut events = Vec::new();
    for _ in 0..COMMITS / 8 {
        let batch = (0..8).map(|_| commit(store.clone(), disk.clone(), transaction(random))).collect::<Vec<_>>();
        let tasks = batch.into_iter().map(tokio::spawn).collect::<Vec<_>>();
        for task in tasks {
            task.await.expect("the commit does not panic");
        }
        if random.random_ratio(1, 20) {
            store.grant_lease(Duration::from_secs(3600)).await.expect("a lease");
        }
        while watch.progress() < store.revision() {
            events.extend(watch.next().await.expect("the watch keeps up"));
        }
    }
    drop(watch);
    drop(store);
    Run { made, steps: disk.recording().steps, recorded: Recorded { events } }
}

async fn commit(store: Store, disk: Arc<RecordingDisk>, operations: Vec<Operation>) {
    // Conflicts are part of the run.
    if let Ok(committed) = store.commit(operations).await {
        disk.note(Step::Acknowledged(committed.revision));
    }
}

fn transaction(random: &mut StdRng) -> Vec<Operation> {
    let first = random.random_range(0..40);
    let keys = (first..first + random.random_range(1..=3)).map(|number| format!("/key/{number}"));
    let mut operation = |key: String| {
        let size = *[0, 20, 300, 1500, 9000].choose(random).unwrap_or(&0);
        match random.random_range(0..6) {
            0 => Operation::delete(key, Expect::Any),
            1 => Operation::Put { key, value: vec![1; size].into(), expect: Expect::Absent, lease: None },
            _ => Operation::put(key, vec![random.random(); size]),
        }
    };
    keys.map(&mut operation).collect()
}

/// Cuts a run at some step, opens what is left, and checks it.
async fn cut(run: &Run, random: &mut StdRng) -> Outcome {
    let at = random.random_range(0..=run.steps.len());
    let (mut image, lost_steps) = image_after_cut(&run.made, &run.steps[..at], random);
    let acknowledged = acknowledged(&run.steps[..at]);
    let was_cut_twice = random.random_ratio(1, 3);
    if was_cut_twice {
        let disk = RecordingDisk::new(image.clone());
        drop(Store::open_on(disk.clone(), options()).expect("the store opens after the power came back"));
        let steps = disk.recording().steps;
        let at = random.random_range(0..=steps.len());
        image = image_after_cut(&image, &steps[..at], random).0;
    }
    let disk = RecordingDisk::new(image);
    let store = Store::open_on(disk, options()).expect("the store opens after the power came back");
    let revision = run.recorded.check(&store, acknowledged).await;
    let next = store.commit(vec![Operation::put("/after", "1")]).await.expect("the store takes writes");
    assert_eq!(next.revision, Revision(revision.0 + 1));
    Outcome { lost_steps, was_cut_twice, kept_more_than_acknowledged: revision > acknowledged }
}

/// What the device holds when the power goes after these steps, and how many of them were not synced.
fn image_after_cut(before: &Image, steps: &[Step], random: &mut StdRng) -> (Image, usize) {
    let synced = steps.iter().rposition(|step| matches!(step, Step::Sync)).unwrap_or(0);
    let mut image = before.clone();
    steps[..synced].iter().for_each(|step| image.apply(step));
    let losses = [
        Loss::Nothing,
        Loss::Tail,
        Loss::Tail,
        Loss::Pages,
        Loss::Pages,
        Loss::Sectors,
        Loss::Sectors,
        Loss::Everything,
    ];
    let loss = *losses.choose(random).unwrap_or(&Loss::Nothing);
    image.apply_unsynced(&steps[synced..], loss, random);
    let lost = if matches!(loss, Loss::Nothing) { 0 } else { steps.len() - synced };
    (image, lost)
}

fn acknowledged(steps: &[Step]) -> Revision {
    let revisions = steps.iter().filter_map(|step| match step {
        Step::Acknowledged(revision) => Some(*revision),
        Step::Write { .. } | Step::SetLen(_) | Step::Sync => None,
    });
    revisions.max().unwrap_or(Revision(0))
}
