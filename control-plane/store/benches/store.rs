//! What the store does on this machine: `cargo bench -p sheave-store`. An argument picks the measurements whose names
//! contain it; `SHEAVE_BENCH_DIR` names the folder whose disk is measured.
//!
//! Latencies are those a caller sees. Values have 1,500 bytes, about a pod. Figures of a busy machine mean little.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sheave_store::{Operation, Options, Range, Revision, Store, Watch};
use tempfile::TempDir;

const VALUE: usize = 1500;
const TIME: Duration = Duration::from_secs(3);

/// Names the store that a child process opens to measure its memory.
const MEMORY_OF: &str = "SHEAVE_BENCH_MEMORY_OF";

type Measurement = (&'static str, fn(&tokio::runtime::Runtime));

const MEASUREMENTS: [Measurement; 6] = [
    ("create", |runtime| runtime.block_on(creates())),
    ("update", |runtime| runtime.block_on(updates())),
    ("read", |runtime| runtime.block_on(reads())),
    ("watch", |runtime| runtime.block_on(watches())),
    ("memory", |runtime| runtime.block_on(memory())),
    ("open", |runtime| runtime.block_on(open())),
];

fn main() {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("benchmarks run with `cargo bench -p sheave-store`");
        return;
    }
    if let Some(path) = std::env::var_os(MEMORY_OF) {
        return memory_of(path.as_ref());
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    for (name, measure) in MEASUREMENTS {
        if filter.is_none_or(|filter| name.contains(filter.as_str())) {
            measure(&runtime);
        }
    }
}

fn folder() -> TempDir {
    let place = std::env::var_os("SHEAVE_BENCH_DIR").map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
    tempfile::tempdir_in(place).expect("a folder")
}

fn store(folder: &TempDir) -> Store {
    Store::open(&folder.path().join("store.redb"), Options::default()).expect("the store opens")
}

/// Latencies of one kind of call.
struct Latencies {
    micros: Vec<u64>,
    took: Duration,
}

impl Latencies {
    fn of(micros: Vec<u64>, took: Duration) -> Self {
        let mut sorted = Self { micros, took };
        sorted.micros.sort_unstable();
        sorted
    }

    fn percentile(&self, percent: f64) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position in a list")]
        let index = (self.micros.len() as f64 * percent / 100.0) as usize;
        self.micros.get(index.min(self.micros.len().saturating_sub(1))).copied().unwrap_or(0)
    }

    fn print(&self, what: &str) {
        let rate = self.micros.len() as f64 / self.took.as_secs_f64();
        let [half, most, worst] = [50.0, 99.0, 100.0].map(|percent| self.percentile(percent));
        println!("{what}: {rate:.0}/s, p50 {half} us, p99 {most} us, max {worst} us");
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// So many clients call, each one call after the other, for a while.
async fn closed_loop<F>(clients: u64, call: impl Fn(u64) -> F + Clone + Send + 'static) -> Latencies
where
    F: Future<Output = ()> + Send,
{
    let begun = Instant::now();
    let numbers = Arc::new(AtomicU64::new(0));
    let client = || {
        let (numbers, call) = (numbers.clone(), call.clone());
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            while begun.elapsed() < TIME {
                let start = Instant::now();
                call(numbers.fetch_add(1, Ordering::Relaxed)).await;
                latencies.push(micros(start));
            }
            latencies
        })
    };
    let mut all = Vec::new();
    for client in (0..clients).map(|_| client()).collect::<Vec<_>>() {
        all.extend(client.await.expect("the client succeeds"));
    }
    Latencies::of(all, begun.elapsed())
}

async fn creates() {
    for clients in [1, 16, 64, 128] {
        let folder = folder();
        let store = store(&folder);
        let call = move |number| {
            let store = store.clone();
            async move {
                let create = Operation::create(format!("/registry/pods/default/pod-{number:09}"), vec![7; VALUE]);
                store.commit(vec![create]).await.expect("the create succeeds");
            }
        };
        closed_loop(clients, call).await.print(&format!("durable creates, {clients} clients"));
    }
}

/// Puts to a thousand keys: the history fills, is cut, and the disk follows.
async fn updates() {
    for clients in [1, 64] {
        let folder = folder();
        let store = store(&folder);
        let call = move |number| {
            let store = store.clone();
            async move {
                let put = Operation::put(format!("/registry/leases/node-{:04}", number % 1000), vec![7; VALUE]);
                store.commit(vec![put]).await.expect("the put succeeds");
            }
        };
        closed_loop(clients, call).await.print(&format!("durable updates of 1,000 keys, {clients} clients"));
        let bytes = std::fs::metadata(folder.path().join("store.redb")).map_or(0, |file| file.len());
        println!("    the file has {} MB", bytes >> 20);
    }
}

async fn fill(store: &Store, count: usize) {
    for start in (0..count).step_by(100) {
        let keys = (start..start + 100).map(|number| format!("/registry/pods/default/pod-{number:09}"));
        let creates = keys.map(|key| Operation::create(key, vec![7; VALUE])).collect();
        store.commit(creates).await.expect("the creates succeed");
    }
}

async fn reads() {
    let folder = folder();
    let store = store(&folder);
    fill(&store, 10_000).await;
    let get = {
        let store = store.clone();
        move |number| {
            let store = store.clone();
            async move {
                let key = format!("/registry/pods/default/pod-{:09}", number * 7919 % 10_000);
                assert!(store.get(&key).is_some());
                if number % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }
    };
    closed_loop(2, get).await.print("gets, 2 clients");
    let list = move |_| {
        let store = store.clone();
        async move {
            let found = store.range(&Range::prefix("/registry/pods/")).expect("the list can be read");
            assert_eq!(found.entries.len(), 10_000);
            tokio::task::yield_now().await;
        }
    };
    closed_loop(1, list).await.print("lists of 10,000 keys, 1 client");
}

/// From the call of the put, so the disk's share is in it, to the event in the watch's hands.
async fn watches() {
    for (count, rate) in [(1, 100), (1_000, 100), (10_000, 20)] {
        let folder = folder();
        let store = store(&folder);
        let events = rate * TIME.as_secs();
        let epoch = Instant::now();
        let begin = |_| store.watch("/registry/pods/", Revision(0)).expect("the watch begins");
        let tasks = (0..count).map(begin).map(|watch| tokio::spawn(follow(watch, epoch, events))).collect::<Vec<_>>();
        puts_at_a_rate(store.clone(), epoch, rate).await;
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.expect("the watch sees all"));
        }
        Latencies::of(all, epoch.elapsed()).print(&format!("put to event, {count} watches, {rate} puts/s, deliveries"));
    }
    quiet_watches().await;
}

