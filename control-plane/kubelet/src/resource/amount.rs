//! Amounts of resources, as containers ask for them and nodes have them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use sheave_api::quantity::{Notation, Quantity};

/// A resource that this node measures out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `cpu`, in cores.
    Cpu,
    /// `memory`, in bytes.
    Memory,
    /// `ephemeral-storage`, in bytes.
    EphemeralStorage,
}

/// How much of each resource there is: a node's capacity, or what it allows pods.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// In cores.
    pub cpu: Quantity,
    /// In bytes.
    pub memory: Quantity,
    /// In bytes.
    pub ephemeral_storage: Quantity,
}

// === impl Resource ===

impl Resource {
    /// Its key in `requests` and `limits`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::EphemeralStorage => "ephemeral-storage",
        }
    }

    /// The amount under its key; nothing where it is not named or is no quantity, which the API server refuses.
    pub(crate) fn of(self, amounts: Option<&BTreeMap<String, Text>>) -> Option<Quantity> {
        amounts?.get(self.key())?.0.parse().ok()
    }
}

// === impl Capacity ===

impl Capacity {
    /// From thousandths of a core and bytes.
    #[must_use]
    pub fn new(cpu_milli: i64, memory_bytes: i64, ephemeral_storage_bytes: i64) -> Self {
        Self {
            cpu: Quantity::from_milli(cpu_milli, Notation::DecimalSi),
            memory: Quantity::from_units(memory_bytes, Notation::BinarySi),
            ephemeral_storage: Quantity::from_units(ephemeral_storage_bytes, Notation::BinarySi),
        }
    }

    /// The amount of one resource.
    #[must_use]
    pub fn of(&self, resource: Resource) -> Quantity {
        match resource {
            Resource::Cpu => self.cpu,
            Resource::Memory => self.memory,
            Resource::EphemeralStorage => self.ephemeral_storage,
        }
    }
}

/// What a container requests of a resource.
#[must_use]
pub fn request(container: &Container, resource: Resource) -> Option<Quantity> {
    requested(container.resources.as_ref(), resource)
}

/// How much of a resource a container may use at most.
#[must_use]
pub fn limit(container: &Container, resource: Resource) -> Option<Quantity> {
    limited(container.resources.as_ref(), resource)
}

pub(super) fn requested(resources: Option<&ResourceRequirements>, resource: Resource) -> Option<Quantity> {
    resource.of(resources?.requests.as_ref())
}

pub(super) fn limited(resources: Option<&ResourceRequirements>, resource: Resource) -> Option<Quantity> {
    resource.of(resources?.limits.as_ref())
}

/// As an unsigned number of units, rounded up; nothing becomes zero.
pub(super) fn units(quantity: Option<Quantity>) -> i64 {
    quantity.map_or(0, |quantity| quantity.value().max(0))
}

/// As an unsigned number of thousandths, rounded up; nothing becomes zero.
pub(super) fn thousandths(quantity: Option<Quantity>) -> i64 {
    quantity.map_or(0, |quantity| quantity.milli_value().max(0))
}
