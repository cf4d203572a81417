//! A cluster of one node: a server in this process, and `sheave node` beside a real containerd in a node of the testbed.

use std::fs;
use std::os::fd::IntoRawFd as _;
use std::path::Path;
use std::sync::Mutex;

use k8s_openapi::api::core::v1::{Event, Node, Pod};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use sheave::listen::Listen;
use sheave::server::{Options, Server};
use tempfile::TempDir;
use test_support::eventually;
use testbed::containerd::{Containerd, Settings};
use testbed::{Daemon, Topology};

use super::image;

/// Name of the one image: it serves as pause container and as workload.
pub(crate) const IMAGE: &str = "docker.io/library/busybox:1";
/// Its other name.
pub(crate) const OTHER_IMAGE: &str = "docker.io/library/busybox:2";
/// The one node.
pub(crate) const NODE: &str = "n1";
/// Plugins of the CNI project that give pods a network of the node's own.
const PLUGINS: [&str; 3] = ["ptp", "host-local", "portmap"];

/// The cluster. Dropping it ends everything.
pub(crate) struct Bed {
    pub(crate) client: Client,
    containerd: Containerd,
    kubelet: Mutex<Option<Daemon>>,
    server: Option<Server>,
    pub(crate) topology: Topology,
    _folder: TempDir,
}

impl Bed {
    /// Starts all of it and waits until the node is ready.
    pub(crate) async fn start(label: &str) -> Self {
        let topology = Topology::builder(label).nodes(1).server().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let server = start_server(&topology, folder.path()).await;
        let containerd = start_containerd(&topology, folder.path());
        let bed = Self {
            client: server.client(),
            containerd,
            kubelet: Mutex::default(),
            server: Some(server),
            topology,
            _folder: folder,
        };
        bed.start_kubelet();
        eventually!(within: 60s, await bed.node_is_ready(), "the node is not ready: {}", bed.kubelet_log());
        bed
    }

    /// Starts `sheave node`.
    pub(crate) fn start_kubelet(&self) {
        let kubeconfig = self.server.as_ref().unwrap().kubeconfig();
        let kubelet = self.topology.node(1).daemon("kubelet", env!("CARGO_BIN_EXE_sheave")).unwrap();
        let kubelet = kubelet.arg("--log=info,sheave_kubelet=debug").arg("node").arg("--kubeconfig").arg(kubeconfig);
        let kubelet = kubelet.args(["--name", NODE, "--data-dir", "/var/lib/sheave"]);
        *self.kubelet.lock().unwrap() = Some(kubelet.start().unwrap());
    }

    /// Kills `sheave node` as a crash would.
    pub(crate) fn kill_kubelet(&self) {
        self.kubelet.lock().unwrap().take().unwrap().kill().unwrap();
    }

    /// Starts a containerd that was killed.
    pub(crate) fn restart_containerd(&self) {
        self.containerd.daemon().kill().unwrap();
        Containerd::start(self.topology.node(1), &settings()).unwrap();
    }

    pub(crate) fn kubelet_log(&self) -> String {
        self.kubelet.lock().unwrap().as_ref().map(Daemon::last_words).unwrap_or_default()
    }

    pub(crate) async fn node_is_ready(&self) -> Result<(), String> {
        let node = Api::<Node>::all(self.client.clone()).get(NODE).await.map_err(|error| error.to_string())?;
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready").ok_or("no condition")?;
        if ready.status == "True" { Ok(()) } else { Err(ready.message.clone().unwrap_or_default()) }
    }

