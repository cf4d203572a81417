//! How an API server is set up.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ipnetwork::IpNetwork;

use crate::authn::TokenKeys;
use crate::connect::Connect;

/// Settings of an API server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where other machines reach this server: the endpoint of the `kubernetes` Service, which has none while this is a
    /// loopback address.
    pub advertise: SocketAddr,
    /// The ranges of cluster IPs; the first one is the primary family. One or two, of different families.
    pub service_cidrs: Vec<IpNetwork>,
    /// The range of node ports.
    pub node_ports: RangeInclusive<u16>,
    /// `iss` of service-account tokens, and their default audience.
    pub issuer: String,
    /// The keys of service-account tokens. None: new ones at every start, so that no token outlives the process.
    pub token_keys: Option<Arc<TokenKeys>>,
    /// How long an event stays after it was last written.
    pub event_ttl: Duration,
    /// The way to nodes, pods and services. None: logs, exec, port-forward and proxies are answered with 503.
    pub connector: Option<Arc<dyn Connect>>,
}

// === impl Options ===

impl Default for Options {
    /// Kubernetes' defaults.
    fn default() -> Self {
        Self {
            advertise: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6443),
            service_cidrs: default_service_cidrs(),
            node_ports: 30000..=32767,
            issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
            token_keys: None,
            event_ttl: Duration::from_secs(3600),
            connector: None,
        }
    }
}

/// 10.96.0.0/12 and fd00:96::/112.
fn default_service_cidrs() -> Vec<IpNetwork> {
    ["10.96.0.0/12", "fd00:96::/112"].iter().filter_map(|cidr| cidr.parse().ok()).collect()
}
