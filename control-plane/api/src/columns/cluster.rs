//! Rows of nodes, namespaces, events, configuration and quotas.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{AGE, NAME, NONE, Table, UNKNOWN, age, boolean, cells, count, integer, name, text, text_or, wide};
use crate::Document;
use crate::quantity::Quantity;
use crate::strategy::Column;
use crate::time;
use crate::view::View;

/// Nodes.
pub(crate) const NODE: Table = Table {
    columns: &[
        NAME,
        text("Status", "Whether the node is ready, and whether it takes pods."),
        text("Roles", "What the node is for."),
        AGE,
        text("Version", "The version of the node's kubelet."),
        wide(text("Internal-IP", "The node's address inside the cluster.")),
        wide(text("External-IP", "The node's address outside the cluster.")),
        wide(text("OS-Image", "The node's operating system.")),
        wide(text("Kernel-Version", "The node's kernel.")),
        wide(text("Container-Runtime", "What runs the node's containers.")),
    ],
    row: |node, now| {
        cells([
            name(node),
            node_status(node).into(),
            node_roles(node).into(),
            age(node, now),
            node.text("status.nodeInfo.kubeletVersion").into(),
            node_address(node, "InternalIP"),
            node_address(node, "ExternalIP"),
            text_or(node, "status.nodeInfo.osImage", UNKNOWN),
            text_or(node, "status.nodeInfo.kernelVersion", UNKNOWN),
            text_or(node, "status.nodeInfo.containerRuntimeVersion", UNKNOWN),
        ])
    },
};

/// Namespaces.
pub(crate) const NAMESPACE: Table = Table {
    columns: &[NAME, text("Status", "Whether the namespace is in use or going away."), AGE],
    row: |namespace, now| cells([name(namespace), namespace.text("status.phase").into(), age(namespace, now)]),
};

/// Events, in core/v1 or events.k8s.io/v1.
pub(crate) const EVENT: Table = Table {
    columns: &[
        text("Last Seen", "How long ago it last happened."),
        text("Type", "Normal or Warning."),
        text("Reason", "What happened, in one word."),
        text("Object", "What it happened to."),
        wide(text("Subobject", "The part of it that it happened to.")),
        wide(text("Source", "Who saw it.")),
        text("Message", "What happened."),
        wide(text("First Seen", "How long ago it first happened.")),
        wide(text("Count", "How often it happened.")),
        wide(NAME),
    ],
    row: event_row,
};

/// Config maps.
pub(crate) const CONFIG_MAP: Table = Table {
    columns: &[NAME, text("Data", "How many keys there are."), AGE],
    row: |map, now| {
        let keys = map.fields("data").len() + map.fields("binaryData").len();
        cells([name(map), keys.into(), age(map, now)])
    },
};

/// Secrets.
pub(crate) const SECRET: Table = Table {
    columns: &[NAME, text("Type", "What the secret is for."), text("Data", "How many keys there are."), AGE],
    row: |secret, now| {
        cells([name(secret), secret.text("type").into(), secret.fields("data").len().into(), age(secret, now)])
    },
};

/// Service accounts.
pub(crate) const SERVICE_ACCOUNT: Table = Table {
    columns: &[NAME, text("Secrets", "How many secrets pods of the account may use."), AGE],
    row: |account, now| cells([name(account), account.list("secrets").len().into(), age(account, now)]),
};

/// Resource quotas.
pub(crate) const RESOURCE_QUOTA: Table = Table {
    columns: &[
        NAME,
        text("Request", "What is used of what may be requested."),
        text("Limit", "What is used of what may be the limit."),
        AGE,
    ],
    row: |quota, now| {
        let (limits, requests): (Vec<_>, Vec<_>) =
            quota.fields("status.hard").keys().partition(|resource| resource.starts_with("limits."));
        cells([name(quota), usage(quota, &requests).into(), usage(quota, &limits).into(), age(quota, now)])
    },
};

/// Leases.
pub(crate) const LEASE: Table = Table {
    columns: &[NAME, text("Holder", "Who holds the lease."), AGE],
    row: |lease, now| cells([name(lease), lease.text("spec.holderIdentity").into(), age(lease, now)]),
};

/// Priority classes.
pub(crate) const PRIORITY_CLASS: Table = Table {
    columns: &[
        NAME,
        integer("Value", "The priority."),
        boolean("Global-Default", "Whether pods without a class have this priority."),
        AGE,
        text("PreemptionPolicy", "Whether pods of the class may displace others."),
    ],
    row: |class, now| {
        cells([
            name(class),
            count(class, "value"),
            class.flag("globalDefault").into(),
            age(class, now),
            class.text("preemptionPolicy").into(),
        ])
    },
};

