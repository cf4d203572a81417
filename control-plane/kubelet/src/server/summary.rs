//! `/stats/summary`: what pods and containers use, as the runtime measures it (`k8s.io/kubelet/pkg/apis/stats/v1alpha1`).

use std::collections::BTreeMap;

use k8s_cri::v1::{ContainerStats, ListContainerStatsRequest, UInt64Value};
use serde_json::{Value, json};

use super::Node;
use super::answer::{self, Answer, Refusal};

const POD_NAME: &str = "io.kubernetes.pod.name";
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
const POD_UID: &str = "io.kubernetes.pod.uid";

/// Answers the figures of this moment.
pub(super) async fn serve(node: &Node) -> Result<Answer, Refusal> {
    let request = ListContainerStatsRequest::default();
    let all = node.runtime.clone().list_container_stats(request).await?.into_inner().stats;
    Ok(answer::json(&summary(&node.name, all)))
}

fn summary(node: &str, all: Vec<ContainerStats>) -> Value {
    let mut pods: BTreeMap<[String; 3], Vec<Value>> = BTreeMap::new();
    for stats in all {
        let labels = stats.attributes.as_ref().map(|it| it.labels.clone()).unwrap_or_default();
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        let pod = [label(POD_NAMESPACE), label(POD_NAME), label(POD_UID)];
        pods.entry(pod).or_default().push(container(&stats));
    }
    let pods: Vec<Value> = pods
        .into_iter()
        .map(|([namespace, name, uid], containers)| {
            json!({"podRef": {"name": name, "namespace": namespace, "uid": uid}, "containers": containers})
        })
        .collect();
    json!({"node": {"nodeName": node}, "pods": pods})
}

fn container(stats: &ContainerStats) -> Value {
    let number = |value: &Option<UInt64Value>| value.as_ref().map(|it| it.value);
    let name = stats.attributes.as_ref().and_then(|it| it.metadata.as_ref()).map(|it| it.name.clone());
    let cpu = stats
        .cpu
        .as_ref()
        .map(|cpu| json!({"time": time(cpu.timestamp), "usageCoreNanoSeconds": number(&cpu.usage_core_nano_seconds)}));
    let memory = stats
        .memory
        .as_ref()
        .map(|memory| json!({"time": time(memory.timestamp), "workingSetBytes": number(&memory.working_set_bytes)}));
    json!({"name": name, "cpu": cpu, "memory": memory})
}

/// Nanoseconds since 1970 as a time.
fn time(nanoseconds: i64) -> Option<String> {
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).ok()?;
    jiff::Timestamp::from_second(time.as_second()).ok().map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use k8s_cri::v1::{ContainerAttributes, ContainerMetadata, CpuUsage};

    use super::*;

    #[test]
    fn containers_are_gathered_by_pod() {
        let labels = [(POD_NAME, "web"), (POD_NAMESPACE, "default"), (POD_UID, "u")];
        let of = |name: &str| ContainerStats {
            attributes: Some(ContainerAttributes {
                metadata: Some(ContainerMetadata { name: name.to_owned(), attempt: 0 }),
                labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
                ..ContainerAttributes::default()
            }),
            cpu: Some(CpuUsage {
                timestamp: 1_000_000_000,
                usage_core_nano_seconds: Some(UInt64Value { value: 7 }),
                ..CpuUsage::default()
            }),
            ..ContainerStats::default()
        };
        let summary = summary("n1", vec![of("a"), of("b")]);
        assert_eq!(summary["pods"][0]["podRef"], json!({"name": "web", "namespace": "default", "uid": "u"}));
        assert_eq!(summary["pods"][0]["containers"][1]["name"], "b");
        let cpu = &summary["pods"][0]["containers"][0]["cpu"];
        assert_eq!(*cpu, json!({"time": "1970-01-01T00:00:01Z", "usageCoreNanoSeconds": 7}));
    }
}
