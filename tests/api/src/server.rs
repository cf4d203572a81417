//! A server of this process on the loopback address, with a data directory of its own.

use sheave::server::{Options, Server as Control};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A running control plane, stopped on drop.
#[derive(Debug)]
pub struct Server {
    control: Option<Control>,
    kubeconfig: String,
    runtime: Runtime,
    _folder: TempDir,
}

impl Server {
    /// Starts API server, controllers and scheduler.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// Starts with changed options.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a tokio runtime");
        let folder = tempfile::tempdir().expect("a data directory");
        let mut options = Options::new(folder.path());
        change(&mut options);
        let control = runtime.block_on(Control::start(options)).expect("the server starts");
        let kubeconfig = std::fs::read_to_string(control.kubeconfig()).expect("the administrator's kubeconfig");
        Self { control: Some(control), kubeconfig, runtime, _folder: folder }
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// The kubeconfig of another user, known by a client certificate.
    ///
    /// # Panics
    /// When none can be made.
    #[must_use]
    pub fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> String {
        self.control().kubeconfig_for(user, groups).expect("a kubeconfig")
    }

    /// A client in this process, with all rights.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        let _entered = self.runtime.enter();
        self.control().client()
    }

    /// Runs something on the server's runtime.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    fn control(&self) -> &Control {
        self.control.as_ref().expect("it runs until it is dropped")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(control) = self.control.take() {
            self.runtime.block_on(control.stop());
        }
    }
}
