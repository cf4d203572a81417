//! How often a probe must pass or fail before it counts.

use k8s_openapi::api::core::v1::Probe;

/// How one check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The container is well.
    Pass,
    /// It is not; the message says how that showed.
    Fail(String),
    /// Nobody can tell: the check itself went wrong. It counts neither way.
    Unknown(String),
}

/// Counts outcomes of one probe.
#[derive(Debug)]
pub(super) struct Verdict {
    success_threshold: u32,
    failure_threshold: u32,
    last: Option<bool>,
    run: u32,
    /// What was last said.
    said: Option<bool>,
}

// === impl Verdict ===

impl Verdict {
    pub(super) fn new(probe: &Probe) -> Self {
        let threshold =
            |value: Option<i32>, default| value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default);
        Self {
            success_threshold: threshold(probe.success_threshold, 1).max(1),
            failure_threshold: threshold(probe.failure_threshold, 3).max(1),
            last: None,
            run: 0,
            said: None,
        }
    }

    /// Counts one outcome. The verdict, when it is another than before.
    pub(super) fn count(&mut self, passed: bool) -> Option<bool> {
        self.run = if self.last == Some(passed) { self.run.saturating_add(1) } else { 1 };
        self.last = Some(passed);
        let threshold = if passed { self.success_threshold } else { self.failure_threshold };
        if self.run < threshold || self.said == Some(passed) {
            return None;
        }
        self.said = Some(passed);
        self.said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_takes_as_many_outcomes_in_a_row_as_the_thresholds_say() {
        let said = |success: i32, failure: i32, outcomes: &str| {
            let probe =
                Probe { success_threshold: Some(success), failure_threshold: Some(failure), ..Probe::default() };
            let mut verdict = Verdict::new(&probe);
            let said = outcomes.chars().map(|outcome| match verdict.count(outcome == '+') {
                Some(true) => 'P',
                Some(false) => 'F',
                None => '.',
            });
            said.collect::<String>()
        };
        let table = [
            (1, 3, "+++", "P.."),
            (1, 3, "---", "..F"),
            (1, 3, "--+---", "..P..F"),
            (2, 1, "-++-+-++", "F.PF...P"),
            (1, 1, "-+-", "FPF"),
            (0, 0, "+-", "PF"),
        ];
        for (success, failure, outcomes, expected) in table {
            assert_eq!(said(success, failure, outcomes), expected, "{success} {failure} {outcomes}");
        }
    }
}
