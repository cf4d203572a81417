//! The API server and its store, through the API, as clients see them; etcd's raw puts beside them.

mod creates;
mod etcd;
mod lists;
mod scheduler;
mod server;
mod watches;
mod workloads;

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::report::Report;
use crate::sample::Sample;
use server::Server;

/// How much of everything one run takes.
#[derive(Clone, Copy, Debug)]
struct Amount {
    /// Repetitions of each row, interleaved with its baseline.
    runs: usize,
    /// How long one throughput run lasts.
    duration: Duration,
    /// Pods in the list that is measured.
    pods: usize,
    /// Watchers of one namespace.
    watchers: usize,
}

/// Runs all rows.
pub(crate) async fn run(quick: bool) -> Result<Report> {
    let amount = if quick {
        Amount { runs: 3, duration: Duration::from_millis(500), pods: 1_000, watchers: 100 }
    } else {
        Amount { runs: 10, duration: Duration::from_secs(1), pods: 10_000, watchers: 1_000 }
    };
    let mut report = Report::new("Control plane", "cargo xtask bench control-plane");
    scheduler::run(&mut report, amount)?;
    start(&mut report, amount).await?;
    idle(&mut report).await?;
    creates::run(&mut report, amount).await?;
    lists::run(&mut report, amount).await?;
    watches::run(&mut report, amount).await?;
    workloads::run(&mut report, amount).await?;
    Ok(report)
}

/// From the start of the process to the first `ok` of `/readyz`, with an empty and with a used data directory.
async fn start(report: &mut Report, amount: Amount) -> Result<()> {
    let (mut cold, mut warm) = (Sample::default(), Sample::default());
    for _ in 0..amount.runs {
        let folder = tempfile::tempdir()?;
        for sample in [&mut cold, &mut warm] {
            let started = Instant::now();
            let server = Server::start_in(folder.path()).await?;
            sample.push(started.elapsed().as_secs_f64() * 1000.0);
            drop(server);
        }
    }
    report.row("API ready after start, empty data directory", "ms", cold, None);
    report.row("API ready after start, used data directory", "ms", warm, Some("<= 100 ms"));
    Ok(())
}

/// Memory and processor of a server that nobody uses.
async fn idle(report: &mut Report) -> Result<()> {
    let server = Server::start().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = server.process.processor_seconds()?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let used = (server.process.processor_seconds()? - before) / 5.0 * 100.0;
    report.row("idle memory (RSS)", "MiB", Sample::from_iter([server.process.resident_mib()?]), Some("<= 40 MB"));
    report.row("idle processor", "% of a core", Sample::from_iter([used]), None);
    Ok(())
}
