//! Images of containers: which are pulled when, and what users hear about it.

mod credentials;
mod name;

use std::time::{Duration, Instant};

use k8s_cri::v1 as cri;
use k8s_openapi::api::core::v1::{Container, Pod};
use tokio_util::sync::CancellationToken;

pub use name::{InvalidImageName, has_fixed_tag};

use crate::event::Recorder;
use crate::pod::state::Waiting;
use crate::runtime::{Runtime, RuntimeError};
use crate::source::Sources;

/// Provides images.
#[derive(Clone, Debug)]
pub struct Images {
    runtime: Runtime,
    recorder: Recorder,
    sources: Sources,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// Before each start.
    Always,
    /// When the node has not got it.
    IfNotPresent,
    /// Not at all.
    Never,
}

/// Why there is no image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// It cannot be had now; a pull may be tried again.
    Pull(Waiting),
    /// It will not be pulled, or its name says nothing.
    Refused(Waiting),
    /// Nobody waits for it any more.
    Cancelled,
}

// === impl Images ===

impl Images {
    /// Images of a runtime; users hear of them from `recorder`, and `sources` has the Secrets for registries.
    #[must_use]
    pub fn new(runtime: Runtime, recorder: Recorder, sources: Sources) -> Self {
        Self { runtime, recorder, sources }
    }

    /// Sees to it that the node has the image of a container, unless `cancel` comes first. Gives what the runtime is
    /// to be asked for.
    ///
    /// # Errors
    /// In Kubernetes' words, ready for the container's status.
    pub async fn ensure(
        &self,
        pod: &Pod,
        container: &Container,
        cancel: &CancellationToken,
    ) -> Result<cri::Image, ImageError> {
        let image = container.image.clone().unwrap_or_default();
        if let Err(error) = name::check(&image) {
            self.recorder.container_warning(pod, &container.name, "InspectFailed", error.to_string());
            return Err(ImageError::Refused(Waiting::new("InvalidImageName", error.to_string())));
        }
        let present = self.inspect(pod, container, &image).await?;
        match (PullPolicy::of(container), present) {
            (PullPolicy::Never, None) => {
                let message = format!("Container image \"{image}\" is not present with pull policy of Never");
                self.recorder.container_warning(pod, &container.name, "ErrImageNeverPull", message.clone());
                Err(ImageError::Refused(Waiting::new("ErrImageNeverPull", message)))
            }
            (PullPolicy::Never | PullPolicy::IfNotPresent, Some(present)) => {
                let message = format!("Container image \"{image}\" already present on machine");
                self.recorder.container(pod, &container.name, "Pulled", message);
                Ok(present)
            }
            (PullPolicy::Always, _) | (PullPolicy::IfNotPresent, None) => {
                tokio::select! {
                    pulled = self.pull(pod, container, &image) => pulled,
                    () = cancel.cancelled() => Err(ImageError::Cancelled),
                }
            }
        }
    }

    async fn inspect(&self, pod: &Pod, container: &Container, image: &str) -> Result<Option<cri::Image>, ImageError> {
        self.runtime.image(image).await.map_err(|error| {
            let message = format!("Failed to inspect image \"{image}\": {error}");
            self.recorder.container_warning(pod, &container.name, "InspectFailed", message.clone());
            ImageError::Refused(Waiting::new("ImageInspectError", message))
        })
    }

    /// Pulls with each of the pod's credentials for the registry until one is taken; without any, as anybody.
    async fn pull_with_credentials(&self, pod: &Pod, image: &str) -> Result<String, RuntimeError> {
        let has_secrets = pod.spec.as_ref().is_some_and(|spec| spec.image_pull_secrets.is_some());
        let credentials =
            if has_secrets { credentials::of(pod, &self.sources.objects(pod).await, image) } else { Vec::new() };
        let mut refused = None;
        for auth in credentials {
            match self.runtime.pull_image(image, Some(auth)).await {
                Err(error) => refused = Some(error),
                pulled => return pulled,
            }
        }
        match refused {
            Some(error) => Err(error),
            None => self.runtime.pull_image(image, None).await,
        }
    }

    async fn pull(&self, pod: &Pod, container: &Container, image: &str) -> Result<cri::Image, ImageError> {
        self.recorder.container(pod, &container.name, "Pulling", format!("Pulling image \"{image}\""));
        let began = Instant::now();
        match self.pull_with_credentials(pod, image).await {
            Ok(_) => {
                let pulled = self.inspect(pod, container, image).await?.unwrap_or_default();
                let size = pulled.size;
                let took = round(began.elapsed());
                let message = format!(
                    "Successfully pulled image \"{image}\" in {took} ({took} including waiting). Image size: {size} bytes."
                );
                self.recorder.container(pod, &container.name, "Pulled", message);
                Ok(pulled)
            }
            Err(error) => {
                let message = format!("Failed to pull image \"{image}\": {error}");
                self.recorder.container_warning(pod, &container.name, "Failed", message);
                self.recorder.container_warning(pod, &container.name, "Failed", "Error: ErrImagePull");
                Err(ImageError::Pull(Waiting::new("ErrImagePull", error.to_string())))
            }
        }
    }
}

/// As Go writes a duration, in milliseconds below a second.
fn round(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if milliseconds < 1000 { format!("{milliseconds}ms") } else { format!("{:.3}s", duration.as_secs_f64()) }
}

// === impl PullPolicy ===

impl PullPolicy {
    /// The policy of a container; the API server fills the default in, which depends on the tag.
    #[must_use]
    pub fn of(container: &Container) -> Self {
        match container.image_pull_policy.as_deref() {
            Some("Always") => Self::Always,
            Some("IfNotPresent") => Self::IfNotPresent,
            Some("Never") => Self::Never,
            Some(_) | None if has_fixed_tag(container.image.as_deref().unwrap_or_default()) => Self::IfNotPresent,
            Some(_) | None => Self::Always,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_writes_them() {
        assert_eq!(round(Duration::from_micros(8_400)), "8ms");
        assert_eq!(round(Duration::from_millis(1_234)), "1.234s");
    }

    #[test]
    fn without_a_policy_the_tag_decides() {
        for (image, policy, expected) in [
            ("busybox", None, PullPolicy::Always),
            ("busybox:latest", None, PullPolicy::Always),
            ("busybox:1.36", None, PullPolicy::IfNotPresent),
            ("busybox", Some("Never"), PullPolicy::Never),
        ] {
            let container = Container {
                image: Some(image.into()),
                image_pull_policy: policy.map(str::to_owned),
                ..Container::default()
            };
            assert_eq!(PullPolicy::of(&container), expected, "{image} {policy:?}");
        }
    }
}
