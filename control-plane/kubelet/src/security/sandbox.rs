//! A pod sandbox's security context.

use std::collections::HashMap;

use k8s_cri::v1::security_profile::ProfileType;
use k8s_cri::v1::{Int64Value, LinuxSandboxSecurityContext};
use k8s_openapi::api::core::v1::Pod;

use super::container::selinux;
use super::namespaces::namespace_options;
use super::seccomp::of_type;
use super::{is_privileged, of_pod, supplemental_groups};

/// The sandbox's security context for CRI. The sandbox itself is confined whatever its containers are; it is privileged
/// where one of them is, because a runtime refuses such a container otherwise.
#[must_use]
pub fn sandbox_context(pod: &Pod) -> LinuxSandboxSecurityContext {
    let context = of_pod(pod);
    let user = context.and_then(|context| context.run_as_user);
    // A group without a user is an error to runtimes; it then concerns only the containers, whose images name users.
    let group = user.and(context.and_then(|context| context.run_as_group));
    LinuxSandboxSecurityContext {
        namespace_options: Some(namespace_options(pod, None)),
        selinux_options: context.and_then(|context| context.se_linux_options.as_ref()).map(selinux),
        run_as_user: user.map(|value| Int64Value { value }),
        run_as_group: group.map(|value| Int64Value { value }),
        supplemental_groups: supplemental_groups(pod),
        privileged: has_privileged_container(pod),
        seccomp: Some(of_type(ProfileType::RuntimeDefault)),
        ..LinuxSandboxSecurityContext::default()
    }
}

/// The kernel parameters that the pod wants in its namespaces.
#[must_use]
pub fn sysctls(pod: &Pod) -> HashMap<String, String> {
    let wanted = of_pod(pod).and_then(|context| context.sysctls.as_ref()).into_iter().flatten();
    wanted.map(|sysctl| (sysctl.name.replace('/', "."), sysctl.value.clone())).collect()
}

fn has_privileged_container(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    let is_ephemeral =
        ephemeral.filter_map(|one| one.security_context.as_ref()?.privileged).any(|privileged| privileged);
    is_ephemeral || spec.containers.iter().chain(spec.init_containers.iter().flatten()).any(is_privileged)
}
