//! Rows of services and of what leads to and from them.

use std::collections::BTreeSet;

use super::{AGE, NAME, NONE, Table, age, cells, map, name, selector, text, text_or, wide};
use crate::Document;
use crate::view::View;

/// How many elements of a list a cell shows.
const SHOWN: usize = 3;

/// Services.
pub(crate) const SERVICE: Table = Table {
    columns: &[
        NAME,
        text("Type", "How the service is reached."),
        text("Cluster-IP", "The address inside the cluster."),
        text("External-IP", "The addresses outside the cluster, or the name that it stands for."),
        text("Port(s)", "The ports, with their node ports and protocols."),
        AGE,
        wide(text("Selector", "The labels of the pods behind the service.")),
    ],
    row: |service, now| {
        let cluster_ip = service.texts("spec.clusterIPs").next();
        let cluster_ip = cluster_ip.map_or_else(|| text_or(service, "spec.clusterIP", NONE), Document::from);
        cells([
            name(service),
            service.text("spec.type").into(),
            cluster_ip,
            external_ip(service).into(),
            ports(service).into(),
            age(service, now),
            map(service.at("spec.selector")).into(),
        ])
    },
};

/// Ingresses.
pub(crate) const INGRESS: Table = Table {
    columns: &[
        NAME,
        text("Class", "The class that the ingress belongs to."),
        text("Hosts", "The hosts whose requests the rules take."),
        text("Address", "Where requests arrive."),
        text("Ports", "The ports on which requests arrive."),
        AGE,
    ],
    row: |ingress, now| {
        let has_tls = !ingress.list("spec.tls").is_empty();
        cells([
            name(ingress),
            text_or(ingress, "spec.ingressClassName", NONE),
            hosts(ingress).into(),
            load_balancer(ingress).into(),
            (if has_tls { "80, 443" } else { "80" }).into(),
            age(ingress, now),
        ])
    },
};

/// Ingress classes.
pub(crate) const INGRESS_CLASS: Table = Table {
    columns: &[
        NAME,
        text("Controller", "Who serves ingresses of this class."),
        text("Parameters", "Where more about the class is found."),
        AGE,
    ],
    row: |class, now| {
        let parameters = class.at("spec.parameters");
        let shown = match (parameters.is_object(), parameters.text("apiGroup")) {
            (false, _) => NONE.to_owned(),
            (true, "") => format!("{}/{}", parameters.text("kind"), parameters.text("name")),
            (true, group) => format!("{}.{group}/{}", parameters.text("kind"), parameters.text("name")),
        };
        cells([name(class), class.text("spec.controller").into(), shown.into(), age(class, now)])
    },
};

/// Endpoints.
pub(crate) const ENDPOINTS: Table = Table {
    columns: &[NAME, text("Endpoints", "The first addresses behind the service."), AGE],
    row: |endpoints, now| cells([name(endpoints), addresses(endpoints).into(), age(endpoints, now)]),
};

/// Endpoint slices.
pub(crate) const ENDPOINT_SLICE: Table = Table {
    columns: &[
        NAME,
        text("AddressType", "What the addresses are."),
        text("Ports", "The first ports."),
        text("Endpoints", "The first addresses."),
        AGE,
    ],
    row: |slice, now| {
        let ports = slice.list("ports").iter().map(|port| match (port.int("port"), port.text("name")) {
            (Some(number), _) => number.to_string(),
            (None, "") => "*".to_owned(),
            (None, name) => name.to_owned(),
        });
        let addresses = slice.list("endpoints").iter().flat_map(|endpoint| endpoint.texts("addresses"));
        cells([
            name(slice),
            slice.text("addressType").into(),
            first_of(ports).unwrap_or_else(|| "<unset>".to_owned()).into(),
            first_of(addresses.map(str::to_owned)).unwrap_or_else(|| "<unset>".to_owned()).into(),
            age(slice, now),
        ])
    },
};

/// Network policies.
pub(crate) const NETWORK_POLICY: Table = Table {
    columns: &[NAME, text("Pod-Selector", "The labels of the pods that the policy protects."), AGE],
    row: |policy, now| cells([name(policy), selector(policy.at("spec.podSelector")).into(), age(policy, now)]),
};

/// Ranges of service addresses.
pub(crate) const SERVICE_CIDR: Table = Table {
    columns: &[NAME, text("CIDRs", "The ranges."), AGE],
    row: |range, now| {
        let ranges: Vec<&str> = range.texts("spec.cidrs").collect();
        cells([name(range), ranges.join(",").into(), age(range, now)])
    },
};

