//! What time alone does to a pod: its deadline passes, and what failed is shown as waiting for its next attempt.

use std::time::Duration;

use jiff::Timestamp;

use super::Worker;
use crate::pod::backoff;
use crate::pod::plan::Plan;
use crate::pod::spec;
use crate::pod::state::{Ending, Task, Waiting};
use crate::runtime::Container;

/// How long the reason of a failure is shown before the status says that it will be tried again.
const SHOWN: Duration = Duration::from_secs(3);

// === impl Worker ===

impl Worker {
    /// Ends a pod that has run for longer than it may.
    pub(super) fn check_deadline(&mut self, now: Timestamp) -> Option<Timestamp> {
        let seconds = spec::spec(&self.pod).active_deadline_seconds?.try_into().ok()?;
        let started = self.pod.status.as_ref()?.start_time.as_ref()?;
        let deadline = backoff::after(started.0, Duration::from_secs(seconds));
        if now < deadline {
            return Some(deadline);
        }
        if self.state.ending.is_none() && !spec::is_terminal(&self.pod) {
            let message = "Pod was active on the node longer than the specified deadline".to_owned();
            self.shared.recorder.pod(&self.pod, "DeadlineExceeded", message.clone());
            self.state.ending = Some(Ending { reason: "DeadlineExceeded".to_owned(), message, at: now });
        }
        None
    }

    /// A failed pull is shown for a while; then the status says that it is tried again later.
    pub(super) fn settle(&mut self, now: Timestamp) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        let failed = self.state.waiting.iter().filter(|(_, waiting)| waiting.reason == "ErrImagePull");
        for (name, waiting) in failed.map(|(name, waiting)| (name.clone(), waiting.clone())).collect::<Vec<_>>() {
            let Some(retry) = self.state.retries.get(&Task::Start(name.clone())) else { continue };
            let left = retry.delay.saturating_sub(SHOWN);
            let due = retry.at.checked_sub(left).unwrap_or(now);
            if now < due {
                next = Some(next.map_or(due, |next| next.min(due)));
                continue;
            }
            let image = spec::container(&self.pod, &name).and_then(|spec| spec.container.image.clone());
            let message = format!("Back-off pulling image \"{}\"", image.unwrap_or_default());
            self.shared.recorder.container(&self.pod, &name, "BackOff", message.clone());
            self.shared.recorder.container_warning(&self.pod, &name, "Failed", "Error: ImagePullBackOff");
            let message = format!("{message}: ErrImagePull: {}", waiting.message);
            self.state.waiting.insert(name, Waiting::new("ImagePullBackOff", message));
        }
        next
    }

    /// Tells the user of containers that pause before they are restarted.
    pub(super) fn note_pauses(&mut self, plan: &Plan, now: Timestamp) -> Option<Timestamp> {
        let mut next: Option<Timestamp> = None;
        for pause in &plan.pausing {
            let name = &pause.name;
            let ended = self.state.newest(name).map(Container::ended_at).unwrap_or_default();
            let waiting = self.state.waiting.get(name);
            if waiting.is_some_and(|waiting| waiting.reason == "CrashLoopBackOff") {
                continue;
            }
            let due = backoff::after(ended, SHOWN);
            if waiting.is_some() && now < due {
                next = Some(next.map_or(due, |next| next.min(due)));
                continue;
            }
            let full_name = spec::full_name(&self.pod);
            let event = format!("Back-off restarting failed container {name} in pod {full_name}");
            self.shared.recorder.container_warning(&self.pod, name, "BackOff", event);
            let delay = go_duration(pause.delay);
            let message = format!("back-off {delay} restarting failed container={name} pod={full_name}");
            self.state.waiting.insert(name.clone(), Waiting::new("CrashLoopBackOff", message));
        }
        next
    }
}

/// As Go writes whole seconds: `10s`, `1m20s`, `5m0s`.
fn go_duration(duration: Duration) -> String {
    let (minutes, seconds) = (duration.as_secs() / 60, duration.as_secs() % 60);
    if minutes == 0 { format!("{seconds}s") } else { format!("{minutes}m{seconds}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_read_as_kubernetes_writes_them() {
        let texts = [10, 80, 160, 300].map(|seconds| go_duration(Duration::from_secs(seconds)));
        assert_eq!(texts, ["10s", "1m20s", "2m40s", "5m0s"]);
    }
}
