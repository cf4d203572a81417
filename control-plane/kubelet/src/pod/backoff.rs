//! Back-off of restarts and retries: the first comes at once, each further one after twice the pause.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The longest pause between restarts, and between pulls of an image.
pub const LONGEST: Duration = Duration::from_secs(300);
/// The first pause between restarts, and between pulls of an image.
pub const FIRST: Duration = Duration::from_secs(10);

/// Pause before the next restart of a container.
///
/// As Kubernetes has it (`client-go/util/flowcontrol/backoff.go`): a container that ends after it ran for twice
/// [`LONGEST`] begins anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    delay: Duration,
    since: Timestamp,
}

/// When something that failed is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// When.
    pub at: Timestamp,
    /// How long after the last failure.
    pub delay: Duration,
}

// === impl Backoff ===

impl Backoff {
    /// When a container that ended at `ended` may be restarted.
    #[must_use]
    pub fn ready_at(&self, ended: Timestamp) -> Timestamp {
        if self.has_expired(ended) { ended } else { after(ended, self.delay) }
    }

    /// The pause that holds now.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// After a restart at `now` of a container that had ended at `ended`.
    #[must_use]
    pub fn next(&self, ended: Timestamp, now: Timestamp) -> Self {
        let first = self.delay.is_zero() || self.has_expired(ended);
        let delay = if first { FIRST } else { (self.delay * 2).min(LONGEST) };
        Self { delay, since: now }
    }

    fn has_expired(&self, ended: Timestamp) -> bool {
        ended > after(self.since, LONGEST * 2)
    }
}

// === impl Retry ===

impl Retry {
    /// After a failure at `now`; the pause doubles from `first` to `longest`.
    #[must_use]
    pub fn after(before: Option<&Self>, now: Timestamp, first: Duration, longest: Duration) -> Self {
        let delay = before.map_or(first, |before| (before.delay * 2).clamp(first, longest));
        Self { at: after(now, delay), delay }
    }
}

/// A moment later than another; the last moment there is, if need be.
pub(crate) fn after(moment: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    moment.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_first_restart_is_at_once_and_pauses_double_up_to_five_minutes() {
        let (mut backoff, mut now, mut pauses) = (Backoff::default(), at(1_000_000), Vec::new());
        for _ in 0..8 {
            let ready = backoff.ready_at(now);
            pauses.push(ready.as_second() - now.as_second());
            backoff = backoff.next(now, ready);
            now = ready;
        }
        assert_eq!(pauses, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn a_container_that_ran_for_long_begins_anew() {
        let backoff = Backoff { delay: LONGEST, since: at(1_000_000) };
        let ended = at(1_000_000 + 601);
        assert_eq!(backoff.ready_at(ended), ended);
        assert_eq!(backoff.next(ended, ended).delay(), FIRST);
        assert_eq!(backoff.ready_at(at(1_000_000 + 599)), at(1_000_000 + 899));
    }

    #[test]
    fn retries_have_a_longest_pause() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(10));
        let mut retry = None;
        let pauses = [(); 6].map(|()| {
            retry = Some(Retry::after(retry.as_ref(), at(0), first, longest));
            retry.unwrap().at.as_second()
        });
        assert_eq!(pauses, [1, 2, 4, 8, 10, 10]);
    }
}
