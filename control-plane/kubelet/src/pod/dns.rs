//! What a pod asks for names: its `resolv.conf` from DNS policy, the pod's own wishes, and the node's file.

use std::collections::HashMap;
use std::net::IpAddr;

use k8s_cri::v1::DnsConfig;
use k8s_openapi::api::core::v1::Pod;

use super::spec;

/// As many servers as resolvers look at.
const MOST_SERVERS: usize = 3;
/// As many search domains as Kubernetes allows.
const MOST_SEARCHES: usize = 32;

/// The cluster's DNS, as the kubelet is told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterDns {
    /// Addresses of the servers; none when the cluster has no DNS.
    pub servers: Vec<IpAddr>,
    /// Such as `cluster.local`.
    pub domain: String,
}

/// What the pod's `resolv.conf` says; `node` is the text of the node's.
#[must_use]
pub fn config(pod: &Pod, cluster: &ClusterDns, node: &str) -> DnsConfig {
    let mut config = match Source::of(pod, cluster) {
        Source::Nothing => DnsConfig::default(),
        Source::Node => parse(node),
        Source::Cluster => of_cluster(pod, cluster, parse(node)),
    };
    add_own(pod, &mut config);
    config.servers.truncate(MOST_SERVERS);
    config.searches.truncate(MOST_SEARCHES);
    config
}

/// Whether the pod wants the cluster's DNS and there is none.
#[must_use]
pub fn is_missing(pod: &Pod, cluster: &ClusterDns) -> bool {
    cluster.servers.is_empty() && wants_cluster(pod)
}

enum Source {
    Nothing,
    Node,
    Cluster,
}

// === impl Source ===

impl Source {
    fn of(pod: &Pod, cluster: &ClusterDns) -> Self {
        match spec::spec(pod).dns_policy.as_deref() {
            Some("None") => Self::Nothing,
            Some(_) | None if wants_cluster(pod) && !cluster.servers.is_empty() => Self::Cluster,
            Some(_) | None => Self::Node,
        }
    }
}

fn wants_cluster(pod: &Pod) -> bool {
    match spec::spec(pod).dns_policy.as_deref() {
        Some("ClusterFirstWithHostNet") => true,
        Some("ClusterFirst") | None => !spec::is_on_host_network(pod),
        Some(_) => false,
    }
}

fn of_cluster(pod: &Pod, cluster: &ClusterDns, node: DnsConfig) -> DnsConfig {
    let (namespace, domain) = (spec::namespace(pod), &cluster.domain);
    let mut searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
    add_missing(&mut searches, node.searches);
    let servers = cluster.servers.iter().map(IpAddr::to_string).collect();
    DnsConfig { servers, searches, options: vec!["ndots:5".to_owned()] }
}

/// Adds what the pod's `dnsConfig` says; its options replace those of the same name.
fn add_own(pod: &Pod, config: &mut DnsConfig) {
    let Some(own) = &spec::spec(pod).dns_config else { return };
    add_missing(&mut config.servers, own.nameservers.clone().unwrap_or_default());
    add_missing(&mut config.searches, own.searches.clone().unwrap_or_default());
    let mut position: HashMap<String, usize> = HashMap::new();
    for (index, option) in config.options.iter().enumerate() {
        position.insert(option.split(':').next().unwrap_or_default().to_owned(), index);
    }
    for option in own.options.iter().flatten() {
        let name = option.name.clone().unwrap_or_default();
        let text = option.value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}:{value}"));
        match position.get(&name) {
            Some(&index) => config.options[index] = text,
            None => {
                position.insert(name, config.options.len());
                config.options.push(text);
            }
        }
    }
}

fn add_missing(list: &mut Vec<String>, more: Vec<String>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

/// Reads a `resolv.conf`; what is no directive of it is passed over.
fn parse(text: &str) -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => config.servers.extend(words.next().map(str::to_owned)),
            // The last one of these holds.
            Some("search" | "domain") => {
                config.searches = words.filter(|domain| *domain != ".").map(str::to_owned).collect();
            }
            Some("options") => config.options = words.map(str::to_owned).collect(),
            Some(_) | None => {}
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NODE: &str = "# the node's\nnameserver 192.0.2.53\nsearch example.org .\noptions edns0\n";

    fn cluster() -> ClusterDns {
        ClusterDns { servers: vec!["10.96.0.10".parse().unwrap()], domain: "cluster.local".into() }
    }

    fn text(spec: Value, cluster: &ClusterDns) -> String {
        let pod = json!({ "metadata": { "namespace": "blue" }, "spec": spec });
        let config = config(&serde_json::from_value(pod).unwrap(), cluster, NODE);
        format!("{} | {} | {}", config.servers.join(" "), config.searches.join(" "), config.options.join(" "))
    }

    #[test]
    fn the_policy_says_whom_a_pod_asks() {
        let of_cluster = "10.96.0.10 | blue.svc.cluster.local svc.cluster.local cluster.local example.org | ndots:5";
        let of_node = "192.0.2.53 | example.org | edns0";
        for (spec, expected) in [
            (json!({ "containers": [] }), of_cluster),
            (json!({ "containers": [], "dnsPolicy": "ClusterFirst" }), of_cluster),
            (json!({ "containers": [], "dnsPolicy": "ClusterFirst", "hostNetwork": true }), of_node),
            (json!({ "containers": [], "dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true }), of_cluster),
            (json!({ "containers": [], "dnsPolicy": "Default" }), of_node),
            (json!({ "containers": [], "dnsPolicy": "None" }), " |  | "),
        ] {
            assert_eq!(text(spec.clone(), &cluster()), expected, "{spec}");
        }
        assert_eq!(text(json!({ "containers": [] }), &ClusterDns::default()), of_node);
    }

    #[test]
    fn what_the_pod_wishes_is_added_and_its_options_win() {
        let own = json!({
            "nameservers": ["192.0.2.1", "10.96.0.10"], "searches": ["a.b", "cluster.local"],
            "options": [{ "name": "ndots", "value": "2" }, { "name": "edns0" }],
        });
        assert_eq!(
            text(json!({ "containers": [], "dnsConfig": own }), &cluster()),
            "10.96.0.10 192.0.2.1 | blue.svc.cluster.local svc.cluster.local cluster.local example.org a.b | ndots:2 edns0"
        );
    }
}
