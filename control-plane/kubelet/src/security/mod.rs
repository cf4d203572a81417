//! Security contexts, as CRI wants them.
//!
//! A container's own settings win over its pod's. What is checked here rather than by the API server needs the image
//! (`runAsNonRoot`) or the node (sysctls).

mod container;
mod namespaces;
mod non_root;
mod sandbox;
mod seccomp;
mod sysctl;

use k8s_openapi::api::core::v1::{Container, Pod, PodSecurityContext, SecurityContext};

pub use container::container_context;
pub use non_root::{ImageUser, NonRootError, verify_non_root};
pub use sandbox::{sandbox_context, sysctls};
pub use sysctl::{SysctlForbidden, check_sysctls};

fn of_pod(pod: &Pod) -> Option<&PodSecurityContext> {
    pod.spec.as_ref()?.security_context.as_ref()
}

fn of_container(container: &Container) -> Option<&SecurityContext> {
    container.security_context.as_ref()
}

/// The user that a container is told to run as, if it is told.
fn run_as_user(pod: &Pod, container: &Container) -> Option<i64> {
    of_container(container).and_then(|own| own.run_as_user).or_else(|| of_pod(pod)?.run_as_user)
}

fn is_privileged(container: &Container) -> bool {
    of_container(container).and_then(|own| own.privileged).unwrap_or(false)
}

/// The groups of every container of the pod: the one that owns its volumes first.
fn supplemental_groups(pod: &Pod) -> Vec<i64> {
    let Some(context) = of_pod(pod) else { return Vec::new() };
    context.fs_group.into_iter().chain(context.supplemental_groups.iter().flatten().copied()).collect()
}

#[cfg(test)]
mod tests;
