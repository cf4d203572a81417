//! Turns a stream of occurrences into few events: repeats are counted, similar ones combined, floods cut off.
//!
//! The limits are those of client-go's `EventCorrelator`, so `kubectl describe` reads as users know it.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;

use super::recorder::{Occurrence, Severity};

/// What to do with an occurrence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: its object has too many of them.
    Drop,
    /// Write a new event.
    Create {
        /// The name of the new event.
        name: String,
        /// What it says.
        message: String,
    },
    /// Raise the count of an event that was written before.
    Count {
        /// The name of that event.
        name: String,
        /// What it says from here on.
        message: String,
        /// The new count.
        count: i32,
    },
}

/// Remembers what was reported lately. Memory is bounded, whatever is reported.
#[derive(Default)]
pub struct Correlator {
    budgets: Recent<(&'static str, Subject), Budget>,
    similar: Recent<Family, Similar>,
    written: Recent<(Family, Option<String>), Written>,
}

/// The object that an occurrence is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Subject {
    kind: String,
    namespace: String,
    name: String,
    uid: String,
}

/// What makes occurrences similar: everything but the message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Family {
    component: &'static str,
    subject: Subject,
    severity: Severity,
    reason: String,
}

/// Occurrences that one object may still have, refilled slowly.
struct Budget {
    tokens: f64,
    at: Timestamp,
}

/// The different messages of one family.
struct Similar {
    messages: HashSet<String>,
    last: Timestamp,
}

struct Written {
    name: String,
    count: i32,
}

/// A map that forgets what was not used for longest once it is full.
struct Recent<K, V> {
    entries: HashMap<K, (u64, V)>,
    clock: u64,
}

const BURST: f64 = 25.0;
const REFILL_PER_SECOND: f64 = 1.0 / 300.0;
/// So many different messages of one family within [`SIMILAR_FOR`] are told in full; further ones are combined.
const SIMILAR_LIMIT: usize = 10;
const SIMILAR_FOR: SignedDuration = SignedDuration::from_secs(600);
const REMEMBERED: usize = 4096;
/// A name has at most 253 characters; the time takes 16 and its dot one.
const LONGEST_OBJECT_NAME: usize = 236;

// === impl Correlator ===

impl Correlator {
    /// Decides on one occurrence and remembers it.
    pub fn observe(&mut self, occurrence: &Occurrence) -> Verdict {
        let subject = Subject::of(&occurrence.object);
        if !self.spend((occurrence.component, subject.clone()), occurrence.at.0) {
            return Verdict::Drop;
        }
        let (key, message) = self.group(subject, occurrence);
        match self.written.get(&key) {
            Some(written) => {
                written.count = written.count.saturating_add(1);
                Verdict::Count { name: written.name.clone(), message, count: written.count }
            }
            None => {
                let name = self.begin(key, occurrence);
                Verdict::Create { name, message }
            }
        }
    }

    /// The event that counted occurrences like this one is gone: begins another one. Returns its name and message.
    pub fn restart(&mut self, occurrence: &Occurrence) -> (String, String) {
        let (key, message) = self.group(Subject::of(&occurrence.object), occurrence);
        (self.begin(key, occurrence), message)
    }

    /// Takes one token from the object's budget; `false` when there is none left.
    fn spend(&mut self, key: (&'static str, Subject), at: Timestamp) -> bool {
        let budget = self.budgets.get_or_insert_with(key, || Budget { tokens: BURST, at });
        let seconds = at.duration_since(budget.at).as_secs_f64().max(0.0);
        budget.tokens = (budget.tokens + seconds * REFILL_PER_SECOND).min(BURST);
        budget.at = at;
        let affordable = budget.tokens >= 1.0;
        if affordable {
            budget.tokens -= 1.0;
        }
        affordable
    }

    /// What the occurrence is counted under: its own message, or its whole family once that said too many things.
    fn group(&mut self, subject: Subject, occurrence: &Occurrence) -> ((Family, Option<String>), String) {
        let family = Family {
            component: occurrence.component,
            subject,
            severity: occurrence.severity,
            reason: occurrence.reason.clone(),
        };
        let at = occurrence.at.0;
        let similar =
            self.similar.get_or_insert_with(family.clone(), || Similar { messages: HashSet::new(), last: at });
        if at.duration_since(similar.last) > SIMILAR_FOR {
            similar.messages.clear();
        }
        similar.last = at;
        if similar.messages.len() < SIMILAR_LIMIT {
            similar.messages.insert(occurrence.message.clone());
        }
        if similar.messages.len() < SIMILAR_LIMIT {
            ((family, Some(occurrence.message.clone())), occurrence.message.clone())
        } else {
            ((family, None), format!("(combined from similar events): {}", occurrence.message))
        }
    }

    fn begin(&mut self, key: (Family, Option<String>), occurrence: &Occurrence) -> String {
        let name = event_name(occurrence);
        self.written.insert(key, Written { name: name.clone(), count: 1 });
        name
    }
}

/// The object's name and a time in nanoseconds, as client-go names events. The fraction of the second is random, so
/// that events of one second differ.
fn event_name(occurrence: &Occurrence) -> String {
    let object: String =
        occurrence.object.name.iter().flat_map(|name| name.chars()).take(LONGEST_OBJECT_NAME).collect();
    let nanosecond = occurrence.at.0.as_nanosecond() + i128::from(rand::random_range(0..1_000_000_000_u32));
    format!("{object}.{nanosecond:x}")
}

// === impl Subject ===

impl Subject {
    fn of(object: &ObjectReference) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Self {
            kind: text(&object.kind),
            namespace: text(&object.namespace),
            name: text(&object.name),
            uid: text(&object.uid),
        }
    }
}

