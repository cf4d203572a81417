//! Delivery of events to watches, on a thread of its own so that ten thousand watches do not slow a commit.
//!
//! The thread follows the published view. Whatever has been committed since it last looked goes, in one round, into the
//! logs of the groups whose prefix matches, and only their watches are woken. There is no queue between the commit thread
//! and this one that could grow: the history is the queue.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};

use crate::view::View;
use crate::watch::Group;
use crate::{Event, Revision};

/// The groups of watches, and how far they have been told.
#[derive(Debug)]
pub(crate) struct Fanout {
    groups: Mutex<Groups>,
    /// Every event up to here is in the groups' logs.
    delivered: AtomicU64,
    news: Mutex<bool>,
    bell: Condvar,
    closed: AtomicBool,
}

#[derive(Default, Debug)]
struct Groups {
    by_prefix: HashMap<Box<str>, Member>,
    /// How many groups have a prefix of this many bytes: the lengths at which a key must be looked up.
    lengths: BTreeMap<usize, usize>,
    /// Logs hold nothing at or below this.
    trimmed: Revision,
}

#[derive(Debug)]
struct Member {
    group: Arc<Group>,
    watches: usize,
    /// What this round of delivery has found for the group.
    round: Vec<Arc<Event>>,
}

// === impl Fanout ===

impl Fanout {
    pub(crate) fn new(revision: Revision) -> Self {
        Self {
            groups: Mutex::default(),
            delivered: AtomicU64::new(revision.0),
            news: Mutex::new(false),
            bell: Condvar::new(),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn delivered(&self) -> Revision {
        Revision(self.delivered.load(Ordering::Acquire))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Adds a watch to its prefix's group.
    pub(crate) fn join(&self, prefix: &str) -> Arc<Group> {
        let mut groups = self.groups.lock();
        if let Some(member) = groups.by_prefix.get_mut(prefix) {
            member.watches += 1;
            return member.group.clone();
        }
        // Delivery holds the same lock: the new group gets every event after this revision.
        let group = Arc::new(Group::new(prefix, self.delivered()));
        *groups.lengths.entry(prefix.len()).or_default() += 1;
        let member = Member { group: group.clone(), watches: 1, round: Vec::new() };
        groups.by_prefix.insert(prefix.into(), member);
        group
    }

    /// Takes a watch out; the last one takes the group with it.
    pub(crate) fn leave(&self, group: &Group) {
        let mut groups = self.groups.lock();
        let Some(member) = groups.by_prefix.get_mut(group.prefix()) else { return };
        member.watches -= 1;
        if member.watches > 0 {
            return;
        }
        groups.by_prefix.remove(group.prefix());
        let length = group.prefix().len();
        if let Some(count) = groups.lengths.get_mut(&length) {
            *count -= 1;
            if *count == 0 {
                groups.lengths.remove(&length);
            }
        }
    }

    /// Tells the delivering thread that the published view has changed.
    pub(crate) fn announce(&self) {
        *self.news.lock() = true;
        self.bell.notify_one();
    }

    /// Ends delivery and every watch.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.announce();
    }

    /// Delivers until the store is closed.
    pub(crate) fn run(&self, view: impl Fn() -> View) {
        while !self.is_closed() {
            self.wait_for_news();
            for group in self.deliver(&view()) {
                group.ring();
            }
        }
        for member in self.groups.lock().by_prefix.values() {
            member.group.ring();
        }
    }

    fn wait_for_news(&self) {
        let mut news = self.news.lock();
        while !*news {
            self.bell.wait(&mut news);
        }
        *news = false;
    }

    /// Moves the events that are new in `view` into the logs. Gives the groups to wake.
    fn deliver(&self, view: &View) -> Vec<Arc<Group>> {
        let mut groups = self.groups.lock();
        groups.forget(view.compacted(), self.delivered());
        let mut woken = Vec::new();
        for event in view.events(self.delivered(), view.revision()) {
            groups.sort_in(event, &mut woken);
        }
        for group in &woken {
            groups.finish_round(group);
        }
        self.delivered.store(view.revision().0, Ordering::Release);
        woken
    }
}

// === impl Groups ===

impl Groups {
    /// Follows a compaction.
    fn forget(&mut self, compacted: Revision, delivered: Revision) {
        if self.trimmed < compacted {
            self.trimmed = compacted;
            self.by_prefix.values().for_each(|member| member.group.trim(compacted));
        }
        if delivered < compacted {
            self.by_prefix.values().for_each(|member| member.group.skip_to(compacted));
        }
    }

    /// Finds the groups that an event is for: those whose prefix is one of the beginnings of its key.
    fn sort_in(&mut self, event: &Arc<Event>, woken: &mut Vec<Arc<Group>>) {
        let key = &event.entry.key;
        for length in self.lengths.keys().take_while(|length| **length <= key.len()) {
            let Some(member) = key.get(..*length).and_then(|beginning| self.by_prefix.get_mut(beginning)) else {
                continue;
            };
            if member.round.is_empty() {
                woken.push(member.group.clone());
            }
            member.round.push(event.clone());
        }
    }

    fn finish_round(&mut self, group: &Group) {
        if let Some(member) = self.by_prefix.get_mut(group.prefix()) {
            group.extend(member.round.drain(..));
        }
    }
}
