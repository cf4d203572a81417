//! The commit thread: decides transactions in the order they come, makes all that are waiting durable at once, publishes
//! the result, ends leases and forgets history.
//!
//! ```text
//! decide a group -> append to the engine -> publish the view -> answer
//!                        |
//!                        +-- rejected: nothing happened; answer Unavailable
//!                        +-- unknown: have the engine look at the disk;
//!                              the group is there     -> publish, answer Ok
//!                              it is not              -> answer Unavailable
//!                              the disk does not tell -> answer Unknown, take no writes, look again later
//! ```

mod answer;
mod health;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

pub use self::answer::CompactError;
pub(crate) use self::answer::Request;
use self::answer::{Answer, Failure, Reply};
use self::health::Health;
use crate::draft::Draft;
use crate::engine::Engine;
use crate::entry::Place;
use crate::lease::{self, Leases};
use crate::load::Opened;
use crate::shared::Shared;
use crate::view::View;
use crate::{LeaseError, LeaseId, OpenError, Options, Revision};

/// Requests of one group. More would not be faster and would answer the first of them later.
const GROUP: usize = 1024;
/// The longest wait for requests that are expected to come. Besides, it is never more than half a flush.
const GATHER_AT_MOST: Duration = Duration::from_micros(300);
/// How often to look for them meanwhile.
const GATHER_STEP: Duration = Duration::from_micros(10);
/// Removals that ride along with a group, besides two per change.
const REMOVALS: usize = 64;
/// Removals of a group of its own, made when there is nothing else to do.
const IDLE_REMOVALS: usize = 2048;
/// How long nothing must have come for there to be nothing else to do.
const IDLE: Duration = Duration::from_millis(20);
/// How often the age of the history is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long to sleep when nothing is due.
const FOREVER: Duration = Duration::from_secs(3600);

/// State of the commit thread.
pub(crate) struct Committer {
    engine: Box<dyn Engine>,
    shared: Arc<Shared>,
    options: Options,
    /// What is published.
    view: View,
    leases: Leases,
    /// Changes on disk that no readable revision needs, oldest first.
    removals: VecDeque<Place>,
    /// Which revision the store had when, oldest first, at most one per tick.
    ages: VecDeque<(Instant, Revision)>,
    next_tick: Instant,
    /// Requests of the last group, and how long it took to make it durable.
    last_group: (usize, Duration),
    health: Health,
    /// What the disk holds that no write got past; cleared by the next one that does.
    damage: Option<String>,
    /// How long the engine's last recovery took.
    last_recovery: Duration,
    runtime: tokio::runtime::Runtime,
}

// === impl Committer ===

