//! Starting a container: image, description, creation, start, hook.

use k8s_cri::v1 as cri;
use k8s_openapi::api::core::v1::{Container as Description, Pod};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Shared;
use crate::environment::{self, Addresses, Inputs};
use crate::image::ImageError;
use crate::pod::container::{self, ContainerParts, termination_message_path};
use crate::pod::spec;
use crate::pod::state::Waiting;
use crate::resource;
use crate::runtime::{Container, Sandbox};
use crate::security::{self, ImageUser};

/// How long a container whose `postStart` hook failed gets to end, in seconds.
const GRACE_AFTER_HOOK: u32 = 2;

/// Why a container does not run.
#[derive(Clone, Debug, Default)]
pub struct StartError {
    /// What its status says; none when nobody waits for it any more.
    pub waiting: Option<Waiting>,
    /// Whether it is the image that is missing: pulls pause longer.
    pub is_pull: bool,
    /// The container, if there is one already.
    pub container: Option<Container>,
}

// === impl Shared ===

impl Shared {
    /// Starts a container in a sandbox. `target` is the id of the container whose processes it sees.
    pub(crate) async fn start_container(
        &self,
        pod: &Pod,
        name: &str,
        attempt: u32,
        sandbox: &Sandbox,
        target: Option<&str>,
        cancel: &CancellationToken,
    ) -> Result<Container, StartError> {
        let spec = spec::container(pod, name).ok_or_else(StartError::default)?;
        let description = spec.container.as_ref();
        let image = self.images.ensure(pod, description, cancel).await?;
        let parts = self.parts(pod, description, attempt, sandbox, &image, target).await;
        let parts = parts.map_err(|message| self.failed(pod, name, "CreateContainerConfigError", message))?;
        let config = container::config(pod, description, attempt, parts);
        let sandbox_config = self.sandbox_config(pod, sandbox.attempt);
        let created = self.runtime.create_container(&sandbox.id, config, sandbox_config).await;
        let id = created.map_err(|error| self.failed(pod, name, "CreateContainerError", error.to_string()))?;
        self.recorder.container(pod, name, "Created", format!("Created container: {name}"));
        if let Err(error) = self.runtime.start_container(&id).await {
            let container = self.look_at(&id, &sandbox.id).await;
            return Err(StartError { container, ..self.failed(pod, name, "RunContainerError", error.to_string()) });
        }
        self.recorder.container(pod, name, "Started", format!("Started container {name}"));
        self.after_start(pod, description, &id, sandbox).await?;
        let container = self.look_at(&id, &sandbox.id).await;
        debug!(pod = spec::full_name(pod), name, id, "the container runs");
        container.ok_or_else(|| self.failed(pod, name, "RunContainerError", format!("container {id} is gone again")))
    }

    /// Runs the `postStart` hook; a container whose hook fails is stopped.
    async fn after_start(
        &self,
        pod: &Pod,
        description: &Description,
        id: &str,
        sandbox: &Sandbox,
    ) -> Result<(), StartError> {
        let lifecycle = description.lifecycle.as_ref();
        let Some(hook) = lifecycle.and_then(|lifecycle| lifecycle.post_start.as_ref()) else { return Ok(()) };
        let addresses = self.addresses(pod, Some(sandbox));
        let Err(error) = self.run_hook(hook, description, id, addresses.first().copied()).await else { return Ok(()) };
        self.recorder.container_warning(pod, &description.name, "FailedPostStartHook", error.clone());
        let _ = self.runtime.stop_container(id, GRACE_AFTER_HOOK).await;
        let container = self.look_at(id, &sandbox.id).await;
        let waiting = Some(Waiting::new("PostStartHookError", error));
        Err(StartError { waiting, is_pull: false, container })
    }

    /// What a container is like now.
    pub(crate) async fn look_at(&self, id: &str, sandbox: &str) -> Option<Container> {
        let container = self.runtime.container(id).await.ok().flatten()?;
        Some(Container { sandbox: sandbox.to_owned(), ..container })
    }

