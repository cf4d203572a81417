//! How long a pod takes from its creation to running, next to the bare runtime in the same run. Measured, not asserted:
//! `cargo test -p sheave --test node -- --ignored --nocapture figures`.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;
use sheave_kubelet::pod::sandbox::{SandboxPlace, config};
use sheave_kubelet::runtime::Runtime;
use test_support::require_root;

use super::bed::{Bed, IMAGE};
use super::{phase, script};

/// Pods of each round.
const ROUND: usize = 30;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn figures_of_a_pods_start() {
    require_root!();
    let bed = Bed::start("pods-figures").await;
    let runtime = Runtime::new(&format!("unix://{}", bed.containerd().socket().display())).unwrap();
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for number in 0..ROUND {
        bare.push(run_bare(&runtime, number).await);
        ours.push(run_pod(&bed, &format!("one-{number}")).await);
    }
    print("bare runtime, one at a time", bare);
    print("pod created to Running, one at a time", ours);
    let began = Instant::now();
    let many = (0..50).map(|number| {
        let bed = &bed;
        async move { run_pod(bed, &format!("many-{number}")).await }
    });
    print("pod created to Running, 50 at once", futures::future::join_all(many).await);
    println!("all 50 run after {:.0?}", began.elapsed());
    println!("sheave node: {}", bed.shell("grep -h VmRSS /proc/$(pidof sheave)/status").trim());
    bed.stop().await;
}

async fn run_pod(bed: &Bed, name: &str) -> Duration {
    let pods = bed.pods();
    let params = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut events = std::pin::pin!(pods.watch(&params, "0").await.unwrap());
    let pod = json!({ "metadata": { "name": name }, "spec": script("Always", "sleep 1000") });
    let began = Instant::now();
    pods.create(&PostParams::default(), &serde_json::from_value::<Pod>(pod).unwrap()).await.unwrap();
    while let Some(event) = events.next().await {
        if let Ok(WatchEvent::Modified(pod) | WatchEvent::Added(pod)) = event
            && phase(&pod) == "Running"
        {
            let took = began.elapsed();
            let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
            let _ = pods.delete(name, &now).await;
            return took;
        }
    }
    panic!("the watch of {name} ended");
}

/// The same sandbox and container through CRI alone.
async fn run_bare(runtime: &Runtime, number: usize) -> Duration {
    let pod = json!({ "metadata": { "name": "bare", "namespace": "default", "uid": format!("bare-{number}") }, "spec": script("Always", "") });
    let place = SandboxPlace {
        cgroup_parent: format!("/bare-{number}"),
        log_directory: "/tmp".into(),
        ..SandboxPlace::default()
    };
    let mut sandbox = config(&serde_json::from_value(pod).unwrap(), 0, place);
    sandbox.labels.clear();
    let container = k8s_cri::v1::ContainerConfig {
        metadata: Some(k8s_cri::v1::ContainerMetadata { name: "main".into(), attempt: 0 }),
        image: Some(k8s_cri::v1::ImageSpec { image: IMAGE.into(), ..Default::default() }),
        command: ["sh", "-c", "sleep 1000"].map(str::to_owned).into(),
        ..Default::default()
    };
    let began = Instant::now();
    let id = runtime.run_sandbox(sandbox.clone(), "").await.unwrap();
    let made = runtime.create_container(&id, container, sandbox).await.unwrap();
    runtime.start_container(&made).await.unwrap();
    let took = began.elapsed();
    runtime.stop_sandbox(&id).await.unwrap();
    runtime.remove_sandbox(&id).await.unwrap();
    took
}

fn print(what: &str, mut took: Vec<Duration>) {
    took.sort();
    println!("{what}: p50 {:.0?}, p99 {:.0?}", took[took.len() / 2], took[took.len() * 99 / 100]);
}
