//! Nodes: how long a pod takes from its creation to Running, beside the bare calls to the container runtime that it
//! cannot do without; what a kubelet takes when nothing happens; how long a cluster takes to be there.

mod cri;
mod pods;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use cluster::{Cluster, Lifetime, Options, Programs};

use crate::process::Usage;
use crate::report::Report;
use crate::sample::Sample;

/// What the measured cluster runs.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The `sheave` binary.
    #[arg(long)]
    sheave: PathBuf,
    /// The folder of image archives.
    #[arg(long)]
    images: PathBuf,
    /// kubectl.
    #[arg(long)]
    kubectl: PathBuf,
}

/// How much of everything one run takes.
#[derive(Clone, Copy, Debug)]
struct Amount {
    /// Pods one after another.
    pods: usize,
    /// Pods at once.
    at_once: usize,
    /// Clusters started.
    clusters: usize,
}

/// Runs all rows.
pub(crate) async fn run(arguments: &Arguments, quick: bool) -> Result<Report> {
    let amount = if quick {
        Amount { pods: 5, at_once: 10, clusters: 1 }
    } else {
        Amount { pods: 50, at_once: 50, clusters: 3 }
    };
    let mut report = Report::new("Node", "cargo xtask bench node");
    bring_up(&mut report, arguments, amount)?;
    let cluster = start(arguments, 1)?;
    idle(&mut report, &cluster).await?;
    one_at_a_time(&mut report, &cluster, amount).await?;
    at_once(&mut report, &cluster, amount).await?;
    Ok(report)
}

fn start(arguments: &Arguments, nodes: usize) -> Result<Cluster> {
    let programs = Programs {
        sheave: arguments.sheave.clone(),
        images: arguments.images.clone(),
        kubectl: arguments.kubectl.clone(),
    };
    let options = Options {
        name: "bench".to_owned(),
        lifetime: Lifetime::ThisProcess,
        nodes,
        port: 0,
        programs,
        server_arguments: Vec::new(),
        node_arguments: Vec::new(),
    };
    Ok(Cluster::start(options, &mut |_| ())?)
}

/// From nothing to three nodes that are ready, with programs and images built.
fn bring_up(report: &mut Report, arguments: &Arguments, amount: Amount) -> Result<()> {
    let mut sample = Sample::default();
    for _ in 0..amount.clusters {
        let began = Instant::now();
        let cluster = start(arguments, 3)?;
        sample.push(began.elapsed().as_secs_f64());
        drop(cluster);
    }
    report.row("three nodes Ready, everything built", "s", sample, None);
    Ok(())
}

/// Memory and processor of a kubelet without pods.
async fn idle(report: &mut Report, cluster: &Cluster) -> Result<()> {
    const WATCHED: Duration = Duration::from_secs(10);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let kubelet = Usage::of(cluster.kubelet(1).context("the kubelet has ended")?.process());
    let before = kubelet.processor_seconds()?;
    tokio::time::sleep(WATCHED).await;
    let used = (kubelet.processor_seconds()? - before) / WATCHED.as_secs_f64() * 100.0;
    report.row("idle memory of `sheave node` (RSS)", "MiB", Sample::from_iter([kubelet.resident_mib()?]), None);
    report.row("idle processor of `sheave node`", "% of a core", Sample::from_iter([used]), None);
    Ok(())
}

/// Interleaved, so that both see the same machine.
async fn one_at_a_time(report: &mut Report, cluster: &Cluster, amount: Amount) -> Result<()> {
    let (api, runtime) = (pods::Pods::connect(cluster).await?, cri::Runtime::connect(cluster).await?);
    // The first of each pulls the image and warms caches.
    api.run_one("warm").await?;
    runtime.run_one("warm").await?;
    let (mut ours, mut bare) = (Sample::default(), Sample::default());
    for number in 0..amount.pods {
        ours.push(api.run_one(&format!("single-{number}")).await?);
        bare.push(runtime.run_one(&format!("single-{number}")).await?);
    }
    rows(report, "one at a time", &ours, &bare);
    Ok(())
}

async fn at_once(report: &mut Report, cluster: &Cluster, amount: Amount) -> Result<()> {
    let (api, runtime) = (pods::Pods::connect(cluster).await?, cri::Runtime::connect(cluster).await?);
    let ours = api.run_many("many", amount.at_once).await?;
    let bare = runtime.run_many("many", amount.at_once).await?;
    rows(report, &format!("{} at once", amount.at_once), &ours, &bare);
    Ok(())
}

/// The median, whose ratio is the one that counts, and the tail.
fn rows(report: &mut Report, how: &str, ours: &Sample, bare: &Sample) {
    let goal = (how == "one at a time").then_some("<= bare CRI + 60 ms");
    let name = format!("pod created to Running, {how}");
    report.row_beside(&name, "ms", ours.clone(), ("bare CRI", bare.clone()), goal);
    let tail = |sample: &Sample| Sample::from_iter([sample.quantile(0.99)]);
    report.row_beside(&format!("{name}, p99"), "ms", tail(ours), ("bare CRI", tail(bare)), None);
}
