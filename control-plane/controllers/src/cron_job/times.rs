//! When a cron job is due, from its schedule alone.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sheave_api::schedule::Schedule;

/// A schedule in the time zone that it is meant in.
#[derive(Clone, Debug)]
pub(super) struct Times {
    pub(super) schedule: Schedule,
    pub(super) zone: TimeZone,
}

/// What a schedule says about a span of time that ends now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// The latest time in the span.
    pub(super) last: Option<Timestamp>,
    /// How many times lie in the span, counted up to [`TOO_MANY`] and one.
    pub(super) passed: usize,
    /// The first time after the span.
    pub(super) next: Option<Timestamp>,
}

/// More missed starts than this are worth a warning, as upstream has it.
pub(super) const TOO_MANY: usize = 100;

// === impl Times ===

impl Times {
    /// The times after `since` up to and with `now`.
    pub(super) fn due(&self, since: Timestamp, now: Timestamp) -> Due {
        match self.schedule {
            Schedule::Every(_) => self.due_by_interval(since, now),
            Schedule::Calendar(_) => self.due_by_calendar(since, now),
        }
    }

    /// The first time after `after`.
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.schedule.next_after(&after.to_zoned(self.zone.clone())).map(|zoned| zoned.timestamp())
    }

    /// An interval counts from the last start, so its times depend on where one begins.
    fn due_by_interval(&self, since: Timestamp, now: Timestamp) -> Due {
        let Some(first) = self.next(since) else { return Due::default() };
        if first > now {
            return Due { last: None, passed: 0, next: Some(first) };
        }
        let step = first.as_second().saturating_sub(since.as_second()).max(1);
        let more = now.as_second().saturating_sub(first.as_second()) / step;
        let last = first.checked_add(SignedDuration::from_secs(more.saturating_mul(step))).unwrap_or(first);
        let passed = usize::try_from(more).unwrap_or(usize::MAX).saturating_add(1).min(TOO_MANY + 1);
        Due { last: Some(last), passed, next: self.next(last) }
    }

    fn due_by_calendar(&self, since: Timestamp, now: Timestamp) -> Due {
        let passed = std::iter::successors(self.next(since), |time| self.next(*time));
        let passed = passed.take_while(|time| *time <= now).take(TOO_MANY + 1).count();
        let last = if passed == 0 { None } else { self.last_before(since, now) };
        Due { last, passed, next: self.next(now) }
    }

    /// The latest time up to `now`, of which there is one after `since`: the later one begins to look, the later the
    /// time that is found, so the last beginning that still finds one is searched by halves.
    fn last_before(&self, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let (mut finds, mut too_late) = (since.as_second(), now.as_second().saturating_add(1));
        while finds + 1 < too_late {
            let middle = finds + (too_late - finds) / 2;
            let found = Timestamp::from_second(middle).ok().and_then(|middle| self.next(middle));
            if found.is_some_and(|found| found <= now) { finds = middle } else { too_late = middle }
        }
        self.next(Timestamp::from_second(finds).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn times(schedule: &str, zone: &str) -> Times {
        Times { schedule: Schedule::parse(schedule).unwrap(), zone: TimeZone::get(zone).unwrap() }
    }

    #[test]
    fn the_last_time_that_passed_is_due_however_long_ago_the_one_before_was() {
        for (schedule, zone, since, now, last, passed, next) in [
            ("*/5 * * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:04:59Z", "", 0, "2026-01-01T00:05:00Z"),
            (
                "*/5 * * * *",
                "UTC",
                "2026-01-01T00:00:00Z",
                "2026-01-01T00:05:00Z",
                "2026-01-01T00:05:00Z",
                1,
                "2026-01-01T00:10:00Z",
            ),
            (
                "*/5 * * * *",
                "UTC",
                "2026-01-01T00:00:00Z",
                "2026-01-01T00:17:00Z",
                "2026-01-01T00:15:00Z",
                3,
                "2026-01-01T00:20:00Z",
            ),
            (
                "* * * * *",
                "UTC",
                "2020-01-01T00:00:00Z",
                "2026-01-01T00:00:30Z",
                "2026-01-01T00:00:00Z",
                101,
                "2026-01-01T00:01:00Z",
            ),
            (
                "0 9 * * *",
                "America/New_York",
                "2026-01-01T00:00:00Z",
                "2026-01-02T00:00:00Z",
                "2026-01-01T14:00:00Z",
                1,
                "2026-01-02T14:00:00Z",
            ),
            (
                "@every 90s",
                "UTC",
                "2026-01-01T00:00:10Z",
                "2026-01-01T00:05:00Z",
                "2026-01-01T00:04:40Z",
                3,
                "2026-01-01T00:06:10Z",
            ),
            ("@every 1h", "UTC", "2026-01-01T00:00:10Z", "2026-01-01T00:05:00Z", "", 0, "2026-01-01T01:00:10Z"),
        ] {
            let due = times(schedule, zone).due(at(since), at(now));
            let expected = Due { last: last.parse().ok(), passed, next: Some(at(next)) };
            assert_eq!(due, expected, "{schedule} from {since} to {now}");
        }
    }

    #[test]
    fn a_date_that_never_comes_is_never_due() {
        let due = times("0 0 30 2 *", "UTC").due(at("2026-01-01T00:00:00Z"), at("2026-06-01T00:00:00Z"));
        assert_eq!(due, Due::default());
    }

    #[test]
    fn a_time_that_the_clocks_show_twice_is_due_twice() {
        // On the 1st of November 2026 clocks in New York go back from 2:00 to 1:00.
        let due = times("30 1 * * *", "America/New_York").due(at("2026-11-01T04:00:00Z"), at("2026-11-01T12:00:00Z"));
        assert_eq!((due.last, due.passed), (Some(at("2026-11-01T06:30:00Z")), 2));
    }
}
