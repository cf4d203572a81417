//! `sheave server` as a user starts it: a process with a data directory, on the loopback address.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use tempfile::TempDir;

use crate::connection::{Connection, Endpoint};
use crate::process::{Process, free_port};

/// How long a server may take to be ready before the benchmark gives up.
const DEADLINE: Duration = Duration::from_secs(30);

/// A running server, ended on drop.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) endpoint: Endpoint,
    _folder: Option<TempDir>,
}

impl Server {
    /// Starts a server with a data directory of its own.
    pub(crate) async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// As [`Self::start`], with further arguments.
    pub(crate) async fn start_with(arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut server = Self::start_process(folder.path(), arguments).await?;
        server._folder = Some(folder);
        Ok(server)
    }

    /// Starts a server on a data directory, and returns when it is ready.
    pub(crate) async fn start_in(folder: &Path) -> Result<Self> {
        Self::start_process(folder, &[]).await
    }

    async fn start_process(folder: &Path, arguments: &[&str]) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("sheave");
        let address = format!("127.0.0.1:{}", free_port()?);
        let mut command = Command::new(&program);
        command.args(["server", "--listen", &address, "--data-dir"]).arg(folder).args(arguments);
        let process = Process::start(&mut command)?;
        let kubeconfig = folder.join("admin.kubeconfig");
        let started = Instant::now();
        loop {
            if let Ok(endpoint) = ready(&kubeconfig).await {
                return Ok(Self { process, endpoint, _folder: None });
            }
            if started.elapsed() > DEADLINE {
                bail!("{} is not ready after {DEADLINE:?}: start it by hand and read what it says", program.display());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// A connection as the administrator.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        self.endpoint.connect().await.context("cannot connect to the server under measurement")
    }
}

async fn ready(kubeconfig: &Path) -> Result<Endpoint> {
    let endpoint = Endpoint::from_kubeconfig(kubeconfig)?;
    endpoint.connect().await?.call("GET", "/readyz", Bytes::new()).await?;
    Ok(endpoint)
}
