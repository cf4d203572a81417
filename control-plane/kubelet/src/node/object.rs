//! The Node object: a pure function of what the machine is and how it does.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_cri::v1 as cri;
use k8s_openapi::api::core::v1::{ContainerImage, Node, NodeCondition, NodeSystemInfo, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::facts::{Machine, go_architecture};

/// As many images as a node lists.
const MOST_IMAGES: usize = 50;
/// As many names as an image has there.
const MOST_NAMES: usize = 5;

/// What a node says of itself.
#[derive(Clone, Debug)]
pub struct Description {
    /// Its name in the API.
    pub name: String,
    /// Its host name.
    pub hostname: String,
    /// Its addresses, the preferred family first.
    pub addresses: Vec<IpAddr>,
    /// Where the kubelet answers.
    pub port: u16,
    /// Labels beside the usual ones.
    pub labels: BTreeMap<String, String>,
    /// Taints that it registers with.
    pub taints: Vec<Taint>,
    /// What the machine has.
    pub machine: Machine,
    /// What the machine is.
    pub info: NodeSystemInfo,
}

/// How a node does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why it cannot run pods; none when it can.
    pub not_ready: Option<String>,
    /// Whether memory is short.
    pub memory_pressure: bool,
    /// Whether disk space is short.
    pub disk_pressure: bool,
    /// Whether process ids are short.
    pub pid_pressure: bool,
}

// === impl Description ===

impl Description {
    /// The object that the node registers.
    #[must_use]
    pub fn node(&self) -> Node {
        let taints = (!self.taints.is_empty()).then(|| self.taints.clone());
        let document = json!({
            "metadata": { "name": self.name, "labels": self.labels() },
            "spec": { "taints": taints },
        });
        serde_json::from_value(document).unwrap_or_default()
    }

    /// Labels that say what the machine is, and those that the administrator gave.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let architecture = go_architecture();
        let usual = [
            ("kubernetes.io/hostname", self.hostname.as_str()),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", architecture),
            ("beta.kubernetes.io/os", "linux"),
            ("beta.kubernetes.io/arch", architecture),
        ];
        let usual = usual.map(|(key, value)| (key.to_owned(), value.to_owned()));
        usual.into_iter().chain(self.labels.clone()).collect()
    }

    /// The status as a strategic merge patch: conditions of others stay.
    #[must_use]
    pub fn status(&self, conditions: &[NodeCondition], images: &[ContainerImage]) -> Value {
        let mut addresses = vec![json!({ "$patch": "replace" })];
        addresses.extend(self.addresses.iter().map(|ip| json!({ "type": "InternalIP", "address": ip })));
        addresses.push(json!({ "type": "Hostname", "address": self.hostname }));
        let machine = &self.machine;
        let amounts = |memory: u64, disk: u64| {
            json!({
                "cpu": machine.cpus.to_string(),
                "memory": format!("{}Ki", memory / 1024),
                "ephemeral-storage": format!("{}Ki", disk / 1024),
                "pods": machine.pods.to_string(),
            })
        };
        json!({ "status": {
            "addresses": addresses,
            "capacity": amounts(machine.memory, machine.disk),
            "allocatable": amounts(machine.allocatable_memory(), machine.allocatable_disk()),
            "conditions": conditions,
            "daemonEndpoints": { "kubeletEndpoint": { "Port": self.port } },
            "nodeInfo": self.info,
            "images": images,
        }})
    }
}

// === impl Health ===

impl Health {
    /// The node's conditions; times of changes stay where `before` said the same.
    #[must_use]
    pub fn conditions(&self, before: &[NodeCondition], now: Timestamp) -> Vec<NodeCondition> {
        let pressure = |under: bool, bad: &'static str, good: &'static str, bad_text: &str, good_text: &str| {
            if under { ("True", bad, bad_text.to_owned()) } else { ("False", good, good_text.to_owned()) }
        };
        let ready = match &self.not_ready {
            None => ("True", "KubeletReady", "kubelet is posting ready status".to_owned()),
            Some(cause) => ("False", "KubeletNotReady", cause.clone()),
        };
        [
            (
                "MemoryPressure",
                pressure(
                    self.memory_pressure,
                    "KubeletHasInsufficientMemory",
                    "KubeletHasSufficientMemory",
                    "kubelet has insufficient memory available",
                    "kubelet has sufficient memory available",
                ),
            ),
            (
                "DiskPressure",
                pressure(
                    self.disk_pressure,
                    "KubeletHasDiskPressure",
                    "KubeletHasNoDiskPressure",
                    "kubelet has disk pressure",
                    "kubelet has no disk pressure",
                ),
            ),
            (
                "PIDPressure",
                pressure(
                    self.pid_pressure,
                    "KubeletHasInsufficientPID",
                    "KubeletHasSufficientPID",
                    "kubelet has insufficient PID available",
                    "kubelet has sufficient PID available",
                ),
            ),
            ("Ready", ready),
        ]
        .map(|(kind, (status, reason, message))| condition(kind, status, reason, message, before, now))
        .into()
    }
}

fn condition(
    kind: &str,
    status: &str,
    reason: &str,
    message: String,
    before: &[NodeCondition],
    now: Timestamp,
) -> NodeCondition {
    let now = Time(crate::seconds(now));
    let same = before.iter().find(|before| before.type_ == kind && before.status == status);
    NodeCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_heartbeat_time: Some(now.clone()),
        last_transition_time: same.and_then(|same| same.last_transition_time.clone()).or(Some(now)),
    }
}

/// The largest images, as a node lists them.
#[must_use]
pub fn images(mut images: Vec<cri::Image>) -> Vec<ContainerImage> {
    images.sort_by(|one, other| (other.size, &one.id).cmp(&(one.size, &other.id)));
    let listed = images.into_iter().take(MOST_IMAGES).map(|image| {
        let names = image.repo_digests.into_iter().chain(image.repo_tags).take(MOST_NAMES).collect();
        ContainerImage { names: Some(names), size_bytes: i64::try_from(image.size).ok() }
    });
    listed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_the_time_of_its_last_change() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let transition = |conditions: &[NodeCondition], kind: &str| {
            let found = conditions.iter().find(|condition| condition.type_ == kind).unwrap();
            (found.status.clone(), found.last_transition_time.as_ref().unwrap().0)
        };
        let first = Health { not_ready: Some("no network".into()), ..Health::default() }.conditions(&[], at(1));
        assert_eq!(transition(&first, "Ready"), ("False".into(), at(1)));
        let second = Health::default().conditions(&first, at(2));
        assert_eq!(transition(&second, "Ready"), ("True".into(), at(2)));
        let third = Health::default().conditions(&second, at(3));
        assert_eq!(transition(&third, "Ready"), ("True".into(), at(2)));
        assert_eq!(transition(&third, "MemoryPressure"), ("False".into(), at(1)));
    }

    #[test]
    fn the_largest_images_come_first() {
        let image =
            |id: &str, size| cri::Image { id: id.into(), repo_tags: vec![id.into()], size, ..Default::default() };
        let listed = images(vec![image("small", 1), image("large", 9)]);
        assert_eq!(listed[0].names.as_ref().unwrap()[0], "large");
    }
}
