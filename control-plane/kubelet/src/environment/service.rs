//! Variables that tell a container of Services: `REDIS_SERVICE_HOST`, `REDIS_PORT_6379_TCP_ADDR`.
//!
//! Names and values are those of `pkg/kubelet/envvars`, the second sort after Docker's links.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Service, ServicePort};

/// The namespace and the name of the Service that every pod is told of.
const API_SERVER: (&str, &str) = ("default", "kubernetes");

/// The variables for a pod of `namespace`: of the API server always, of the namespace's Services where links are on.
pub(super) fn service_variables<'a>(
    services: impl IntoIterator<Item = &'a Service>,
    namespace: &str,
    links: bool,
) -> BTreeMap<String, String> {
    let mut told: BTreeMap<&str, &Service> = BTreeMap::new();
    for service in services {
        let metadata = &service.metadata;
        let (Some(own), Some(name)) = (metadata.namespace.as_deref(), metadata.name.as_deref()) else { continue };
        if links && own == namespace {
            told.insert(name, service);
        } else if (own, name) == API_SERVER {
            // One of that name in the pod's own namespace comes first.
            told.entry(name).or_insert(service);
        }
    }
    let mut variables = BTreeMap::new();
    told.into_iter().for_each(|(name, service)| add(&mut variables, name, service));
    variables
}

fn add(variables: &mut BTreeMap<String, String>, name: &str, service: &Service) {
    let Some(spec) = &service.spec else { return };
    let Some(address) = spec.cluster_ip.as_deref().filter(|address| !address.is_empty() && *address != "None") else {
        return;
    };
    let ports = spec.ports.as_deref().unwrap_or_default();
    let prefix = variable_name(name);
    variables.insert(format!("{prefix}_SERVICE_HOST"), address.to_owned());
    if let Some(first) = ports.first() {
        variables.insert(format!("{prefix}_SERVICE_PORT"), first.port.to_string());
        variables.insert(format!("{prefix}_PORT"), url(address, first));
    }
    for port in ports {
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            variables.insert(format!("{prefix}_SERVICE_PORT_{}", variable_name(name)), port.port.to_string());
        }
        let link = format!("{prefix}_PORT_{}_{}", port.port, protocol(port));
        variables.insert(format!("{link}_PROTO"), protocol(port).to_lowercase());
        variables.insert(format!("{link}_PORT"), port.port.to_string());
        variables.insert(format!("{link}_ADDR"), address.to_owned());
        variables.insert(link, url(address, port));
    }
}

fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

fn url(address: &str, port: &ServicePort) -> String {
    let is_v6 = matches!(address.parse(), Ok(IpAddr::V6(_)));
    let host = if is_v6 { format!("[{address}]") } else { address.to_owned() };
    format!("{}://{host}:{}", protocol(port).to_lowercase(), port.port)
}

fn variable_name(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(namespace: &str, name: &str, address: &str, ports: serde_json::Value) -> Service {
        serde_json::from_value(json!({
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"clusterIP": address, "ports": ports},
        }))
        .unwrap()
    }

    #[test]
    fn a_service_gives_a_host_its_ports_and_links() {
        let ports =
            json!([{"name": "p-1", "port": 80, "protocol": "TCP"}, {"name": "q", "port": 53, "protocol": "UDP"}]);
        let services = [service("shop", "my-redis", "10.96.0.9", ports)];
        let expected = [
            ("MY_REDIS_PORT", "tcp://10.96.0.9:80"),
            ("MY_REDIS_PORT_53_UDP", "udp://10.96.0.9:53"),
            ("MY_REDIS_PORT_53_UDP_ADDR", "10.96.0.9"),
            ("MY_REDIS_PORT_53_UDP_PORT", "53"),
            ("MY_REDIS_PORT_53_UDP_PROTO", "udp"),
            ("MY_REDIS_PORT_80_TCP", "tcp://10.96.0.9:80"),
            ("MY_REDIS_PORT_80_TCP_ADDR", "10.96.0.9"),
            ("MY_REDIS_PORT_80_TCP_PORT", "80"),
            ("MY_REDIS_PORT_80_TCP_PROTO", "tcp"),
            ("MY_REDIS_SERVICE_HOST", "10.96.0.9"),
            ("MY_REDIS_SERVICE_PORT", "80"),
            ("MY_REDIS_SERVICE_PORT_P_1", "80"),
            ("MY_REDIS_SERVICE_PORT_Q", "53"),
        ];
        let made = service_variables(&services, "shop", true);
        assert_eq!(made.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_api_server_is_always_told_others_only_to_their_namespace_with_links_on() {
        let port = json!([{"port": 443}]);
        let services = [
            service("default", "kubernetes", "10.96.0.1", port.clone()),
            service("default", "other", "10.96.0.2", port.clone()),
            service("shop", "own", "10.96.0.3", port.clone()),
            service("shop", "headless", "None", port),
        ];
        let hosts = |namespace, links| {
            let made = service_variables(&services, namespace, links);
            made.keys().filter(|name| name.ends_with("_HOST")).cloned().collect::<Vec<_>>()
        };
        assert_eq!(hosts("shop", true), ["KUBERNETES_SERVICE_HOST", "OWN_SERVICE_HOST"]);
        assert_eq!(hosts("shop", false), ["KUBERNETES_SERVICE_HOST"]);
        assert_eq!(hosts("default", true), ["KUBERNETES_SERVICE_HOST", "OTHER_SERVICE_HOST"]);
    }

    #[test]
    fn ones_own_kubernetes_hides_the_api_server_in_any_order() {
        let port = json!([{"port": 443}]);
        let mut services =
            [service("default", "kubernetes", "10.96.0.1", port.clone()), service("a", "kubernetes", "fd00::9", port)];
        for _ in 0..2 {
            let made = service_variables(&services, "a", true);
            assert_eq!(made["KUBERNETES_SERVICE_HOST"], "fd00::9");
            assert_eq!(made["KUBERNETES_PORT"], "tcp://[fd00::9]:443");
            services.reverse();
        }
    }
}
