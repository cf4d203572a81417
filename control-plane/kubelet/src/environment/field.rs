//! Fields of a pod and resources of its containers as text: the downward API, for variables and for files.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};
use sheave_api::field::quote;
use sheave_api::quantity::Quantity;

use crate::resource::{Capacity, Resource, limit, request};

/// The addresses that a pod can be told, its own and its node's; the first of each is the primary one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The pod's.
    pub pod: Vec<IpAddr>,
    /// The node's.
    pub host: Vec<IpAddr>,
}

/// What the downward API cannot tell; the words are Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// No such field, or not one that can be told.
    #[error("unsupported fieldPath: {0}")]
    Field(String),
    /// No such resource.
    #[error("unsupported container resource : {0}")]
    Resource(String),
    /// The reference names a container that the pod does not have.
    #[error("container {0} not found")]
    Container(String),
    /// The divisor is no amount.
    #[error("cannot read the divisor \"{0}\": it must be a quantity")]
    Divisor(String),
}

/// A field of the pod's `metadata`, `spec` or `status`.
///
/// # Errors
/// It is not one of those that Kubernetes tells.
pub fn pod_field(pod: &Pod, path: &str, addresses: &Addresses) -> Result<String, FieldError> {
    let spec = pod.spec.as_ref();
    let text = |value: Option<&String>| Ok(value.cloned().unwrap_or_default());
    match path {
        "spec.nodeName" => text(spec.and_then(|spec| spec.node_name.as_ref())),
        "spec.serviceAccountName" => text(spec.and_then(|spec| spec.service_account_name.as_ref())),
        "status.hostIP" => Ok(joined(addresses.host.iter().take(1))),
        "status.hostIPs" => Ok(joined(&addresses.host)),
        "status.podIP" => Ok(joined(addresses.pod.iter().take(1))),
        "status.podIPs" => Ok(joined(&addresses.pod)),
        _ => metadata_field(pod, path),
    }
}

/// A field of the pod's `metadata`, the only ones that files can have.
///
/// # Errors
/// It is not one of those that Kubernetes tells.
pub fn metadata_field(pod: &Pod, path: &str) -> Result<String, FieldError> {
    let metadata = &pod.metadata;
    let text = |value: &Option<String>| Ok(value.clone().unwrap_or_default());
    match path {
        "metadata.name" => text(&metadata.name),
        "metadata.namespace" => text(&metadata.namespace),
        "metadata.uid" => text(&metadata.uid),
        "metadata.labels" => Ok(lines(metadata.labels.as_ref())),
        "metadata.annotations" => Ok(lines(metadata.annotations.as_ref())),
        _ => {
            let unsupported = || FieldError::Field(path.to_owned());
            let (field, key) = subscript(path).ok_or_else(unsupported)?;
            let map = match field {
                "metadata.labels" => metadata.labels.as_ref(),
                "metadata.annotations" => metadata.annotations.as_ref(),
                _ => return Err(unsupported()),
            };
            Ok(map.and_then(|map| map.get(key)).cloned().unwrap_or_default())
        }
    }
}

/// A request or limit, in units of the selector's divisor, rounded up. `container` is the one that asks, where the
/// selector names no other; a limit that is not set is what the node allows pods.
///
/// # Errors
/// No such resource or container, or a divisor that is no amount.
pub fn resource_field(
    pod: &Pod,
    container: Option<&Container>,
    selector: &ResourceFieldSelector,
    allocatable: &Capacity,
) -> Result<String, FieldError> {
    let container = match selector.container_name.as_deref() {
        Some(name) if !name.is_empty() => named(pod, name).ok_or_else(|| FieldError::Container(name.to_owned()))?,
        _ => container.ok_or_else(|| FieldError::Container("\"\"".to_owned()))?,
    };
    let unsupported = || FieldError::Resource(selector.resource.clone());
    let (part, key) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    let known = [Resource::Cpu, Resource::Memory, Resource::EphemeralStorage];
    let resource = known.into_iter().find(|resource| resource.key() == key).ok_or_else(unsupported)?;
    let amount = match part {
        "requests" => request(container, resource).unwrap_or(Quantity::ZERO),
        "limits" => {
            let set = limit(container, resource).filter(|limit| !limit.is_zero());
            set.unwrap_or_else(|| allocatable.of(resource))
        }
        _ => return Err(unsupported()),
    };
    let divisor = selector.divisor.as_ref().map_or("0", |divisor| divisor.0.as_str());
    let divisor: Quantity = divisor.parse().map_err(|_| FieldError::Divisor(divisor.to_owned()))?;
    Ok(divided(resource, amount, divisor).to_string())
}

