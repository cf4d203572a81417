//! The kubelet as a whole: the order in which its parts start and stop.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Taint;
use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::event::Recorder;
use crate::garbage::Garbage;
use crate::image::Images;
use crate::node::facts::{Machine, system_info};
use crate::node::{Description, Reporter};
use crate::pod::admission::{Admitted, Room};
use crate::pod::dns::ClusterDns;
use crate::pod::effects::{Inner, Shared};
use crate::pod::place::Folders;
use crate::pod::{Manager, Pods};
use crate::probe::Prober;
use crate::resource::{Capacity, CgroupError, Hierarchies, PodCgroups};
use crate::runtime::{InvalidEndpoint, Observer, Runtime, Version};
use crate::source::Sources;
use crate::volume::Volumes;

/// Pause between attempts to reach the runtime.
const AGAIN: Duration = Duration::from_millis(250);

/// How a kubelet is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node's name in the API.
    pub node_name: String,
    /// The node's host name.
    pub hostname: String,
    /// Addresses at which others reach the node, the preferred family first.
    pub addresses: Vec<IpAddr>,
    /// Everything but logs.
    pub data_directory: PathBuf,
    /// Where pods' logs are.
    pub log_directory: PathBuf,
    /// The runtime's socket, `unix:///path`.
    pub runtime_endpoint: String,
    /// The cgroup below which pods live, as a path below each hierarchy's root.
    pub cgroup_root: String,
    /// The cluster's DNS.
    pub dns: ClusterDns,
    /// The file with the node's own DNS.
    pub resolv_conf: PathBuf,
    /// Most pods.
    pub max_pods: u32,
    /// Labels that the node has beside the usual ones.
    pub labels: BTreeMap<String, String>,
    /// Taints that the node registers with.
    pub taints: Vec<Taint>,
    /// The port of the kubelet's server.
    pub port: u16,
}

/// A running kubelet.
#[derive(Debug)]
pub struct Kubelet {
    pods: Pods,
    runtime: Runtime,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// Why a kubelet does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The endpoint of the runtime.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// The pods' cgroups.
    #[error("cannot prepare the cgroups of pods below {root}: {source}")]
    Cgroups {
        /// The cgroup root.
        root: String,
        /// What went wrong.
        #[source]
        source: CgroupError,
    },
    /// One of its folders.
    #[error("cannot make {path}: {source}: run as root, or choose another --data-dir")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

// === impl Kubelet ===

impl Kubelet {
    /// Starts a kubelet. It waits for its runtime as long as it takes, and the node is not ready until then.
    ///
    /// # Errors
    /// When its folders cannot be made or the endpoint is none.
    pub fn start(client: Client, options: Options) -> Result<Self, StartError> {
        let runtime = Runtime::new(&options.runtime_endpoint)?;
        let folders = Folders { pods: options.data_directory.join("pods"), logs: options.log_directory.clone() };
        for path in [&folders.pods, &folders.logs] {
            let made = std::fs::create_dir_all(path);
            made.map_err(|source| StartError::Folder { path: path.clone(), source })?;
        }
        let machine = Machine::look(&options.data_directory, options.max_pods);
        let cgroups = prepare_cgroups(&options, &machine.allocatable());
        let cgroups = cgroups.map_err(|source| StartError::Cgroups { root: options.cgroup_root.clone(), source })?;
        let (pods, stop) = (Pods::default(), CancellationToken::new());
        let parts = Parts { client, options, folders, machine, cgroups, runtime: runtime.clone(), pods: pods.clone() };
        let mut tasks = JoinSet::new();
        tasks.spawn(run(parts, stop.clone()));
        Ok(Self { pods, runtime, stop, tasks })
    }

    /// The node's pods, for those who look them up.
    #[must_use]
    pub fn pods(&self) -> Pods {
        self.pods.clone()
    }

    /// The runtime's client.
    #[must_use]
    pub fn runtime(&self) -> Runtime {
        self.runtime.clone()
    }

