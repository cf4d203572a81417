//! Setting a pod's volumes up, keeping them up to date, and tearing them down.

use k8s_openapi::api::core::v1::Pod;

use super::Shared;
use crate::pod::spec;
use crate::volume::VolumeError;

// === impl Shared ===

impl Shared {
    /// Sets the pod's volumes up; may be repeated.
    pub(crate) async fn set_up_volumes(&self, pod: &Pod) -> Result<(), String> {
        let folder = self.folders.pod(&spec::uid(pod));
        let made = tokio::fs::create_dir_all(&folder).await;
        made.map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        self.volumes.set_up(pod).await.map_err(|errors| self.complain(pod, &errors))
    }

    /// Makes volumes say what the API server says now.
    pub(crate) async fn refresh_volumes(&self, pod: &Pod) -> Result<(), String> {
        self.volumes.refresh(pod).await.map_err(|errors| self.complain(pod, &errors))
    }

    /// Tears them down; may be repeated.
    pub(crate) async fn tear_down_volumes(&self, pod: &Pod) -> Result<(), String> {
        self.volumes.tear_down(&spec::uid(pod)).await.map_err(|error| error.to_string())
    }

    fn complain(&self, pod: &Pod, errors: &[VolumeError]) -> String {
        let messages = errors.iter().map(VolumeError::to_string).collect::<Vec<_>>();
        messages.iter().for_each(|message| self.recorder.pod_warning(pod, "FailedMount", message.clone()));
        messages.join("; ")
    }
}
