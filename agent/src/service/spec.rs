//! Services as the API has them, reduced to what a node needs.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ipnetwork::IpNetwork;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// A service's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceName {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name within it.
    pub name: Arc<str>,
}

/// A service that this node serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Which one.
    pub name: ServiceName,
    /// `spec.clusterIPs`: one of each family at most.
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// Addresses of `status.loadBalancer` that the node answers for: those without `ipMode: Proxy` (KEP-1860).
    pub load_balancer_ips: Vec<IpAddr>,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
    /// Whether a client stays on its endpoint.
    pub affinity: Affinity,
    /// Which endpoints serve traffic from pods and nodes to the cluster IPs.
    pub internal_policy: TrafficPolicy,
    /// Which endpoints serve traffic from outside.
    pub external_policy: TrafficPolicy,
    /// `spec.loadBalancerSourceRanges`: who may use the load balancer's addresses; everybody where it is empty.
    pub source_ranges: Vec<IpNetwork>,
    /// Where a load balancer asks whether this node has endpoints (`spec.healthCheckNodePort`).
    pub health_check_node_port: Option<u16>,
}

/// One port of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name; empty where the service has only one.
    pub name: Arc<str>,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The port on the service's addresses.
    pub port: u16,
    /// The port on every node.
    pub node_port: Option<u16>,
}

/// A transport protocol that services can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Which endpoints may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrafficPolicy {
    /// All of them.
    Cluster,
    /// Those on this node.
    Local,
}

/// `spec.sessionAffinity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Affinity {
    /// Every connection is balanced anew.
    None,
    /// A client's address keeps its endpoint until it was silent for so long.
    ClientIp(Duration),
}

/// A field that was left out because it cannot be read. The API server's validation keeps such values from coming.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{object}: {field} is {value:?}, which is left out: it must be {rule}")]
pub struct InvalidField {
    /// The object, as `Kind namespace/name`.
    pub object: String,
    /// The field's path.
    pub field: &'static str,
    /// What it says.
    pub value: String,
    /// What it should say.
    pub rule: &'static str,
}

/// Services and slices with this label are another proxy's.
const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
/// Kubernetes' default for `clientIP.timeoutSeconds`: three hours.
const DEFAULT_AFFINITY_SECONDS: i32 = 10_800;

// === impl Service ===

impl Service {
    /// Reads a Service of the API: nothing for one that no node serves (headless, ExternalName, another proxy's), and
    /// complaints about fields that had to be left out.
    #[must_use]
    pub fn read(object: &core::Service) -> (Option<Self>, Vec<InvalidField>) {
        let Some(spec) = &object.spec else { return (None, Vec::new()) };
        let is_external_name = spec.type_.as_deref() == Some("ExternalName");
        let is_headless = spec.cluster_ip.as_deref().is_none_or(|address| address.is_empty() || address == "None");
        if is_external_name || is_headless || is_foreign(&object.metadata) {
            return (None, Vec::new());
        }
        let mut fields = Fields::of("Service", &object.metadata);
        let service = Self {
            name: ServiceName::of(&object.metadata, object.metadata.name.as_deref().unwrap_or_default()),
            cluster_ips: fields.cluster_ips(spec),
            external_ips: fields.addresses("spec.externalIPs", spec.external_ips.iter().flatten()),
            load_balancer_ips: fields.load_balancer_ips(object.status.as_ref()),
            ports: fields.ports(spec),
            affinity: affinity(spec),
            internal_policy: TrafficPolicy::read(spec.internal_traffic_policy.as_deref()),
            external_policy: TrafficPolicy::read(spec.external_traffic_policy.as_deref()),
            source_ranges: fields.source_ranges(spec),
            health_check_node_port: spec
                .health_check_node_port
                .and_then(|port| u16::try_from(port).ok())
                .filter(|it| *it != 0),
        };
        (Some(service), fields.complaints)
    }
}

/// Whether another proxy than the node's own serves an object.
pub(super) fn is_foreign(metadata: &ObjectMeta) -> bool {
    metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(PROXY_NAME))
}

fn affinity(spec: &core::ServiceSpec) -> Affinity {
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return Affinity::None;
    }
    let client_ip = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    let seconds = client_ip.and_then(|client_ip| client_ip.timeout_seconds).unwrap_or(DEFAULT_AFFINITY_SECONDS);
    Affinity::ClientIp(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
}

// === impl ServiceName ===

