//! A probe's answer that can be told to fail.

use parking_lot::Mutex;

/// Answers a probe: well, unless it was told to fail the next times.
#[derive(Debug, Default)]
pub struct Probe {
    state: Mutex<State>,
}

/// What a probe is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 200.
    Well,
    /// 500.
    Failing,
}

#[derive(Debug, Default)]
struct State {
    /// Failures still to give; negative: for ever.
    fail_next: i64,
    asked: u64,
}

// === impl Probe ===

impl Probe {
    /// Answers once.
    pub fn ask(&self) -> Verdict {
        let mut state = self.state.lock();
        state.asked += 1;
        match state.fail_next {
            0 => Verdict::Well,
            1.. => {
                state.fail_next -= 1;
                Verdict::Failing
            }
            _ => Verdict::Failing,
        }
    }

    /// Lets the next `times` answers be failures; a negative number means all.
    pub fn fail_next(&self, times: i64) {
        self.state.lock().fail_next = times;
    }

    /// How many failures are still to come, and how often it was asked.
    pub fn state(&self) -> (i64, u64) {
        let state = self.state.lock();
        (state.fail_next, state.asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_fails_as_often_as_it_was_told() {
        for (told, answers) in [
            (0, [Verdict::Well, Verdict::Well, Verdict::Well]),
            (2, [Verdict::Failing, Verdict::Failing, Verdict::Well]),
            (-1, [Verdict::Failing; 3]),
        ] {
            let probe = Probe::default();
            probe.fail_next(told);
            assert_eq!([probe.ask(), probe.ask(), probe.ask()], answers, "{told}");
        }
    }
}
