//! The work queue of one controller: keys that wait to be reconciled.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::clock::Clock;
use super::metrics::ControllerMetrics;

/// What a queue can hold.
pub trait WorkKey: Clone + Eq + Hash + Ord + fmt::Display + fmt::Debug + Send + Sync + 'static {}

impl<T: Clone + Eq + Hash + Ord + fmt::Display + fmt::Debug + Send + Sync + 'static> WorkKey for T {}

/// Keys to reconcile. Cheap to clone; clones share the content.
///
/// # Guarantees
/// - A key that is added several times before it is taken is taken once.
/// - A key is never handed out again while the [`Work`] of an earlier hand-out lives: one that is added meanwhile
///   follows when that is dropped.
/// - Keys are handed out in the order in which they became ready.
pub struct WorkQueue<Q: WorkKey> {
    shared: Arc<Shared<Q>>,
}

/// A key that is being worked on, until this is dropped.
pub struct Work<Q: WorkKey> {
    key: Q,
    queue: WorkQueue<Q>,
}

struct Shared<Q> {
    state: Mutex<State<Q>>,
    wake: Notify,
    clock: Clock,
    metrics: Arc<ControllerMetrics>,
}

struct State<Q> {
    /// In the order of being handed out; each is also in `wanted`.
    ready: VecDeque<Q>,
    /// Keys that have to be handed out, including those that are running at the moment.
    wanted: HashSet<Q>,
    running: HashSet<Q>,
    delayed: BTreeSet<(Timestamp, Q)>,
    /// The time under which a key stands in `delayed`.
    due: HashMap<Q, Timestamp>,
    failures: HashMap<Q, u32>,
}

const FIRST_RETRY: Duration = Duration::from_millis(10);
const LAST_RETRY: Duration = Duration::from_secs(300);

// === impl WorkQueue ===

impl<Q: WorkKey> Clone for WorkQueue<Q> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<Q: WorkKey> WorkQueue<Q> {
    /// An empty queue whose delays are counted by `clock`.
    pub fn new(clock: Clock, metrics: Arc<ControllerMetrics>) -> Self {
        let state = Mutex::new(State::default());
        Self { shared: Arc::new(Shared { state, wake: Notify::new(), clock, metrics }) }
    }

    /// Wants `key` to be handed out as soon as possible.
    pub fn add(&self, key: Q) {
        let mut state = self.shared.state.lock();
        state.want(key);
        self.publish_depth(&state);
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Wants `key` to be handed out after `delay`; an earlier wish for it stands.
    pub fn add_after(&self, key: Q, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
        let due = self.shared.clock.now().saturating_add(delay).unwrap_or(Timestamp::MAX);
        self.shared.state.lock().delay(key, due);
        self.shared.wake.notify_one();
    }

    /// Wants `key` again after a failure, with a delay that doubles with each failure in a row: from 10 ms up to 5 min.
    pub fn retry(&self, key: Q) {
        let failures = {
            let mut state = self.shared.state.lock();
            let failures = state.failures.entry(key.clone()).or_default();
            *failures = failures.saturating_add(1);
            *failures
        };
        self.add_after(key, backoff(failures));
    }

    /// Ends the row of failures of `key`.
    pub fn forget(&self, key: &Q) {
        self.shared.state.lock().failures.remove(key);
    }

    /// The next key, waiting for one if need be.
    pub async fn next(&self) -> Work<Q> {
        loop {
            let wake = self.shared.wake.notified();
            let next_due = {
                let mut state = self.shared.state.lock();
                state.promote(self.shared.clock.now());
                if let Some(key) = state.take() {
                    self.publish_depth(&state);
                    let more = !state.ready.is_empty();
                    drop(state);
                    if more {
                        self.shared.wake.notify_one();
                    }
                    return Work { key, queue: self.clone() };
                }
                state.delayed.first().map(|(due, _)| *due)
            };
            match next_due {
                None => wake.await,
                Some(due) => tokio::select! {
                    () = wake => {}
                    () = self.shared.clock.sleep_until(due) => {}
                },
            }
        }
    }

    /// How many keys are ready and not taken.
    pub fn depth(&self) -> usize {
        self.shared.state.lock().ready.len()
    }

    fn publish_depth(&self, state: &State<Q>) {
        self.shared.metrics.set_depth(state.ready.len());
    }

    fn done(&self, key: &Q) {
        let mut state = self.shared.state.lock();
        state.running.remove(key);
        if state.wanted.contains(key) {
            state.ready.push_back(key.clone());
            self.publish_depth(&state);
            drop(state);
            self.shared.wake.notify_one();
        }
    }
}

fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(30);
    FIRST_RETRY.saturating_mul(1 << doublings).min(LAST_RETRY)
}

