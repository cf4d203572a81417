//! Nodes that fall silent and come back, and the addresses that they get.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use simulated_nodes::{NodeTemplate, SimulatedNodes};

use crate::cluster::{Cluster, is_ready};

fn nodes(cluster: &Cluster) -> Api<Node> {
    Api::all(cluster.client.clone())
}

async fn pod(cluster: &Cluster, name: &str, node: &str, tolerations: Value) {
    let spec = json!({"nodeName": node, "tolerations": tolerations, "containers": [{"name": "c", "image": "nginx"}]});
    cluster.create::<Pod>(json!({"metadata": {"name": name}, "spec": spec})).await;
    cluster.until(name, "it serves", is_ready).await;
}

fn ready(node: &Node) -> String {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
    ready.map(|condition| format!("{} {}", condition.status, condition.reason.clone().unwrap_or_default())).unwrap()
}

fn taints(node: &Node) -> BTreeSet<String> {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    taints.map(|taint| format!("{}:{}", taint.key, taint.effect)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_node_is_unknown_loses_its_pods_and_is_welcome_back() {
    let controllers = "node-lifecycle-controller,taint-eviction-controller";
    let grace = Duration::from_secs(6);
    let cluster = Cluster::start_without_kubelet(controllers, |it| it.node_monitor_grace_period = grace).await;
    let simulated = SimulatedNodes::start_plain(cluster.client.clone(), 3).await;
    let for_a_moment =
        |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1});
    let (unreachable, not_ready) = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready");
    pod(&cluster, "moves", "node-1", json!([for_a_moment(unreachable), for_a_moment(not_ready)])).await;
    pod(&cluster, "stays", "node-1", json!([{"operator": "Exists"}])).await;
    pod(&cluster, "elsewhere", "node-2", json!([for_a_moment(unreachable), for_a_moment(not_ready)])).await;

    simulated.silence("node-1");
    let lost = async || {
        let node = nodes(&cluster).get("node-1").await.unwrap();
        let both = ["NoExecute", "NoSchedule"].map(|effect| format!("{unreachable}:{effect}"));
        (ready(&node) == "Unknown NodeStatusUnknown" && both.iter().all(|it| taints(&node).contains(it))).then_some(())
    };
    cluster.eventually("the node is unknown and tainted", lost).await;
    cluster.until("stays", "its pods are out of service", |pod: &Pod| !is_ready(pod)).await;
    let evicted = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
    let moved = cluster.until("moves", "what does not tolerate that for long goes", evicted).await;
    let conditions = moved.status.unwrap().conditions.unwrap();
    let target = conditions.iter().find(|condition| condition.type_ == "DisruptionTarget").unwrap();
    assert_eq!(target.reason.as_deref(), Some("DeletionByTaintManager"));
    for name in ["stays", "elsewhere"] {
        assert!(!evicted(&cluster.get::<Pod>(name).await), "{name}");
    }
    assert_eq!(ready(&nodes(&cluster).get("node-2").await.unwrap()), "True KubeletReady");

    simulated.wake("node-1").await;
    let back = async || {
        let node = nodes(&cluster).get("node-1").await.unwrap();
        (ready(&node) == "True KubeletReady" && taints(&node).is_empty()).then_some(())
    };
    cluster.eventually("the node is back without taints", back).await;
    cluster.until("stays", "its pod serves again", is_ready).await;
    cluster.gone::<Pod>("moves").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_gets_a_piece_of_each_range_and_leaves_it_to_others() {
    let ranges = ["10.244.0.0/22", "fd00:10:244::/62"].map(|range| range.parse().unwrap());
    let cluster = Cluster::start_with("node-ipam-controller", |it| it.pod_cidrs = ranges.to_vec()).await;
    let simulated = SimulatedNodes::start_plain(cluster.client.clone(), 4).await;
    let pieces = async |name: &str| {
        let has = async || nodes(&cluster).get(name).await.unwrap().spec?.pod_cidrs;
        cluster.eventually(&format!("{name} has its ranges"), has).await
    };
    let mut all = BTreeSet::new();
    for number in 1..=4 {
        let found = pieces(&format!("node-{number}")).await;
        assert!(found[0].ends_with("/24") && found[1].ends_with("/64"), "{found:?}");
        all.extend(found);
    }
    assert_eq!(all.len(), 8, "no range twice: {all:?}");
    simulated.add(&NodeTemplate::new("node-5")).await;
    cluster
        .eventually("a fifth node finds none", async || {
            let events = cluster.events_of("node-5").await;
            events.iter().any(|event| event.starts_with("CIDRNotAvailable")).then_some(())
        })
        .await;
    let freed = pieces("node-2").await;
    simulated.silence("node-2");
    nodes(&cluster).delete("node-2", &DeleteParams::default()).await.unwrap();
    assert_eq!(pieces("node-5").await, freed);
}
