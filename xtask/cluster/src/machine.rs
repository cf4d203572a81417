//! What runs on one host of a cluster.

use std::fs;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use testbed::containerd::{Containerd, Settings};
use testbed::{Daemon, Node};

use crate::error::{Cause, with_file};
use crate::options::Options;

/// The image that holds a pod's namespaces, of our own catalog.
const SANDBOX_IMAGE: &str = "registry.k8s.io/pause:3.9";
/// Where each node serves images to its containerd.
const REGISTRY: &str = "http://127.0.0.1:5000";
/// The API's port on the fabric.
const API_PORT: u16 = 6443;
/// LoadBalancer addresses, a piece of the fabric's network.
const LOAD_BALANCER_POOL: &str = "192.168.77.240/28";

/// The server's data on its host.
const DATA: &str = "/var/lib/sheave";

/// What a node is called in the API: `n1`.
pub(crate) fn node_name(node: &Node) -> String {
    node.name().role().to_string()
}

/// The administrator's kubeconfig, as a file of the machine.
pub(crate) fn server_kubeconfig(server: &Node) -> PathBuf {
    server.data().join("var-lib/sheave/admin.kubeconfig")
}

/// The API's address for hosts on the fabric.
pub(crate) fn api_on_fabric(server: &Node) -> String {
    format!("https://{}:{API_PORT}", server.addresses().ipv4)
}

/// Starts `sheave server`, listening on the fabric and on a socket of the machine's.
pub(crate) fn start_server(server: &Node, listener: TcpListener, options: &Options) -> Result<Daemon, Cause> {
    let addresses = server.addresses();
    let inherited = format!("fd:{}", listener.as_raw_fd());
    let command = server.daemon("server", &options.programs.sheave)?;
    let command = command.args(["server", "--data-dir", DATA, "--listen", &inherited]);
    let command = command.arg("--listen").arg(format!("{}:{API_PORT}", addresses.ipv4));
    let command = command.arg("--listen").arg(format!("[{}]:{API_PORT}", addresses.ipv6));
    let command = command.args(["--load-balancer-pool", LOAD_BALANCER_POOL]).args(&options.server_arguments);
    Ok(command.inherit(listener).start()?)
}

/// Starts containerd in a node; one that runs is left alone.
pub(crate) fn ensure_containerd(node: &Node) -> Result<Containerd, Cause> {
    if let Some(running) = Containerd::find(node) {
        return Ok(running);
    }
    let settings = Settings { sandbox_image: SANDBOX_IMAGE.to_owned(), registry: Some(REGISTRY.to_owned()) };
    Ok(Containerd::start(node, &settings)?)
}

/// Starts `sheave node`; one that runs is left alone.
pub(crate) fn ensure_kubelet(node: &Node, server: &Node, options: &Options) -> Result<Daemon, Cause> {
    if let Some(running) = node.find_daemon("kubelet") {
        return Ok(running);
    }
    // The server writes it before it is ready.
    let join = with_file(&server.data().join("var-lib/sheave/join"), |path| fs::read_to_string(path))?;
    let addresses = node.addresses();
    let command = node.daemon("kubelet", &options.programs.sheave)?;
    // Not as an argument: command lines are for everybody to read.
    let command = command.arg("node").env("SHEAVE_JOIN", join.trim());
    let command = command.arg("--name").arg(node_name(node));
    let command = command.args(["--container-runtime-endpoint", &Containerd::endpoint()]);
    let command = command.arg("--node-ip").arg(format!("{},{}", addresses.ipv4, addresses.ipv6));
    let command = command.arg("--image-dir").arg(&options.programs.images).args(&options.node_arguments);
    Ok(command.start()?)
}
