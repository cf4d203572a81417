//! The endpoints of one port of a service, gathered from its slices.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::EndpointConditions;

use super::slice::{Slice, SliceEndpoint};
use super::spec::ServicePort;

/// Where traffic of one service port may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port there.
    pub port: u16,
    /// The node that it runs on, if that is known.
    pub node: Option<Arc<str>>,
    /// Whether it may be used.
    pub state: EndpointState,
    /// Zones whose traffic it should have.
    pub zones: Box<[Arc<str>]>,
    /// Nodes whose traffic it should have.
    pub nodes: Box<[Arc<str>]>,
}

/// Whether an endpoint may be used (KEP-1669), from the worst to the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndpointState {
    /// No.
    Unusable,
    /// It is about to end but still serves: better than none.
    ServingTerminating,
    /// Yes.
    Ready,
}

/// The endpoints of a port in all slices of its service, of one address family, in the order of their addresses.
///
/// An endpoint may stand in two slices while it moves from one to the other; its better state counts.
#[must_use]
pub fn endpoints_of<'a>(
    slices: impl IntoIterator<Item = &'a Slice>,
    port: &ServicePort,
    is_ipv4: bool,
) -> Vec<Endpoint> {
    let mut endpoints: BTreeMap<(IpAddr, u16), Endpoint> = BTreeMap::new();
    for slice in slices {
        let ports = slice.ports.iter().filter(|it| it.name == port.name && it.protocol == port.protocol);
        for number in ports.map(|port| port.port) {
            for found in slice.endpoints.iter().filter(|it| it.address.is_ipv4() == is_ipv4) {
                let known = endpoints.entry((found.address, number)).or_insert_with(|| Endpoint::of(found, number));
                if known.state < found.state {
                    *known = Endpoint::of(found, number);
                }
            }
        }
    }
    endpoints.into_values().collect()
}

// === impl Endpoint ===

impl Endpoint {
    fn of(found: &SliceEndpoint, port: u16) -> Self {
        let SliceEndpoint { address, node, state, zones, nodes } = found.clone();
        Self { address, port, node, state, zones, nodes }
    }

    /// Whether it runs on this node.
    #[must_use]
    pub fn is_on(&self, node: &str) -> bool {
        self.node.as_deref() == Some(node)
    }
}

// === impl EndpointState ===

impl EndpointState {
    /// What is not said counts as ready and as not terminating (the API's definition).
    pub(super) fn read(conditions: Option<&EndpointConditions>) -> Self {
        let Some(conditions) = conditions else { return Self::Ready };
        let is_terminating = conditions.terminating.unwrap_or(false);
        match (conditions.ready.unwrap_or(true), conditions.serving.unwrap_or(true) && is_terminating) {
            (true, _) => Self::Ready,
            (false, true) => Self::ServingTerminating,
            (false, false) => Self::Unusable,
        }
    }
}
