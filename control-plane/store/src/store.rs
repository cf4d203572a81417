//! The handle that everybody else holds.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::committer::{Committer, Request};
use crate::disk::Disk;
use crate::engine::{Embedded, Engine, Guarded, Volatile, opening};
use crate::load::load;
use crate::shared::Shared;
use crate::{
    CommitError, Committed, CompactError, Entry, LeaseError, LeaseId, Limits, OpenError, Operation, Options, Range,
    RangeError, RangeResult, Revision, Watch, WatchError,
};

/// A revisioned key-value store with compare-and-swap, ordered watches and leases. Cloning gives another handle.
///
/// Reads never wait: they are served from memory and see only what is durable. Writes go to one thread that decides
/// them in order and makes everything that is waiting durable with one flush of the disk. When the last handle is dropped
/// the store finishes what is queued and closes the file; that blocks for as long as the disk takes. Watches then end.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    limits: Limits,
    /// Kibibytes of transactions that may still be queued.
    room: Arc<Semaphore>,
    requests: Option<mpsc::UnboundedSender<Request>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

// === impl Store ===

impl Store {
    /// Opens the store in a file; makes it, readable by its owner only, if it is not there. Blocks while all of it is read.
    pub fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        let engine = opening(path, || Embedded::open_file(path))?;
        Self::start(Guarded::new(engine, path.to_owned()), options)
    }

    /// Opens the store on a disk of the caller's, for tests that are the disk.
    pub fn open_on(disk: Arc<dyn Disk>, options: Options) -> Result<Self, OpenError> {
        let path = disk.path().to_owned();
        let engine = opening(&path, || Embedded::open(disk))?;
        Self::start(Guarded::new(engine, path), options)
    }

    /// A store that lives in memory only and is gone when the last handle is dropped.
    pub fn in_memory(options: Options) -> Result<Self, OpenError> {
        Self::start(Volatile, options)
    }

    fn start(mut engine: impl Engine, options: Options) -> Result<Self, OpenError> {
        let opened = load(&mut engine, &options)?;
        let shared = Arc::new(Shared::new(opened.view.clone()));
        let (requests, receiver) = mpsc::unbounded_channel();
        let limits = options.limits;
        let committer = Committer::new(Box::new(engine), shared.clone(), options, opened)?;
        let delivering = shared.clone();
        let threads = vec![
            spawn("store-commit", move || committer.run(receiver))?,
            spawn("store-watch", move || delivering.fanout.run(|| delivering.view()))?,
        ];
        let room = Arc::new(Semaphore::new(kibibytes(limits.waiting_bytes.max(limits.transaction_bytes)) as usize));
        let inner = Inner { shared, limits, room, requests: Some(requests), threads: Mutex::new(threads) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Commits a transaction: all operations, or none if an expectation does not hold. `Ok` means durable.
    ///
    /// All operations share one revision. Expectations are about the state before the transaction. A transaction that
    /// changes nothing makes no revision. Dropping the future leaves open whether the transaction happens.
    pub async fn commit(&self, operations: Vec<Operation>) -> Result<Committed, CommitError> {
        let size = self.inner.limits.check(&operations)?;
        let room = self.inner.room.clone().acquire_many_owned(kibibytes(size)).await;
        let room = room.map_err(|_| CommitError::Closed)?;
        let answer = self.ask(|reply| Request::Commit { operations, room, reply });
        answer.await.unwrap_or(Err(CommitError::Closed))
    }

    /// The revision of the last durable transaction. A read that begins after this call sees at least that.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.inner.shared.revision()
    }

    /// The oldest revision that can be read; a watch may begin at it.
    #[must_use]
    pub fn oldest_revision(&self) -> Revision {
        self.inner.shared.view().compacted()
    }

    /// Why the store takes no writes at present; none while it does.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        if self.inner.requests.as_ref().is_none_or(mpsc::UnboundedSender::is_closed) {
            return Some("the store's commit thread has ended".to_owned());
        }
        self.inner.shared.trouble()
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.shared.view().len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Entry> {
        self.inner.shared.entry(key)
    }

    /// The entries of many keys, all as they were at one revision.
    ///
    /// Runs on a snapshot, holds no lock, copies no values. Reading at an old revision costs, besides, the events since.
    pub fn range(&self, range: &Range) -> Result<RangeResult, RangeError> {
        range.read(&self.inner.shared.view())
    }

    /// Follows the changes of every key that begins with `prefix`, from the one after `after` on.
    pub fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, WatchError> {
        let shared = &self.inner.shared;
        let view = shared.view();
        if after < view.compacted() {
            return Err(WatchError::Compacted { oldest: view.compacted() });
        }
        if after > view.revision() {
            return Err(WatchError::Future { current: view.revision() });
        }
        Ok(Watch::new(shared.clone(), shared.fanout.join(prefix), after))
    }

    /// Makes a lease that ends after `ttl` unless it is prolonged. Its end deletes the keys put with it, in one
    /// transaction. `Ok` means durable: the lease survives a restart, with what is left of its time.
    pub async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, LeaseError> {
        self.ask(|reply| Request::Grant { ttl, reply }).await.unwrap_or(Err(LeaseError::Closed))
    }

    /// Gives a lease its whole time again.
    pub async fn keep_lease_alive(&self, lease: LeaseId) -> Result<(), LeaseError> {
        self.ask(|reply| Request::KeepAlive { lease, reply }).await.unwrap_or(Err(LeaseError::Closed))
    }

    /// Ends a lease at once and deletes its keys, in one transaction.
    pub async fn revoke_lease(&self, lease: LeaseId) -> Result<(), LeaseError> {
        self.ask(|reply| Request::Revoke { lease, reply }).await.unwrap_or(Err(LeaseError::Closed))
    }

    /// Forgets the history before `revision`: ranges cannot read and watches cannot begin before it any more. The state at
    /// `revision` itself stays readable. Returns when that is durable; space on disk is freed in small steps afterwards.
    pub async fn compact(&self, revision: Revision) -> Result<(), CompactError> {
        self.ask(|reply| Request::Compact { revision, reply }).await.unwrap_or(Err(CompactError::Closed))
    }

    /// Sends a request to the commit thread. The answer never comes if that thread has ended.
    fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> oneshot::Receiver<T> {
        let (reply, answer) = oneshot::channel();
        if let Some(requests) = &self.inner.requests {
            // A failed send drops `reply`, which the receiver notices.
            let _ = requests.send(request(reply));
        }
        answer
    }
}

// === impl Inner ===

impl Drop for Inner {
    fn drop(&mut self) {
        self.requests = None;
        let mut threads = self.threads.lock().drain(..).collect::<Vec<_>>();
        let delivering = threads.pop();
        for thread in threads {
            // A panic of that thread has been printed; every caller got `Closed`.
            let _ = thread.join();
        }
        self.shared.fanout.close();
        if let Some(delivering) = delivering {
            let _ = delivering.join();
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(OpenError::Thread)
}

/// Rounded up; at least 1, so that a queue of empty transactions is bounded too.
fn kibibytes(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).max(1)
}
