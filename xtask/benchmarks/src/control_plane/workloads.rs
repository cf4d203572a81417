//! Pods that get their node through the API: created one by one, and by a Deployment. The nodes are objects only; nobody
//! runs anything.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use serde_json::{Value, json};

use super::Amount;
use super::server::Server;
use crate::connection::Connection;
use crate::report::Report;
use crate::sample::Sample;

/// Connections that write.
const WRITERS: usize = 32;
/// How long one run may take before the benchmark gives up.
const DEADLINE: Duration = Duration::from_secs(120);
const PODS: &str = "/api/v1/namespaces/default/pods";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
const UNBOUND: &str = "/api/v1/namespaces/default/pods?fieldSelector=spec.nodeName%3D&limit=1";

pub(super) async fn run(report: &mut Report, amount: Amount) -> Result<()> {
    let pods = amount.pods.min(2_000);
    for nodes in [100, 1_000, 5_000] {
        let (mut plain, mut constrained) = (Sample::default(), Sample::default());
        for _ in 0..amount.runs.min(3) {
            plain.push(bound_per_second(nodes, pods, &pod_spec(false)).await?);
            constrained.push(bound_per_second(nodes, pods, &pod_spec(true)).await?);
        }
        let name = |kind: &str| format!("{pods} pods created and bound through the API, {nodes} nodes, pods {kind}");
        report.row(&name("plain"), "1/s", plain, None);
        report.row(&name("with anti-affinity and spread"), "1/s", constrained, None);
    }
    let mut sample = Sample::default();
    for _ in 0..amount.runs.min(3) {
        sample.push(deployment_seconds(100, 1_000).await?);
    }
    report.row("Deployment of 1,000 replicas, created to all bound, 100 nodes", "s", sample, None);
    Ok(())
}

/// From the first create to the last binding.
async fn bound_per_second(nodes: usize, pods: usize, spec: &Value) -> Result<f64> {
    let server = server_with_nodes(nodes).await?;
    let began = Instant::now();
    post_all(&server, PODS, pods, |number| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("web-{number}"), "labels": {"app": "web"}},
               "spec": spec})
    })
    .await?;
    let mut connection = server.connect().await?;
    until(&mut connection, async |connection| Ok(count(&get(connection, UNBOUND).await?) == 0)).await?;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand pods")]
    let pods = pods as f64;
    Ok(pods / began.elapsed().as_secs_f64())
}

async fn deployment_seconds(nodes: usize, replicas: usize) -> Result<f64> {
    let server = server_with_nodes(nodes).await?;
    let mut connection = server.connect().await?;
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": pod_spec(false)});
    let spec = json!({"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template});
    let body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec});
    let began = Instant::now();
    connection.call("POST", DEPLOYMENTS, Bytes::from(body.to_string())).await?;
    until(&mut connection, async |connection| {
        let made = get(connection, &format!("{DEPLOYMENTS}/web")).await?["status"]["replicas"].as_u64();
        let all = made.is_some_and(|made| usize::try_from(made) == Ok(replicas));
        Ok(all && count(&get(connection, UNBOUND).await?) == 0)
    })
    .await?;
    Ok(began.elapsed().as_secs_f64())
}

/// A server whose nodes are ready and stay so although nobody renews their leases.
async fn server_with_nodes(nodes: usize) -> Result<Server> {
    let server = Server::start_with(&["--node-monitor-grace-period", "24h"]).await?;
    post_all(&server, "/api/v1/nodes", nodes, node).await?;
    let statuses = (0..WRITERS).map(|writer| {
        let server = &server;
        async move {
            let mut connection = server.connect().await?;
            for number in (writer..nodes).step_by(WRITERS) {
                let path = format!("/api/v1/nodes/node-{number}/status");
                connection.call("PUT", &path, Bytes::from(node(number).to_string())).await?;
            }
            anyhow::Ok(())
        }
    });
    futures::future::try_join_all(statuses).await?;
    let mut connection = server.connect().await?;
    // The node controller takes its taint off a node that has become ready.
    until(&mut connection, async |connection| {
        let nodes = get(connection, "/api/v1/nodes").await?;
        let nodes = nodes["items"].as_array().cloned().unwrap_or_default();
        Ok(nodes.iter().all(|node| node["spec"]["taints"].as_array().is_none_or(Vec::is_empty)))
    })
    .await?;
    Ok(server)
}

fn node(number: usize) -> Value {
    let (name, zone) = (format!("node-{number}"), format!("zone-{}", number % 3));
    let now = "2026-01-01T00:00:00Z";
    let resources = json!({"cpu": "64", "memory": "256Gi", "pods": "110"});
    let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
                       "lastHeartbeatTime": now, "lastTransitionTime": now});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone}},
        "status": {"capacity": resources, "allocatable": resources, "conditions": [ready]},
    })
}

/// Constrained pods keep apart by a label that few share, and spread over the zones.
fn pod_spec(constrained: bool) -> Value {
    let requests = json!({"cpu": "100m", "memory": "64Mi"});
    let mut spec = json!({"containers": [{"name": "web", "image": "nginx", "resources": {"requests": requests}}]});
    if constrained {
        let others = json!({"matchLabels": {"app": "database"}});
        spec["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": others}]}});
        spec["topologySpreadConstraints"] = json!([{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}]);
    }
    spec
}

async fn post_all(server: &Server, path: &str, count: usize, object: impl Fn(usize) -> Value) -> Result<()> {
    let object = &object;
    let writers = (0..WRITERS).map(|writer| async move {
        let mut connection = server.connect().await?;
        for number in (writer..count).step_by(WRITERS) {
            connection.call("POST", path, Bytes::from(object(number).to_string())).await?;
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(writers).await?;
    Ok(())
}

async fn get(connection: &mut Connection, path: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&connection.call("GET", path, Bytes::new()).await?)?)
}

fn count(list: &Value) -> usize {
    list["items"].as_array().map_or(0, Vec::len)
}

async fn until(connection: &mut Connection, mut holds: impl AsyncFnMut(&mut Connection) -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !holds(connection).await? {
        if began.elapsed() > DEADLINE {
            bail!("the cluster is not as it should be after {DEADLINE:?}: start `sheave server` by hand and look");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
