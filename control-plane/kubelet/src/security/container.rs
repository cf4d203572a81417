//! A container's security context.

use std::path::Path;

use k8s_cri::v1::{Capability, Int64Value, LinuxContainerSecurityContext, SeLinuxOption};
use k8s_openapi::api::core::v1::{Capabilities, Container, Pod, SELinuxOptions};

use super::namespaces::namespace_options;
use super::non_root::ImageUser;
use super::seccomp::seccomp;
use super::{is_privileged, of_container, of_pod, run_as_user, supplemental_groups};

/// What of `/proc` and `/sys` a container does not see, because it tells of the machine or of other containers.
const MASKED_PATHS: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// What of `/proc` a container cannot write, because that would change the machine.
const READONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The container's security context for CRI.
///
/// `image` is the user that its image names, `target` the id of the container that an ephemeral container looks at, and
/// `profiles` the folder of the node's seccomp profiles.
#[must_use]
pub fn container_context(
    pod: &Pod,
    container: &Container,
    image: &ImageUser,
    target: Option<&str>,
    profiles: &Path,
) -> LinuxContainerSecurityContext {
    let own = of_container(container);
    let user = run_as_user(pod, container);
    let group = own.and_then(|own| own.run_as_group).or_else(|| of_pod(pod)?.run_as_group);
    let is_unmasked = own.and_then(|own| own.proc_mount.as_deref()) == Some("Unmasked");
    let paths = |paths: &[&str]| paths.iter().filter(|_| !is_unmasked).map(|&path| path.to_owned()).collect();
    let (image_user, image_name) = match (user, image) {
        (None, ImageUser::Id(id)) => (Some(*id), String::new()),
        (None, ImageUser::Name(name)) => (None, name.clone()),
        (Some(_), _) => (None, String::new()),
    };
    LinuxContainerSecurityContext {
        capabilities: own.and_then(|own| own.capabilities.as_ref()).map(capabilities),
        privileged: is_privileged(container),
        namespace_options: Some(namespace_options(pod, target)),
        selinux_options: own
            .and_then(|own| own.se_linux_options.as_ref())
            .or_else(|| of_pod(pod)?.se_linux_options.as_ref())
            .map(selinux),
        run_as_user: user.or(image_user).map(|value| Int64Value { value }),
        run_as_group: group.map(|value| Int64Value { value }),
        run_as_username: image_name,
        readonly_rootfs: own.and_then(|own| own.read_only_root_filesystem).unwrap_or(false),
        supplemental_groups: supplemental_groups(pod),
        no_new_privs: own.and_then(|own| own.allow_privilege_escalation) == Some(false),
        masked_paths: paths(&MASKED_PATHS),
        readonly_paths: paths(&READONLY_PATHS),
        seccomp: Some(seccomp(pod, container, profiles)),
        ..LinuxContainerSecurityContext::default()
    }
}

fn capabilities(wanted: &Capabilities) -> Capability {
    Capability {
        add_capabilities: wanted.add.clone().unwrap_or_default(),
        drop_capabilities: wanted.drop.clone().unwrap_or_default(),
        add_ambient_capabilities: Vec::new(),
    }
}

pub(super) fn selinux(options: &SELinuxOptions) -> SeLinuxOption {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    SeLinuxOption {
        user: text(&options.user),
        role: text(&options.role),
        r#type: text(&options.type_),
        level: text(&options.level),
    }
}