fn divided(resource: Resource, amount: Quantity, divisor: Quantity) -> i64 {
    let measure = |quantity: Quantity| match resource {
        Resource::Cpu => quantity.milli_value(),
        Resource::Memory | Resource::EphemeralStorage => quantity.value(),
    };
    let one = Quantity::from_units(1, divisor.notation());
    let divisor = measure(if divisor.signum() > 0 { divisor } else { one }).max(1);
    let amount = measure(amount);
    amount / divisor + i64::from(amount % divisor > 0)
}

fn named<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    let spec = pod.spec.as_ref()?;
    spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|container| container.name == name)
}

fn joined<'a>(addresses: impl IntoIterator<Item = &'a IpAddr>) -> String {
    addresses.into_iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",")
}

/// Takes `metadata.labels['key']` apart.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}

fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let entries = map.into_iter().flatten().map(|(key, value)| format!("{key}={}", quote(value)));
    entries.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u-1",
                "labels": {"b": "2", "a": "one \"quoted\""}, "annotations": {"x/y": "line\nline"},
            },
            "spec": {
                "nodeName": "n1", "serviceAccountName": "robot",
                "containers": [
                    {"name": "c", "resources": {"requests": {"cpu": "250m"}, "limits": {"cpu": "1250m", "memory": "64Mi"}}},
                    {"name": "bare"},
                ],
            },
        }))
        .unwrap()
    }

    #[test]
    fn fields_are_told() {
        let addresses = Addresses {
            pod: vec!["10.244.1.5".parse().unwrap(), "fd00::5".parse().unwrap()],
            host: vec!["192.168.77.11".parse().unwrap(), "fd00:77::b".parse().unwrap()],
        };
        let table = [
            ("metadata.name", "web"),
            ("metadata.namespace", "shop"),
            ("metadata.uid", "u-1"),
            ("metadata.labels", "a=\"one \\\"quoted\\\"\"\nb=\"2\""),
            ("metadata.labels['b']", "2"),
            ("metadata.labels['absent']", ""),
            ("metadata.annotations['x/y']", "line\nline"),
            ("spec.nodeName", "n1"),
            ("spec.serviceAccountName", "robot"),
            ("status.hostIP", "192.168.77.11"),
            ("status.hostIPs", "192.168.77.11,fd00:77::b"),
            ("status.podIP", "10.244.1.5"),
            ("status.podIPs", "10.244.1.5,fd00::5"),
        ];
        for (path, expected) in table {
            assert_eq!(pod_field(&pod(), path, &addresses).as_deref(), Ok(expected), "{path}");
        }
        for path in ["status.phase", "metadata.labels['", "spec['x']", ""] {
            let error = pod_field(&pod(), path, &addresses).unwrap_err();
            assert_eq!(error.to_string(), format!("unsupported fieldPath: {path}"));
        }
    }

    #[test]
    fn resources_are_told_in_units_of_the_divisor_rounded_up() {
        let allocatable = Capacity::new(4000, 8 << 30, 100 << 30);
        let table = [
            ("limits.cpu", "", "c", "2"),
            ("limits.cpu", "1m", "c", "1250"),
            ("requests.cpu", "1m", "c", "250"),
            ("requests.cpu", "1", "c", "1"),
            ("limits.memory", "1Mi", "c", "64"),
            ("limits.memory", "1Gi", "c", "1"),
            ("limits.memory", "0", "c", "67108864"),
            ("requests.memory", "1", "c", "0"),
            ("limits.cpu", "1", "bare", "4"),
            ("limits.memory", "1Gi", "bare", "8"),
            ("limits.ephemeral-storage", "1Gi", "bare", "100"),
            ("requests.cpu", "1", "bare", "0"),
        ];
        for (resource, divisor, name, expected) in table {
            let divisor = if divisor.is_empty() { json!(null) } else { json!(divisor) };
            let selector = json!({"resource": resource, "divisor": divisor, "containerName": name});
            let selector = serde_json::from_value(selector).unwrap();
            let got = resource_field(&pod(), None, &selector, &allocatable);
            assert_eq!(got.as_deref(), Ok(expected), "{resource} {divisor} of {name}");
        }
    }

    #[test]
    fn what_is_no_resource_or_container_is_said() {
        let allocatable = Capacity::new(1, 1, 1);
        let pod = pod();
        let table = [
            (json!({"resource": "limits.gpu"}), "unsupported container resource : limits.gpu"),
            (json!({"resource": "cpu"}), "unsupported container resource : cpu"),
            (json!({"resource": "limits.cpu", "containerName": "no"}), "container no not found"),
            (json!({"resource": "limits.cpu", "divisor": "x"}), "cannot read the divisor \"x\": it must be a quantity"),
        ];
        for (selector, message) in table {
            let own = &pod.spec.as_ref().unwrap().containers[0];
            let selector = serde_json::from_value(selector).unwrap();
            let error = resource_field(&pod, Some(own), &selector, &allocatable).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
