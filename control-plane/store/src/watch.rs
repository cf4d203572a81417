//! Watches: every change under a prefix, once, in order, from any revision since compaction.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::shared::Shared;
use crate::{Event, Revision};

/// Events that one [`Watch::next`] gives before it stops at the end of a transaction, so that a watch that catches up
/// does not keep its task from yielding.
const BATCH: usize = 1000;

/// An ordered stream of the changes under a prefix.
///
/// # Guarantees
/// Every event after the starting revision arrives exactly once, in order; those of one transaction arrive in one batch.
/// An event arrives only when it is durable and readable: what a `get` after it returns is at least as young.
///
/// A watch buffers nothing of its own: it reads the store's history. One that falls behind the history's limits
/// ([`History`](crate::History)) gets [`WatchError::Lagged`]; it costs the others nothing.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    group: Arc<Group>,
    /// Everything up to here has been given.
    cursor: Revision,
}

/// A watch that cannot begin or go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WatchError {
    /// The events after the starting revision have been compacted away; list again and watch from there.
    #[error("the revision has been compacted: the oldest that can be watched from is {oldest}")]
    Compacted {
        /// The oldest revision that a watch can begin at.
        oldest: Revision,
    },
    /// The store has not got that far: the revision is another store's.
    #[error("the revision lies in the future: the current one is {current}")]
    Future {
        /// The current revision.
        current: Revision,
    },
    /// The watch was not read for so long that events it has not seen were compacted; list again and watch from there.
    #[error("the watch fell behind: events up to revision {oldest} have been compacted")]
    Lagged {
        /// The oldest revision that a watch can begin at.
        oldest: Revision,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// What the watches of one prefix share: the matching part of the history, and the bell.
#[derive(Debug)]
pub(crate) struct Group {
    prefix: Box<str>,
    log: Mutex<Log>,
    bell: Notify,
}

#[derive(Debug)]
struct Log {
    /// Every matching event after `after` that has been delivered, in order.
    events: VecDeque<Arc<Event>>,
    /// Matching events up to here are not in `events`, or no longer.
    after: Revision,
}

// === impl Watch ===

impl Watch {
    pub(crate) fn new(shared: Arc<Shared>, group: Arc<Group>, after: Revision) -> Self {
        Self { shared, group, cursor: after }
    }

    /// Waits for the next events. Dropping the future loses none.
    pub async fn next(&mut self) -> Result<Vec<Arc<Event>>, WatchError> {
        let group = self.group.clone();
        loop {
            // Made before the look, so that what is delivered in between rings it.
            let bell = group.bell.notified();
            if let Some(events) = self.take()? {
                return Ok(events);
            }
            bell.await;
        }
    }

    /// The revision up to which this watch has given everything there is: what a bookmark may carry.
    ///
    /// It moves on without events for the prefix.
    #[must_use]
    pub fn progress(&mut self) -> Revision {
        // Read first: every event up to it is in the log by then.
        let delivered = self.shared.fanout.delivered();
        if self.is_drained() {
            self.cursor = self.cursor.max(delivered);
        }
        self.cursor
    }

    /// Whether everything that has been delivered for the prefix has been given.
    fn is_drained(&mut self) -> bool {
        let log = self.group.log.lock();
        let (after, last) = (log.after, log.events.back().map(|event| event.revision));
        drop(log);
        if self.cursor < after && self.catch_up(after).is_ok_and(|events| events.is_empty()) {
            self.cursor = after;
        }
        self.cursor >= after && last.is_none_or(|last| last <= self.cursor)
    }

    /// The events that wait, if any.
    fn take(&mut self) -> Result<Option<Vec<Arc<Event>>>, WatchError> {
        loop {
            if self.shared.fanout.is_closed() {
                return Err(WatchError::Closed);
            }
            let log = self.group.log.lock();
            if self.cursor >= log.after {
                let start = log.events.partition_point(|event| event.revision <= self.cursor);
                let events = whole_transactions(log.events.range(start..));
                drop(log);
                return Ok(self.advance(events));
            }
            let until = log.after;
            drop(log);
            let events = self.catch_up(until)?;
            if let Some(events) = self.advance(events) {
                return Ok(Some(events));
            }
            self.cursor = until;
        }
    }

    /// Events of `(cursor, until]`, which are older than what the group remembers.
    fn catch_up(&self, until: Revision) -> Result<Vec<Arc<Event>>, WatchError> {
        let view = self.shared.view();
        if self.cursor < view.compacted() {
            return Err(WatchError::Lagged { oldest: view.compacted() });
        }
        let events = view.events(self.cursor, until);
        Ok(whole_transactions(events.filter(|event| event.entry.key.starts_with(&*self.group.prefix))))
    }

    fn advance(&mut self, events: Vec<Arc<Event>>) -> Option<Vec<Arc<Event>>> {
        self.cursor = events.last()?.revision;
        Some(events)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.fanout.leave(&self.group);
    }
}

/// About [`BATCH`] events, never cut within a transaction.
fn whole_transactions<'a>(events: impl Iterator<Item = &'a Arc<Event>>) -> Vec<Arc<Event>> {
    let mut batch = Vec::<Arc<Event>>::new();
    for event in events {
        if batch.len() >= BATCH && batch.last().is_some_and(|last| last.revision != event.revision) {
            break;
        }
        batch.push(event.clone());
    }
    batch
}

// === impl Group ===

impl Group {
    /// A group that is given every matching event after `delivered`.
    pub(crate) fn new(prefix: &str, delivered: Revision) -> Self {
        let log = Log { events: VecDeque::new(), after: delivered };
        Self { prefix: prefix.into(), log: Mutex::new(log), bell: Notify::new() }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn extend(&self, events: impl Iterator<Item = Arc<Event>>) {
        self.log.lock().events.extend(events);
    }

    /// Wakes the watches; separate from [`Self::extend`] because no lock must be held.
    pub(crate) fn ring(&self) {
        self.bell.notify_waiters();
    }

    /// Forgets events that the history has forgotten.
    pub(crate) fn trim(&self, compacted: Revision) {
        let mut log = self.log.lock();
        while log.events.front().is_some_and(|event| event.revision <= compacted) {
            log.after = log.events.pop_front().map_or(log.after, |event| event.revision);
        }
    }

    /// Events up to `compacted` were lost before they could be delivered.
    pub(crate) fn skip_to(&self, compacted: Revision) {
        let mut log = self.log.lock();
        log.events.clear();
        log.after = log.after.max(compacted);
    }
}
