//! The node's lease: a small object whose renewal says that the node is alive.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How often the lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// Pause after a renewal failed.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the lease holds, in seconds.
const DURATION: u32 = 40;
/// Where leases of nodes live.
const NAMESPACE: &str = "kube-node-lease";

/// Renews the lease until `stop`.
pub(super) async fn renew(client: Client, node: String, stop: CancellationToken) {
    let leases = Api::<Lease>::namespaced(client.clone(), NAMESPACE);
    let mut owner = None;
    loop {
        if owner.is_none() {
            owner = owner_reference(&client, &node).await;
        }
        let lease = lease(&node, owner.as_ref(), Timestamp::now());
        let apply = PatchParams::apply("kubelet").force();
        let renewed = leases.patch(&node, &apply, &Patch::Apply(&lease)).await;
        let pause = match renewed {
            Ok(_) => RENEW_EVERY,
            Err(error) => {
                warn!(%error, "the node's lease could not be renewed");
                AGAIN
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// The lease goes with its node.
async fn owner_reference(client: &Client, name: &str) -> Option<Value> {
    let node = Api::<Node>::all(client.clone()).get_opt(name).await.ok().flatten()?;
    Some(json!({ "apiVersion": "v1", "kind": "Node", "name": name, "uid": node.uid() }))
}

fn lease(node: &str, owner: Option<&Value>, now: Timestamp) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": node, "namespace": NAMESPACE, "ownerReferences": owner.into_iter().collect::<Vec<_>>() },
        "spec": { "holderIdentity": node, "leaseDurationSeconds": DURATION, "renewTime": format!("{now:.6}") },
    })
}
