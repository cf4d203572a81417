//! The container runtime through CRI v1: one method a call, with the time it may take and errors in the words that
//! users know.

mod containerd;
mod error;
pub mod labels;
mod observe;
mod record;

use std::path::PathBuf;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use k8s_cri::v1::image_service_client::ImageServiceClient;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{self as cri};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Response, Status};

pub use error::{InvalidEndpoint, RuntimeError};
pub use observe::{ListedContainer, ListedPod, Observer};
pub use record::{Container, ContainerState, Sandbox};

/// How long a call may take that does not say so itself.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a runtime may answer at most: an ExecSync carries up to 16 MB of each stream.
const LARGEST_ANSWER: usize = 64 << 20;

/// A CRI client over a unix socket. Cheap to clone; connects when it is first used, and again when the runtime was away.
#[derive(Clone, Debug)]
pub struct Runtime {
    channel: Channel,
}

/// What the runtime is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Such as `containerd`.
    pub name: String,
    /// Such as `1.6.20~ds1`.
    pub version: String,
}

// === impl Runtime ===

impl Runtime {
    /// A client of the runtime at `unix:///path`.
    ///
    /// # Errors
    /// When the endpoint is not the path of a unix socket.
    pub fn new(endpoint: &str) -> Result<Self, InvalidEndpoint> {
        let path = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
        if !path.starts_with('/') {
            return Err(InvalidEndpoint { endpoint: endpoint.to_owned() });
        }
        let socket = PathBuf::from(path);
        let connect = tower::service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        // The address is a formality: the connector knows the socket.
        let channel = Endpoint::from_static("http://runtime").connect_with_connector_lazy(connect);
        Ok(Self { channel })
    }

    /// The whole runtime service, for streams.
    #[must_use]
    pub fn service(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    /// What the runtime is.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn version(&self) -> Result<Version, RuntimeError> {
        let request = cri::VersionRequest { version: "v1".to_owned() };
        let answer = call("Version", PATIENCE, async move { self.service().version(request).await }).await?;
        Ok(Version { name: answer.runtime_name, version: answer.runtime_version })
    }

