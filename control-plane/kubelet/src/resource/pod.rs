//! What a pod as a whole requests and may use: the limits of its cgroup.
//!
//! The sums are those of `k8s.io/component-helpers/resource`: containers run together, init containers one after
//! another, and sidecars beside everything that starts after them.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use sheave_api::quantity::Quantity;

use super::amount::{Resource, limit, limited, request, requested, units};
use super::container::{MIN_SHARES, PERIOD, quota, shares};
use super::qos::{Qos, qos};

/// The limits of a pod's cgroup; what is absent stays as the kernel makes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodLimits {
    /// 1024 to the core.
    pub cpu_shares: i64,
    /// Microseconds of CPU time in each [`PodLimits::CPU_PERIOD`].
    pub cpu_quota: Option<i64>,
    /// In bytes.
    pub memory: Option<i64>,
    /// Processes and threads.
    pub pids: Option<i64>,
}

// === impl PodLimits ===

impl PodLimits {
    /// In microseconds.
    pub const CPU_PERIOD: i64 = PERIOD;

    /// The limits of this pod; `pids` is the node's for every pod.
    #[must_use]
    pub fn of(pod: &Pod, pids: Option<i64>) -> Self {
        let Some(spec) = &pod.spec else { return Self { cpu_shares: MIN_SHARES, pids, ..Self::default() } };
        if qos(pod) == Qos::BestEffort {
            return Self { cpu_shares: MIN_SHARES, pids, ..Self::default() };
        }
        let cpu_limit = total_limit(spec, Resource::Cpu);
        Self {
            cpu_shares: shares(total_request(spec, Resource::Cpu)),
            cpu_quota: cpu_limit.map(|limit| quota(Some(limit))).filter(|quota| *quota > 0),
            memory: total_memory_limit(spec),
            pids,
        }
    }
}

/// What a pod requests of a resource while it requests most, its overhead included.
#[must_use]
pub fn total_request(spec: &PodSpec, resource: Resource) -> Option<Quantity> {
    let of_pod = requested(spec.resources.as_ref(), resource);
    let total = of_pod.unwrap_or_else(|| {
        let requested = |container: &Container| request(container, resource).or_else(|| limit(container, resource));
        peak(spec, |container| requested(container).unwrap_or(Quantity::ZERO))
    });
    Some(with_overhead(spec, resource, total)).filter(|total| !total.is_zero())
}

/// How much memory a pod may use at most, in bytes; nothing where one of its containers has no limit.
pub(crate) fn total_memory_limit(spec: &PodSpec) -> Option<i64> {
    total_limit(spec, Resource::Memory).map(|limit| units(Some(limit))).filter(|limit| *limit > 0)
}

/// How much of a resource a pod may use at most; nothing where one of its containers has no limit.
fn total_limit(spec: &PodSpec, resource: Resource) -> Option<Quantity> {
    if let Some(of_pod) = limited(spec.resources.as_ref(), resource) {
        return Some(with_overhead(spec, resource, of_pod));
    }
    let mut all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let is_limited = |container: &Container| limit(container, resource).is_some_and(|limit| limit.signum() > 0);
    if !all.all(is_limited) {
        return None;
    }
    let total = peak(spec, |container| limit(container, resource).unwrap_or(Quantity::ZERO));
    Some(with_overhead(spec, resource, total))
}

/// The largest sum over the containers that run at the same time.
fn peak(spec: &PodSpec, amount: impl Fn(&Container) -> Quantity) -> Quantity {
    let mut sidecars = Quantity::ZERO;
    let mut starting = Quantity::ZERO;
    for init in spec.init_containers.iter().flatten() {
        let with_this = sidecars.plus(&amount(init));
        starting = starting.max(with_this);
        if init.restart_policy.as_deref() == Some("Always") {
            sidecars = with_this;
        }
    }
    let running = spec.containers.iter().fold(sidecars, |sum, container| sum.plus(&amount(container)));
    running.max(starting)
}

fn with_overhead(spec: &PodSpec, resource: Resource, total: Quantity) -> Quantity {
    resource.of(spec.overhead.as_ref()).map_or(total, |overhead| total.plus(&overhead))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn limits(spec: Value) -> PodLimits {
        PodLimits::of(&serde_json::from_value(json!({"spec": spec})).unwrap(), Some(100))
    }

    fn container(limits: Value) -> Value {
        json!({"name": "c", "resources": {"limits": limits}})
    }

    fn sidecar(limits: Value) -> Value {
        json!({"name": "s", "restartPolicy": "Always", "resources": {"limits": limits}})
    }

    #[test]
    fn a_pod_without_wishes_gets_the_least_weight_and_no_limit() {
        let expected = PodLimits { cpu_shares: 2, pids: Some(100), ..PodLimits::default() };
        assert_eq!(limits(json!({"containers": [{"name": "c"}]})), expected);
    }

    #[test]
    fn limits_of_containers_add_up() {
        let one = json!({"cpu": "500m", "memory": "1Mi"});
        let expected = PodLimits { cpu_shares: 1024, cpu_quota: Some(100_000), memory: Some(2 << 20), pids: Some(100) };
        assert_eq!(limits(json!({"containers": [container(one.clone()), container(one)]})), expected);
    }

    #[test]
    fn one_container_without_a_limit_frees_the_pod_of_it() {
        let made = limits(json!({"containers": [container(json!({"memory": "1Mi", "cpu": "1"})), {"name": "d",
            "resources": {"limits": {"cpu": "1"}}}]}));
        assert_eq!((made.memory, made.cpu_quota), (None, Some(200_000)));
    }

    #[test]
    fn init_containers_count_where_they_need_more_than_what_runs_later() {
        let cpu = |cores: &str| json!({"cpu": cores, "memory": "1Mi"});
        let table = [
            (vec![container(cpu("3"))], vec![container(cpu("1"))], 3 * 1024),
            (vec![container(cpu("1"))], vec![container(cpu("2"))], 2 * 1024),
            (vec![sidecar(cpu("1"))], vec![container(cpu("2"))], 3 * 1024),
            (vec![sidecar(cpu("1")), container(cpu("4"))], vec![container(cpu("2"))], 5 * 1024),
            (vec![container(cpu("4")), sidecar(cpu("1"))], vec![container(cpu("2"))], 4 * 1024),
        ];
        for (init, main, shares) in table {
            let made = limits(json!({"containers": main, "initContainers": init}));
            assert_eq!(made.cpu_shares, shares, "{init:?} {main:?}");
        }
    }

    #[test]
    fn overhead_is_on_top_and_resources_of_the_pod_replace_the_sum() {
        let made = limits(json!({
            "containers": [container(json!({"cpu": "1", "memory": "1Mi"}))],
            "resources": {"limits": {"memory": "4Mi"}},
            "overhead": {"memory": "1Mi", "cpu": "1"},
        }));
        assert_eq!((made.cpu_shares, made.memory), (2048, Some(5 << 20)));
    }
}
