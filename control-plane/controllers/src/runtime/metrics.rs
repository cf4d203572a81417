//! What the controllers count, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

/// The counters of all controllers. Cheap to clone; clones share the counters.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    controllers: Arc<Mutex<BTreeMap<&'static str, Arc<ControllerMetrics>>>>,
}

/// The counters of one controller.
#[derive(Debug, Default)]
pub struct ControllerMetrics {
    depth: AtomicU64,
    outcomes: [AtomicU64; 4],
    /// Runs by duration: one counter per bound of [`BOUNDS`], and one for all above.
    durations: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

/// How one run of a reconcile function ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is left to do for the moment.
    Success,
    /// The object changed meanwhile; tried again.
    Conflict,
    /// It failed; tried again with back-off.
    Error,
    /// It panicked; tried again with back-off.
    Panic,
}

/// Upper bounds of the duration histogram, in seconds, with their labels.
const BOUNDS: [(f64, &str); 6] =
    [(0.001, "0.001"), (0.01, "0.01"), (0.1, "0.1"), (1.0, "1"), (10.0, "10"), (60.0, "60")];

const OUTCOMES: [(Outcome, &str); 4] = [
    (Outcome::Success, "success"),
    (Outcome::Conflict, "conflict"),
    (Outcome::Error, "error"),
    (Outcome::Panic, "panic"),
];

// === impl Metrics ===

impl Metrics {
    /// The counters of the controller `name`.
    pub fn controller(&self, name: &'static str) -> Arc<ControllerMetrics> {
        self.controllers.lock().entry(name).or_default().clone()
    }

    /// All counters, as a scrape returns them.
    pub fn render(&self) -> String {
        let controllers = self.controllers.lock().clone();
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = render_depth(&mut text, &controllers);
        let _ = render_outcomes(&mut text, &controllers);
        let _ = render_durations(&mut text, &controllers);
        text
    }
}

type Controllers = BTreeMap<&'static str, Arc<ControllerMetrics>>;

fn render_depth(text: &mut String, controllers: &Controllers) -> std::fmt::Result {
    writeln!(text, "# HELP workqueue_depth Keys that wait to be reconciled.\n# TYPE workqueue_depth gauge")?;
    for (name, metrics) in controllers {
        writeln!(text, "workqueue_depth{{name=\"{name}\"}} {}", metrics.depth.load(Relaxed))?;
    }
    Ok(())
}

fn render_outcomes(text: &mut String, controllers: &Controllers) -> std::fmt::Result {
    writeln!(text, "# HELP controller_reconcile_total Reconciles by their result.")?;
    writeln!(text, "# TYPE controller_reconcile_total counter")?;
    for (name, metrics) in controllers {
        for (outcome, label) in OUTCOMES {
            let count = metrics.count(outcome);
            writeln!(text, "controller_reconcile_total{{controller=\"{name}\",result=\"{label}\"}} {count}")?;
        }
    }
    Ok(())
}

fn render_durations(text: &mut String, controllers: &Controllers) -> std::fmt::Result {
    writeln!(text, "# HELP controller_reconcile_duration_seconds How long reconciles took.")?;
    writeln!(text, "# TYPE controller_reconcile_duration_seconds histogram")?;
    for (name, metrics) in controllers {
        let metric = "controller_reconcile_duration_seconds";
        let mut total = 0;
        for (index, bucket) in metrics.durations.iter().enumerate() {
            let bound = BOUNDS.get(index).map_or("+Inf", |(_, label)| *label);
            total += bucket.load(Relaxed);
            writeln!(text, "{metric}_bucket{{controller=\"{name}\",le=\"{bound}\"}} {total}")?;
        }
        let seconds = Duration::from_nanos(metrics.nanoseconds.load(Relaxed)).as_secs_f64();
        writeln!(text, "{metric}_sum{{controller=\"{name}\"}} {seconds}")?;
        writeln!(text, "{metric}_count{{controller=\"{name}\"}} {total}")?;
    }
    Ok(())
}

// === impl ControllerMetrics ===

impl ControllerMetrics {
    /// Notes how many keys wait.
    pub fn set_depth(&self, depth: usize) {
        self.depth.store(u64::try_from(depth).unwrap_or(u64::MAX), Relaxed);
    }

    /// Counts one run.
    pub fn observe(&self, outcome: Outcome, duration: Duration) {
        if let Some(index) = OUTCOMES.iter().position(|(known, _)| *known == outcome) {
            self.outcomes[index].fetch_add(1, Relaxed);
        }
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.iter().position(|(bound, _)| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.durations[bucket].fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// How many runs ended like this.
    pub fn count(&self, outcome: Outcome) -> u64 {
        let index = OUTCOMES.iter().position(|(known, _)| *known == outcome);
        index.map_or(0, |index| self.outcomes[index].load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_shows_each_controller_with_cumulative_buckets() {
        let metrics = Metrics::default();
        let controller = metrics.controller("job-controller");
        controller.set_depth(3);
        controller.observe(Outcome::Success, Duration::from_millis(5));
        controller.observe(Outcome::Panic, Duration::from_secs(5));
        let text = metrics.render();
        for line in [
            "workqueue_depth{name=\"job-controller\"} 3",
            "controller_reconcile_total{controller=\"job-controller\",result=\"panic\"} 1",
            "controller_reconcile_duration_seconds_bucket{controller=\"job-controller\",le=\"0.01\"} 1",
            "controller_reconcile_duration_seconds_bucket{controller=\"job-controller\",le=\"+Inf\"} 2",
            "controller_reconcile_duration_seconds_sum{controller=\"job-controller\"} 5.005",
        ] {
            assert!(text.lines().any(|found| found == line), "no line {line} in:\n{text}");
        }
    }
}
