//! `kill -9` of a process that writes and says what was acknowledged.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use sheave_store::{Expect, History, Operation, Options, Range, Revision, Store};

/// The variable that makes this program the one that is killed; it names the store's file.
pub(crate) const CHILD: &str = "SHEAVE_CRASH_CHILD";
/// Tasks that write at once.
const TASKS: u64 = 8;
/// Cycles on one file before a fresh one.
const CYCLES_PER_FILE: u32 = 20;

fn options() -> Options {
    Options { history: History { events: 500, ..History::default() }, ..Options::default() }
}

/// Writes and reports until somebody ends it. Each task counts: transaction `n` sets two keys to `n` and adds one that is
/// named `n`.
pub(crate) fn write_until_killed(path: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let store = Store::open(path, options()).expect("the store opens");
        let tasks = (0..TASKS).map(|task| tokio::spawn(count(store.clone(), task))).collect::<Vec<_>>();
        for task in tasks {
            task.await.expect("the task does not panic");
        }
    });
}

async fn count(store: Store, task: u64) {
    let current = store.get(&format!("/task/{task}/left"));
    let mut number = current.map_or(0, |entry| parse(&entry.value));
    loop {
        number += 1;
        let operations = vec![
            Operation::put(format!("/task/{task}/left"), number.to_string()),
            Operation::put(format!("/task/{task}/right"), number.to_string()),
            Operation::create(format!("/task/{task}/log/{number:09}"), vec![7; 300]),
            Operation::delete(format!("/task/{task}/log/{:09}", number.saturating_sub(50)), Expect::Any),
        ];
        let committed = store.commit(operations).await.expect("the commit succeeds");
        // One call, so that a line is there or is not.
        let line = format!("{task} {number} {}\n", committed.revision);
        std::io::stdout().write_all(line.as_bytes()).expect("the parent listens");
    }
}

pub(crate) fn run(cycles: u32, mut random: StdRng) -> String {
    let mut acknowledged = 0;
    let mut folder = tempfile::tempdir().expect("a folder");
    let mut last = BTreeMap::new();
    let mut revision = Revision(0);
    for cycle in 0..cycles {
        if cycle % CYCLES_PER_FILE == 0 {
            folder = tempfile::tempdir().expect("a folder");
            last = BTreeMap::new();
            revision = Revision(0);
        }
        let path = folder.path().join("store.redb");
        let lines = kill_after(&path, Duration::from_micros(random.random_range(0..60_000)));
        acknowledged += lines.len();
        for (task, number, at) in lines {
            last.insert(task, number);
            revision = revision.max(at);
        }
        revision = check(&path, &mut last, revision);
    }
    format!("{acknowledged} transactions of four keys were acknowledged before the kills; all of them are there, whole")
}

/// Starts a writer, kills it so long after its first acknowledgement, and gives what it acknowledged.
fn kill_after(path: &Path, time: Duration) -> Vec<(u64, u64, Revision)> {
    let program = std::env::current_exe().expect("the test's own program");
    let mut child = Command::new(program).env(CHILD, path).stdout(Stdio::piped()).spawn().expect("the writer starts");
    let output = BufReader::new(child.stdout.take().expect("its output is piped"));
    let mut lines = output.lines();
    let first = lines.next().expect("the writer acknowledges something").expect("a line");
    let killer = std::thread::spawn(move || kill(child, time));
    let rest = lines.map_while(Result::ok);
    let read = std::iter::once(first).chain(rest).filter_map(|line| parse_line(&line)).collect();
    killer.join().expect("the writer is killed");
    read
}

fn kill(mut child: Child, after: Duration) {
    std::thread::sleep(after);
    // SIGKILL.
    child.kill().expect("the writer can be killed");
    child.wait().expect("the writer ends");
}

/// A line that the kill has cut says nothing.
fn parse_line(line: &str) -> Option<(u64, u64, Revision)> {
    let mut numbers = line.split(' ').map(str::parse);
    let (task, number, revision) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some((task, number, Revision(revision)))
}

/// Checks what is left, and takes it as acknowledged. Gives the revision, below which no later one may fall.
fn check(path: &Path, acknowledged: &mut BTreeMap<u64, u64>, revision: Revision) -> Revision {
    let store = Store::open(path, options()).expect("the store opens after the kill");
    assert!(store.revision() >= revision, "revision {revision} was seen, {} is what is left", store.revision());
    for task in 0..TASKS {
        let value = |side| store.get(&format!("/task/{task}/{side}")).map_or(0, |entry| parse(&entry.value));
        let (left, right) = (value("left"), value("right"));
        let least = acknowledged.insert(task, left).unwrap_or(0);
        assert_eq!(left, right, "task {task}: half a transaction appeared");
        assert!(left >= least, "task {task}: {least} was acknowledged, {left} is what is left");
        assert!(left <= least + 1, "task {task}: {left} was never written, the last acknowledged is {least}");
        let log = store.range(&Range::prefix(format!("/task/{task}/log/"))).expect("the log can be read").entries;
        let numbers = log.iter().filter_map(|entry| entry.key.rsplit('/').next()?.parse::<u64>().ok());
        let expected = left.saturating_sub(49).max(1)..=left;
        assert!(numbers.eq(expected.clone()), "task {task}: the log is not {expected:?}: {log:?}");
    }
    store.revision()
}

fn parse(value: &[u8]) -> u64 {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).expect("a number was written")
}
