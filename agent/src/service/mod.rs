//! What a node does with traffic to Services, by the rules that users know from kube-proxy.
//!
//! Everything here is pure: objects of the API become [`Service`]s and [`Slice`]s, the slices of a service become the
//! [`Endpoint`]s of one port, [`Selection`] says which of these may be used from this node, and [`frontends`] names
//! every address and port with what is done with its traffic. [`compile`] puts that together for a service, and
//! [`Tables::update`] turns it into ordered [`Change`]s of the kernel's tables. Nothing here talks to the kernel.

mod adopt;
mod arena;
mod compile;
mod endpoint;
mod frontend;
mod numbers;
mod plan;
mod selection;
mod slice;
mod spec;

pub use adopt::Snapshot;
pub use compile::{BackendAddress, Compiled, CompiledFrontend, CompiledPort, FrontendOrder, PolicyOrder, compile};
pub use endpoint::{Endpoint, EndpointState, endpoints_of};
pub use frontend::{Exposure, Frontend, FrontendAddress, Verdict, frontends};
pub use plan::{Capacity, Change, Refused, Tables};
pub use selection::{Place, Selection};
pub use slice::{Slice, SliceEndpoint, SlicePort};
pub use spec::{Affinity, InvalidField, Protocol, Service, ServiceName, ServicePort, TrafficPolicy};

#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod tests;
