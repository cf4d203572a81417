//! StatefulSets.

use crate::with_nodes;

#[test]
fn pods_have_names_an_order_and_revisions() {
    with_nodes(|cluster| {
        cluster.apply(
            "apiVersion: v1
kind: Service
metadata: {name: mongo}
spec: {clusterIP: None, selector: {app: mongo}, ports: [{port: 27017, name: peer}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: mongo}
spec:
  serviceName: mongo
  replicas: 3
  selector: {matchLabels: {app: mongo}}
  template:
    metadata: {labels: {app: mongo}}
    spec: {containers: [{name: mongodb, image: 'mongo:3.4.1', ports: [{containerPort: 27017, name: peer}]}]}
",
        );
        let status = "kubectl rollout status sts mongo --timeout=100s";
        cluster.run(status).succeeds();
        cluster.comes_to_say("kubectl get sts", "NAME READY AGE mongo 3/3");
        let names = "kubectl get pods -l app=mongo -o name | sort | tr '\\n' ' '";
        cluster.says(names, "pod/mongo-0 pod/mongo-1 pod/mongo-2");
        let identity = "kubectl get pod mongo-1 -o jsonpath='{.spec.hostname}.{.spec.subdomain}'";
        cluster.run(identity).prints_exactly("mongo-1.mongo");
        let described = cluster.run("kubectl describe sts mongo");
        described.succeeds().prints("Pods Status: 3 Running / 0 Waiting / 0 Succeeded / 0 Failed");
        cluster.comes_to_say("kubectl describe sts mongo", "create Pod mongo-2 in StatefulSet mongo successful");

        cluster.says("kubectl set image sts mongo mongodb=mongo:3.6", "statefulset.apps/mongo image updated");
        cluster.run(status).succeeds();
        let images = "kubectl get pods -l app=mongo -o jsonpath='{.items[*].spec.containers[0].image}'";
        cluster.comes_to_say(images, "mongo:3.6 mongo:3.6 mongo:3.6");
        cluster.comes_to_say("kubectl rollout history sts mongo", "1 <none> 2 <none>");
        cluster.says("kubectl rollout undo sts mongo", "statefulset.apps/mongo rolled back");
        cluster.run(status).succeeds();
        cluster.comes_to_say(images, "mongo:3.4.1 mongo:3.4.1 mongo:3.4.1");

        cluster.says("kubectl scale sts mongo --replicas=1", "statefulset.apps/mongo scaled");
        cluster.comes_to_say(names, "pod/mongo-0");
        cluster.comes_to_say("kubectl get pods -l app=mongo -o name | wc -l", "1");
        cluster.says("kubectl delete sts mongo", "deleted");
        cluster.comes_to_say("kubectl get pods -l app=mongo -o name | wc -l", "0");
    });
}
