//! Debian's etcd as the baseline of durable writes: one member, its defaults, raw puts over gRPC.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use etcd_client::Client;
use tempfile::TempDir;

use super::creates::per_second;
use crate::process::{Process, free_port};

/// A running etcd, ended on drop.
pub(super) struct Etcd {
    address: String,
    _process: Process,
    _folder: TempDir,
}

impl Etcd {
    /// Starts etcd on the loopback address and returns when it takes writes.
    pub(super) async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (client, peer) = (free_port()?, free_port()?);
        let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(folder.path());
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}"), "--log-level", "error"]);
        let process = Process::start(&mut command).context("is etcd-server installed? run `cargo xtask setup`")?;
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(20) {
            if let Ok(mut connection) = Client::connect([&client], None).await
                && connection.put("ready", "", None).await.is_ok()
            {
                return Ok(Self { address: client, _process: process, _folder: folder });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("etcd takes no writes within 20 s: start it by hand and read what it says")
    }

    /// Puts per second by `clients` connections at once.
    pub(super) async fn puts(&self, clients: usize, duration: Duration, size: usize) -> Result<f64> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let value = "x".repeat(size);
        let end = Instant::now() + duration;
        let tasks = (0..clients).map(|_| {
            let value = value.clone();
            async move {
                let mut connection = Client::connect([&self.address], None).await?;
                let mut done = 0u64;
                while Instant::now() < end {
                    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                    let key = format!("/registry/configmaps/default/bench-{number}");
                    connection.put(key, value.as_str(), None).await?;
                    done += 1;
                }
                anyhow::Ok(done)
            }
        });
        per_second(tasks, duration).await
    }
}
