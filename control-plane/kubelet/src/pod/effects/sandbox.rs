//! Creating and stopping a pod's sandbox.

use std::net::IpAddr;

use k8s_cri::v1 as cri;
use k8s_openapi::api::core::v1::Pod;
use tracing::debug;

use super::Shared;
use crate::pod::{dns, hosts, sandbox, spec};
use crate::runtime::Sandbox;

// === impl Shared ===

impl Shared {
    /// Creates sandbox number `attempt` of a pod.
    pub(crate) async fn create_sandbox(&self, pod: &Pod, attempt: u32) -> Result<Sandbox, String> {
        let create = async {
            self.check_network(pod)?;
            let logs = self.folders.pod_logs(pod);
            std::fs::create_dir_all(&logs).map_err(|error| format!("cannot make {}: {error}", logs.display()))?;
            self.cgroups.create(pod, None).map_err(|error| format!("cannot make the pod's cgroup: {error}"))?;
            let handler = spec::spec(pod).runtime_class_name.clone().unwrap_or_default();
            let config = self.sandbox_config(pod, attempt);
            let id = self.runtime.run_sandbox(config, &handler).await.map_err(|error| error.to_string())?;
            let sandbox = self.runtime.sandbox(&id).await.map_err(|error| error.to_string())?;
            sandbox.ok_or_else(|| format!("sandbox {id} is gone again"))
        };
        let created = create.await;
        match &created {
            Ok(sandbox) => debug!(pod = spec::full_name(pod), sandbox.id, ?sandbox.addresses, "the sandbox runs"),
            Err(error) => {
                let message = format!("Failed to create pod sandbox: {error}");
                self.recorder.pod_warning(pod, "FailedCreatePodSandBox", message);
            }
        }
        created
    }

    /// A pod that has a network of its own waits until the runtime can give it one.
    fn check_network(&self, pod: &Pod) -> Result<(), String> {
        match self.network.borrow().as_ref() {
            Some(cause) if !spec::is_on_host_network(pod) => {
                Err(format!("network is not ready: container runtime network not ready: {cause}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn sandbox_config(&self, pod: &Pod, attempt: u32) -> cri::PodSandboxConfig {
        if dns::is_missing(pod, &self.dns) {
            let message = format!(
                "pod: \"{}\". kubelet does not have ClusterDNS IP configured and cannot create Pod using \"ClusterFirst\" \
                 policy. Falling back to \"Default\" policy.",
                spec::full_name(pod)
            );
            self.recorder.pod_warning(pod, "MissingClusterDNS", message);
        }
        let resolv_conf = std::fs::read_to_string(&self.resolv_conf).unwrap_or_default();
        let place = sandbox::SandboxPlace {
            hostname: self.pod_hostname(pod),
            log_directory: self.folders.pod_logs(pod).to_string_lossy().into_owned(),
            dns: dns::config(pod, &self.dns, &resolv_conf),
            cgroup_parent: self.cgroups.parent(pod),
        };
        sandbox::config(pod, attempt, place)
    }

    /// Stops a sandbox and whatever runs in it.
    pub(crate) async fn stop_sandbox(&self, id: &str) -> Result<(), String> {
        self.runtime.stop_sandbox(id).await.map_err(|error| error.to_string())
    }

    /// The pod's addresses: its sandbox's, or the node's for one on the node's network.
    pub(crate) fn addresses(&self, pod: &Pod, sandbox: Option<&Sandbox>) -> Vec<IpAddr> {
        match sandbox {
            Some(_) if spec::is_on_host_network(pod) => self.node_addresses.clone(),
            Some(sandbox) => sandbox.addresses.clone(),
            None => Vec::new(),
        }
    }

    /// Writes the pod's `/etc/hosts`.
    pub(super) fn write_hosts(&self, pod: &Pod, sandbox: &Sandbox) -> std::io::Result<()> {
        let node_file = if spec::is_on_host_network(pod) {
            std::fs::read_to_string("/etc/hosts").unwrap_or_default()
        } else {
            String::new()
        };
        let addresses = self.addresses(pod, Some(sandbox));
        let path = self.folders.hosts_file(&spec::uid(pod));
        std::fs::create_dir_all(self.folders.pod(&spec::uid(pod)))?;
        std::fs::write(&path, hosts::file(pod, &addresses, &node_file, &self.dns.domain))?;
        crate::pod::place::set_mode(&path, 0o644)
    }
}
