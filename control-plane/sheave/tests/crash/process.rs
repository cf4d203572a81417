//! `sheave server` as a process that is killed and started again on its data directory.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tempfile::TempDir;

/// How long anything may take before a test gives up. Generous: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A server, killed on drop.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    address: String,
}

// === impl Server ===

impl Server {
    /// Starts a server, and waits until it is ready.
    pub(crate) async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (folder, address) = (tempfile::tempdir().unwrap(), format!("127.0.0.1:{port}"));
        let server = Self { child: spawn(&folder, &address), folder, address };
        server.ready().await;
        server
    }

    /// Kills it in the middle of whatever it does, and starts it again.
    pub(crate) async fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.folder, &self.address);
        self.ready().await;
    }

    /// A client with all rights, which outlives crashes.
    pub(crate) async fn client(&self) -> Client {
        self.try_client().await.expect("the administrator's kubeconfig")
    }

    async fn ready(&self) {
        let began = Instant::now();
        loop {
            if let Some(client) = self.try_client().await
                && let Ok(request) = http::Request::get("/readyz").body(Vec::new())
                && client.request_text(request).await.is_ok()
            {
                return;
            }
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(began.elapsed() < PATIENCE, "the server is not ready:\n{}", log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn try_client(&self) -> Option<Client> {
        let text = std::fs::read_to_string(self.folder.path().join("data/admin.kubeconfig")).ok()?;
        let kubeconfig = Kubeconfig::from_yaml(&text).ok()?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.ok()?;
        Client::try_from(config).ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &TempDir, address: &str) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.path().join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sheave"));
    command.args(["server", "--listen", address, "--data-dir"]).arg(folder.path().join("data"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("the server can be started")
}
