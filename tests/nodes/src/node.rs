//! The Node object and its lease.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Taint};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::json;

/// How often leases are renewed: often enough for tests with a grace period of a few seconds.
const RENEW_EVERY: Duration = Duration::from_millis(500);
/// Who writes.
const MANAGER: &str = "simulated-nodes";

/// What a simulated node looks like.
#[derive(Clone, Debug)]
pub struct NodeTemplate {
    /// The node's name.
    pub name: String,
    /// Labels beside `kubernetes.io/hostname`.
    pub labels: BTreeMap<String, String>,
    /// Taints.
    pub taints: Vec<Taint>,
    /// Capacity and allocatable.
    pub capacity: BTreeMap<String, String>,
}

// === impl NodeTemplate ===

impl NodeTemplate {
    /// A node with 4 CPUs, 8 GiB and room for 110 pods.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let capacity = [("cpu", "4"), ("memory", "8Gi"), ("pods", "110"), ("ephemeral-storage", "100Gi")];
        let capacity = capacity.map(|(name, quantity)| (name.to_owned(), quantity.to_owned())).into();
        Self { name: name.into(), labels: BTreeMap::new(), taints: Vec::new(), capacity }
    }

    /// With one label more.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With one taint more.
    #[must_use]
    pub fn taint(mut self, key: &str, value: &str, effect: &str) -> Self {
        let (key, value, effect) = (key.to_owned(), Some(value.to_owned()), effect.to_owned());
        self.taints.push(Taint { key, value, effect, time_added: None });
        self
    }

    /// With another capacity of one resource.
    #[must_use]
    pub fn capacity(mut self, resource: &str, quantity: &str) -> Self {
        self.capacity.insert(resource.to_owned(), quantity.to_owned());
        self
    }
}

pub(crate) async fn register(client: &Client, template: &NodeTemplate) {
    let mut labels = template.labels.clone();
    labels.insert("kubernetes.io/hostname".into(), template.name.clone());
    labels.insert("kubernetes.io/os".into(), "linux".into());
    labels.insert("kubernetes.io/arch".into(), "amd64".into());
    let node: Node = serde_json::from_value(json!({
        "metadata": { "name": template.name, "labels": labels },
        "spec": { "taints": template.taints },
    }))
    .expect("a Node");
    let nodes = Api::<Node>::all(client.clone());
    nodes.create(&PostParams::default(), &node).await.expect("the Node is created");
    renew(client, &template.name).await;
    let status = json!({ "status": {
        "capacity": template.capacity,
        "allocatable": template.capacity,
        "addresses": [{ "type": "Hostname", "address": template.name }],
        "nodeInfo": node_info(),
    }});
    let merge = Patch::Merge(&status);
    nodes.patch_status(&template.name, &PatchParams::default(), &merge).await.expect("the Node's status is written");
    report_ready(client, &template.name).await;
}

fn node_info() -> serde_json::Value {
    json!({
        "architecture": "amd64", "operatingSystem": "linux", "osImage": "none", "kernelVersion": "0.0.0",
        "kubeletVersion": "v1.35.0", "kubeProxyVersion": "", "containerRuntimeVersion": "simulated://0",
        "machineID": "", "systemUUID": "", "bootID": "",
    })
}

pub(crate) async fn report_ready(client: &Client, name: &str) {
    let now = jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default().to_string();
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({ "type": kind, "status": status, "reason": reason, "message": "",
                "lastHeartbeatTime": now, "lastTransitionTime": now })
    };
    let status = json!({ "status": { "conditions": [
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID"),
        condition("Ready", "True", "KubeletReady"),
    ]}});
    renew(client, name).await;
    let nodes = Api::<Node>::all(client.clone());
    let patch = Patch::Strategic(&status);
    nodes.patch_status(name, &PatchParams::default(), &patch).await.expect("the Node's conditions are written");
}

/// Renews the leases of all nodes that are still plugged in.
pub(crate) async fn renew_leases(client: Client, names: Arc<Mutex<BTreeSet<String>>>) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let names = names.lock().clone();
        futures::future::join_all(names.iter().map(|name| renew(&client, name))).await;
    }
}

/// A lease that cannot be written is tried again at the next beat.
async fn renew(client: &Client, name: &str) {
    let now = jiff::Timestamp::now().round(jiff::Unit::Microsecond).unwrap_or_default();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": name },
        "spec": { "holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": format!("{now:.6}") },
    });
    let leases = Api::<Lease>::namespaced(client.clone(), "kube-node-lease");
    let _ = leases.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&lease)).await;
}
