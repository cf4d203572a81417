//! `/metrics`: what the kubelet counts, under Kubernetes' names, in Prometheus' text format.

use std::fmt::Write as _;

use k8s_cri::v1::{ContainerState, ListContainersRequest, ListPodSandboxRequest, PodSandboxState};

use super::Node;
use super::answer::{self, Answer, Refusal};

/// Answers the metrics of this moment.
pub(super) async fn serve(node: &Node) -> Result<Answer, Refusal> {
    let mut runtime = node.runtime.clone();
    let sandboxes = runtime.list_pod_sandbox(ListPodSandboxRequest::default()).await?.into_inner().items;
    let containers = runtime.list_containers(ListContainersRequest::default()).await?.into_inner().containers;
    let ready = sandboxes.iter().filter(|it| it.state == i32::from(PodSandboxState::SandboxReady)).count();
    let mut text = String::new();
    gauge(&mut text, "kubelet_running_pods", "Number of pods that have a running pod sandbox", &[("", ready)]);
    let in_state = |state: ContainerState| containers.iter().filter(|it| it.state == i32::from(state)).count();
    let states = [
        ("{container_state=\"created\"}", in_state(ContainerState::ContainerCreated)),
        ("{container_state=\"exited\"}", in_state(ContainerState::ContainerExited)),
        ("{container_state=\"running\"}", in_state(ContainerState::ContainerRunning)),
    ];
    gauge(&mut text, "kubelet_running_containers", "Number of currently running containers", &states);
    let bound = node.pods.pods().len();
    gauge(&mut text, "kubelet_working_pods", "Number of pods the kubelet is actually running", &[("", bound)]);
    Ok(answer::text(text))
}

fn gauge(text: &mut String, name: &str, help: &str, values: &[(&str, usize)]) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (labels, value) in values {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}