    /// Stops it. Containers run on, and the next kubelet finds them.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// What a kubelet is made of before its runtime answers.
struct Parts {
    client: Client,
    options: Options,
    folders: Folders,
    machine: Machine,
    cgroups: PodCgroups,
    runtime: Runtime,
    pods: Pods,
}

fn prepare_cgroups(options: &Options, allocatable: &Capacity) -> Result<PodCgroups, CgroupError> {
    let cgroups = PodCgroups::new(Hierarchies::discover()?, Path::new(&options.cgroup_root));
    cgroups.set_up(allocatable)?;
    Ok(cgroups)
}

async fn run(parts: Parts, stop: CancellationToken) {
    let Parts { client, options, folders, machine, cgroups, runtime, pods } = parts;
    let observer = Observer::new(runtime.clone());
    let recorder = Recorder::spawn(client.clone(), &options.node_name);
    let mut tasks = JoinSet::new();
    let version = tokio::select! {
        version = wait_for_runtime(&runtime) => version,
        () = stop.cancelled() => return,
    };
    info!(runtime = version.name, version.version, "the container runtime answers");
    // Before the first pod: what runs already must be known by then.
    while observer.list().await.is_err() && !stop.is_cancelled() {
        tokio::time::sleep(AGAIN).await;
    }
    let description = describe(&options, machine, &version);
    let labels = description.labels();
    let sandbox_image = sandbox_image(&runtime).await;
    let (reporter, network) =
        Reporter::new(client.clone(), runtime.clone(), observer.clone(), recorder.clone(), description);
    tasks.spawn(observer.clone().run(stop.clone()));
    tasks.spawn(reporter.run(stop.clone()));
    let sources = Sources::new(client.clone());
    let allocatable = machine.allocatable();
    let shared = Shared::new(Inner {
        volumes: Volumes::new(folders.pods.clone(), sources.clone(), allocatable),
        admitted: Admitted::default(),
        room: Room { name: options.node_name.clone(), allocatable, pods: options.max_pods as usize },
        labels,
        sandbox_image,
        prober: Prober::new(Arc::new(runtime.clone())),
        images: Images::new(runtime.clone(), recorder.clone(), sources.clone()),
        client,
        runtime,
        observer,
        recorder,
        folders,
        node_name: options.node_name,
        hostname: options.hostname,
        node_addresses: options.addresses,
        dns: options.dns,
        resolv_conf: options.resolv_conf,
        cgroups,
        allocatable,
        node_memory: i64::try_from(machine.memory).unwrap_or(i64::MAX),
        sources,
        seccomp_profiles: options.data_directory.join("seccomp"),
        runtime_name: version.name,
        network,
    });
    tasks.spawn(Garbage::new(shared.clone(), pods.clone()).run(stop.clone()));
    tasks.spawn(Manager::new(shared, pods).run(stop));
    while tasks.join_next().await.is_some() {}
}

/// The image of sandboxes, as containerd's configuration has it; empty if the runtime does not say.
async fn sandbox_image(runtime: &Runtime) -> String {
    let info = runtime.status(true).await.map(|status| status.info).unwrap_or_default();
    let configuration = info.get("config").and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    let image = configuration.as_ref().and_then(|configuration| configuration["sandboxImage"].as_str());
    image.unwrap_or_default().to_owned()
}

async fn wait_for_runtime(runtime: &Runtime) -> Version {
    let mut has_complained = false;
    loop {
        match runtime.version().await {
            Ok(version) => return version,
            Err(error) if !has_complained => {
                warn!(%error, "the container runtime does not answer yet");
                has_complained = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn describe(options: &Options, machine: Machine, version: &Version) -> Description {
    Description {
        name: options.node_name.clone(),
        hostname: options.hostname.clone(),
        addresses: options.addresses.clone(),
        port: options.port,
        labels: options.labels.clone(),
        taints: options.taints.clone(),
        machine,
        info: system_info(version),
    }
}
