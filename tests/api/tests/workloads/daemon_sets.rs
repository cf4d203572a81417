//! DaemonSets.

use crate::with_nodes;

fn manifest(selector: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: fluentd}}
spec:
  selector: {{matchLabels: {{app: fluentd}}}}
  template:
    metadata: {{labels: {{app: fluentd}}}}
    spec: {{{selector} containers: [{{name: fluentd, image: 'fluentd:1'}}]}}
"
    )
}

#[test]
fn a_pod_runs_on_each_node_and_follows_labels() {
    with_nodes(|cluster| {
        cluster.apply(&manifest("nodeSelector: {ssd: 'true'},"));
        let columns = "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE";
        cluster.comes_to_say("kubectl get ds fluentd", &format!("{columns} fluentd 0 0 0 0 0 ssd=true"));
        cluster.says("kubectl label nodes node-1 ssd=true", "labeled");
        cluster.comes_to_say("kubectl get ds fluentd --no-headers", "fluentd 1 1 1 1 1 ssd=true");
        cluster.says("kubectl get pods -l app=fluentd -o wide", "node-1");
        cluster.says("kubectl label nodes node-2 ssd=true", "labeled");
        cluster.comes_to_say("kubectl get daemonset fluentd --no-headers", "fluentd 2 2 2 2 2");
        cluster.says("kubectl label nodes node-1 ssd-", "node/node-1");
        cluster.comes_to_say("kubectl get ds fluentd --no-headers", "fluentd 1 1 1 1 1");
        cluster.comes_to_say("kubectl get pods -l app=fluentd -o jsonpath='{.items[*].spec.nodeName}'", "node-2");
        let described = cluster.run("kubectl describe ds fluentd");
        described.succeeds().prints("Desired Number of Nodes Scheduled: 1").prints("Number of Nodes Misscheduled: 0");
        cluster.comes_to_say("kubectl describe ds fluentd", "Deleted pod: fluentd-");
    });
}

#[test]
fn an_update_reaches_every_node_and_is_undone() {
    with_nodes(|cluster| {
        cluster.apply(&manifest(""));
        let status = "kubectl rollout status daemonSets fluentd --timeout=100s";
        cluster.says(status, "daemon set \"fluentd\" successfully rolled out");
        cluster.says("kubectl set image ds fluentd fluentd=fluentd:2", "daemonset.apps/fluentd image updated");
        cluster.says(status, "successfully rolled out");
        cluster.comes_to_say("kubectl rollout history ds fluentd", "1 <none> 2 <none>");
        let images = "kubectl get pods -l app=fluentd -o jsonpath='{.items[*].spec.containers[0].image}'";
        cluster.comes_to_say(images, "fluentd:2 fluentd:2");
        cluster.says("kubectl rollout undo ds fluentd", "daemonset.apps/fluentd rolled back");
        cluster.says(status, "successfully rolled out");
        cluster.comes_to_say(images, "fluentd:1 fluentd:1");
        cluster.says("kubectl delete ds fluentd", "deleted");
        cluster.comes_to_say("kubectl get pods -l app=fluentd -o name | wc -l", "0");
    });
}
