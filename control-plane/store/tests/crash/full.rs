//! A disk that is really full: a small tmpfs with a file in it that takes the room.

use std::path::Path;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::StdRng;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use sheave_store::{CommitError, Expect, Operation, Options, Range, Revision, Store};
use tempfile::TempDir;

/// Size of the file system.
const SIZE: usize = 8 << 20;
/// Longer than any recovery takes.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn run(cycles: u32, mut random: StdRng) -> String {
    if !rustix::process::geteuid().is_root() {
        let reason = "mounting a small tmpfs needs root";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{reason}");
        return format!("nothing was tried: {reason}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut refused = 0;
    for _ in 0..cycles {
        refused += runtime.block_on(cycle(&mut random));
    }
    format!("the disk filled up and got room again; {refused} writes were refused, and none of them appeared")
}

/// A tmpfs that is unmounted when the test ends, also by a panic.
struct SmallDisk {
    folder: TempDir,
}

// === impl SmallDisk ===

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = std::ffi::CString::new(format!("size={SIZE}")).expect("no zero byte");
        mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), Some(options.as_c_str())).expect("root may mount");
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = unmount(self.folder.path(), UnmountFlags::DETACH) {
            println!("cannot unmount {}: {error}", self.folder.path().display());
        }
    }
}

async fn cycle(random: &mut StdRng) -> usize {
    let disk = SmallDisk::mount();
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; SIZE / 2]).expect("there is room");
    let path = disk.path().join("store.redb");
    let store = Store::open(&path, Options::default()).expect("the store opens");

    let mut written = fill(&store, random).await;
    let refused = refuse(&store, written).await;
    check(&store, written);
    std::fs::remove_file(&ballast).expect("the ballast goes");
    written += write_again(&store, written).await;
    check(&store, written);
    drop(store);
    let store = Store::open(&path, Options::default()).expect("the store opens again");
    check(&store, written);
    assert_eq!(store.revision(), Revision(written), "every acknowledged write made one revision, no refused one did");
    let deleted = store.commit(vec![Operation::delete(key(0), Expect::Present)]).await.expect("there is room");
    assert_eq!(deleted.revision, Revision(written + 1));
    refused
}

fn key(number: u64) -> String {
    format!("/key/{number:06}")
}

async fn put(store: &Store, number: u64, size: usize) -> Result<(), CommitError> {
    let committed = store.commit(vec![Operation::create(key(number), vec![3; size])]).await?;
    assert_eq!(committed.revision, Revision(number + 1));
    Ok(())
}

/// Writes until the disk is full. Gives the number of writes.
async fn fill(store: &Store, random: &mut StdRng) -> u64 {
    for number in 0.. {
        match put(store, number, random.random_range(1000..30_000)).await {
            Ok(()) => {}
            Err(CommitError::Unavailable { reason }) => {
                assert!(reason.contains("No space left"), "the reason names the cause: {reason}");
                return number;
            }
            Err(other) => panic!("a full disk is known to be full: {other}"),
        }
    }
    0
}

/// Goes on writing to the full disk: nothing large fits, and the answer is always the same.
async fn refuse(store: &Store, number: u64) -> usize {
    for _ in 0..20 {
        match put(store, number, 1 << 20).await {
            Err(CommitError::Unavailable { .. }) => {}
            other => panic!("a mebibyte does not fit: {other:?}"),
        }
        assert!(store.get(&key(number)).is_none(), "what was refused does not appear");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    21
}

/// There is room again. Gives the number of writes.
async fn write_again(store: &Store, number: u64) -> u64 {
    let begun = Instant::now();
    while let Err(error) = put(store, number, 100_000).await {
        assert!(begun.elapsed() < DEADLINE, "there is room, but: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    1
}

fn check(store: &Store, written: u64) {
    let found = store.range(&Range::default()).expect("reads go on").entries;
    let keys = found.iter().map(|entry| entry.key.to_string());
    assert!(keys.eq((0..written).map(key)), "{written} keys were acknowledged, {} are there", found.len());
}
