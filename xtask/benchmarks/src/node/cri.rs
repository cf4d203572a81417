//! The bare calls: a sandbox with its network, a container, its start. What a kubelet cannot save.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use cluster::Cluster;
use futures::future::try_join_all;
use hyper_util::rt::TokioIo;
use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    ContainerConfig, ContainerMetadata, CreateContainerRequest, ImageSpec, LinuxPodSandboxConfig, PodSandboxConfig,
    PodSandboxMetadata, PullImageRequest, RemovePodSandboxRequest, RunPodSandboxRequest, StartContainerRequest,
    StopPodSandboxRequest,
};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use super::pods::IMAGE;
use crate::sample::Sample;

/// Pods of ours are below here, apart from the kubelet's, which would take them for its own leftovers.
const CGROUP: &str = "/bench";

/// The container runtime of the first node.
#[derive(Clone)]
pub(super) struct Runtime {
    client: RuntimeServiceClient<Channel>,
}

// === impl Runtime ===

impl Runtime {
    pub(super) async fn connect(cluster: &Cluster) -> Result<Self> {
        let socket: PathBuf = cluster.containerd(1).context("containerd has ended")?.socket().to_owned();
        let connect = move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        };
        let endpoint = Endpoint::from_static("http://containerd");
        let channel = endpoint.connect_with_connector(tower::service_fn(connect)).await?;
        let image = Some(ImageSpec { image: IMAGE.to_owned(), ..ImageSpec::default() });
        let pull = PullImageRequest { image, auth: None, sandbox_config: None };
        ImageServiceClient::new(channel.clone()).pull_image(pull).await?;
        Ok(Self { client: RuntimeServiceClient::new(channel) })
    }

    /// Milliseconds until one container runs; it is removed again.
    pub(super) async fn run_one(&self, name: &str) -> Result<f64> {
        let (milliseconds, sandbox) = self.start(name).await?;
        self.remove(sandbox).await?;
        Ok(milliseconds)
    }

    /// The same of many at once.
    pub(super) async fn run_many(&self, name: &str, count: usize) -> Result<Sample> {
        let names: Vec<_> = (0..count).map(|number| format!("{name}-{number}")).collect();
        let started = try_join_all(names.iter().map(|name| self.start(name))).await?;
        try_join_all(started.iter().map(|(_, sandbox)| self.remove(sandbox.clone()))).await?;
        Ok(started.into_iter().map(|(milliseconds, _)| milliseconds).collect())
    }

    async fn start(&self, name: &str) -> Result<(f64, String)> {
        let mut client = self.client.clone();
        let config = sandbox(name);
        let began = Instant::now();
        let run = RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
        let pod_sandbox_id = client.run_pod_sandbox(run).await?.into_inner().pod_sandbox_id;
        let create = CreateContainerRequest {
            pod_sandbox_id: pod_sandbox_id.clone(),
            config: Some(container()),
            sandbox_config: Some(config),
        };
        let container_id = client.create_container(create).await?.into_inner().container_id;
        client.start_container(StartContainerRequest { container_id }).await?;
        Ok((began.elapsed().as_secs_f64() * 1000.0, pod_sandbox_id))
    }

    async fn remove(&self, pod_sandbox_id: String) -> Result<()> {
        let mut client = self.client.clone();
        client.stop_pod_sandbox(StopPodSandboxRequest { pod_sandbox_id: pod_sandbox_id.clone() }).await?;
        client.remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id }).await?;
        Ok(())
    }
}

fn sandbox(name: &str) -> PodSandboxConfig {
    let metadata =
        PodSandboxMetadata { name: name.to_owned(), uid: name.to_owned(), namespace: "bench".to_owned(), attempt: 0 };
    let linux = LinuxPodSandboxConfig { cgroup_parent: CGROUP.to_owned(), ..LinuxPodSandboxConfig::default() };
    PodSandboxConfig { metadata: Some(metadata), linux: Some(linux), ..PodSandboxConfig::default() }
}

fn container() -> ContainerConfig {
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: "main".to_owned(), attempt: 0 }),
        image: Some(ImageSpec { image: IMAGE.to_owned(), ..ImageSpec::default() }),
        command: vec!["sleep".to_owned(), "1000".to_owned()],
        ..ContainerConfig::default()
    }
}
