//! The node's object in the API: what others write over it, and what becomes of it when it is deleted.

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use test_support::{eventually, require_root};

use crate::bed::{Bed, NODE};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_says_again_what_somebody_else_has_changed() {
    require_root!();
    let bed = Bed::start("pods-reg").await;
    let nodes = Api::<Node>::all(bed.client.clone());
    // As the node lifecycle controller does while nothing is heard of a node.
    let unknown = json!({ "status": { "conditions": [{ "type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown" }] } });
    let patched = nodes.patch_status(NODE, &PatchParams::default(), &Patch::Strategic(&unknown)).await.unwrap();
    let conditions = patched.status.and_then(|status| status.conditions).unwrap_or_default();
    assert!(conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "Unknown"));
    eventually!(within: 60s, await bed.node_is_ready(), "the node does not say that it is ready");

    let before = nodes.get(NODE).await.unwrap().metadata.uid;
    nodes.delete(NODE, &DeleteParams::default()).await.unwrap();
    eventually!(within: 60s, await bed.node_is_ready(), "the node does not register again");
    assert_ne!(nodes.get(NODE).await.unwrap().metadata.uid, before);
    bed.stop().await;
}