// === impl Work ===

impl<Q: WorkKey> Work<Q> {
    /// The key to work on.
    pub fn key(&self) -> &Q {
        &self.key
    }
}

impl<Q: WorkKey> Drop for Work<Q> {
    fn drop(&mut self) {
        self.queue.done(&self.key);
    }
}

// === impl State ===

impl<Q> Default for State<Q> {
    fn default() -> Self {
        Self {
            ready: VecDeque::new(),
            wanted: HashSet::new(),
            running: HashSet::new(),
            delayed: BTreeSet::new(),
            due: HashMap::new(),
            failures: HashMap::new(),
        }
    }
}

impl<Q: WorkKey> State<Q> {
    fn want(&mut self, key: Q) {
        if self.wanted.insert(key.clone()) && !self.running.contains(&key) {
            self.ready.push_back(key);
        }
    }

    fn take(&mut self) -> Option<Q> {
        let key = self.ready.pop_front()?;
        self.wanted.remove(&key);
        self.running.insert(key.clone());
        Some(key)
    }

    fn delay(&mut self, key: Q, due: Timestamp) {
        match self.due.get(&key) {
            Some(earlier) if *earlier <= due => return,
            Some(later) => {
                let later = (*later, key.clone());
                self.delayed.remove(&later);
            }
            None => {}
        }
        self.due.insert(key.clone(), due);
        self.delayed.insert((due, key));
    }

    fn promote(&mut self, now: Timestamp) {
        while self.delayed.first().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, key)) = self.delayed.pop_first() {
                self.due.remove(&key);
                self.want(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> (WorkQueue<String>, Clock) {
        let clock = Clock::default();
        (WorkQueue::new(clock.clone(), Arc::default()), clock)
    }

    async fn soon<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(30), future).await.expect("nothing within 30 s")
    }

    #[tokio::test]
    async fn a_key_added_twice_is_handed_out_once() {
        let (queue, _) = queue();
        queue.add("a".into());
        queue.add("a".into());
        queue.add("b".into());
        assert_eq!(soon(queue.next()).await.key(), "a");
        assert_eq!(soon(queue.next()).await.key(), "b");
        assert_eq!(queue.depth(), 0);
    }

    #[tokio::test]
    async fn a_key_added_while_it_runs_follows_when_it_is_done() {
        let (queue, _) = queue();
        queue.add("a".into());
        let work = soon(queue.next()).await;
        queue.add("a".into());
        assert_eq!(queue.depth(), 0, "not ready while it runs");
        drop(work);
        assert_eq!(soon(queue.next()).await.key(), "a");
    }

    #[tokio::test]
    async fn of_two_delays_the_earlier_one_counts_and_it_counts_once() {
        let (queue, clock) = queue();
        queue.add_after("a".into(), Duration::from_secs(3600));
        queue.add_after("a".into(), Duration::from_secs(60));
        queue.add_after("a".into(), Duration::from_secs(600));
        let next = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await.key().clone() }
        });
        clock.advance(Duration::from_secs(61));
        assert_eq!(soon(next).await.unwrap(), "a");
        clock.advance(Duration::from_secs(7200));
        queue.add("b".into());
        assert_eq!(soon(queue.next()).await.key(), "b");
    }

    #[test]
    fn retries_double_up_to_five_minutes() {
        let delays: Vec<_> = [1, 2, 3, 16, 4_000_000_000].into_iter().map(|n| backoff(n).as_millis()).collect();
        assert_eq!(delays, [10, 20, 40, 300_000, 300_000]);
    }

    #[tokio::test]
    async fn many_workers_get_every_key() {
        let (queue, _) = queue();
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    let mut seen = 0;
                    while queue.next().await.key() != "stop" {
                        seen += 1;
                    }
                    queue.add("stop".into());
                    seen
                })
            })
            .collect();
        (0..1000).for_each(|n| queue.add(format!("{n}")));
        queue.add("stop".into());
        let mut total = 0;
        for worker in workers {
            total += soon(worker).await.unwrap();
        }
        assert_eq!(total, 1000);
    }
}
