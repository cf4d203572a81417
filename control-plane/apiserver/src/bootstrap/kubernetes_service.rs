//! The Service `kubernetes`: how pods find this server, whose address may change from start to start.

use serde_json::{Value, json};
use sheave_api::Document;

use super::{Mode, Wanted};
use crate::alloc::nth;
use crate::options::Options;

const NAMESPACE: &str = "/api/v1/namespaces/default";

/// The Service on the first cluster IP, its endpoints on the advertised address, and the ranges that Services have.
pub(super) fn wanted(options: &Options) -> Vec<Wanted> {
    let service_cidrs = "/apis/networking.k8s.io/v1/servicecidrs".to_owned();
    let mut wanted = vec![
        Wanted { collection: service_cidrs, object: service_cidr(options), mode: Mode::Create },
        Wanted { collection: format!("{NAMESPACE}/services"), object: service(options), mode: Mode::Create },
    ];
    // A pod's loopback is not this machine's: a server that only listens there has no endpoint.
    if !options.advertise.ip().is_loopback() {
        let slice = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes".to_owned();
        let endpoints_path = format!("{NAMESPACE}/endpoints/kubernetes");
        wanted.push(Wanted { collection: endpoints_path, object: endpoints(options), mode: Mode::Apply });
        wanted.push(Wanted { collection: slice, object: endpoint_slice(options), mode: Mode::Apply });
    }
    wanted
}

fn metadata() -> Value {
    json!({"name": "kubernetes", "namespace": "default"})
}

fn service_cidr(options: &Options) -> Document {
    let cidrs: Vec<String> = options.service_cidrs.iter().map(ToString::to_string).collect();
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": cidrs}})
}

fn service(options: &Options) -> Document {
    let first = options.service_cidrs.first().map(|range| nth(range, 1).to_string());
    let mut metadata = metadata();
    metadata["labels"] = json!({"component": "apiserver", "provider": "kubernetes"});
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {
        "type": "ClusterIP", "clusterIP": first, "sessionAffinity": "None",
        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": options.advertise.port()}]}})
}

fn endpoints(options: &Options) -> Document {
    let mut metadata = metadata();
    metadata["labels"] = json!({"endpointslice.kubernetes.io/skip-mirror": "true"});
    json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": [{
        "addresses": [{"ip": options.advertise.ip().to_string()}],
        "ports": [{"name": "https", "port": options.advertise.port(), "protocol": "TCP"}]}]})
}

fn endpoint_slice(options: &Options) -> Document {
    let mut metadata = metadata();
    metadata["labels"] = json!({"kubernetes.io/service-name": "kubernetes"});
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
        "addressType": if options.advertise.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{"addresses": [options.advertise.ip().to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": options.advertise.port(), "protocol": "TCP"}]})
}