impl Committer {
    pub(crate) fn new(
        engine: Box<dyn Engine>,
        shared: Arc<Shared>,
        options: Options,
        opened: Opened,
    ) -> Result<Self, OpenError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(OpenError::Thread)?;
        let Opened { view, leases, removals } = opened;
        let now = Instant::now();
        Ok(Self {
            engine,
            shared,
            options,
            ages: VecDeque::from([(now, view.revision())]),
            view,
            leases,
            removals: removals.into(),
            next_tick: now + TICK,
            last_group: (0, Duration::ZERO),
            health: Health::Well,
            damage: None,
            last_recovery: Duration::ZERO,
            runtime,
        })
    }

    /// Serves until the last handle is gone and the queue is empty.
    pub(crate) fn run(mut self, mut requests: UnboundedReceiver<Request>) {
        loop {
            let deadline = self.deadline();
            let received = self.runtime.block_on(async { tokio::time::timeout_at(deadline, requests.recv()).await });
            match received {
                Ok(Some(first)) => self.serve(first, &mut requests),
                Ok(None) => return,
                Err(_) => self.idle(),
            }
            self.end_leases();
            self.tick();
            self.report();
        }
    }

    /// When there is something to do even if no request comes.
    fn deadline(&self) -> Instant {
        let now = Instant::now();
        if let Some(attempt) = self.health.next_attempt() {
            return attempt;
        }
        let lease = self.leases.first().map(|(end, _)| end);
        let tick = (self.view.history_len() > 0).then_some(self.next_tick);
        let removal = (!self.removals.is_empty()).then_some(now + IDLE);
        [lease, tick, removal].into_iter().flatten().min().unwrap_or(now + FOREVER)
    }

    /// Waits a little for those who have just been answered to come back.
    ///
    /// Callers that work in a loop all wait for the same flush. The first of them to return would be flushed alone, and
    /// the others only after that: two flushes where one would do.
    fn gather(&self, requests: &UnboundedReceiver<Request>) {
        let (expected, flush) = self.last_group;
        let patience = (flush / 2).min(GATHER_AT_MOST);
        let begun = Instant::now();
        while requests.len() + 1 < expected && begun.elapsed() < patience {
            std::thread::sleep(GATHER_STEP);
        }
    }

    /// Serves a request and whatever else is waiting.
    fn serve(&mut self, first: Request, requests: &mut UnboundedReceiver<Request>) {
        self.gather(requests);
        let mut waiting = vec![first];
        while waiting.len() < GROUP
            && let Ok(request) = requests.try_recv()
        {
            waiting.push(request);
        }
        let (count, begun) = (waiting.len(), Instant::now());
        self.serve_group(waiting);
        self.last_group = (count, begun.elapsed());
    }

    fn serve_group(&mut self, waiting: Vec<Request>) {
        if let Err(failure) = self.ensure_well() {
            return waiting.into_iter().for_each(|request| request.refuse(&failure));
        }
        let mut draft = self.draft();
        let mut answers = Vec::with_capacity(waiting.len());
        for request in waiting {
            if let Request::Revoke { lease, reply } = request {
                // A group of its own: it must see which keys the transactions before it have attached.
                self.finish(std::mem::replace(&mut draft, self.draft()), std::mem::take(&mut answers));
                self.revoke(lease, reply);
                draft = self.draft();
            } else {
                answers.push(self.decide(request, &mut draft));
            }
        }
        self.finish(draft, answers);
    }

    fn draft(&self) -> Draft {
        Draft::new(self.view.clone(), self.options.present.clone())
    }

    fn decide(&mut self, request: Request, draft: &mut Draft) -> Answer {
        match request {
            Request::Commit { operations, room, reply } => {
                drop(room);
                Answer::Commit { reply, decided: draft.commit(operations, &self.leases) }
            }
            Request::Grant { ttl, reply } => {
                let lease = self.leases.next_id();
                draft.group.leases.push(lease::stored(lease, ttl));
                Answer::Grant { reply, lease }
            }
            Request::KeepAlive { lease, reply } | Request::Revoke { lease, reply } => {
                let ttl = self.leases.ttl(lease).ok_or(LeaseError::NotFound(lease));
                let decided = ttl.map(|ttl| draft.group.leases.push(lease::stored(lease, ttl)));
                Answer::Lease { reply, decided }
            }
            Request::Compact { revision, reply } => Answer::Compact { reply, decided: compact(revision, draft) },
        }
    }

    /// Makes a draft durable and answers.
    fn finish(&mut self, mut draft: Draft, answers: Vec<Answer>) {
        self.limit_history(&mut draft);
        self.take_removals(&mut draft);
        let outcome =
            if draft.group.is_empty() { Ok(()) } else { self.still_well().and_then(|()| self.make_durable(draft)) };
        self.report();
        answers.into_iter().for_each(|answer| answer.give(&outcome));
    }

    /// Makes a durable draft the published state.
    fn publish(&mut self, draft: Draft) {
        for lease in &draft.group.leases {
            let ttl = Duration::from_millis(lease.ttl_ms);
            self.leases.put(lease.id, ttl, ttl);
        }
        for attachment in draft.attachments {
            attachment.before.inspect(|lease| self.leases.detach(*lease, &attachment.key));
            attachment.after.inspect(|lease| self.leases.attach(*lease, attachment.key.clone()));
        }
        draft.group.ended_leases.iter().for_each(|lease| self.leases.remove(*lease));
        self.removals.extend(draft.freed);
        self.view = draft.view.clone();
        self.shared.publish(draft.view);
    }

    /// Drops a draft that did not become durable.
    fn abandon(&mut self, draft: Draft) {
        draft.group.removals.into_iter().rev().for_each(|place| self.removals.push_front(place));
    }

    fn revoke(&mut self, lease: LeaseId, reply: Reply<(), LeaseError>) {
        if !self.leases.contains(lease) {
            return Answer::Lease { reply, decided: Err(LeaseError::NotFound(lease)) }.give(&Ok(()));
        }
        let outcome = self.ensure_well().and_then(|()| self.end_lease(lease));
        Answer::Lease { reply, decided: Ok(()) }.give(&outcome);
    }

    /// Deletes a lease and its keys in one transaction.
    fn end_lease(&mut self, lease: LeaseId) -> Result<(), Failure> {
        let mut draft = self.draft();
        let revision = draft.view.revision().next();
        for key in self.leases.keys(lease) {
            draft.delete(revision, &key);
        }
        draft.group.ended_leases.push(lease);
        self.make_durable(draft)
    }

    /// Ends the leases whose time is over.
    fn end_leases(&mut self) {
        while let Some((end, lease)) = self.leases.first()
            && end <= Instant::now()
            && self.ensure_well().is_ok()
            && self.end_lease(lease).is_ok()
        {
            tracing::debug!(%lease, "a lease has expired");
        }
    }

    /// Uses a quiet moment.
    fn idle(&mut self) {
        if self.ensure_well().is_err() {
            return;
        }
        let mut draft = self.draft();
        let count = self.removals.len().min(IDLE_REMOVALS);
        draft.remove(self.removals.drain(..count));
        if !draft.group.is_empty() {
            // A failure is remembered; the removals are kept for later.
            let _ = self.make_durable(draft);
        }
    }

    /// Lets history go that has become too old.
    fn tick(&mut self) {
        let now = Instant::now();
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        if self.ages.back().is_none_or(|(_, revision)| *revision != self.view.revision()) {
            self.ages.push_back((now, self.view.revision()));
        }
        let too_old = self.ages.partition_point(|(at, _)| now.duration_since(*at) > self.options.history.age);
        let last_too_old = self.ages.drain(..too_old).next_back();
        last_too_old.inspect(|(_, revision)| self.forget(*revision));
    }

    /// Compacts in memory. The disk follows with the removals; should the store stop before, it has more history than it
    /// needs.
    fn forget(&mut self, revision: Revision) {
        if self.still_well().is_err() {
            // A group that is not resolved yet builds on the view as it is.
            return;
        }
        let mut draft = self.draft();
        draft.compact(revision);
        if draft.view.compacted() != self.view.compacted() {
            self.publish(draft);
        }
    }

    /// Keeps the history within its limits. Goes a sixteenth below them, so that it happens once for many commits.
    fn limit_history(&self, draft: &mut Draft) {
        let history = &self.options.history;
        if draft.view.history_len() > history.events || draft.view.history_bytes() > history.bytes {
            let to = draft.view.compaction_to(history.events / 16 * 15, history.bytes / 16 * 15);
            to.inspect(|revision| draft.compact(*revision));
        }
    }

    /// Lets some removals ride along.
    fn take_removals(&mut self, draft: &mut Draft) {
        if draft.group.is_empty() {
            return;
        }
        let count = self.removals.len().min(REMOVALS + 2 * draft.group.changes.len());
        draft.remove(self.removals.drain(..count));
    }
}

/// Raises the oldest readable revision, durably.
fn compact(revision: Revision, draft: &mut Draft) -> Result<(), CompactError> {
    if revision < draft.view.compacted() {
        return Err(CompactError::Compacted { oldest: draft.view.compacted() });
    }
    if revision > draft.view.revision() {
        return Err(CompactError::Future { current: draft.view.revision() });
    }
    draft.compact(revision);
    draft.group.compacted = Some(revision);
    Ok(())
}
