//! EndpointSlices as the API has them, reduced to what a node needs.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::discovery::v1 as discovery;

use super::endpoint::EndpointState;
use super::spec::{Fields, InvalidField, Protocol, ServiceName, is_foreign};

/// A part of a service's endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Its name in the service's namespace.
    pub name: Arc<str>,
    /// The service.
    pub service: ServiceName,
    /// The ports that all endpoints of the slice have.
    pub ports: Vec<SlicePort>,
    /// Who serves.
    pub endpoints: Vec<SliceEndpoint>,
}

/// A port of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePort {
    /// The name of the service's port; empty where it has only one.
    pub name: Arc<str>,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The port on the endpoints.
    pub port: u16,
}

/// One that serves, whatever the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// Its address. The API allows more; Kubernetes says that proxies use the first.
    pub address: IpAddr,
    /// The node that it runs on, if that is known.
    pub node: Option<Arc<str>>,
    /// Whether it may be used.
    pub state: EndpointState,
    /// Zones whose traffic it should have (`hints.forZones`).
    pub zones: Box<[Arc<str>]>,
    /// Nodes whose traffic it should have (`hints.forNodes`).
    pub nodes: Box<[Arc<str>]>,
}

/// The service that a slice belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// On slices of headless services, whose names DNS resolves to the endpoints themselves.
const HEADLESS: &str = "service.kubernetes.io/headless";

// === impl Slice ===

impl Slice {
    /// Reads an EndpointSlice of the API: nothing for one that no node serves (without a service, of a headless one, of
    /// domain names, another proxy's), and complaints about fields that had to be left out.
    #[must_use]
    pub fn read(object: &discovery::EndpointSlice) -> (Option<Self>, Vec<InvalidField>) {
        let labels = object.metadata.labels.as_ref();
        let service = labels.and_then(|labels| labels.get(SERVICE_NAME)).filter(|name| !name.is_empty());
        let is_headless = labels.is_some_and(|labels| labels.contains_key(HEADLESS));
        let Some(service) = service.filter(|_| !is_headless && !is_foreign(&object.metadata)) else {
            return (None, Vec::new());
        };
        if !matches!(object.address_type.as_str(), "IPv4" | "IPv6") {
            return (None, Vec::new());
        }
        let mut fields = Fields::of("EndpointSlice", &object.metadata);
        let slice = Self {
            name: object.metadata.name.as_deref().unwrap_or_default().into(),
            service: ServiceName::of(&object.metadata, service),
            ports: object.ports.iter().flatten().filter_map(|port| SlicePort::read(port, &mut fields)).collect(),
            endpoints: object.endpoints.iter().filter_map(|it| SliceEndpoint::read(it, &mut fields)).collect(),
        };
        (Some(slice), fields.complaints)
    }
}

// === impl SlicePort ===

impl SlicePort {
    /// A port without a number stands for all ports, which a service cannot use.
    fn read(port: &discovery::EndpointPort, fields: &mut Fields) -> Option<Self> {
        let number = fields.port("ports.port", port.port?)?;
        let protocol = fields.protocol("ports.protocol", port.protocol.as_deref())?;
        Some(Self { name: port.name.as_deref().unwrap_or_default().into(), protocol, port: number })
    }
}

// === impl SliceEndpoint ===

impl SliceEndpoint {
    fn read(endpoint: &discovery::Endpoint, fields: &mut Fields) -> Option<Self> {
        let address = fields.parse("endpoints.addresses", endpoint.addresses.first()?, "an IP address")?;
        let hints = endpoint.hints.as_ref();
        let zones = hints.and_then(|hints| hints.for_zones.as_ref()).into_iter().flatten();
        let nodes = hints.and_then(|hints| hints.for_nodes.as_ref()).into_iter().flatten();
        Some(Self {
            address,
            node: endpoint.node_name.as_deref().map(Into::into),
            state: EndpointState::read(endpoint.conditions.as_ref()),
            zones: zones.map(|zone| zone.name.as_str().into()).collect(),
            nodes: nodes.map(|node| node.name.as_str().into()).collect(),
        })
    }
}