// === impl Recent ===

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), clock: 0 }
    }
}

impl<K: Eq + Hash + Clone, V> Recent<K, V> {
    fn get(&mut self, key: &K) -> Option<&mut V> {
        self.clock += 1;
        let (used, value) = self.entries.get_mut(key)?;
        *used = self.clock;
        Some(value)
    }

    fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.make_room(&key);
        self.clock += 1;
        let (used, value) = self.entries.entry(key).or_insert_with(|| (0, make()));
        *used = self.clock;
        value
    }

    fn insert(&mut self, key: K, value: V) {
        self.make_room(&key);
        self.clock += 1;
        self.entries.insert(key, (self.clock, value));
    }

    /// Drops the older half when another key does not fit.
    fn make_room(&mut self, key: &K) {
        if self.entries.len() < REMEMBERED || self.entries.contains_key(key) {
            return;
        }
        let mut uses: Vec<u64> = self.entries.values().map(|(used, _)| *used).collect();
        let (_, median, _) = uses.select_nth_unstable(REMEMBERED / 2);
        let median = *median;
        self.entries.retain(|_, (used, _)| *used > median);
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn occurrence(object: &str, message: &str, second: i64) -> Occurrence {
        Occurrence {
            component: "replicaset-controller",
            object: ObjectReference { name: Some(object.into()), ..ObjectReference::default() },
            severity: Severity::Normal,
            reason: "SuccessfulCreate".into(),
            message: message.into(),
            at: Time(Timestamp::from_second(second).unwrap()),
        }
    }

    #[test]
    fn the_same_thing_said_again_is_counted() {
        let mut correlator = Correlator::default();
        let Verdict::Create { name: first, .. } = correlator.observe(&occurrence("web", "hello", 0)) else {
            panic!("the first is written");
        };
        match correlator.observe(&occurrence("web", "hello", 1)) {
            Verdict::Count { name, count, message } => assert_eq!((name, count, message.as_str()), (first, 2, "hello")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_tenth_different_message_and_all_after_it_are_combined() {
        let mut correlator = Correlator::default();
        let verdicts: Vec<_> =
            (0..12).map(|n| correlator.observe(&occurrence("web", &format!("Created pod: web-{n}"), 0))).collect();
        assert!(verdicts[..9].iter().all(|verdict| matches!(verdict, Verdict::Create { .. })));
        let combined = |n: usize| format!("(combined from similar events): Created pod: web-{n}");
        assert!(matches!(&verdicts[9], Verdict::Create { message, .. } if *message == combined(9)));
        assert!(matches!(&verdicts[11], Verdict::Count { message, count: 3, .. } if *message == combined(11)));
    }

    #[test]
    fn an_object_with_25_events_in_a_row_gets_another_one_only_after_five_minutes() {
        let mut correlator = Correlator::default();
        for _ in 0..25 {
            assert_ne!(correlator.observe(&occurrence("noisy", "again", 0)), Verdict::Drop);
        }
        assert_eq!(correlator.observe(&occurrence("noisy", "again", 1)), Verdict::Drop);
        assert_ne!(correlator.observe(&occurrence("other", "again", 1)), Verdict::Drop);
        assert_ne!(correlator.observe(&occurrence("noisy", "again", 301)), Verdict::Drop);
    }

    #[test]
    fn memory_is_bounded_whatever_is_reported() {
        let mut correlator = Correlator::default();
        for n in 0..20_000 {
            correlator.observe(&occurrence(&format!("object-{n}"), "hello", 0));
        }
        assert!(correlator.written.entries.len() <= REMEMBERED);
        assert!(correlator.budgets.entries.len() <= REMEMBERED);
    }
}
