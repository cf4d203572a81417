//! The `/etc/hosts` of a pod's containers, and the pod's host name.

use std::fmt::Write as _;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::spec;

/// The longest host name that Linux takes.
const LONGEST_NAME: usize = 63;

/// The pod's host name; on the node's network, the node's.
#[must_use]
pub fn hostname(pod: &Pod, node: &str, cluster_domain: &str) -> String {
    if spec::is_on_host_network(pod) {
        return node.to_owned();
    }
    if let Some(name) = &spec::spec(pod).hostname_override {
        return name.clone();
    }
    let name = short_name(pod);
    match fully_qualified(pod, &name, cluster_domain) {
        Some(full) if spec::spec(pod).set_hostname_as_fqdn == Some(true) && full.len() <= 64 => full,
        Some(_) | None => name,
    }
}

/// `spec.hostname`, else the pod's name as far as a host name may be long.
fn short_name(pod: &Pod) -> String {
    let name = spec::spec(pod).hostname.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| pod.name_any());
    let cut: String = name.chars().take(LONGEST_NAME).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// `name.subdomain.namespace.svc.cluster.local` of a pod with a subdomain.
fn fully_qualified(pod: &Pod, name: &str, cluster_domain: &str) -> Option<String> {
    let subdomain = spec::spec(pod).subdomain.as_deref().filter(|subdomain| !subdomain.is_empty())?;
    Some(format!("{name}.{subdomain}.{}.svc.{cluster_domain}", spec::namespace(pod)))
}

/// The file's text, for a pod with these addresses. On the node's network it begins with the node's file.
#[must_use]
pub fn file(pod: &Pod, addresses: &[IpAddr], node_file: &str, cluster_domain: &str) -> String {
    let mut text = String::new();
    if spec::is_on_host_network(pod) {
        text.push_str("# Kubernetes-managed hosts file (host network).\n");
        text.push_str(node_file);
    } else {
        text.push_str(
            "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
             fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
        );
        let name = short_name(pod);
        let full = fully_qualified(pod, &name, cluster_domain);
        for address in addresses {
            let names = full.iter().map(String::as_str).chain([name.as_str()]).collect::<Vec<_>>().join("\t");
            let _ = writeln!(text, "{address}\t{names}");
        }
    }
    let aliases = spec::spec(pod).host_aliases.iter().flatten().collect::<Vec<_>>();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            let names = alias.hostnames.iter().flatten().map(String::as_str).collect::<Vec<_>>().join("\t");
            let _ = writeln!(text, "{}\t{names}", alias.ip);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "web-0", "namespace": "blue" }, "spec": spec })).unwrap()
    }

    #[test]
    fn a_host_name_is_the_pods_own_unless_it_is_on_the_nodes_network() {
        let name = |spec| hostname(&pod(spec), "node1", "cluster.local");
        assert_eq!(name(json!({ "containers": [] })), "web-0");
        assert_eq!(name(json!({ "containers": [], "hostname": "db", "subdomain": "mongo" })), "db");
        assert_eq!(name(json!({ "containers": [], "hostNetwork": true })), "node1");
        let full = json!({ "containers": [], "subdomain": "mongo", "setHostnameAsFQDN": true });
        assert_eq!(name(full), "web-0.mongo.blue.svc.cluster.local");
        let mut long = pod(json!({ "containers": [] }));
        long.metadata.name = Some(format!("{}-x", "a".repeat(62)));
        assert_eq!(hostname(&long, "", ""), "a".repeat(62));
    }

    #[test]
    fn the_file_names_the_pod_by_all_its_addresses_and_then_its_aliases() {
        let aliases = json!([{ "ip": "192.0.2.1", "hostnames": ["foo.local", "bar.local"] }]);
        let pod = pod(json!({ "containers": [], "subdomain": "mongo", "hostAliases": aliases }));
        let addresses = ["10.244.0.5", "fd00::5"].map(|address| address.parse().unwrap());
        let text = file(&pod, &addresses, "", "cluster.local");
        assert!(text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"), "{text}");
        for line in [
            "10.244.0.5\tweb-0.mongo.blue.svc.cluster.local\tweb-0",
            "fd00::5\tweb-0.mongo.blue.svc.cluster.local\tweb-0",
            "192.0.2.1\tfoo.local\tbar.local",
        ] {
            assert!(text.lines().any(|seen| seen == line), "{line} is not in {text}");
        }
    }

    #[test]
    fn on_the_nodes_network_the_file_is_the_nodes() {
        let text = file(&pod(json!({ "containers": [], "hostNetwork": true })), &[], "127.0.0.1 localhost\n", "");
        assert_eq!(text, "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n");
    }
}
