//! A container's limits in the kernel's units.

use k8s_cri::v1::LinuxContainerResources;
use k8s_openapi::api::core::v1::{Container, Pod};
use sheave_api::quantity::Quantity;

use super::amount::{Resource, limit, request, thousandths, units};
use super::qos::oom_score_adj;

/// The smallest weight that the kernel takes.
pub(super) const MIN_SHARES: i64 = 2;

/// The largest weight that the kernel takes.
const MAX_SHARES: i64 = 262_144;

/// The period of a CPU quota, in microseconds.
pub(super) const PERIOD: i64 = 100_000;

/// The smallest CPU quota that the kernel takes, in microseconds.
const MIN_QUOTA: i64 = 1000;

/// The container's `LinuxContainerResources`: shares of 1024 to the core, quota and period in microseconds, memory in
/// bytes. `node_memory`, in bytes, rates the container for the OOM killer.
#[must_use]
pub fn linux_resources(pod: &Pod, container: &Container, node_memory: i64) -> LinuxContainerResources {
    let (cpu_request, cpu_limit) = (request(container, Resource::Cpu), limit(container, Resource::Cpu));
    LinuxContainerResources {
        cpu_period: PERIOD,
        cpu_quota: quota(cpu_limit),
        // A limit without a request requests the limit.
        cpu_shares: shares(cpu_request.or(cpu_limit)),
        memory_limit_in_bytes: units(limit(container, Resource::Memory)),
        oom_score_adj: oom_score_adj(pod, container, node_memory),
        ..LinuxContainerResources::default()
    }
}

/// The weight of so many cores, 1024 to the core.
pub(super) fn shares(cpu: Option<Quantity>) -> i64 {
    let shares = i128::from(thousandths(cpu)) * 1024 / 1000;
    i64::try_from(shares).unwrap_or(MAX_SHARES).clamp(MIN_SHARES, MAX_SHARES)
}

/// Microseconds of CPU time in each period; zero stands for no limit.
pub(super) fn quota(cpu: Option<Quantity>) -> i64 {
    match thousandths(cpu) {
        0 => 0,
        milli => milli.saturating_mul(PERIOD / 1000).max(MIN_QUOTA),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cpu_and_memory_become_the_kernels_units() {
        let table = [
            (json!({}), 2, 0, 0),
            (json!({"requests": {"cpu": "500m"}}), 512, 0, 0),
            (json!({"requests": {"cpu": "1m"}}), 2, 0, 0),
            (json!({"limits": {"cpu": "250m"}}), 256, 25_000, 0),
            (json!({"limits": {"cpu": "1m"}}), 2, 1000, 0),
            (json!({"limits": {"cpu": "2", "memory": "128Mi"}, "requests": {"cpu": "1"}}), 1024, 200_000, 134_217_728),
            (json!({"requests": {"cpu": "100000"}}), 262_144, 0, 0),
            (json!({"limits": {"memory": "1e3"}}), 2, 0, 1000),
        ];
        for (resources, shares, quota, memory) in table {
            let spec = json!({"spec": {"containers": [{"name": "c", "resources": resources}]}});
            let pod: Pod = serde_json::from_value(spec).unwrap();
            let made = linux_resources(&pod, &pod.spec.as_ref().unwrap().containers[0], 1 << 30);
            let got = (made.cpu_shares, made.cpu_quota, made.memory_limit_in_bytes);
            assert_eq!(got, (shares, quota, memory), "{resources}");
            assert_eq!(made.cpu_period, 100_000);
        }
    }
}