/// Runtime classes.
pub(crate) const RUNTIME_CLASS: Table = Table {
    columns: &[NAME, text("Handler", "The configuration of the container runtime."), AGE],
    row: |class, now| cells([name(class), class.text("handler").into(), age(class, now)]),
};

/// States of components.
pub(crate) const COMPONENT_STATUS: Table = Table {
    columns: &[
        NAME,
        text("Status", "Whether the component is well."),
        text("Message", "What the component says."),
        text("Error", "What is wrong with the component."),
    ],
    row: |component, _| {
        let healthy = component.list("conditions").iter().find(|condition| condition.text("type") == "Healthy");
        let absent = Document::Null;
        let condition = healthy.unwrap_or(&absent);
        let status = match (healthy.is_some(), condition.text("status")) {
            (false, _) => "Unknown",
            (true, "True") => "Healthy",
            (true, _) => "Unhealthy",
        };
        cells([name(component), status.into(), condition.text("message").into(), condition.text("error").into()])
    },
};

/// The column of kinds that show when they were created rather than how long ago.
const CREATED_AT: Column =
    Column { name: "Created At", ty: "date", format: "", description: "When the object was created.", priority: 0 };

/// Kinds whose row is a name and a date: roles, limit ranges, custom resource definitions.
pub(crate) const CREATED: Table = Table {
    columns: &[NAME, CREATED_AT],
    row: |object, _| cells([name(object), object.text("metadata.creationTimestamp").into()]),
};

fn node_status(node: &Document) -> String {
    let ready = node.list("status.conditions").iter().find(|condition| condition.text("type") == "Ready");
    let status = match ready.map(|condition| condition.text("status")) {
        None => "Unknown",
        Some("True") => "Ready",
        Some(_) => "NotReady",
    };
    if node.flag("spec.unschedulable") { format!("{status},SchedulingDisabled") } else { status.to_owned() }
}

/// Roles come from labels `node-role.kubernetes.io/ROLE` and `kubernetes.io/role=ROLE`.
fn node_roles(node: &Document) -> String {
    let role = |(key, value)| match key {
        "kubernetes.io/role" => Some(value),
        key => str::strip_prefix(key, "node-role.kubernetes.io/"),
    };
    let labels = node.text_map("metadata.labels");
    let roles: BTreeSet<&str> = labels.filter_map(role).filter(|role| !role.is_empty()).collect();
    if roles.is_empty() { NONE.to_owned() } else { Vec::from_iter(roles).join(",") }
}

fn node_address(node: &Document, ty: &str) -> Document {
    let addresses = node.list("status.addresses");
    let address = addresses.iter().find(|address| address.text("type") == ty);
    address.map_or_else(|| NONE.into(), |address| address.text("address").into())
}

fn event_row(event: &Document, now: Timestamp) -> Vec<Document> {
    // The two API groups call the same fields by different names.
    let either = |core: &'static str, events: &'static str| if event.has(core) { core } else { events };
    let first = event.at(either("firstTimestamp", "deprecatedFirstTimestamp"));
    let first = if first.is_null() { event.at("eventTime") } else { first };
    let last = event.at(either("lastTimestamp", "deprecatedLastTimestamp"));
    let last = if last.is_null() { first } else { last };
    let series = event.at("series");
    let (last, times) = if series.is_object() {
        (series.at("lastObservedTime"), series.int("count").unwrap_or_default())
    } else {
        (last, event.int(either("count", "deprecatedCount")).unwrap_or_default().max(1))
    };
    let object = event.at(either("involvedObject", "regarding"));
    let kind = object.text("kind").to_lowercase();
    let target = match object.text("name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    cells([
        time::age(last, now).into(),
        event.text("type").into(),
        event.text("reason").into(),
        target.into(),
        object.text("fieldPath").into(),
        event_source(event, event.at(either("source", "deprecatedSource"))).into(),
        event.text(either("message", "note")).trim().into(),
        time::age(first, now).into(),
        times.into(),
        name(event),
    ])
}

fn event_source(event: &Document, source: &Document) -> String {
    let first_given = |texts: [&str; 3]| texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default().to_owned();
    let component =
        first_given([source.text("component"), event.text("reportingComponent"), event.text("reportingController")]);
    let host = first_given([source.text("host"), event.text("reportingInstance"), ""]);
    if host.is_empty() { component } else { format!("{component}, {host}") }
}

