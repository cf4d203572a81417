//! The pods that wait for a node: ready to be tried, backing off, or waiting for something to change.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::filter::Reason;
use crate::pod::PodRequirements;

/// The first back-off; it doubles with each attempt.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
/// The longest back-off.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(10);
/// A pod that nothing has woken for so long is tried again: an event may have been misjudged.
const TRY_ANYWAY_AFTER: Duration = Duration::from_secs(300);

/// What happened in the cluster, as far as it can help a pod that waits.
#[derive(Clone, Copy)]
pub(crate) enum Change<'a> {
    /// A node came or changed (labels, taints, capacity), or a pod left it. With that: whether the node would take a
    /// pod, other pods around it apart. One that it would not take has not been waiting for this.
    Node(&'a dyn Fn(&PodRequirements) -> bool),
    /// A pod came to a node or changed its labels.
    PodCame,
    /// A namespace's labels changed.
    Namespace,
}

/// Which kinds of reasons keep a pod waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Waits {
    /// A node with other labels or taints, or with more room.
    node: bool,
    /// Other pods to be near, or not to be.
    near: bool,
}

#[derive(Debug)]
struct Waiting {
    pod: Arc<PodRequirements>,
    attempts: u32,
    /// When it came to the queue first: pods of one priority keep their order.
    since: Instant,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Active,
    BackingOff {
        until: Instant,
    },
    Unschedulable {
        waits: Waits,
        from: Instant,
        until: Instant,
    },
    /// Being decided or bound.
    Out,
}

type ActiveKey = (Reverse<i32>, Instant, String);

/// The queue. The time is always told to it, so that tests need not wait.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pods: HashMap<String, Waiting>,
    active: BTreeMap<ActiveKey, ()>,
    backing_off: BTreeSet<(Instant, String)>,
    /// The pods that wait for a change, so that one need not look at all pods to find them.
    waiting: BTreeSet<String>,
    /// How many of them wait for other pods to be near or not.
    waiting_for_pods: usize,
}

// === impl Queue ===

impl Queue {
    /// A pod that wants a node is new or has changed. A new one is tried at once, and so is one that waits for a change
    /// in the cluster when it asks for something else.
    pub(crate) fn set(&mut self, pod: Arc<PodRequirements>, now: Instant) {
        let uid = pod.uid.clone();
        if let Some(waiting) = self.pods.get_mut(&uid) {
            let before = std::mem::replace(&mut waiting.pod, pod);
            if matches!(waiting.place, Place::Unschedulable { .. }) && !before.asks_the_same(&waiting.pod) {
                self.leave(&uid);
                self.activate(&uid);
            }
            return;
        }
        self.pods.insert(uid.clone(), Waiting { pod, attempts: 0, since: now, place: Place::Out });
        self.activate(&uid);
    }

    /// A pod that is gone, or has its node.
    pub(crate) fn remove(&mut self, uid: &str) {
        self.leave(uid);
        self.pods.remove(uid);
    }

