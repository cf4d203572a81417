//! When a probe checks, and when it is done.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Probe;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::verdict::{Outcome, Verdict};
use super::{Finding, Kind};

/// Kubernetes' default for `periodSeconds`.
const PERIOD: u64 = 10;

/// When a probe checks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// The first check.
    first: Instant,
    /// From the beginning of one check to the next.
    period: Duration,
    /// How long one check may take.
    pub(super) timeout: Duration,
}

// === impl Schedule ===

impl Schedule {
    pub(super) fn of(probe: &Probe, started_at: Timestamp) -> Self {
        let seconds = |value: Option<i32>, default| {
            Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default))
        };
        let running_for = Duration::try_from(Timestamp::now().duration_since(started_at)).unwrap_or_default();
        let delay = seconds(probe.initial_delay_seconds, 0).saturating_sub(running_for);
        let at_least_one = |duration: Duration| duration.max(Duration::from_secs(1));
        Self {
            first: Instant::now() + delay,
            period: at_least_one(seconds(probe.period_seconds, PERIOD)),
            timeout: at_least_one(seconds(probe.timeout_seconds, 1)),
        }
    }
}

/// Checks again and again until the probe has nothing left to say: a startup probe once it has passed, and those that end
/// a container once they have failed, which is false.
pub(super) async fn run<F: Future<Output = Outcome>>(
    kind: Kind,
    probe: &Probe,
    schedule: &Schedule,
    check: impl Fn() -> F,
    report: impl Fn(Finding),
) -> bool {
    let mut verdict = Verdict::new(probe);
    let mut ticks = interval_at(schedule.first, schedule.period);
    // A slow check delays the next one; nothing is caught up on.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let passed = match check().await {
            Outcome::Pass => true,
            Outcome::Fail(message) => {
                report(Finding::Unhealthy(format!("{} probe failed: {message}", kind.as_str())));
                false
            }
            Outcome::Unknown(message) => {
                report(Finding::Unhealthy(format!(
                    "{} probe errored and resulted in unknown state: {message}",
                    kind.as_str()
                )));
                continue;
            }
        };
        match (verdict.count(passed), kind) {
            (Some(true), Kind::Startup) => {
                report(Finding::Passes);
                return true;
            }
            (Some(true), Kind::Liveness | Kind::Readiness) => report(Finding::Passes),
            (Some(false), Kind::Readiness) => report(Finding::Fails { grace: None }),
            (Some(false), Kind::Liveness | Kind::Startup) => {
                report(Finding::Fails { grace: grace(probe) });
                return false;
            }
            (None, _) => {}
        }
    }
}

fn grace(probe: &Probe) -> Option<Duration> {
    let seconds = probe.termination_grace_period_seconds?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}
