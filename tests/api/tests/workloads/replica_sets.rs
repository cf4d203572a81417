//! ReplicaSets and ReplicationControllers.

use crate::with_nodes;

const SET: &str = "apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: kuard}
spec:
  replicas: 2
  selector: {matchLabels: {app: kuard, version: '2'}}
  template:
    metadata: {labels: {app: kuard, version: '2'}}
    spec: {containers: [{name: kuard, image: 'gcr.io/kuar-demo/kuard-amd64:green'}]}
";

#[test]
fn a_replica_set_keeps_its_number_is_described_and_left_without_its_pods() {
    with_nodes(|cluster| {
        cluster.apply(SET);
        cluster.comes_to_say("kubectl get rs kuard", "NAME DESIRED CURRENT READY AGE kuard 2 2 2");
        let described = cluster.run("kubectl describe rs kuard");
        described.succeeds().prints("Replicas: 2 current / 2 desired");
        described.prints("Pods Status: 2 Running / 0 Waiting / 0 Succeeded / 0 Failed");
        cluster.comes_to_say("kubectl describe rs kuard", "Created pod: kuard-");
        cluster.says("kubectl scale replicasets kuard --replicas=4", "replicaset.apps/kuard scaled");
        cluster.comes_to_say("kubectl get rs kuard --no-headers", "kuard 4 4 4");
        cluster.says("kubectl describe pods -l app=kuard", "Controlled By: ReplicaSet/kuard");

        // A pod is put aside for debugging, and replaced.
        cluster
            .says("kubectl label $(kubectl get pods -l app=kuard -o name | head -1) app=aside --overwrite", "labeled");
        cluster.comes_to_say("kubectl get pods -l app=kuard --no-headers | grep -c Running", "4");
        cluster.says("kubectl get pods -l app=aside --no-headers", "Running");

        cluster.says("kubectl delete rs kuard --cascade=orphan", "deleted");
        cluster.says("kubectl get pods -l app=kuard --no-headers | grep -c Running", "4");
        cluster.apply(SET);
        cluster.comes_to_say("kubectl get rs kuard --no-headers", "kuard 2 2 2");
        cluster.says("kubectl delete -f manifest.yaml", "deleted");
        cluster.comes_to_say("kubectl get pods -l app=kuard -o name | wc -l", "0");
    });
}

#[test]
fn a_replication_controller_does_the_same() {
    with_nodes(|cluster| {
        cluster.apply(
            "apiVersion: v1
kind: ReplicationController
metadata: {name: nginx}
spec:
  replicas: 3
  selector: {app: nginx}
  template:
    metadata: {labels: {app: nginx}}
    spec: {containers: [{name: nginx, image: nginx, ports: [{containerPort: 80}]}]}
",
        );
        cluster.comes_to_say("kubectl get rc nginx", "NAME DESIRED CURRENT READY AGE nginx 3 3 3");
        cluster.says("kubectl describe replicationcontrollers/nginx", "Pods Status: 3 Running / 0 Waiting");
        cluster.says("kubectl delete $(kubectl get pods -l app=nginx -o name | head -1)", "deleted");
        cluster.comes_to_say("kubectl get pods -l app=nginx --no-headers | grep -c Running", "3");
        cluster.says("kubectl scale rc nginx --replicas=1", "scaled");
        cluster.comes_to_say("kubectl get rc nginx --no-headers", "nginx 1 1 1");
    });
}
