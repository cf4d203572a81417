//! Taking a pod in.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, ResourceExt as _};

use super::Shared;
use crate::pod::admission::{self, Rejection};

// === impl Shared ===

impl Shared {
    /// Takes a pod in, or says why not.
    pub(crate) async fn admit(&self, pod: &Arc<Pod>) -> Result<(), Rejection> {
        let mut labels = self.labels.clone();
        if admission::asks_for_labels(pod) {
            // Somebody may have labelled the node since it registered.
            let nodes = Api::<Node>::all(self.client.clone());
            if let Ok(node) = nodes.get(&self.node_name).await {
                labels.clone_from(node.labels());
            }
        }
        self.admitted.admit(pod, &self.room, &labels)
    }

    /// Whether an image must stay although no container has it.
    pub(crate) fn keeps_image(&self, image: &k8s_cri::v1::Image) -> bool {
        let mut names = std::iter::once(&image.id).chain(&image.repo_tags).chain(&image.repo_digests);
        names.any(|name| *name == self.sandbox_image)
    }
}
