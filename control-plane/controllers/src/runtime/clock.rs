//! The time that deadlines, back-off and schedules are counted in.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::sync::watch;

/// The system's clock plus an offset that only tests move.
///
/// With an offset instead of a stopped clock, everything around the controllers (the API server, the transport) keeps
/// running in real time while a test lets an hour pass. Clones share the offset.
#[derive(Clone, Debug)]
pub struct Clock {
    offset: Arc<watch::Sender<Duration>>,
}

// === impl Clock ===

impl Default for Clock {
    fn default() -> Self {
        Self { offset: Arc::new(watch::Sender::new(Duration::ZERO)) }
    }
}

impl Clock {
    /// The current time.
    pub fn now(&self) -> Timestamp {
        let offset = SignedDuration::try_from(*self.offset.borrow()).unwrap_or(SignedDuration::ZERO);
        Timestamp::now().saturating_add(offset).unwrap_or(Timestamp::MAX)
    }

    /// The current time as API objects carry it: whole seconds.
    ///
    /// Truncated here rather than when it is encoded, so that a status that is computed equals the same status read
    /// back.
    pub fn time(&self) -> Time {
        Time(whole_seconds(self.now()))
    }

    /// How long until `deadline`; zero when it is past.
    pub fn until(&self, deadline: Timestamp) -> Duration {
        Duration::try_from(deadline.duration_since(self.now())).unwrap_or(Duration::ZERO)
    }

    /// Waits until `deadline`, also when the offset moves meanwhile.
    pub async fn sleep_until(&self, deadline: Timestamp) {
        let mut moved = self.offset.subscribe();
        loop {
            let remaining = self.until(deadline);
            if remaining.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(remaining) => {}
                _ = moved.changed() => {}
            }
        }
    }

    /// Lets `duration` pass at once for everyone who shares this clock.
    pub fn advance(&self, duration: Duration) {
        self.offset.send_modify(|offset| *offset += duration);
    }
}

/// `time` without its fraction of a second.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn advancing_wakes_a_sleeper_whose_deadline_is_then_past() {
        let clock = Clock::default();
        let deadline = clock.now() + SignedDuration::from_hours(1);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(deadline).await }
        });
        clock.advance(Duration::from_secs(3601));
        tokio::time::timeout(Duration::from_secs(30), sleeper).await.unwrap().unwrap();
    }
}