async fn puts_at_a_rate(store: Store, epoch: Instant, rate: u64) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate).unwrap_or(1));
    for number in 0..rate * TIME.as_secs() {
        ticks.tick().await;
        let mut value = micros(epoch).to_be_bytes().to_vec();
        value.resize(VALUE, 7);
        let key = format!("/registry/pods/default/pod-{number:09}");
        store.commit(vec![Operation::create(key, value)]).await.expect("the create succeeds");
    }
}

async fn follow(mut watch: Watch, epoch: Instant, events: u64) -> Vec<u64> {
    let mut latencies = Vec::new();
    while (latencies.len() as u64) < events {
        for event in watch.next().await.expect("the watch goes on") {
            let sent = event.entry.value.first_chunk().copied().map_or(0, u64::from_be_bytes);
            latencies.push(micros(epoch).saturating_sub(sent));
        }
    }
    latencies
}

/// Ten thousand watches of single keys that nobody writes must cost the writers nothing.
async fn quiet_watches() {
    let folder = folder();
    let store = store(&folder);
    let watch = |number| store.watch(&format!("/registry/secrets/ns/secret-{number}"), Revision(0)).expect("it begins");
    let watches = (0..10_000).map(watch).collect::<Vec<_>>();
    let call = move |number| {
        let store = store.clone();
        async move {
            let create = Operation::create(format!("/registry/secrets/other/{number:09}"), vec![7; VALUE]);
            store.commit(vec![create]).await.expect("the create succeeds");
        }
    };
    closed_loop(64, call).await.print("durable creates, 64 clients, beside 10,000 watches of other keys");
    drop(watches);
}

/// Memory of the process in bytes, from the kernel.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok()).unwrap_or(0) << 10
}

async fn memory() {
    let folder = folder();
    let before = resident();
    let store = store(&folder);
    fill(&store, 10_000).await;
    println!("10,000 keys of {VALUE} bytes, just written: {} MB", resident().saturating_sub(before) >> 20);
    drop(store);
    // A process of its own, because memory that was freed is not given back.
    let program = std::env::current_exe().expect("this program");
    let mut child = std::process::Command::new(program);
    let status = child.arg("--bench").env(MEMORY_OF, folder.path().join("store.redb")).status();
    assert!(status.expect("the child runs").success());
}

/// Opens a store and says what that takes.
fn memory_of(path: &std::path::Path) {
    let before = resident();
    let store = Store::open(path, Options::default()).expect("the store opens");
    println!("{} keys, opened by another process: {} MB", store.len(), (resident() - before) >> 20);
}

async fn open() {
    for count in [10_000, 100_000] {
        let folder = folder();
        let path = folder.path().join("store.redb");
        let store = store(&folder);
        fill(&store, count).await;
        // As a crash leaves it: the engine must look at every page.
        let crashed = folder.path().join("crashed.redb");
        std::fs::copy(&path, &crashed).expect("the file can be copied");
        drop(store);
        for (what, path) in [("after a clean stop", path), ("after a crash", crashed)] {
            let begun = Instant::now();
            drop(Store::open(&path, Options::default()).expect("the store opens"));
            println!("open with {count} keys, {what}: {} ms", begun.elapsed().as_millis());
        }
    }
}
