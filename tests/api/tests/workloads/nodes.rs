//! Nodes: what the scheduler makes of them.

use crate::with_nodes;

#[test]
fn a_pod_that_fits_nowhere_says_why_and_runs_when_it_can() {
    with_nodes(|cluster| {
        cluster.apply(
            "apiVersion: v1
kind: Pod
metadata: {name: large}
spec: {containers: [{name: c, image: nginx, resources: {requests: {cpu: '16'}}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: picky}
spec: {nodeSelector: {disk: ssd}, containers: [{name: c, image: nginx}]}
",
        );
        cluster.comes_to_say("kubectl describe pod large", "FailedScheduling");
        cluster.says("kubectl describe pod large", "0/2 nodes are available: 2 Insufficient cpu.");
        let why = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.";
        cluster.comes_to_say("kubectl describe pod picky", why);
        cluster.says("kubectl get pods large picky --no-headers | grep -c Pending", "2");
        cluster.says("kubectl label node node-2 disk=ssd", "labeled");
        cluster.says("kubectl wait --for=condition=ready pod/picky --timeout=100s", "condition met");
        cluster.comes_to_say("kubectl describe pod picky", "Successfully assigned default/picky to node-2");
        cluster.says("kubectl describe node node-2", "Non-terminated Pods: (1 in total)");
    });
}

#[test]
fn a_node_is_cordoned_drained_and_used_again() {
    with_nodes(|cluster| {
        cluster.says("kubectl create deployment web --image=nginx", "created");
        cluster.says("kubectl scale deployment web --replicas=4", "scaled");
        cluster.says("kubectl rollout status deployment web --timeout=100s", "successfully rolled out");
        cluster.says("kubectl cordon node-1", "node/node-1 cordoned");
        cluster.says("kubectl get node node-1", "Ready,SchedulingDisabled");
        // Up to 1.21 the last word is `evicted`.
        cluster.says("kubectl drain node-1 --timeout=100s | grep -E '^node/node-1 (drained|evicted)'", "node/node-1");
        let elsewhere = "kubectl get pods -l app=web --no-headers -o wide | grep Running | grep -c node-2";
        cluster.comes_to_say(elsewhere, "4");
        cluster.says("kubectl uncordon node-1", "node/node-1 uncordoned");
        cluster.says("kubectl scale deployment web --replicas=8", "scaled");
        cluster.comes_to_say("kubectl get pods -l app=web --no-headers -o wide | grep Running | grep -c node-1", "4");
    });
}