/// `resource: used/hard` for each resource.
fn usage(quota: &Document, resources: &[&String]) -> String {
    let shown = |map: &str, resource: &str| {
        let value = quota.at(map).get(resource).and_then(Quantity::of);
        value.unwrap_or(Quantity::ZERO).to_string()
    };
    let parts: Vec<String> = resources
        .iter()
        .map(|resource| format!("{resource}: {}/{}", shown("status.used", resource), shown("status.hard", resource)))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(table: &Table, object: &Document) -> Vec<String> {
        let row = (table.row)(object, time::parse("2024-01-01T01:00:00Z").unwrap());
        assert_eq!(row.len(), table.columns.len());
        row.iter().map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)).collect()
    }

    #[test]
    fn nodes_show_status_and_roles() {
        let condition = |status: &str| json!({"conditions": [{"type": "Ready", "status": status}]});
        let table = [
            (json!({"status": condition("True")}), "Ready", "<none>"),
            (json!({"status": condition("False")}), "NotReady", "<none>"),
            (json!({"status": condition("Unknown")}), "NotReady", "<none>"),
            (
                json!({"spec": {"unschedulable": true}, "status": condition("True")}),
                "Ready,SchedulingDisabled",
                "<none>",
            ),
            (
                json!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "a"}}}),
                "Unknown",
                "a,control-plane",
            ),
        ];
        for (node, status, roles) in table {
            let row = shown(&NODE, &node);
            assert_eq!((row[1].as_str(), row[2].as_str()), (status, roles), "{node}");
        }
        let node = json!({"status": {
            "nodeInfo": {"kubeletVersion": "v1.35.0", "osImage": "Debian", "kernelVersion": "6.18"},
            "addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "10.0.0.1"}],
        }});
        assert_eq!(shown(&NODE, &node)[4..], ["v1.35.0", "10.0.0.1", "<none>", "Debian", "6.18", "<unknown>"]);
    }

    #[test]
    fn events_of_both_groups_look_alike() {
        let core = json!({
            "metadata": {"name": "e"}, "type": "Normal", "reason": "Scheduled", "message": " done\n", "count": 3,
            "firstTimestamp": "2024-01-01T00:00:00Z", "lastTimestamp": "2024-01-01T00:59:00Z",
            "involvedObject": {"kind": "Pod", "name": "web", "fieldPath": "spec.containers{a}"},
            "source": {"component": "kubelet", "host": "n1"},
        });
        let expected =
            ["60s", "Normal", "Scheduled", "pod/web", "spec.containers{a}", "kubelet, n1", "done", "60m", "3", "e"];
        assert_eq!(shown(&EVENT, &core), expected);
        let events = json!({
            "metadata": {"name": "e"}, "type": "Normal", "reason": "Scheduled", "note": "done",
            "eventTime": "2024-01-01T00:00:00.000000Z",
            "series": {"count": 3, "lastObservedTime": "2024-01-01T00:59:00.000000Z"},
            "regarding": {"kind": "Pod", "name": "web", "fieldPath": "spec.containers{a}"},
            "reportingController": "kubelet", "reportingInstance": "n1",
        });
        assert_eq!(shown(&EVENT, &events), expected);
    }

    #[test]
    fn quotas_show_requests_and_limits_apart() {
        let quota = json!({"status": {
            "hard": {"limits.cpu": "4", "pods": "10", "requests.memory": "1Gi"},
            "used": {"pods": "3", "requests.memory": "512Mi"},
        }});
        assert_eq!(shown(&RESOURCE_QUOTA, &quota)[1..3], ["pods: 3/10, requests.memory: 512Mi/1Gi", "limits.cpu: 0/4"]);
    }

    #[test]
    fn the_rest_is_shown() {
        let secret = json!({"type": "Opaque", "data": {"a": "", "b": ""}});
        assert_eq!(shown(&SECRET, &secret)[1..3], ["Opaque", "2"]);
        assert_eq!(shown(&CONFIG_MAP, &json!({"data": {"a": ""}, "binaryData": {"b": ""}}))[1], "2");
        assert_eq!(shown(&NAMESPACE, &json!({"status": {"phase": "Active"}}))[1], "Active");
        let created = json!({"metadata": {"name": "r", "creationTimestamp": "2024-01-01T00:00:00Z"}});
        assert_eq!(shown(&CREATED, &created), ["r", "2024-01-01T00:00:00Z"]);
        let component = json!({"conditions": [{"type": "Healthy", "status": "True", "message": "ok"}]});
        assert_eq!(shown(&COMPONENT_STATUS, &component)[1..], ["Healthy", "ok", ""]);
        let class = json!({"value": 1000, "globalDefault": true, "preemptionPolicy": "Never"});
        assert_eq!(shown(&PRIORITY_CLASS, &class)[1..], ["1000", "true", "<unknown>", "Never"]);
    }
}
