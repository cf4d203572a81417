//! Quality of service: which pods suffer first when a node runs out of memory.
//!
//! Rules and numbers are those of `pkg/apis/core/v1/helper/qos` and `pkg/kubelet/qos` of Kubernetes.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};

use super::amount::{Resource, limited, request, requested, units};

/// The OOM score adjustment of containers that are to be killed last, sandboxes apart.
const GUARANTEED: i64 = -997;

/// The OOM score adjustment of containers that are to be killed first.
const BEST_EFFORT: i64 = 1000;

/// Pods of this priority class are never killed before others.
const NODE_CRITICAL: &str = "system-node-critical";

/// The quality of service of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qos {
    /// Every container has limits for CPU and memory, and requests exactly those.
    Guaranteed,
    /// Something is requested or limited.
    Burstable,
    /// Nothing is.
    BestEffort,
}

// === impl Qos ===

impl Qos {
    /// As `status.qosClass` has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }

    /// The cgroup between `kubepods` and the pod's; guaranteed pods have none.
    #[must_use]
    pub fn folder(self) -> Option<&'static str> {
        match self {
            Self::Guaranteed => None,
            Self::Burstable => Some("burstable"),
            Self::BestEffort => Some("besteffort"),
        }
    }
}

/// The quality of service of a pod: its status's, which never changes, or computed from the spec.
#[must_use]
pub fn qos(pod: &Pod) -> Qos {
    match pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) {
        Some("Guaranteed") => Qos::Guaranteed,
        Some("Burstable") => Qos::Burstable,
        Some("BestEffort") => Qos::BestEffort,
        _ => pod.spec.as_ref().map_or(Qos::BestEffort, computed),
    }
}

/// The container's `oom_score_adj`, -1000 to 1000: the kernel kills the highest first.
///
/// Burstable containers are rated by how little of the node's memory they request. `node_memory` is in bytes.
#[must_use]
pub fn oom_score_adj(pod: &Pod, container: &Container, node_memory: i64) -> i64 {
    let Some(spec) = &pod.spec else { return BEST_EFFORT };
    if spec.priority_class_name.as_deref() == Some(NODE_CRITICAL) {
        return GUARANTEED;
    }
    match qos(pod) {
        Qos::Guaranteed => GUARANTEED,
        Qos::BestEffort => BEST_EFFORT,
        Qos::Burstable => burstable_score(spec, container, node_memory),
    }
}

