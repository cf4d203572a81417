//! Pods and containers by name, in the runtime. The labels are those of `pkg/kubelet/kuberuntime/labels.go`.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_cri::v1::{
    Container, ContainerFilter, ContainerState, ListContainersRequest, ListPodSandboxRequest, PodSandboxFilter,
    PodSandboxState, PodSandboxStateValue,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::Node;
use super::answer::Refusal;

/// A container by name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) namespace: &'a str,
    pub(super) pod: &'a str,
    pub(super) container: &'a str,
}

const POD_UID: &str = "io.kubernetes.pod.uid";
const CONTAINER_NAME: &str = "io.kubernetes.container.name";

/// The pod, if it is this node's.
pub(super) fn pod(node: &Node, namespace: &str, name: &str) -> Result<Arc<Pod>, Refusal> {
    node.pods.pod(namespace, name).ok_or_else(|| Refusal::not_found(format!("pod {name:?} not found")))
}

/// The container that runs.
pub(super) async fn running(node: &Node, pod: &Pod, place: &Place<'_>) -> Result<Container, Refusal> {
    require_known(pod, place)?;
    let all = instances(node, pod, place.container).await?;
    let running = all.into_iter().find(|container| container.state == i32::from(ContainerState::ContainerRunning));
    running.ok_or_else(|| Refusal::not_found(format!("container not found ({:?})", place.container)))
}

/// The container whose log is asked for: the newest, or the one before.
pub(super) async fn logged(node: &Node, pod: &Pod, place: &Place<'_>, previous: bool) -> Result<Container, Refusal> {
    require_known(pod, place)?;
    let mut all = instances(node, pod, place.container).await?.into_iter();
    let found = if previous { all.nth(1) } else { all.find(has_started) };
    found.ok_or_else(|| {
        let Place { pod: name, container, .. } = place;
        Refusal::bad_request(if previous {
            format!("previous terminated container {container:?} in pod {name:?} not found")
        } else {
            waiting(pod, name, container)
        })
    })
}

/// A container that was made and not started has no log yet; the one before it may have one.
fn has_started(container: &Container) -> bool {
    container.state != i32::from(ContainerState::ContainerCreated)
}

fn require_known(pod: &Pod, place: &Place<'_>) -> Result<(), Refusal> {
    let spec = pod.spec.as_ref();
    let containers = spec.map(|spec| spec.containers.iter().map(|it| it.name.as_str())).into_iter().flatten();
    let init = spec.and_then(|spec| spec.init_containers.as_ref()).into_iter().flatten().map(|it| it.name.as_str());
    let ephemeral = spec.and_then(|spec| spec.ephemeral_containers.as_ref());
    let ephemeral = ephemeral.into_iter().flatten().map(|it| it.name.as_str());
    if containers.chain(init).chain(ephemeral).any(|name| name == place.container) {
        return Ok(());
    }
    Err(Refusal::not_found(format!("container {:?} not found in pod {:?}", place.container, place.pod)))
}

/// Why there is no log, in the words of `kubelet.validateContainerLogStatus`.
fn waiting(pod: &Pod, name: &str, container: &str) -> String {
    let place = format!("container {container:?} in pod {name:?}");
    let Some(status) = status_of(pod, container) else { return format!("{place} is not available") };
    let state = status.state.clone().unwrap_or_default();
    if state.terminated.is_some() {
        return format!("{place} is terminated");
    }
    match state.waiting.and_then(|waiting| waiting.reason).as_deref() {
        Some("ErrImagePull") => format!("{place} is waiting to start: image can't be pulled"),
        Some("ImagePullBackOff") => format!("{place} is waiting to start: trying and failing to pull image"),
        Some(reason) => format!("{place} is waiting to start: {reason}"),
        None => format!("{place} is waiting to start - no logs yet"),
    }
}

fn status_of<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let all = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    all.into_iter().flatten().flatten().find(|status| status.name == container)
}

/// Every instance of a container, the newest first.
async fn instances(node: &Node, pod: &Pod, container: &str) -> Result<Vec<Container>, Refusal> {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let labels = HashMap::from([(POD_UID.to_owned(), uid), (CONTAINER_NAME.to_owned(), container.to_owned())]);
    let filter = ContainerFilter { label_selector: labels, ..ContainerFilter::default() };
    let request = ListContainersRequest { filter: Some(filter) };
    let mut all = node.runtime.clone().list_containers(request).await?.into_inner().containers;
    all.sort_by_key(|container| std::cmp::Reverse(container.created_at));
    Ok(all)
}

/// The sandbox of a pod that is ready.
pub(super) async fn sandbox(node: &Node, pod: &Pod) -> Result<String, Refusal> {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let filter = PodSandboxFilter {
        label_selector: HashMap::from([(POD_UID.to_owned(), uid)]),
        state: Some(PodSandboxStateValue { state: PodSandboxState::SandboxReady.into() }),
        ..PodSandboxFilter::default()
    };
    let request = ListPodSandboxRequest { filter: Some(filter) };
    let sandboxes = node.runtime.clone().list_pod_sandbox(request).await?.into_inner().items;
    let newest = sandboxes.into_iter().max_by_key(|sandbox| sandbox.created_at);
    newest.map(|sandbox| sandbox.id).ok_or_else(|| {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        Refusal::bad_request(format!("unable to do port forwarding: pod {name:?} is not running"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_log_that_is_not_there_has_its_reason() {
        for (status, expected) in [
            (json!({}), "container \"c\" in pod \"p\" is not available"),
            (
                json!({"waiting": {"reason": "ContainerCreating"}}),
                "container \"c\" in pod \"p\" is waiting to start: ContainerCreating",
            ),
            (
                json!({"waiting": {"reason": "ImagePullBackOff"}}),
                "container \"c\" in pod \"p\" is waiting to start: trying and failing to pull image",
            ),
            (json!({"terminated": {"exitCode": 1}}), "container \"c\" in pod \"p\" is terminated"),
        ] {
            let statuses = if status == json!({}) {
                json!([])
            } else {
                json!([{"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": status}])
            };
            let pod = serde_json::from_value(json!({"status": {"containerStatuses": statuses}})).unwrap();
            assert_eq!(waiting(&pod, "p", "c"), expected);
        }
    }
}