    /// The next pod to try: the highest priority, then the longest waiting. It is out until it is sent back or removed.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Arc<PodRequirements>> {
        self.wake_backed_off(now);
        let ((_, _, uid), ()) = self.active.pop_first()?;
        let waiting = self.pods.get_mut(&uid)?;
        waiting.place = Place::Out;
        waiting.attempts += 1;
        Some(Arc::clone(&waiting.pod))
    }

    /// A pod found no node, for these reasons: it waits for a change that can help.
    pub(crate) fn unschedulable<'a>(&mut self, uid: &str, reasons: impl IntoIterator<Item = &'a Reason>, now: Instant) {
        let Some(waiting) = self.pods.get_mut(uid) else { return };
        let waits = Waits::of(reasons);
        waiting.place = Place::Unschedulable { waits, from: now, until: now + back_off(waiting.attempts) };
        self.waiting.insert(uid.to_owned());
        self.waiting_for_pods += usize::from(waits.near);
    }

    /// A pod could not be bound: it is tried again after its back-off.
    pub(crate) fn failed(&mut self, uid: &str, now: Instant) {
        let Some(waiting) = self.pods.get_mut(uid) else { return };
        let until = now + back_off(waiting.attempts);
        waiting.place = Place::BackingOff { until };
        self.backing_off.insert((until, uid.to_owned()));
    }

    /// Wakes the pods that `change` can help; those that are still backing off do that first.
    pub(crate) fn wake(&mut self, change: Change<'_>, now: Instant) {
        // Pods come all the time.
        if matches!(change, Change::PodCame) && self.waiting_for_pods == 0 {
            return;
        }
        self.wake_where(now, |pod, waits, _| waits.helped_by(change, pod));
    }

    /// Wakes the pods that have waited for very long.
    pub(crate) fn wake_overdue(&mut self, now: Instant) {
        self.wake_where(now, |_, _, from| now.duration_since(from) >= TRY_ANYWAY_AFTER);
    }

    /// When there will be something to do without any change.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.backing_off.first().map(|(until, _)| *until)
    }

    fn wake_where(&mut self, now: Instant, wanted: impl Fn(&PodRequirements, Waits, Instant) -> bool) {
        let woken = self.waiting.iter().filter_map(|uid| {
            let waiting = self.pods.get(uid)?;
            match waiting.place {
                Place::Unschedulable { waits, from, until } => {
                    wanted(&waiting.pod, waits, from).then(|| (uid.clone(), until))
                }
                Place::Active | Place::BackingOff { .. } | Place::Out => None,
            }
        });
        for (uid, until) in woken.collect::<Vec<_>>() {
            self.leave(&uid);
            if until <= now {
                self.activate(&uid);
            } else if let Some(waiting) = self.pods.get_mut(&uid) {
                waiting.place = Place::BackingOff { until };
                self.backing_off.insert((until, uid));
            }
        }
    }

    fn wake_backed_off(&mut self, now: Instant) {
        while let Some((until, uid)) = self.backing_off.first().cloned() {
            if until > now {
                break;
            }
            self.backing_off.pop_first();
            self.activate(&uid);
        }
    }

    fn activate(&mut self, uid: &str) {
        let Some(waiting) = self.pods.get_mut(uid) else { return };
        waiting.place = Place::Active;
        self.active.insert(waiting.key(), ());
    }

    /// Takes a pod out of the part of the queue that it is in.
    fn leave(&mut self, uid: &str) {
        let Some(waiting) = self.pods.get(uid) else { return };
        match waiting.place {
            // The priority that it was filed under cannot change: the API refuses that.
            Place::Active => drop(self.active.remove(&waiting.key())),
            Place::BackingOff { until } => drop(self.backing_off.remove(&(until, uid.to_owned()))),
            Place::Unschedulable { waits, .. } => {
                self.waiting.remove(uid);
                self.waiting_for_pods -= usize::from(waits.near);
            }
            Place::Out => {}
        }
    }
}

impl Waiting {
    fn key(&self) -> ActiveKey {
        (Reverse(self.pod.priority), self.since, self.pod.uid.clone())
    }
}

// === impl Waits ===

impl Waits {
    fn of<'a>(reasons: impl IntoIterator<Item = &'a Reason>) -> Self {
        let mut waits = Self::default();
        let mut any = false;
        for reason in reasons {
            any = true;
            match reason {
                Reason::Spread | Reason::Affinity | Reason::AntiAffinity | Reason::OthersAntiAffinity => {
                    waits.near = true;
                }
                Reason::Ports
                | Reason::TooManyPods
                | Reason::Insufficient(_)
                | Reason::NeverSufficient(_)
                | Reason::Unschedulable
                | Reason::NodeName
                | Reason::Taint(..)
                | Reason::NodeAffinity
                | Reason::SpreadLabel => waits.node = true,
            }
        }
        waits.node |= !any;
        waits
    }

    /// A node helps a pod that it would take; other pods and namespaces help only who waits for pods. Which of these can
    /// be near is not looked at: a change far away may even out a spread.
    fn helped_by(self, change: Change<'_>, pod: &PodRequirements) -> bool {
        match change {
            Change::Node(takes) => self.near || (self.node && takes(pod)),
            Change::PodCame | Change::Namespace => self.near,
        }
    }
}

