//! Amounts of resources: what nodes have, what pods ask for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::symbol::{Symbol, Symbols};

/// What a container without a CPU request counts as when nodes are compared, in thousandths of a CPU.
const DEFAULT_CPU: i64 = 100;
/// What a container without a memory request counts as when nodes are compared, in bytes.
const DEFAULT_MEMORY: i64 = 200 << 20;

/// An amount of each resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resources {
    /// Thousandths of a CPU.
    pub(crate) cpu: i64,
    /// Bytes.
    pub(crate) memory: i64,
    /// Bytes.
    pub(crate) ephemeral_storage: i64,
    /// Number of pods.
    pub(crate) pods: i64,
    /// Everything else, in its own unit.
    pub(crate) extended: Vec<(Symbol, i64)>,
}

/// What a pod asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodResources {
    /// Counted against what a node has.
    pub(crate) requests: Resources,
    /// CPU with [`DEFAULT_CPU`] for containers that ask for none; for comparing nodes only.
    pub(crate) scored_cpu: i64,
    /// Memory with [`DEFAULT_MEMORY`] for containers that ask for none; for comparing nodes only.
    pub(crate) scored_memory: i64,
}

type Quantities = BTreeMap<String, Quantity>;

// === impl Resources ===

impl Resources {
    /// Reads a list of quantities such as `status.allocatable`. What is no quantity counts as nothing.
    pub(crate) fn read(quantities: Option<&Quantities>, symbols: &mut Symbols) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in quantities.into_iter().flatten() {
            resources.set(name, quantity, symbols);
        }
        resources
    }

    fn set(&mut self, name: &str, quantity: &Quantity, symbols: &mut Symbols) {
        let Some(amount) = parse(quantity) else { return };
        match name {
            "cpu" => self.cpu = amount.milli_value(),
            "memory" => self.memory = amount.value(),
            "ephemeral-storage" => self.ephemeral_storage = amount.value(),
            "pods" => self.pods = amount.value(),
            other => *self.extended_mut(symbols.intern(other)) = amount.value(),
        }
    }

    /// How much there is of an extended resource.
    pub(crate) fn extended(&self, resource: Symbol) -> i64 {
        self.extended.iter().find(|(name, _)| *name == resource).map_or(0, |(_, amount)| *amount)
    }

    fn extended_mut(&mut self, resource: Symbol) -> &mut i64 {
        let index = self.extended.iter().position(|(name, _)| *name == resource).unwrap_or_else(|| {
            self.extended.push((resource, 0));
            self.extended.len() - 1
        });
        &mut self.extended[index].1
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
    }

    fn maximum(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    fn combine(&mut self, other: &Self, operation: fn(i64, i64) -> i64) {
        self.cpu = operation(self.cpu, other.cpu);
        self.memory = operation(self.memory, other.memory);
        self.ephemeral_storage = operation(self.ephemeral_storage, other.ephemeral_storage);
        self.pods = operation(self.pods, other.pods);
        for (resource, amount) in &other.extended {
            let mine = self.extended_mut(*resource);
            *mine = operation(*mine, *amount);
        }
    }
}

// === impl PodResources ===

impl PodResources {
    /// What `pod` asks for: the larger of all its containers together and the hungriest moment of its initialization,
    /// sidecars counted from when they start, plus the runtime's overhead (KEP-753, KEP-688). Requests of the pod as a
    /// whole stand in for those of its containers (KEP-2837).
    pub(crate) fn of(pod: &Pod, symbols: &mut Symbols) -> Self {
        let Some(spec) = &pod.spec else { return Self::default() };
        let mut requests =
            effective(spec, &mut |container| Resources::read(requests(container.resources.as_ref()), symbols));
        let with_defaults = effective(spec, &mut |container| scored(container.resources.as_ref()));
        let (mut scored_cpu, mut scored_memory) = (with_defaults.cpu, with_defaults.memory);
        for (name, quantity) in requests_of_pod(spec) {
            requests.set(name, quantity, symbols);
        }
        if requests_of_pod(spec).next().is_some() {
            (scored_cpu, scored_memory) = (requests.cpu, requests.memory);
        }
        let overhead = Resources::read(spec.overhead.as_ref(), symbols);
        requests.add(&overhead);
        requests.pods = 1;
        Self { requests, scored_cpu: scored_cpu + overhead.cpu, scored_memory: scored_memory + overhead.memory }
    }
}