    /// What the container's description needs from elsewhere.
    async fn parts(
        &self,
        pod: &Pod,
        description: &Description,
        attempt: u32,
        sandbox: &Sandbox,
        image: &cri::Image,
        target: Option<&str>,
    ) -> Result<ContainerParts, String> {
        let user = ImageUser::of(image);
        security::verify_non_root(pod, description, &user).map_err(|error| error.to_string())?;
        let addresses = Addresses { pod: self.addresses(pod, Some(sandbox)), host: self.node_addresses.clone() };
        let (objects, services) = tokio::join!(self.sources.objects(pod), self.sources.services(pod));
        let services = services.map_err(|error| error.to_string())?;
        let inputs = Inputs {
            pod,
            container: description,
            objects: &objects,
            services: &services,
            addresses: &addresses,
            allocatable: &self.allocatable,
        };
        let environment = environment::environment(inputs).map_err(|error| error.to_string())?;
        for skipped in &environment.skipped {
            self.recorder.pod_warning(pod, "InvalidEnvironmentVariableNames", skipped.message());
        }
        let line = environment::command_line(description, &environment.variables);
        let mut mounts = self.own_mounts(pod, description, attempt, sandbox)?;
        let volumes = self.volumes.mounts(pod, description, &environment.variables).await;
        mounts.extend(volumes.map_err(|error| error.to_string())?);
        let variables = environment.variables.into_iter().map(|(key, value)| cri::KeyValue { key, value });
        Ok(ContainerParts {
            image: image.id.clone(),
            command: line.command,
            args: line.args,
            environment: variables.collect(),
            mounts,
            devices: Vec::new(),
            resources: Some(resource::linux_resources(pod, description, self.node_memory)),
            security_context: Some(security::container_context(
                pod,
                description,
                &user,
                target,
                &self.seccomp_profiles,
            )),
        })
    }

    /// The mounts that every container has: `/etc/hosts` and the file for its termination message.
    fn own_mounts(
        &self,
        pod: &Pod,
        description: &Description,
        attempt: u32,
        sandbox: &Sandbox,
    ) -> Result<Vec<cri::Mount>, String> {
        let uid = spec::uid(pod);
        let logs = self.folders.pod_logs(pod).join(&description.name);
        std::fs::create_dir_all(&logs).map_err(|error| format!("cannot make {}: {error}", logs.display()))?;
        let message = self.folders.make_message_file(&uid, &description.name, attempt);
        let message = message.map_err(|error| format!("cannot make the file for the termination message: {error}"))?;
        let mut mounts = vec![mount(termination_message_path(description), &message.to_string_lossy())];
        let is_taken = |path: &str| {
            description.volume_mounts.iter().flatten().any(|own| own.mount_path.trim_end_matches('/') == path)
        };
        if !is_taken("/etc/hosts") {
            self.write_hosts(pod, sandbox).map_err(|error| format!("cannot write the pod's /etc/hosts: {error}"))?;
            mounts.push(mount("/etc/hosts", &self.folders.hosts_file(&uid).to_string_lossy()));
        }
        Ok(mounts)
    }

    /// Tells the user and gives what the status says.
    fn failed(&self, pod: &Pod, container: &str, reason: &str, message: String) -> StartError {
        self.recorder.container_warning(pod, container, "Failed", format!("Error: {message}"));
        StartError { waiting: Some(Waiting::new(reason, message)), ..StartError::default() }
    }
}

fn mount(inside: &str, outside: &str) -> cri::Mount {
    cri::Mount { container_path: inside.to_owned(), host_path: outside.to_owned(), ..cri::Mount::default() }
}

// === impl StartError ===

impl From<ImageError> for StartError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Pull(waiting) => Self { waiting: Some(waiting), is_pull: true, container: None },
            ImageError::Refused(waiting) => Self { waiting: Some(waiting), is_pull: false, container: None },
            ImageError::Cancelled => Self::default(),
        }
    }
}
