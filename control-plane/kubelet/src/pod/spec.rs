//! A pod's specification as the kubelet reads it: its containers in one row, and what is said or left to defaults.

use std::borrow::Cow;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec};
use kube::ResourceExt as _;

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container with restart policy `Always`: it runs beside the others.
    Sidecar,
    /// One of the pod's own.
    Main,
    /// Added to a running pod to look at it; never restarted.
    Ephemeral,
}

/// One container of a pod.
#[derive(Clone, Debug)]
pub struct ContainerSpec<'a> {
    /// What it is for.
    pub role: Role,
    /// How it is described.
    pub container: Cow<'a, Container>,
}

/// When containers that ended are started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Whenever they end.
    Always,
    /// When they fail.
    OnFailure,
    /// Not at all.
    Never,
}

/// The specification of a pod; an empty one when there is none.
#[must_use]
pub fn spec(pod: &Pod) -> &PodSpec {
    static EMPTY: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
    pod.spec.as_ref().unwrap_or(&EMPTY)
}

/// All containers: init containers and sidecars in their order, then the pod's own, then ephemeral ones.
#[must_use]
pub fn containers(pod: &Pod) -> Vec<ContainerSpec<'_>> {
    let spec = spec(pod);
    let init = spec.init_containers.iter().flatten().map(|container| {
        let is_sidecar = container.restart_policy.as_deref() == Some("Always");
        ContainerSpec { role: if is_sidecar { Role::Sidecar } else { Role::Init }, container: Cow::Borrowed(container) }
    });
    let main = spec.containers.iter();
    let main = main.map(|container| ContainerSpec { role: Role::Main, container: Cow::Borrowed(container) });
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    let ephemeral = ephemeral
        .map(|container| ContainerSpec { role: Role::Ephemeral, container: Cow::Owned(as_container(container)) });
    init.chain(main).chain(ephemeral).collect()
}

/// One container by its name.
#[must_use]
pub fn container<'a>(pod: &'a Pod, name: &str) -> Option<ContainerSpec<'a>> {
    containers(pod).into_iter().find(|spec| spec.container.name == name)
}

/// The name of the container whose processes an ephemeral container of this name sees.
#[must_use]
pub fn target_of<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    let ephemeral = spec(pod).ephemeral_containers.iter().flatten();
    let target =
        ephemeral.filter(|container| container.name == name).find_map(|one| one.target_container_name.as_deref());
    target.filter(|target| !target.is_empty())
}

/// An ephemeral container has the fields of a container and one more, `targetContainerName`.
fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let document = serde_json::to_value(ephemeral).unwrap_or_default();
    serde_json::from_value(document).unwrap_or_default()
}

/// The pod's restart policy.
#[must_use]
pub fn restart_policy(pod: &Pod) -> RestartPolicy {
    match spec(pod).restart_policy.as_deref() {
        Some("Never") => RestartPolicy::Never,
        Some("OnFailure") => RestartPolicy::OnFailure,
        Some(_) | None => RestartPolicy::Always,
    }
}

/// How long the pod's containers get to end.
#[must_use]
pub fn grace_period(pod: &Pod) -> Duration {
    let seconds = spec(pod).termination_grace_period_seconds.unwrap_or(30);
    Duration::from_secs(seconds.try_into().unwrap_or(1))
}

/// Whether the pod uses the node's own network.
#[must_use]
pub fn is_on_host_network(pod: &Pod) -> bool {
    spec(pod).host_network == Some(true)
}

/// Whether the pod is to be deleted.
#[must_use]
pub fn is_deleted(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether the pod's status says that it has come to its end.
#[must_use]
pub fn is_terminal(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// The pod's UID.
#[must_use]
pub fn uid(pod: &Pod) -> String {
    pod.uid().unwrap_or_default()
}

/// The pod's namespace.
#[must_use]
pub fn namespace(pod: &Pod) -> String {
    pod.namespace().unwrap_or_else(|| "default".to_owned())
}

/// As messages name a pod: `name_namespace(uid)`.
#[must_use]
pub fn full_name(pod: &Pod) -> String {
    format!("{}_{}({})", pod.name_any(), namespace(pod), uid(pod))
}

/// Hash of what makes a container another one: when it changes, the container is replaced. As in Kubernetes, that is
/// the name and the image.
#[must_use]
pub fn container_hash(container: &Container) -> String {
    let image = container.image.as_deref().unwrap_or_default();
    let bytes = container.name.bytes().chain([0]).chain(image.bytes());
    // FNV-1a, 32 bits: small, and the same in every version of this program.
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:x}")
}

// === impl RestartPolicy ===

impl RestartPolicy {
    /// Whether a container of this role that ended with `exit_code` is started again; none: it is lost.
    #[must_use]
    pub fn restarts(self, role: Role, exit_code: Option<i32>) -> bool {
        match (role, self) {
            (Role::Ephemeral, _) => false,
            (Role::Sidecar, _) | (Role::Main, Self::Always) => true,
            (Role::Init | Role::Main, Self::Never) => exit_code.is_none(),
            (Role::Init | Role::Main, Self::OnFailure) | (Role::Init, Self::Always) => exit_code != Some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_restarted_as_role_and_policy_say() {
        use RestartPolicy::{Always, Never, OnFailure};
        for (policy, role, exit_code, expected) in [
            (Always, Role::Main, Some(0), true),
            (OnFailure, Role::Main, Some(0), false),
            (OnFailure, Role::Main, Some(1), true),
            (Never, Role::Main, Some(1), false),
            (Never, Role::Main, None, true),
            (Always, Role::Init, Some(0), false),
            (Always, Role::Init, Some(1), true),
            (Never, Role::Init, Some(1), false),
            (Never, Role::Sidecar, Some(0), true),
            (Always, Role::Ephemeral, Some(1), false),
        ] {
            assert_eq!(policy.restarts(role, exit_code), expected, "{policy:?} {role:?} {exit_code:?}");
        }
    }

    #[test]
    fn an_image_makes_another_container_and_the_environment_does_not() {
        let mut container = Container { name: "a".into(), image: Some("x:1".into()), ..Container::default() };
        let before = container_hash(&container);
        container.args = Some(vec!["-v".into()]);
        assert_eq!(container_hash(&container), before);
        container.image = Some("x:2".into());
        assert_ne!(container_hash(&container), before);
    }
}