/// Service addresses in use.
pub(crate) const IP_ADDRESS: Table = Table {
    columns: &[NAME, text("ParentRef", "What uses the address.")],
    row: |address, _| {
        let parent = address.at("spec.parentRef");
        let mut shown = NONE.to_owned();
        if parent.is_object() {
            shown = parent.text("resource").to_lowercase();
            let group = parent.text("group").to_lowercase();
            for (separator, part) in
                [(".", group.as_str()), ("/", parent.text("namespace")), ("/", parent.text("name"))]
            {
                if !part.is_empty() {
                    shown.push_str(separator);
                    shown.push_str(part);
                }
            }
        }
        cells([name(address), shown.into()])
    },
};

fn external_ip(service: &Document) -> String {
    let own: Vec<&str> = service.texts("spec.externalIPs").collect();
    match service.text("spec.type") {
        "ClusterIP" | "NodePort" if own.is_empty() => NONE.to_owned(),
        "ClusterIP" | "NodePort" => own.join(","),
        "LoadBalancer" => {
            let mut all = Vec::new();
            let balancer = load_balancer(service);
            if !balancer.is_empty() {
                all.push(balancer.as_str());
            }
            all.extend(own);
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        "ExternalName" => service.text("spec.externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

/// The addresses or names in `status.loadBalancer`, each once, in order.
fn load_balancer(object: &Document) -> String {
    let ingress = object.list("status.loadBalancer.ingress").iter();
    let points: BTreeSet<&str> = ingress
        .map(|point| if point.text("ip").is_empty() { point.text("hostname") } else { point.text("ip") })
        .filter(|point| !point.is_empty())
        .collect();
    Vec::from_iter(points).join(",")
}

fn ports(service: &Document) -> String {
    let ports = service.list("spec.ports").iter().map(|port| {
        let (number, protocol) = (port.int("port").unwrap_or_default(), port.text("protocol"));
        match port.int("nodePort").unwrap_or_default() {
            0 => format!("{number}/{protocol}"),
            node_port => format!("{number}:{node_port}/{protocol}"),
        }
    });
    let ports: Vec<String> = ports.collect();
    if ports.is_empty() { NONE.to_owned() } else { ports.join(",") }
}

fn hosts(ingress: &Document) -> String {
    let rules = ingress.list("spec.rules");
    let hosts: Vec<&str> = rules.iter().map(|rule| rule.text("host")).filter(|host| !host.is_empty()).collect();
    if hosts.is_empty() {
        return "*".to_owned();
    }
    let shown = hosts[..hosts.len().min(SHOWN)].join(",");
    if hosts.len() > SHOWN { format!("{shown} + {} more...", rules.len() - SHOWN) } else { shown }
}

fn addresses(endpoints: &Document) -> String {
    let of_subset = |subset: &Document| -> Vec<String> {
        let addresses = || subset.list("addresses").iter().map(|address| address.text("ip"));
        let ports = subset.list("ports");
        if ports.is_empty() {
            return addresses().map(str::to_owned).collect();
        }
        let with_port = |port: &Document| {
            let number = port.int("port").unwrap_or_default();
            addresses().map(|address| host_port(address, number)).collect::<Vec<_>>()
        };
        ports.iter().flat_map(with_port).collect()
    };
    first_of(endpoints.list("subsets").iter().flat_map(of_subset)).unwrap_or_else(|| NONE.to_owned())
}

fn host_port(address: &str, port: i64) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// The first three of `items` and how many more there are; none where there are none.
fn first_of(items: impl Iterator<Item = String>) -> Option<String> {
    let mut shown = Vec::new();
    let mut more = 0_usize;
    for item in items {
        if shown.len() < SHOWN {
            shown.push(item);
        } else {
            more += 1;
        }
    }
    let joined = shown.join(",");
    match (shown.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(joined),
        (false, more) => Some(format!("{joined} + {more} more...")),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn shown(table: &Table, object: &Document) -> Vec<String> {
        let row = (table.row)(object, Timestamp::UNIX_EPOCH);
        assert_eq!(row.len(), table.columns.len());
        row.iter().map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)).collect()
    }

    #[test]
    fn services_show_how_they_are_reached() {
        let table = [
            (
                json!({"type": "ClusterIP", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 80, "protocol": "TCP"}]}),
                ["ClusterIP", "10.0.0.1", "<none>", "80/TCP"],
            ),
            (
                json!({"type": "NodePort", "clusterIPs": ["10.0.0.1"], "externalIPs": ["1.2.3.4", "1.2.3.5"],
                    "ports": [{"port": 80, "nodePort": 30001, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}),
                ["NodePort", "10.0.0.1", "1.2.3.4,1.2.3.5", "80:30001/TCP,53/UDP"],
            ),
            (
                json!({"type": "LoadBalancer", "clusterIPs": ["10.0.0.1"], "ports": []}),
                ["LoadBalancer", "10.0.0.1", "<pending>", "<none>"],
            ),
            (
                json!({"type": "ExternalName", "externalName": "db.example.com"}),
                ["ExternalName", "<none>", "db.example.com", "<none>"],
            ),
            (json!({"type": "ClusterIP", "clusterIPs": ["None"]}), ["ClusterIP", "None", "<none>", "<none>"]),
        ];
        for (spec, expected) in table {
            assert_eq!(shown(&SERVICE, &json!({"spec": spec}))[1..5], expected);
        }
        let balanced = json!({
            "spec": {"type": "LoadBalancer", "externalIPs": ["9.9.9.9"], "selector": {"app": "web"}},
            "status": {"loadBalancer": {"ingress": [{"ip": "2.2.2.2"}, {"hostname": "a.b"}, {"ip": "1.1.1.1"}]}},
        });
        let row = shown(&SERVICE, &balanced);
        assert_eq!((row[3].as_str(), row[6].as_str()), ("1.1.1.1,2.2.2.2,a.b,9.9.9.9", "app=web"));
    }

    #[test]
    fn ingresses_show_hosts_and_ports() {
        let rule = |host: &str| json!({"host": host});
        let table = [
            (json!({}), ["<none>", "*", "", "80"]),
            (
                json!({"ingressClassName": "c", "rules": [rule("a"), rule("b")], "tls": [{}]}),
                ["c", "a,b", "", "80, 443"],
            ),
            (json!({"rules": [rule("a"), rule("b"), rule("c"), rule("d")]}), ["<none>", "a,b,c + 1 more...", "", "80"]),
        ];
        for (spec, expected) in table {
            assert_eq!(shown(&INGRESS, &json!({"spec": spec}))[1..5], expected);
        }
    }

    #[test]
    fn endpoints_show_the_first_three_addresses() {
        let addresses: Vec<Document> = (1..=5).map(|index| json!({"ip": format!("10.0.0.{index}")})).collect();
        let endpoints = json!({"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]});
        assert_eq!(shown(&ENDPOINTS, &endpoints)[1], "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more...");
        assert_eq!(shown(&ENDPOINTS, &json!({}))[1], "<none>");
        let v6 = json!({"subsets": [{"addresses": [{"ip": "fd00::1"}], "ports": [{"port": 80}]}]});
        assert_eq!(shown(&ENDPOINTS, &v6)[1], "[fd00::1]:80");
        let slice = json!({"addressType": "IPv4", "ports": [{"port": 80}, {"name": "x"}, {}],
            "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}]});
        assert_eq!(shown(&ENDPOINT_SLICE, &slice)[1..4], ["IPv4", "80,x,*", "10.0.0.1,10.0.0.2"]);
        assert_eq!(shown(&ENDPOINT_SLICE, &json!({}))[1..4], ["", "<unset>", "<unset>"]);
    }

    #[test]
    fn the_rest_is_shown() {
        let policy = json!({"spec": {"podSelector": {"matchLabels": {"app": "db"}}}});
        assert_eq!(shown(&NETWORK_POLICY, &policy)[1], "app=db");
        assert_eq!(shown(&NETWORK_POLICY, &json!({"spec": {"podSelector": {}}}))[1], "<none>");
        let class =
            json!({"spec": {"controller": "a.b/c", "parameters": {"apiGroup": "k8s.x", "kind": "P", "name": "n"}}});
        assert_eq!(shown(&INGRESS_CLASS, &class)[1..3], ["a.b/c", "P.k8s.x/n"]);
        let range = json!({"spec": {"cidrs": ["10.0.0.0/12", "fd00::/108"]}});
        assert_eq!(shown(&SERVICE_CIDR, &range)[1], "10.0.0.0/12,fd00::/108");
        let address = json!({"spec": {"parentRef": {"resource": "services", "namespace": "a", "name": "b"}}});
        assert_eq!(shown(&IP_ADDRESS, &address)[1], "services/a/b");
    }
}