/// 1 s, 2 s, 4 s, 8 s, 10 s, 10 s ...
fn back_off(attempts: u32) -> Duration {
    let factor = 1 << attempts.saturating_sub(1).min(8);
    (FIRST_BACK_OFF * factor).min(LONGEST_BACK_OFF)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;
    use crate::symbol::Symbols;

    fn pod(uid: &str, priority: i32) -> Arc<PodRequirements> {
        let json = serde_json::json!({ "metadata": { "uid": uid, "name": uid }, "spec": { "priority": priority, "containers": [] } });
        Arc::new(PodRequirements::compile(&serde_json::from_value::<Pod>(json).unwrap(), &mut Symbols::default()))
    }

    fn popped(queue: &mut Queue, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| queue.pop(now)).map(|pod| pod.uid.clone()).collect()
    }

    #[test]
    fn higher_priority_goes_first_and_then_who_came_first() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        for (seconds, (uid, priority)) in [("a", 0), ("b", 5), ("c", 0), ("d", 5)].into_iter().enumerate() {
            queue.set(pod(uid, priority), start + Duration::from_secs(seconds as u64));
        }
        assert_eq!(popped(&mut queue, start), ["b", "d", "a", "c"]);
    }

    #[test]
    fn a_pod_waits_for_a_change_that_can_help_and_backs_off() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.set(pod("a", 0), start);
        assert_eq!(popped(&mut queue, start), ["a"]);
        queue.unschedulable("a", &[Reason::Insufficient("cpu".to_owned())], start);
        queue.wake(Change::PodCame, start + Duration::from_secs(2));
        assert_eq!(popped(&mut queue, start + Duration::from_secs(2)), [""; 0], "another pod gives no room");
        queue.wake(Change::Node(&|_| false), start + Duration::from_secs(2));
        assert_eq!(popped(&mut queue, start + Duration::from_secs(2)), [""; 0], "nor does a node that is full itself");
        queue.wake(Change::Node(&|_| true), start + Duration::from_millis(500));
        assert_eq!(popped(&mut queue, start + Duration::from_millis(500)), [""; 0], "it is still backing off");
        assert_eq!(queue.next_wake(), Some(start + Duration::from_secs(1)));
        assert_eq!(popped(&mut queue, start + Duration::from_secs(1)), ["a"]);
    }

    #[test]
    fn the_back_off_doubles_up_to_ten_seconds() {
        assert_eq!([1, 2, 3, 4, 5, 100].map(|attempts| back_off(attempts).as_secs()), [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn what_nobody_woke_is_tried_after_five_minutes() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.set(pod("a", 0), start);
        popped(&mut queue, start);
        queue.unschedulable("a", &[Reason::NodeAffinity], start);
        for (minutes, expected) in [(4, 0), (5, 1)] {
            let now = start + Duration::from_secs(minutes * 60);
            queue.wake_overdue(now);
            assert_eq!(popped(&mut queue, now).len(), expected, "after {minutes} minutes");
        }
    }

    #[test]
    fn a_removed_pod_is_in_no_part_of_the_queue() {
        let (mut queue, start) = (Queue::default(), Instant::now());
        queue.set(pod("a", 0), start);
        queue.remove("a");
        queue.set(pod("b", 0), start);
        popped(&mut queue, start);
        queue.failed("b", start);
        queue.remove("b");
        queue.set(pod("c", 0), start);
        popped(&mut queue, start);
        queue.unschedulable("c", &[Reason::Affinity], start);
        queue.remove("c");
        assert_eq!(popped(&mut queue, start + Duration::from_secs(60)), [""; 0]);
        assert_eq!(queue.next_wake(), None);
        assert_eq!((queue.waiting.len(), queue.waiting_for_pods), (0, 0));
    }
}
