//! Node ports and health-check ports.

use std::collections::BTreeSet;

use sheave_api::Document;
use sheave_api::field::{Cause, FieldError, Path};
use sheave_api::view::{Edit, View};
use sheave_store::Store;

use super::reservation::port_key;
use crate::options::Options;

const PROBES: u32 = 64;

/// A search for free ports on behalf of one Service.
struct Search<'a> {
    store: &'a Store,
    options: &'a Options,
    /// Ports that this Service holds or has chosen.
    own: BTreeSet<u16>,
}

/// Gives each port that needs a node port one, and the Service a health-check port if it needs one.
pub(super) fn complete(
    store: &Store,
    options: &Options,
    service: &mut Document,
    old: Option<&Document>,
    errors: &mut Vec<FieldError>,
) {
    let held: BTreeSet<u16> = old.map(ports_of).unwrap_or_default();
    let mut search = Search { store, options, own: held };
    let needs = needs_node_ports(service);
    let path = Path::new("spec").child("ports");
    // Those that are asked for come first, so that none of them is chosen for another port.
    for (index, port) in service.list("spec.ports").iter().enumerate() {
        search.take(number(port, "nodePort"), &path.index(index).child("nodePort"), errors);
    }
    for (index, port) in service.list_mut("spec.ports").iter_mut().enumerate().filter(|_| needs) {
        if number(port, "nodePort") == 0 {
            search.choose(port, "nodePort", &path.index(index).child("nodePort"), errors);
        }
    }
    complete_health_check(&mut search, service, errors);
}

fn complete_health_check(search: &mut Search<'_>, service: &mut Document, errors: &mut Vec<FieldError>) {
    let path = Path::new("spec").child("healthCheckNodePort");
    match number(service, "spec.healthCheckNodePort") {
        0 if needs_health_check(service) => search.choose(service, "spec.healthCheckNodePort", &path, errors),
        0 => {}
        port => search.take(port, &path, errors),
    }
}

fn needs_node_ports(service: &Document) -> bool {
    match service.text("spec.type") {
        "NodePort" => true,
        "LoadBalancer" => service.at("spec.allocateLoadBalancerNodePorts").as_bool().unwrap_or(true),
        _ => false,
    }
}

fn needs_health_check(service: &Document) -> bool {
    service.text("spec.type") == "LoadBalancer" && service.text("spec.externalTrafficPolicy") == "Local"
}

fn number(document: &Document, path: &str) -> u16 {
    document.int(path).and_then(|port| u16::try_from(port).ok()).unwrap_or(0)
}

fn ports_of(service: &Document) -> BTreeSet<u16> {
    let ports = service.list("spec.ports").iter().map(|port| number(port, "nodePort"));
    ports.chain([number(service, "spec.healthCheckNodePort")]).filter(|&port| port != 0).collect()
}

// === impl Search ===

impl Search<'_> {
    /// Takes a port that the user names; the same one may serve several protocols of one Service.
    fn take(&mut self, port: u16, path: &Path, errors: &mut Vec<FieldError>) {
        if port == 0 || self.own.contains(&port) {
            return;
        }
        let range = &self.options.node_ports;
        if !range.contains(&port) {
            let why = format!(
                "provided port is not in the valid range. The range of valid ports is {}-{}",
                range.start(),
                range.end()
            );
            errors.push(invalid(path, port, &why));
        } else if self.store.get(&port_key(port)).is_some() {
            errors.push(invalid(path, port, "provided port is already allocated"));
        } else {
            self.own.insert(port);
        }
    }

    fn choose(&mut self, document: &mut Document, field: &str, path: &Path, errors: &mut Vec<FieldError>) {
        match self.free() {
            Some(port) => {
                self.own.insert(port);
                document.put(field, port);
            }
            None => errors.push(FieldError {
                path: path.clone(),
                cause: Cause::Internal,
                message: "Internal error: failed to allocate a nodePort: range is full".to_owned(),
            }),
        }
    }

    /// Random ports from the upper part of the range first (KEP-3668 keeps the lower one for ports that users name).
    fn free(&self) -> Option<u16> {
        let (first, last) = (*self.options.node_ports.start(), *self.options.node_ports.end());
        let band = ((last.saturating_sub(first)) / 32).clamp(16, 128);
        let dynamic = first.saturating_add(band).min(last);
        let is_free = |&port: &u16| !self.own.contains(&port) && self.store.get(&port_key(port)).is_none();
        let probe = |_| rand::random_range(dynamic..=last);
        (0..PROBES).map(probe).find(is_free).or_else(|| (dynamic..=last).chain(first..dynamic).find(is_free))
    }
}

fn invalid(path: &Path, port: u16, why: &str) -> FieldError {
    FieldError { path: path.clone(), cause: Cause::Invalid, message: format!("Invalid value: {port}: {why}") }
}
