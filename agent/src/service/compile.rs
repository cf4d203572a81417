//! A service and its slices as rows of tables, without numbers: what the kernel should know of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use dataplane_common::{FrontendKey, IpProtocol};

use super::endpoint::{Endpoint, endpoints_of};
use super::frontend::{Exposure, Frontend, FrontendAddress, Verdict, frontends};
use super::selection::{Place, Selection};
use super::slice::Slice;
use super::spec::{Affinity, Protocol, Service, TrafficPolicy};

/// What the kernel should know of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// One for each port and address family.
    pub ports: Vec<CompiledPort>,
}

/// One port of a service in one address family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledPort {
    /// The port's name; empty where the service has only one.
    pub name: Arc<str>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its address family.
    pub is_ipv4: bool,
    /// Every address and port, with what is done there.
    pub frontends: BTreeMap<FrontendOrder, CompiledFrontend>,
    /// The backends behind verdicts, by policy: sorted, without repetition, none of them empty.
    pub backends: BTreeMap<PolicyOrder, Arc<[BackendAddress]>>,
}

/// A frontend's key in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrontendOrder(FrontendAddress, u16);

/// A policy in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyOrder {
    /// [`TrafficPolicy::Cluster`].
    Cluster,
    /// [`TrafficPolicy::Local`].
    Local,
}

/// What is done with traffic to one frontend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompiledFrontend {
    /// The key in the kernel's table.
    pub key: FrontendKey,
    /// For clients within.
    pub inside: Verdict,
    /// For all others.
    pub outside: Verdict,
    /// Whether source ranges say who may use it.
    pub is_filtered: bool,
    /// Whether traffic from outside stays on the node that it comes to.
    pub is_local_outside: bool,
    /// After how many seconds of silence a client may get another backend; 0 without affinity.
    pub affinity_seconds: u32,
}

/// A backend's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendAddress {
    /// The address.
    pub address: IpAddr,
    /// The port there.
    pub port: u16,
    /// The transport protocol.
    pub protocol: Protocol,
}

/// What the kernel should know of a service at a place.
#[must_use]
pub fn compile<'a>(service: &Service, slices: impl IntoIterator<Item = &'a Slice> + Clone, place: &Place) -> Compiled {
    let mut ports = Vec::new();
    for is_ipv4 in [true, false] {
        if !service.cluster_ips.iter().any(|address| address.is_ipv4() == is_ipv4) {
            continue;
        }
        for port in &service.ports {
            let endpoints = endpoints_of(slices.clone(), port, is_ipv4);
            let selection = Selection::of(&endpoints, place);
            let frontends = frontends(service, port, is_ipv4, &selection);
            ports.push(CompiledPort {
                name: port.name.clone(),
                protocol: port.protocol,
                is_ipv4,
                backends: backends(&frontends, &selection, &endpoints, port.protocol),
                frontends: frontends.iter().map(|it| CompiledFrontend::of(it, service)).collect(),
            });
        }
    }
    Compiled { ports }
}

/// The backends of each policy that a verdict names.
fn backends(
    frontends: &[Frontend],
    selection: &Selection,
    endpoints: &[Endpoint],
    protocol: Protocol,
) -> BTreeMap<PolicyOrder, Arc<[BackendAddress]>> {
    let mut backends = BTreeMap::new();
    for verdict in frontends.iter().flat_map(|frontend| [frontend.inside, frontend.outside]) {
        let Verdict::Balance { policy, .. } = verdict else { continue };
        backends.entry(policy.into()).or_insert_with(|| {
            let chosen = selection.under(policy).iter().filter_map(|index| endpoints.get(*index));
            chosen.map(|it| BackendAddress { address: it.address, port: it.port, protocol }).collect()
        });
    }
    backends
}

// === impl CompiledPort ===

impl CompiledPort {
    /// Whether both are the same port of a service, whatever is known of it.
    pub(super) fn is_same_port(&self, other: &Self) -> bool {
        (&self.name, self.protocol, self.is_ipv4) == (&other.name, other.protocol, other.is_ipv4)
    }
}

// === impl CompiledFrontend ===

impl CompiledFrontend {
    fn of(frontend: &Frontend, service: &Service) -> (FrontendOrder, Self) {
        let protocol = IpProtocol::from(frontend.protocol);
        let key = match frontend.address {
            FrontendAddress::Ip(address) => FrontendKey::new(address.into(), frontend.port, protocol),
            FrontendAddress::Node { is_ipv4 } => FrontendKey::node_port(is_ipv4, frontend.port, protocol),
        };
        let affinity_seconds = match service.affinity {
            Affinity::None => 0,
            Affinity::ClientIp(timeout) => u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX),
        };
        let Frontend { inside, outside, is_filtered, .. } = *frontend;
        let is_local_outside =
            frontend.exposure != Exposure::ClusterIp && service.external_policy == TrafficPolicy::Local;
        let order = FrontendOrder(frontend.address, frontend.port);
        (order, Self { key, inside, outside, is_filtered, is_local_outside, affinity_seconds })
    }
}

// === impl PolicyOrder ===

impl From<TrafficPolicy> for PolicyOrder {
    fn from(policy: TrafficPolicy) -> Self {
        match policy {
            TrafficPolicy::Cluster => Self::Cluster,
            TrafficPolicy::Local => Self::Local,
        }
    }
}

// === impl BackendAddress ===

impl BackendAddress {
    /// What a backend's places in tables follow from: the same on every node (FNV-1a).
    #[must_use]
    pub fn identity(&self) -> u64 {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        dataplane_common::IpAddress::from(self.address).octets().into_iter().for_each(&mut add);
        self.port.to_be_bytes().into_iter().for_each(&mut add);
        add(IpProtocol::from(self.protocol).0);
        hash
    }
}

// === impl IpProtocol ===

impl From<Protocol> for IpProtocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::TCP,
            Protocol::Udp => Self::UDP,
            // RFC 9260; IANA's number.
            Protocol::Sctp => Self(132),
        }
    }
}
