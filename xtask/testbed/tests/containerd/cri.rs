//! What the tests ask of containerd through CRI.

use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{
    ContainerConfig, ContainerMetadata, CreateContainerRequest, ImageSpec, LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxMetadata,
    RunPodSandboxRequest, StartContainerRequest, VersionRequest, VersionResponse,
};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

pub(crate) async fn version(socket: &Path) -> Result<VersionResponse, String> {
    let mut client = client(socket).await.map_err(|error| error.to_string())?;
    let version = client.version(VersionRequest { version: "v1".to_owned() }).await;
    version.map(tonic::Response::into_inner).map_err(|error| error.to_string())
}

/// A CRI client over a unix socket; the address is a formality.
pub(crate) async fn client(socket: &Path) -> Result<RuntimeServiceClient<Channel>, tonic::transport::Error> {
    let socket: PathBuf = socket.to_owned();
    let connect = move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    };
    let channel = Endpoint::from_static("http://containerd").connect_with_connector(tower::service_fn(connect)).await?;
    Ok(RuntimeServiceClient::new(channel))
}

/// Runs a pod on its node's network, with one container, whose id is given.
pub(crate) async fn run_pod(socket: &Path, image: &str, cgroup_parent: &str) -> String {
    let mut client = client(socket).await.unwrap();
    let sandbox = sandbox(cgroup_parent);
    let run = RunPodSandboxRequest { config: Some(sandbox.clone()), runtime_handler: String::new() };
    let pod_sandbox_id = client.run_pod_sandbox(run).await.unwrap().into_inner().pod_sandbox_id;
    let container = ContainerConfig {
        metadata: Some(ContainerMetadata { name: "sleeper".to_owned(), attempt: 0 }),
        image: Some(ImageSpec { image: image.to_owned(), ..ImageSpec::default() }),
        ..ContainerConfig::default()
    };
    let create = CreateContainerRequest { pod_sandbox_id, config: Some(container), sandbox_config: Some(sandbox) };
    let container_id = client.create_container(create).await.unwrap().into_inner().container_id;
    client.start_container(StartContainerRequest { container_id: container_id.clone() }).await.unwrap();
    container_id
}

fn sandbox(cgroup_parent: &str) -> PodSandboxConfig {
    let network = NamespaceOption { network: NamespaceMode::Node.into(), ..NamespaceOption::default() };
    let security_context =
        LinuxSandboxSecurityContext { namespace_options: Some(network), ..LinuxSandboxSecurityContext::default() };
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: "pod".to_owned(),
            uid: "1".to_owned(),
            namespace: "default".to_owned(),
            attempt: 0,
        }),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: cgroup_parent.to_owned(),
            security_context: Some(security_context),
            ..LinuxPodSandboxConfig::default()
        }),
        ..PodSandboxConfig::default()
    }
}