fn computed(spec: &PodSpec) -> Qos {
    let of_pod = spec.resources.as_ref().filter(|resources| names_something(resources));
    let parts: Vec<Option<&ResourceRequirements>> = match of_pod {
        Some(resources) => vec![Some(resources)],
        None => containers(spec).map(|container| container.resources.as_ref()).collect(),
    };
    let positive = |quantity: Option<sheave_api::quantity::Quantity>| quantity.filter(|amount| amount.signum() > 0);
    let measured = [Resource::Cpu, Resource::Memory];
    let mut nothing = true;
    let mut guaranteed = true;
    for part in parts {
        for resource in measured {
            let (request, limit) = (positive(requested(part, resource)), positive(limited(part, resource)));
            nothing &= request.is_none() && limit.is_none();
            // The API server fills in a missing request from the limit; static pods do not pass there.
            guaranteed &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (nothing, guaranteed) {
        (true, _) => Qos::BestEffort,
        (false, true) => Qos::Guaranteed,
        (false, false) => Qos::Burstable,
    }
}

fn names_something(resources: &ResourceRequirements) -> bool {
    let named = |resource| requested(Some(resources), resource).or(limited(Some(resources), resource)).is_some();
    named(Resource::Cpu) || named(Resource::Memory)
}

fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.containers.iter().chain(spec.init_containers.iter().flatten())
}

fn burstable_score(spec: &PodSpec, container: &Container, node_memory: i64) -> i64 {
    let own = share_score(container, node_memory);
    let is_sidecar = container.restart_policy.as_deref() == Some("Always");
    if !is_sidecar {
        return own;
    }
    // A sidecar must not be killed before the containers that it serves.
    spec.containers.iter().map(|main| share_score(main, node_memory)).fold(own, i64::min)
}

/// Never as safe as a guaranteed container and never as exposed as one of best effort.
fn share_score(container: &Container, node_memory: i64) -> i64 {
    let requested = i128::from(units(request(container, Resource::Memory)));
    let share = 1000 * requested / i128::from(node_memory.max(1));
    let share = i64::try_from(share).unwrap_or(1000).min(1000);
    (1000 - share).clamp(1000 + GUARANTEED, BEST_EFFORT - 1)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const GIB: i64 = 1 << 30;

    fn pod(spec: Value) -> Pod {
        serde_json::from_value(json!({"spec": spec})).unwrap()
    }

    fn with_containers(containers: &[Value]) -> Pod {
        let named = containers.iter().map(|resources| json!({"name": "c", "image": "i", "resources": resources}));
        pod(json!({"containers": named.collect::<Vec<_>>()}))
    }

    #[test]
    fn the_class_follows_from_requests_and_limits() {
        let full = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}});
        let table = [
            ("nothing at all", vec![json!({})], Qos::BestEffort),
            ("other resources do not count", vec![json!({"limits": {"ephemeral-storage": "1Gi"}})], Qos::BestEffort),
            ("zero is nothing", vec![json!({"requests": {"cpu": "0"}})], Qos::BestEffort),
            ("limits that equal the requests", vec![full.clone()], Qos::Guaranteed),
            ("limits alone imply requests", vec![json!({"limits": {"cpu": "1", "memory": "1Gi"}})], Qos::Guaranteed),
            ("one container of two", vec![full.clone(), json!({})], Qos::Burstable),
            ("a request alone", vec![json!({"requests": {"memory": "1Mi"}})], Qos::Burstable),
            ("memory alone", vec![json!({"limits": {"memory": "1Gi"}})], Qos::Burstable),
            (
                "a request below its limit",
                vec![json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}})],
                Qos::Burstable,
            ),
        ];
        for (case, containers, expected) in table {
            assert_eq!(qos(&with_containers(&containers)), expected, "{case}");
        }
    }

    #[test]
    fn init_containers_count_and_the_status_wins() {
        let mut pod = pod(json!({
            "containers": [{"name": "c", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}],
            "initContainers": [{"name": "i"}],
        }));
        assert_eq!(qos(&pod), Qos::Burstable);
        pod.status = serde_json::from_value(json!({"qosClass": "Guaranteed"})).unwrap();
        assert_eq!(qos(&pod), Qos::Guaranteed);
    }

    #[test]
    fn resources_of_the_pod_as_a_whole_decide_alone() {
        let limits = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
        assert_eq!(qos(&pod(json!({"containers": [{"name": "c"}], "resources": limits}))), Qos::Guaranteed);
    }

    #[test]
    fn the_oom_score_falls_with_the_share_of_memory() {
        let request = |memory: &str| json!({"requests": {"memory": memory}});
        let table = [
            (json!({}), 1000),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), -997),
            (request("1Mi"), 999),
            (request("1Gi"), 875),
            (request("4Gi"), 500),
            (request("8Gi"), 3),
            (request("800Gi"), 3),
            (json!({"requests": {"cpu": "1"}}), 999),
        ];
        for (resources, score) in table {
            let pod = with_containers(std::slice::from_ref(&resources));
            let container = &pod.spec.as_ref().unwrap().containers[0];
            assert_eq!(oom_score_adj(&pod, container, 8 * GIB), score, "{resources}");
        }
    }

    #[test]
    fn a_sidecar_is_as_safe_as_the_safest_container_it_serves() {
        let pod = pod(json!({
            "containers": [{"name": "a", "resources": {"requests": {"memory": "4Gi"}}}, {"name": "b"}],
            "initContainers": [{"name": "s", "restartPolicy": "Always"}, {"name": "i"}],
        }));
        let init = pod.spec.as_ref().unwrap().init_containers.as_ref().unwrap();
        assert_eq!(oom_score_adj(&pod, &init[0], 8 * GIB), 500);
        assert_eq!(oom_score_adj(&pod, &init[1], 8 * GIB), 999);
    }

    #[test]
    fn node_critical_pods_are_as_safe_as_guaranteed_ones() {
        let pod = pod(json!({"containers": [{"name": "c"}], "priorityClassName": "system-node-critical"}));
        assert_eq!(oom_score_adj(&pod, &pod.spec.as_ref().unwrap().containers[0], GIB), -997);
    }
}