    pub(crate) fn containerd(&self) -> &Containerd {
        &self.containerd
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// Creates a pod on the node.
    pub(crate) async fn create(&self, name: &str, spec: Value) -> Pod {
        let mut spec = spec;
        spec["terminationGracePeriodSeconds"] = spec.get("terminationGracePeriodSeconds").cloned().unwrap_or(json!(5));
        let pod = json!({ "metadata": { "name": name }, "spec": spec });
        let pod = serde_json::from_value(pod).unwrap();
        eventually!(within: 30s, await self.pods().create(&PostParams::default(), &pod), "no pod {name}")
    }

    /// Waits until a pod is as `is` wants it.
    pub(crate) async fn wait(&self, name: &str, what: &str, is: impl Fn(&Pod) -> bool) -> Pod {
        let look = async || {
            let pod = self.pods().get(name).await.map_err(|error| error.to_string())?;
            if is(&pod) { Ok(pod) } else { Err(serde_json::to_string(&pod.status).unwrap()) }
        };
        eventually!(within: 60s, await look(), "{name} is not {what}; the kubelet says:\n{}", self.kubelet_log())
    }

    /// Deletes a pod and waits until it is gone.
    pub(crate) async fn delete(&self, name: &str) {
        self.pods().delete(name, &DeleteParams::default()).await.unwrap();
        let is_gone = async || match self.pods().get_opt(name).await {
            Ok(None) => Ok(()),
            Ok(Some(pod)) => Err(serde_json::to_string(&pod.status).unwrap()),
            Err(error) => Err(error.to_string()),
        };
        eventually!(within: 60s, await is_gone(), "{name} is not deleted:\n{}", self.kubelet_log());
    }

    /// Reasons and messages of a pod's events.
    pub(crate) async fn events(&self, name: &str) -> Vec<String> {
        let events = Api::<Event>::namespaced(self.client.clone(), "default");
        let of_pod = ListParams::default().fields(&format!("involvedObject.name={name}"));
        let events = events.list(&of_pod).await.unwrap().items.into_iter();
        events
            .map(|event| format!("{} {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default()))
            .collect()
    }

    /// Files and cgroups of pods.
    pub(crate) fn leftovers(&self) -> String {
        self.shell(
            "ls -d /var/lib/sheave/pods/* /var/log/pods/* 2>/dev/null; find /sys/fs/cgroup -name 'pod*-*' -type d 2>/dev/null; true",
        )
    }

    /// What a shell in the node prints.
    pub(crate) fn shell(&self, script: &str) -> String {
        let output = self.topology.node(1).command("sh").unwrap().args(["-c", script]).output().unwrap();
        assert!(output.status.success(), "`{script}`: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Ends the server in order; the rest ends by itself.
    pub(crate) async fn stop(mut self) {
        self.kubelet.lock().unwrap().take().unwrap().kill().unwrap();
        self.server.take().unwrap().stop().await;
    }
}

/// A server that nodes reach at the topology's server.
async fn start_server(topology: &Topology, folder: &Path) -> Server {
    let address = topology.server().addresses().ipv4;
    let listener = topology.server().listen((address, 6443)).unwrap().into_std().unwrap();
    let listen = vec![Listen::Descriptor(listener.into_raw_fd())];
    Server::start(Options { listen, ..Options::new(&folder.join("server")) }).await.unwrap()
}

fn settings() -> Settings {
    Settings { sandbox_image: IMAGE.to_owned(), registry: Some("http://127.0.0.1:5000".to_owned()) }
}

pub(crate) fn start_containerd(topology: &Topology, folder: &Path) -> Containerd {
    let node = topology.node(1);
    let root = node.root().unwrap();
    fs::create_dir_all(root.join("opt/cni/bin")).unwrap();
    fs::create_dir_all(root.join("etc/cni/net.d")).unwrap();
    for plugin in PLUGINS {
        let packaged = Path::new("/usr/lib/cni").join(plugin);
        fs::copy(packaged, root.join("opt/cni/bin").join(plugin)).expect("containernetworking-plugins is installed");
    }
    let network = json!({
        "cniVersion": "0.4.0", "name": "pods",
        "plugins": [{ "type": "ptp", "ipam": {
            "type": "host-local", "ranges": [[{ "subnet": "10.244.1.0/24" }]], "routes": [{ "dst": "0.0.0.0/0" }],
        }}],
    });
    fs::write(root.join("etc/cni/net.d/10-pods.conflist"), network.to_string()).unwrap();
    let containerd = Containerd::start(node, &settings()).unwrap();
    let archive = folder.join("image.tar");
    image::write_busybox(&archive, IMAGE);
    let import = || {
        let import = node.command("ctr").unwrap().args(["--namespace", "k8s.io", "images", "import"]).arg(&archive);
        let output = import.output().map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    eventually!(within: 30s, import(), "the image cannot be imported");
    // The same image under another name, for changes of images.
    let tag = node.command("ctr").unwrap().args(["--namespace", "k8s.io", "images", "tag", IMAGE, OTHER_IMAGE]);
    assert!(tag.output().unwrap().status.success());
    containerd
}