impl ServiceName {
    /// The service of this name in an object's namespace.
    pub(super) fn of(metadata: &ObjectMeta, name: &str) -> Self {
        Self { namespace: metadata.namespace.as_deref().unwrap_or_default().into(), name: name.into() }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

// === impl Protocol ===

impl Protocol {
    /// Reads the API's word for it; a missing one is TCP.
    #[must_use]
    pub fn read(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("TCP" | "") => Some(Self::Tcp),
            Some("UDP") => Some(Self::Udp),
            Some("SCTP") => Some(Self::Sctp),
            Some(_) => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

// === impl TrafficPolicy ===

impl TrafficPolicy {
    fn read(text: Option<&str>) -> Self {
        if text == Some("Local") { Self::Local } else { Self::Cluster }
    }
}

// === Fields ===

/// Reads fields of one object and keeps complaints about those that cannot be read.
pub(super) struct Fields {
    object: String,
    pub(super) complaints: Vec<InvalidField>,
}

impl Fields {
    pub(super) fn of(kind: &str, metadata: &ObjectMeta) -> Self {
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let name = metadata.name.as_deref().unwrap_or_default();
        Self { object: format!("{kind} {namespace}/{name}"), complaints: Vec::new() }
    }

    /// The value, unless it cannot be read.
    pub(super) fn parse<T: FromStr>(&mut self, field: &'static str, text: &str, rule: &'static str) -> Option<T> {
        let value = text.parse().ok();
        if value.is_none() {
            self.complain(field, text, rule);
        }
        value
    }

    /// A port that is not 0.
    pub(super) fn port(&mut self, field: &'static str, number: i32) -> Option<u16> {
        let port = u16::try_from(number).ok().filter(|port| *port != 0);
        if port.is_none() {
            self.complain(field, &number.to_string(), "between 1 and 65535");
        }
        port
    }

    pub(super) fn protocol(&mut self, field: &'static str, text: Option<&str>) -> Option<Protocol> {
        let protocol = Protocol::read(text);
        if protocol.is_none() {
            self.complain(field, text.unwrap_or_default(), "TCP, UDP or SCTP");
        }
        protocol
    }

    fn complain(&mut self, field: &'static str, value: &str, rule: &'static str) {
        self.complaints.push(InvalidField { object: self.object.clone(), field, value: value.to_owned(), rule });
    }

    fn addresses<'a>(&mut self, field: &'static str, texts: impl Iterator<Item = &'a String>) -> Vec<IpAddr> {
        texts.filter_map(|text| self.parse(field, text, "an IP address")).collect()
    }

    fn cluster_ips(&mut self, spec: &core::ServiceSpec) -> Vec<IpAddr> {
        match spec.cluster_ips.as_deref() {
            // From an API server that knows no dual stack.
            None | Some([]) => self.addresses("spec.clusterIP", spec.cluster_ip.iter()),
            Some(addresses) => self.addresses("spec.clusterIPs", addresses.iter()),
        }
    }

    fn load_balancer_ips(&mut self, status: Option<&core::ServiceStatus>) -> Vec<IpAddr> {
        let ingress = status.and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
        let answered_here = ingress.into_iter().flatten().filter(|ingress| ingress.ip_mode.as_deref() != Some("Proxy"));
        self.addresses("status.loadBalancer.ingress.ip", answered_here.filter_map(|ingress| ingress.ip.as_ref()))
    }

    fn ports(&mut self, spec: &core::ServiceSpec) -> Vec<ServicePort> {
        let mut ports = Vec::new();
        for port in spec.ports.iter().flatten() {
            let protocol = self.protocol("spec.ports.protocol", port.protocol.as_deref());
            let number = self.port("spec.ports.port", port.port);
            let Some((protocol, number)) = protocol.zip(number) else { continue };
            let node_port = port.node_port.filter(|port| *port != 0);
            ports.push(ServicePort {
                name: port.name.as_deref().unwrap_or_default().into(),
                protocol,
                port: number,
                node_port: node_port.and_then(|port| self.port("spec.ports.nodePort", port)),
            });
        }
        ports
    }

    fn source_ranges(&mut self, spec: &core::ServiceSpec) -> Vec<IpNetwork> {
        let texts = spec.load_balancer_source_ranges.iter().flatten();
        // Kubernetes trims them, and old objects were stored with spaces.
        texts
            .filter_map(|text| self.parse("spec.loadBalancerSourceRanges", text.trim(), "a network in CIDR form"))
            .collect()
    }
}
