//! Stopping a container: what users hear, the `preStop` hook, the grace period.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::Shared;
use crate::pod::plan::Why;
use crate::pod::spec;
use crate::runtime::Sandbox;

/// The least time that a container gets after its hook, in seconds.
const LEAST_GRACE: u32 = 2;

// === impl Shared ===

impl Shared {
    /// Stops a container by `deadline`.
    pub(crate) async fn stop_container(
        &self,
        pod: &Pod,
        id: &str,
        name: &str,
        sandbox: Option<&Sandbox>,
        deadline: Timestamp,
        why: &Why,
    ) -> Result<(), String> {
        self.recorder.container(pod, name, "Killing", message(name, why));
        self.before_stop(pod, id, name, sandbox, deadline).await;
        let grace = u32::try_from(left(deadline).as_secs()).unwrap_or(u32::MAX).max(LEAST_GRACE);
        self.runtime.stop_container(id, grace).await.map_err(|error| error.to_string())
    }

    /// Runs the `preStop` hook, which has until the deadline.
    async fn before_stop(&self, pod: &Pod, id: &str, name: &str, sandbox: Option<&Sandbox>, deadline: Timestamp) {
        let Some(spec) = spec::container(pod, name) else { return };
        let description = spec.container.as_ref();
        let lifecycle = description.lifecycle.as_ref();
        let Some(hook) = lifecycle.and_then(|lifecycle| lifecycle.pre_stop.as_ref()) else { return };
        let address = self.addresses(pod, sandbox).first().copied();
        let hook = self.run_hook(hook, description, id, address);
        let error = match tokio::time::timeout(left(deadline), hook).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(_) => "PreStop hook did not end within the grace period".to_owned(),
        };
        self.recorder.container_warning(pod, name, "FailedPreStopHook", error);
    }
}

fn left(deadline: Timestamp) -> Duration {
    Duration::try_from(deadline.duration_since(Timestamp::now())).unwrap_or_default()
}

fn message(name: &str, why: &Why) -> String {
    match why {
        Why::PodEnds => format!("Stopping container {name}"),
        Why::Changed => format!("Container {name} definition changed, will be restarted"),
        Why::Unhealthy { probe } => format!("Container {name} failed {probe} probe, will be restarted"),
        Why::SandboxChanged => "Pod sandbox changed, it will be killed and re-created.".to_owned(),
    }
}
