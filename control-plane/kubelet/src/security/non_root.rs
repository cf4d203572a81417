//! `runAsNonRoot`: a container that would run as root is not started.

use k8s_cri::v1::Image;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::{of_container, of_pod, run_as_user};

/// The user that an image names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageUser {
    /// A number. An image that names nobody runs as 0.
    Id(i64),
    /// A name, whose number only the image's `/etc/passwd` knows.
    Name(String),
}

/// Why a container must not run; the words are Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NonRootError {
    /// It is told to run as root and not to.
    #[error("container's runAsUser breaks non-root policy (pod: \"{pod}\", container: {container})")]
    Told {
        /// `name_namespace(uid)`
        pod: String,
        /// The container's name.
        container: String,
    },
    /// Its image runs as root.
    #[error("container has runAsNonRoot and image will run as root (pod: \"{pod}\", container: {container})")]
    Image {
        /// `name_namespace(uid)`
        pod: String,
        /// The container's name.
        container: String,
    },
    /// Its image names a user without saying the number.
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root \
         (pod: \"{pod}\", container: {container})"
    )]
    Unknown {
        /// The image's user.
        user: String,
        /// `name_namespace(uid)`
        pod: String,
        /// The container's name.
        container: String,
    },
}

// === impl ImageUser ===

impl ImageUser {
    /// The user of an image that the runtime has.
    #[must_use]
    pub fn of(image: &Image) -> Self {
        match &image.uid {
            Some(id) => Self::Id(id.value),
            None if image.username.is_empty() => Self::Id(0),
            None => Self::Name(image.username.clone()),
        }
    }
}

/// Says whether a container may run as it is told to.
///
/// # Errors
/// `runAsNonRoot` is set and the user is root, or cannot be told.
pub fn verify_non_root(pod: &Pod, container: &Container, image: &ImageUser) -> Result<(), NonRootError> {
    let own = of_container(container).and_then(|own| own.run_as_non_root);
    let is_wanted = own.or_else(|| of_pod(pod)?.run_as_non_root).unwrap_or(false);
    if !is_wanted {
        return Ok(());
    }
    let shown = || (shown(pod), container.name.clone());
    match (run_as_user(pod, container), image) {
        (Some(0), _) => {
            let (pod, container) = shown();
            Err(NonRootError::Told { pod, container })
        }
        (None, ImageUser::Id(0)) => {
            let (pod, container) = shown();
            Err(NonRootError::Image { pod, container })
        }
        (None, ImageUser::Name(user)) => {
            let (pod, container) = shown();
            Err(NonRootError::Unknown { user: user.clone(), pod, container })
        }
        (Some(_), _) | (None, ImageUser::Id(_)) => Ok(()),
    }
}

/// A pod as Kubernetes' messages show it.
fn shown(pod: &Pod) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let metadata = &pod.metadata;
    format!("{}_{}({})", text(&metadata.name), text(&metadata.namespace), text(&metadata.uid))
}
