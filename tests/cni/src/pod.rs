//! A container as far as a CNI plugin sees one: a network namespace with a name.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use serde_json::Value;
use sheave_agent::namespace::run_in;
use testbed::Node;

/// A network namespace below a node's `/run/netns`. Dropping it removes the name, and with it the namespace.
#[derive(Debug)]
pub struct Pod<'a> {
    node: &'a Node,
    name: String,
    addresses: Vec<IpAddr>,
}

// === impl Pod ===

impl<'a> Pod<'a> {
    /// Makes the namespace, with its loopback interface up.
    ///
    /// # Panics
    /// When it is there already.
    #[must_use]
    pub fn create(node: &'a Node, name: &str) -> Self {
        let script = format!("ip netns add {name} && ip -n {name} link set lo up");
        let output = node.command("sh").expect("the node runs").args(["-c", &script]).output().expect("it ends");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        Self { node, name: name.to_owned(), addresses: Vec::new() }
    }

    /// Remembers the addresses of a result.
    ///
    /// # Panics
    /// When there are none in it.
    #[must_use]
    pub fn with_addresses_of(mut self, result: &Value) -> Self {
        let texts = result["ips"].as_array().expect("a result has addresses").iter();
        let addresses =
            texts.map(|ip| ip["address"].as_str().unwrap_or_default().split('/').next().unwrap_or_default());
        self.addresses = addresses.map(|text| text.parse().expect("an address")).collect();
        self
    }

    /// Its name, which is the container id as well.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its node.
    #[must_use]
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// Its addresses.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// The path of its namespace in the node.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// Runs something in its network, as [`testbed::Host::run`] does.
    ///
    /// # Panics
    /// When the namespace is gone.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(self.file()).expect("the namespace is there");
        run_in(namespace.as_fd(), work).expect("it can be entered")
    }

    /// What a shell prints that runs in its network with the node's files.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn shell(&self, script: &str) -> String {
        let entered = ["netns", "exec", &self.name, "sh", "-c", script];
        let output = self.node.command("ip").expect("the node runs").args(entered).output().expect("it ends");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "`{script}` in {}: {errors}", self.name);
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn file(&self) -> PathBuf {
        self.node.root().expect("the node runs").join("run/netns").join(&self.name)
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        // The node, and all in it, may be gone already.
        if let Ok(command) = self.node.command("ip") {
            let _ = command.args(["netns", "delete", &self.name]).output();
        }
    }
}