fn requests_of_pod(spec: &PodSpec) -> impl Iterator<Item = (&str, &Quantity)> {
    let requests = requests(spec.resources.as_ref());
    requests.into_iter().flatten().map(|(name, quantity)| (name.as_str(), quantity))
}

/// The larger of the containers together and of each moment of the initialization.
fn effective(spec: &PodSpec, of: &mut impl FnMut(&Container) -> Resources) -> Resources {
    let mut running = Resources::default();
    for container in &spec.containers {
        running.add(&of(container));
    }
    let (mut sidecars, mut highest) = (Resources::default(), Resources::default());
    for container in spec.init_containers.iter().flatten() {
        let asked = of(container);
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars.add(&asked);
            highest.maximum(&sidecars);
        } else {
            let mut moment = sidecars.clone();
            moment.add(&asked);
            highest.maximum(&moment);
        }
    }
    running.add(&sidecars);
    running.maximum(&highest);
    running
}

fn scored(resources: Option<&ResourceRequirements>) -> Resources {
    let asked = |name: &str| requests(resources).and_then(|requests| requests.get(name)).and_then(parse);
    Resources {
        cpu: asked("cpu").map_or(DEFAULT_CPU, |amount| amount.milli_value()),
        memory: asked("memory").map_or(DEFAULT_MEMORY, |amount| amount.value()),
        ..Resources::default()
    }
}

fn requests(resources: Option<&ResourceRequirements>) -> Option<&Quantities> {
    resources.and_then(|resources| resources.requests.as_ref())
}

fn parse(quantity: &Quantity) -> Option<sheave_api::quantity::Quantity> {
    quantity.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu_of(spec: serde_json::Value) -> i64 {
        let pod: Pod = serde_json::from_value(serde_json::json!({ "spec": spec })).unwrap();
        PodResources::of(&pod, &mut Symbols::default()).requests.cpu
    }

    #[test]
    fn a_pod_asks_for_its_hungriest_moment() {
        let container = |cpu: &str| serde_json::json!({ "name": "c", "resources": { "requests": { "cpu": cpu } } });
        let sidecar = |cpu: &str| {
            let mut sidecar = container(cpu);
            sidecar["restartPolicy"] = "Always".into();
            sidecar
        };
        for (what, spec, expected) in [
            ("containers add up", serde_json::json!({ "containers": [container("1"), container("500m")] }), 1500),
            (
                "a hungry init container counts alone",
                serde_json::json!({ "initContainers": [container("2")], "containers": [container("1")] }),
                2000,
            ),
            (
                "a sidecar counts beside the containers",
                serde_json::json!({ "initContainers": [sidecar("1")], "containers": [container("1")] }),
                2000,
            ),
            (
                "an init container counts beside the sidecars before it",
                serde_json::json!({ "initContainers": [sidecar("1"), container("3")], "containers": [container("1")] }),
                4000,
            ),
            (
                "overhead comes on top",
                serde_json::json!({ "containers": [container("1")], "overhead": { "cpu": "250m" } }),
                1250,
            ),
            (
                "the pod's own request stands in for its containers'",
                serde_json::json!({ "containers": [container("1")], "resources": { "requests": { "cpu": "3" } } }),
                3000,
            ),
        ] {
            assert_eq!(cpu_of(spec), expected, "{what}");
        }
    }

    #[test]
    fn extended_resources_are_counted_by_name() {
        let mut symbols = Symbols::default();
        let quantities = BTreeMap::from([("nvidia.com/gpu".to_owned(), Quantity("2".to_owned()))]);
        let mut resources = Resources::read(Some(&quantities), &mut symbols);
        resources.add(&resources.clone());
        assert_eq!(resources.extended(symbols.intern("nvidia.com/gpu")), 4);
        assert_eq!(resources.extended(symbols.intern("other")), 0);
    }
}
