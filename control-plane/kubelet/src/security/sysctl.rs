//! Which kernel parameters a pod may set.
//!
//! The list is that of `pkg/kubelet/sysctl/safe_sysctls.go`: parameters that are in a namespace of the pod's and that
//! cannot harm the node.

use k8s_openapi::api::core::v1::Pod;

use super::of_pod;

const SAFE: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// A parameter that a pod must not set; such a pod fails with this as its message and `SysctlForbidden` as its reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SysctlForbidden {
    /// It is not on the list.
    #[error("forbidden sysctl: \"{0}\" not allowlisted")]
    NotSafe(String),
    /// It would change the node's network.
    #[error("forbidden sysctl: \"{0}\" not allowed with host net enabled")]
    HostNetwork(String),
    /// It would change the node's shared memory.
    #[error("forbidden sysctl: \"{0}\" not allowed with host ipc enabled")]
    HostIpc(String),
}

/// Says whether the pod may set the parameters that it names.
///
/// # Errors
/// The first that it may not set.
pub fn check_sysctls(pod: &Pod) -> Result<(), SysctlForbidden> {
    let (Some(context), Some(spec)) = (of_pod(pod), &pod.spec) else { return Ok(()) };
    for sysctl in context.sysctls.iter().flatten() {
        let name = sysctl.name.replace('/', ".");
        if !SAFE.contains(&name.as_str()) {
            return Err(SysctlForbidden::NotSafe(name));
        }
        if name.starts_with("net.") && spec.host_network == Some(true) {
            return Err(SysctlForbidden::HostNetwork(name));
        }
        if name.starts_with("kernel.") && spec.host_ipc == Some(true) {
            return Err(SysctlForbidden::HostIpc(name));
        }
    }
    Ok(())
}
