//! Scheduler decisions per second over simulated nodes; nothing goes through the API here.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use sheave_scheduler::{Cluster, Decision, decide};

use super::Amount;
use crate::report::Report;
use crate::sample::Sample;

/// Workloads that the pods belong to.
const WORKLOADS: usize = 100;

pub(super) fn run(report: &mut Report, amount: Amount) -> Result<()> {
    for nodes in [100, 1_000, 5_000] {
        for (kind, spec) in [("plain", plain()), ("with anti-affinity and spread", constrained())] {
            let mut sample = Sample::default();
            for _ in 0..amount.runs.min(5) {
                sample.push(decisions_per_second(nodes, &spec)?);
            }
            let goal = (nodes == 5_000 && kind == "plain").then_some(">= 20,000/s");
            report.row(&format!("scheduler decisions, {nodes} nodes, pods {kind}"), "1/s", sample, goal);
        }
    }
    Ok(())
}

/// Places two pods a node, each counted for the next decision, as the scheduler does.
fn decisions_per_second(nodes: usize, spec: &Value) -> Result<f64> {
    let mut cluster = Cluster::default();
    for number in 0..nodes {
        cluster.set_node(&node(number)?);
    }
    let count = (2 * nodes).min(4_000);
    let pods = (0..count).map(|number| pod(number, spec)).collect::<Result<Vec<_>>>()?;
    let pods = pods.iter().map(|pod| Arc::new(cluster.compile(pod))).collect::<Vec<_>>();
    let (mut start, began) = (0, Instant::now());
    for pod in &pods {
        match decide(&cluster, pod, &mut start) {
            Decision::Node(node) => {
                cluster.set_pod(Arc::clone(pod), &node);
            }
            Decision::Unschedulable(why) => bail!("the benchmark's pods must all fit: {why}"),
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand pods")]
    let count = pods.len() as f64;
    Ok(count / began.elapsed().as_secs_f64())
}

fn node(number: usize) -> Result<Node> {
    let (name, zone) = (format!("node-{number}"), format!("zone-{}", number % 3));
    Ok(serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone } },
        "status": { "allocatable": { "cpu": "16", "memory": "64Gi", "pods": "110" } },
    }))?)
}

fn pod(number: usize, spec: &Value) -> Result<Pod> {
    let workload = format!("app-{}", number % WORKLOADS);
    let owner = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": workload, "uid": workload, "controller": true }]);
    let mut pod = json!({
        "metadata": { "uid": format!("pod-{number}"), "name": format!("pod-{number}"), "namespace": "default",
                      "labels": { "app": workload }, "ownerReferences": owner },
        "spec": spec,
    });
    // Selectors are written for one workload; each pod gets its own name in them.
    let text = pod["spec"].to_string().replace("WORKLOAD", &workload);
    pod["spec"] = serde_json::from_str(&text)?;
    Ok(serde_json::from_value(pod)?)
}

fn plain() -> Value {
    json!({ "containers": [{ "name": "c", "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } } }] })
}

fn constrained() -> Value {
    let selector = json!({ "matchLabels": { "app": "WORKLOAD" } });
    let mut spec = plain();
    spec["affinity"] = json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
        { "topologyKey": "kubernetes.io/hostname", "labelSelector": selector },
    ]}});
    spec["topologySpreadConstraints"] = json!([
        { "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector },
    ]);
    spec
}
