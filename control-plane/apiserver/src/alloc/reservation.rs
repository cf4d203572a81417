//! The keys that hold addresses and ports for a Service.

use std::collections::BTreeSet;
use std::net::IpAddr;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;
use sheave_api::Document;
use sheave_api::view::View;
use sheave_store::{Expect, Operation};
use uuid::Uuid;

use crate::document;
use crate::meta::Meta;

/// Addresses and ports that one Service holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reservations {
    addresses: BTreeSet<IpAddr>,
    ports: BTreeSet<u16>,
}

pub(super) const ADDRESSES: &str = "/registry/networking.k8s.io/ipaddresses/";
pub(super) const PORTS: &str = "/registry/ranges/servicenodeports/";
/// By this label Kubernetes tells the addresses of Services from those that somebody else manages.
pub(super) const MANAGER: &str = "ipallocator.k8s.io";

// === impl Reservations ===

impl Reservations {
    /// What the Service says that it holds.
    pub(super) fn of(service: &Document) -> Self {
        let addresses = service.texts("spec.clusterIPs").filter_map(|address| address.parse().ok()).collect();
        let node_ports = service.list("spec.ports").iter().filter_map(|port| port.int("nodePort"));
        let ports = node_ports.chain(service.int("spec.healthCheckNodePort"));
        let ports = ports.filter_map(|port| u16::try_from(port).ok()).filter(|&port| port != 0).collect();
        Self { addresses, ports }
    }

    /// The keys with the values that reserve them for `service`.
    pub(super) fn entries(&self, service: &Document) -> Vec<(String, Bytes)> {
        let addresses = self.addresses.iter().map(|&it| (address_key(it), address_object(it, service)));
        let ports = self.ports.iter().map(|&port| (port_key(port), port_holder(service)));
        addresses.chain(ports).collect()
    }

    /// From what is held to what is wanted.
    pub(super) fn operations(&self, held: &Self, service: &Document) -> Vec<Operation> {
        let fresh = Self {
            addresses: self.addresses.difference(&held.addresses).copied().collect(),
            ports: self.ports.difference(&held.ports).copied().collect(),
        };
        let gone = held.addresses.difference(&self.addresses).map(|&address| address_key(address));
        let gone = gone.chain(held.ports.difference(&self.ports).map(|&port| port_key(port)));
        let reserve = fresh.entries(service).into_iter().map(|(key, value)| Operation::create(key, value));
        reserve.chain(gone.map(|key| Operation::delete(key, Expect::Any))).collect()
    }
}

pub(super) fn address_key(address: IpAddr) -> String {
    format!("{ADDRESSES}{address}")
}

pub(super) fn port_key(port: u16) -> String {
    format!("{PORTS}{port}")
}

fn port_holder(service: &Document) -> Bytes {
    Bytes::from(json!({"service": format!("{}/{}", service.namespace(), service.name())}).to_string())
}

fn address_object(address: IpAddr, service: &Document) -> Bytes {
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    document::encode(&mut json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {
            "name": address.to_string(),
            "uid": Uuid::new_v4().to_string(),
            "creationTimestamp": sheave_api::time::format(Timestamp::now()),
            "labels": {"ipaddress.kubernetes.io/ip-family": family, "ipaddress.kubernetes.io/managed-by": MANAGER},
        },
        "spec": {"parentRef": {
            "group": "", "resource": "services", "namespace": service.namespace(), "name": service.name()}},
    }))
}