    /// Its conditions; with `verbose` also its configuration.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&self, verbose: bool) -> Result<cri::StatusResponse, RuntimeError> {
        let request = cri::StatusRequest { verbose };
        call("Status", Duration::from_secs(10), async move { self.service().status(request).await }).await
    }

    /// Creates and starts the sandbox of a pod; gives its id.
    ///
    /// # Errors
    /// What the runtime says, such as a failure of the network plugin.
    pub async fn run_sandbox(&self, config: cri::PodSandboxConfig, handler: &str) -> Result<String, RuntimeError> {
        let request = cri::RunPodSandboxRequest { config: Some(config), runtime_handler: handler.to_owned() };
        let run = call("RunPodSandbox", PATIENCE * 2, async move { self.service().run_pod_sandbox(request).await });
        Ok(run.await?.pod_sandbox_id)
    }

    /// What a sandbox is like now; none when it is gone.
    ///
    /// # Errors
    /// When the runtime does not answer.
    pub async fn sandbox(&self, id: &str) -> Result<Option<Sandbox>, RuntimeError> {
        let request = cri::PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: false };
        let answer =
            call("PodSandboxStatus", PATIENCE, async move { self.service().pod_sandbox_status(request).await });
        let answer = error::found(answer.await)?;
        Ok(answer.and_then(|answer| answer.status).map(Sandbox::from))
    }

    /// Stops a sandbox, whatever runs in it, and gives its network back. May be repeated.
    ///
    /// # Errors
    /// What the runtime says.
    pub async fn stop_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        let request = cri::StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
        let stop = call("StopPodSandbox", PATIENCE, async move { self.service().stop_pod_sandbox(request).await });
        error::found(stop.await).map(drop)
    }

    /// Removes a sandbox and its containers. May be repeated.
    ///
    /// # Errors
    /// What the runtime says.
    pub async fn remove_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        let request = cri::RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
        let remove =
            call("RemovePodSandbox", PATIENCE, async move { self.service().remove_pod_sandbox(request).await });
        error::found(remove.await).map(drop)
    }

    /// All sandboxes, in any state.
    ///
    /// # Errors
    /// When the runtime does not answer.
    pub async fn sandboxes(&self) -> Result<Vec<cri::PodSandbox>, RuntimeError> {
        let request = cri::ListPodSandboxRequest { filter: None };
        Ok(call("ListPodSandbox", PATIENCE, async move { self.service().list_pod_sandbox(request).await }).await?.items)
    }

    /// All containers, in any state.
    ///
    /// # Errors
    /// When the runtime does not answer.
    pub async fn containers(&self) -> Result<Vec<cri::Container>, RuntimeError> {
        let request = cri::ListContainersRequest { filter: None };
        let list = call("ListContainers", PATIENCE, async move { self.service().list_containers(request).await });
        Ok(list.await?.containers)
    }

    /// Creates a container in a sandbox; gives its id.
    ///
    /// # Errors
    /// What the runtime says.
    pub async fn create_container(
        &self,
        sandbox: &str,
        config: cri::ContainerConfig,
        sandbox_config: cri::PodSandboxConfig,
    ) -> Result<String, RuntimeError> {
        let request = cri::CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        };
        let create = call("CreateContainer", PATIENCE, async move { self.service().create_container(request).await });
        Ok(create.await?.container_id)
    }

    /// Starts a created container.
    ///
    /// # Errors
    /// What the runtime says, such as that the program is not in the image.
    pub async fn start_container(&self, id: &str) -> Result<(), RuntimeError> {
        let request = cri::StartContainerRequest { container_id: id.to_owned() };
        let start = call("StartContainer", PATIENCE, async move { self.service().start_container(request).await });
        start.await.map(drop)
    }

    /// Asks a container to end and kills it after `grace` seconds; returns when it has ended. May be repeated.
    ///
    /// # Errors
    /// What the runtime says.
    pub async fn stop_container(&self, id: &str, grace: u32) -> Result<(), RuntimeError> {
        let request = cri::StopContainerRequest { container_id: id.to_owned(), timeout: grace.into() };
        let patience = PATIENCE + Duration::from_secs(grace.into());
        let stop = call("StopContainer", patience, async move { self.service().stop_container(request).await });
        error::found(stop.await).map(drop)
    }

    /// Removes a container that does not run. May be repeated.
    ///
    /// # Errors
    /// What the runtime says.
    pub async fn remove_container(&self, id: &str) -> Result<(), RuntimeError> {
        let request = cri::RemoveContainerRequest { container_id: id.to_owned() };
        let remove = call("RemoveContainer", PATIENCE, async move { self.service().remove_container(request).await });
        error::found(remove.await).map(drop)
    }

    /// What a container is like now; none when it is gone. CRI does not say in which sandbox it is, so that stays empty.
    ///
    /// # Errors
    /// When the runtime does not answer.
    pub async fn container(&self, id: &str) -> Result<Option<Container>, RuntimeError> {
        let request = cri::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
        let answer = call("ContainerStatus", PATIENCE, async move { self.service().container_status(request).await });
        let answer = error::found(answer.await)?;
        Ok(answer.and_then(|answer| answer.status).map(Container::from))
    }

    /// Runs a program in a container and waits for its end; `timeout` is the program's.
    ///
    /// # Errors
    /// When it cannot be run or does not end in time; a program that fails is no error.
    pub async fn exec_sync(
        &self,
        id: &str,
        command: Vec<String>,
        timeout: Duration,
    ) -> Result<cri::ExecSyncResponse, RuntimeError> {
        let seconds = i64::try_from(timeout.as_secs().max(1)).unwrap_or(i64::MAX);
        let request = cri::ExecSyncRequest { container_id: id.to_owned(), cmd: command, timeout: seconds };
        let patience = timeout + Duration::from_secs(5);
        call("ExecSync", patience, async move { self.service().exec_sync(request).await }).await
    }

    /// Makes the runtime open a container's log file anew, after the old one was moved away.
    ///
    /// # Errors
    /// What the runtime says.
    pub async fn reopen_log(&self, id: &str) -> Result<(), RuntimeError> {
        let request = cri::ReopenContainerLogRequest { container_id: id.to_owned() };
        call("ReopenContainerLog", PATIENCE, async move { self.service().reopen_container_log(request).await })
            .await
            .map(drop)
    }

    /// An image of the node; none when it is not there.
    ///
    /// # Errors
    /// When the runtime does not answer.
    pub async fn image(&self, name: &str) -> Result<Option<cri::Image>, RuntimeError> {
        let request = cri::ImageStatusRequest { image: Some(image_spec(name)), verbose: false };
        let status = call("ImageStatus", PATIENCE, async move { self.images().image_status(request).await });
        Ok(status.await?.image)
    }

    /// All images of the node.
    ///
    /// # Errors
    /// When the runtime does not answer.
    pub async fn list_images(&self) -> Result<Vec<cri::Image>, RuntimeError> {
        let request = cri::ListImagesRequest { filter: None };
        Ok(call("ListImages", PATIENCE, async move { self.images().list_images(request).await }).await?.images)
    }

    /// Pulls an image, however long that takes.
    ///
    /// # Errors
    /// What the runtime says.
    pub async fn pull_image(&self, name: &str, auth: Option<cri::AuthConfig>) -> Result<String, RuntimeError> {
        let request = cri::PullImageRequest { image: Some(image_spec(name)), auth, sandbox_config: None };
        let mut images = self.images();
        let pulled = images.pull_image(Request::new(request)).await;
        pulled.map(|answer| answer.into_inner().image_ref).map_err(|status| RuntimeError::new("PullImage", status))
    }

    /// Removes an image. May be repeated.
    ///
    /// # Errors
    /// What the runtime says.
    pub async fn remove_image(&self, name: &str) -> Result<(), RuntimeError> {
        let request = cri::RemoveImageRequest { image: Some(image_spec(name)) };
        let remove = call("RemoveImage", PATIENCE, async move { self.images().remove_image(request).await });
        error::found(remove.await).map(drop)
    }

    /// The file systems that hold images.
    ///
    /// # Errors
    /// When the runtime does not answer.
    pub async fn image_filesystems(&self) -> Result<Vec<cri::FilesystemUsage>, RuntimeError> {
        let request = cri::ImageFsInfoRequest {};
        let info = call("ImageFsInfo", PATIENCE, async move { self.images().image_fs_info(request).await });
        Ok(info.await?.image_filesystems)
    }

    /// Usage of every container, as the runtime accounts for it.
    ///
    /// # Errors
    /// When the runtime does not answer.
    pub async fn container_stats(&self) -> Result<Vec<cri::ContainerStats>, RuntimeError> {
        let request = cri::ListContainerStatsRequest { filter: None };
        let list =
            call("ListContainerStats", PATIENCE, async move { self.service().list_container_stats(request).await });
        Ok(list.await?.stats)
    }
}

fn image_spec(name: &str) -> cri::ImageSpec {
    cri::ImageSpec { image: name.to_owned(), ..cri::ImageSpec::default() }
}

/// One call with a deadline.
async fn call<A>(
    name: &'static str,
    patience: Duration,
    answer: impl Future<Output = Result<Response<A>, Status>>,
) -> Result<A, RuntimeError> {
    match tokio::time::timeout(patience, answer).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(RuntimeError::new(name, status)),
        Err(_) => Err(RuntimeError::new(name, Status::deadline_exceeded("context deadline exceeded"))),
    }
}
