//! Leases: keys that go when nobody prolongs their lease.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::LeaseId;
use crate::engine::StoredLease;

/// A lease operation that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The lease has ended or never was.
    #[error("lease {0} does not exist: it was revoked or has expired; grant another one")]
    NotFound(LeaseId),
    /// The disk did not take the change; see [`CommitError`](crate::CommitError).
    #[error("the store cannot write: {reason}")]
    Unavailable {
        /// What the disk said.
        reason: String,
    },
    /// The disk left open whether it took the change; see [`CommitError`](crate::CommitError).
    #[error("the store does not know whether the change is durable: {reason}")]
    Unknown {
        /// What the disk said.
        reason: String,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

/// The leases there are, by id and by end.
#[derive(Default)]
pub(crate) struct Leases {
    by_id: HashMap<LeaseId, Lease>,
    by_end: BTreeSet<(Instant, LeaseId)>,
    /// The highest id given so far.
    last: u64,
}

struct Lease {
    ttl: Duration,
    ends: Instant,
    keys: BTreeSet<Arc<str>>,
}

// === impl Leases ===

impl Leases {
    /// Takes up the leases of an earlier run: each with what was left of it by the wall clock, and never more than
    /// its whole time, should the clock have gone back.
    pub(crate) fn restore(stored: &[StoredLease], last: u64) -> Self {
        let mut leases = Self { last, ..Self::default() };
        let now = unix_ms();
        for lease in stored {
            let ttl = Duration::from_millis(lease.ttl_ms);
            let left = Duration::from_millis(lease.expires_unix_ms.saturating_sub(now)).min(ttl);
            leases.put(lease.id, ttl, left);
        }
        leases
    }

    /// An id that was never given before.
    pub(crate) fn next_id(&mut self) -> LeaseId {
        self.last += 1;
        LeaseId(self.last)
    }

    /// Adds a lease, or prolongs one, so that it ends after `left`.
    pub(crate) fn put(&mut self, id: LeaseId, ttl: Duration, left: Duration) {
        let ends = Instant::now() + left;
        let lease = self.by_id.entry(id).or_insert_with(|| Lease { ttl, ends, keys: BTreeSet::new() });
        self.by_end.remove(&(lease.ends, id));
        lease.ends = ends;
        self.by_end.insert((ends, id));
    }

    pub(crate) fn remove(&mut self, id: LeaseId) {
        if let Some(lease) = self.by_id.remove(&id) {
            self.by_end.remove(&(lease.ends, id));
        }
    }

    pub(crate) fn contains(&self, id: LeaseId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(crate) fn ttl(&self, id: LeaseId) -> Option<Duration> {
        self.by_id.get(&id).map(|lease| lease.ttl)
    }

    /// A key that names a lease which is gone belongs to one that ends at once, so that the key goes too.
    pub(crate) fn attach(&mut self, id: LeaseId, key: Arc<str>) {
        if !self.contains(id) {
            self.put(id, Duration::ZERO, Duration::ZERO);
        }
        if let Some(lease) = self.by_id.get_mut(&id) {
            lease.keys.insert(key);
        }
    }

    pub(crate) fn detach(&mut self, id: LeaseId, key: &str) {
        if let Some(lease) = self.by_id.get_mut(&id) {
            lease.keys.remove(key);
        }
    }

    pub(crate) fn keys(&self, id: LeaseId) -> Vec<Arc<str>> {
        self.by_id.get(&id).map(|lease| lease.keys.iter().cloned().collect()).unwrap_or_default()
    }

    /// The lease that ends first.
    pub(crate) fn first(&self) -> Option<(Instant, LeaseId)> {
        self.by_end.first().copied()
    }
}

/// The form of a lease that goes to disk when it is granted or prolonged at this moment.
pub(crate) fn stored(id: LeaseId, ttl: Duration) -> StoredLease {
    let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
    StoredLease { id, ttl_ms, expires_unix_ms: unix_ms().saturating_add(ttl_ms) }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restored(ttl_ms: u64, expires_unix_ms: u64) -> Duration {
        let stored = StoredLease { id: LeaseId(3), ttl_ms, expires_unix_ms };
        let before = Instant::now();
        let leases = Leases::restore(&[stored], 7);
        leases.first().expect("a lease").0 - before
    }

    #[test]
    fn a_restored_lease_has_what_was_left_of_it_but_never_more_than_its_whole_time() {
        assert!(restored(60_000, unix_ms() + 30_000) <= Duration::from_secs(31));
        assert!(restored(60_000, unix_ms() + 30_000) >= Duration::from_secs(29));
        assert!(restored(60_000, 0) < Duration::from_secs(1), "it ended while the store was down");
        assert!(restored(60_000, unix_ms() + 9_000_000) <= Duration::from_secs(61), "the clock went back");
    }

    #[test]
    fn an_id_is_not_given_again_after_a_restart() {
        assert_eq!(Leases::restore(&[], 7).next_id(), LeaseId(8));
    }

    #[test]
    fn the_lease_that_ends_first_comes_first_also_after_another_was_prolonged() {
        let mut leases = Leases::default();
        leases.put(LeaseId(1), Duration::from_secs(10), Duration::from_secs(10));
        leases.put(LeaseId(2), Duration::from_secs(20), Duration::from_secs(20));
        assert_eq!(leases.first().map(|(_, id)| id), Some(LeaseId(1)));
        leases.put(LeaseId(1), Duration::from_secs(30), Duration::from_secs(30));
        assert_eq!(leases.first().map(|(_, id)| id), Some(LeaseId(2)));
        leases.remove(LeaseId(2));
        leases.remove(LeaseId(1));
        assert_eq!(leases.first(), None);
    }
}
