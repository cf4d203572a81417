//! Workload objects as documents: defaults, columns, immutability, scale; nothing runs here.

use crate::with_every_kubectl;

#[test]
fn a_pod_without_a_node_is_pending() {
    with_every_kubectl(|terminal| {
        let manifest = "apiVersion: v1\nkind: Pod\nmetadata: {name: kuard}\nspec: {containers: [{name: kuard, image: 'gcr.io/kuar-demo/kuard-amd64:blue', ports: [{containerPort: 8080, name: http}]}]}\n";
        terminal.file("pod.yaml", manifest);
        terminal.run("kubectl apply -f pod.yaml").succeeds().prints("pod/kuard created");
        terminal.run("kubectl get pods").prints("NAME READY STATUS RESTARTS AGE").prints("kuard 0/1 Pending 0");
        terminal
            .run("kubectl get pods -o wide")
            .prints("IP NODE NOMINATED NODE READINESS GATES")
            .prints("<none> <none>");
        terminal.run("kubectl describe pod kuard").succeeds().prints("Status: Pending").prints("QoS Class: BestEffort");
        for (path, value) in [
            ("{.spec.restartPolicy}", "Always"),
            ("{.spec.terminationGracePeriodSeconds}", "30"),
            ("{.spec.dnsPolicy}", "ClusterFirst"),
            ("{.spec.schedulerName}", "default-scheduler"),
            ("{.spec.containers[0].imagePullPolicy}", "IfNotPresent"),
            ("{.spec.containers[0].terminationMessagePath}", "/dev/termination-log"),
            ("{.spec.containers[0].ports[0].protocol}", "TCP"),
            ("{.spec.enableServiceLinks}", "true"),
            ("{.spec.tolerations[0].tolerationSeconds}", "300"),
            ("{.status.phase} {.status.qosClass}", "Pending BestEffort"),
        ] {
            terminal.run(&format!("kubectl get pod kuard -o jsonpath='{path}'")).prints_exactly(value);
        }
        let change = terminal.run("kubectl patch pod kuard -p '{\"spec\":{\"restartPolicy\":\"Never\"}}'");
        change.fails().complains("pod updates may not change fields other than");
        terminal.run("kubectl delete pods/kuard").succeeds().prints("pod \"kuard\" deleted");
    });
}

#[test]
fn kubectl_run_makes_a_pod() {
    with_every_kubectl(|terminal| {
        terminal
            .run("kubectl run nginx --image=nginx --port=80 --labels=ver=1,app=web")
            .succeeds()
            .prints("pod/nginx created");
        terminal
            .run("kubectl get pod nginx -o jsonpath='{.spec.containers[0].imagePullPolicy}'")
            .prints_exactly("Always");
        terminal.run("kubectl get pods -l app=web --no-headers").prints("nginx");
        terminal.run("kubectl expose pod nginx").succeeds();
        terminal.run("kubectl delete pod nginx --grace-period=0 --force").succeeds();
    });
}

#[test]
fn a_selector_that_does_not_match_its_template_is_refused() {
    with_every_kubectl(|terminal| {
        for kind in ["Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"] {
            let manifest = format!(
                "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {{selector: {{matchLabels: {{a: b}}}}, template: {{metadata: {{labels: {{a: c}}}}, spec: {{containers: [{{name: c, image: i}}]}}}}}}\n"
            );
            terminal.file("x.yaml", &manifest);
            terminal.run("kubectl create -f x.yaml").fails().complains("`selector` does not match template `labels`");
        }
    });
}

#[test]
fn every_workload_prints_its_columns() {
    with_every_kubectl(|terminal| {
        let template = "template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: nginx}]}}";
        for (kind, resource, columns) in [
            ("Deployment", "deploy", "NAME READY UP-TO-DATE AVAILABLE AGE"),
            ("ReplicaSet", "rs", "NAME DESIRED CURRENT READY AGE"),
            ("DaemonSet", "ds", "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE NODE SELECTOR AGE"),
            ("StatefulSet", "sts", "NAME READY AGE"),
        ] {
            let manifest = format!(
                "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {{selector: {{matchLabels: {{a: b}}}}, {template}}}\n"
            );
            terminal.file("x.yaml", &manifest);
            terminal.run("kubectl create -f x.yaml").succeeds();
            terminal.run(&format!("kubectl get {resource} x")).succeeds().prints(columns);
            terminal.run(&format!("kubectl describe {resource} x")).succeeds().prints("nginx");
        }
        terminal.run("kubectl get rs x -o wide").prints("CONTAINERS IMAGES SELECTOR").prints("c nginx a=b");
    });
}

#[test]
fn jobs_and_cron_jobs_get_their_defaults() {
    with_every_kubectl(|terminal| {
        terminal
            .run("kubectl create job oneshot --image=busybox -- true")
            .succeeds()
            .prints("job.batch/oneshot created");
        let defaults = "kubectl get job oneshot -o jsonpath='{.spec.completions} {.spec.parallelism} {.spec.backoffLimit} {.spec.template.spec.restartPolicy}'";
        terminal.run(defaults).prints_exactly("1 1 6 Never");
        terminal.run("kubectl get job oneshot -o jsonpath='{.spec.selector.matchLabels}'").prints("controller-uid");
        if terminal.version() < (1, 21) {
            return;
        }
        terminal.run("kubectl create cronjob example --image=busybox --schedule='*/5 * * * *' -- date").succeeds();
        terminal.run("kubectl get cronjob example").prints("example */5 * * * *").prints("False 0 <none>");
        let described = terminal.run("kubectl describe cronjob example");
        described.succeeds().prints("Concurrency Policy: Allow").prints("Successful Job History Limit: 3");
        terminal
            .run("kubectl create cronjob bad --image=busybox --schedule='every day'")
            .fails()
            .complains("spec.schedule");
    });
}

#[test]
fn scaling_and_autoscaling_go_through_their_own_resources() {
    with_every_kubectl(|terminal| {
        terminal.run("kubectl create deployment pingpong --image=alpine").succeeds();
        terminal.run("kubectl scale deploy/pingpong --replicas 8").succeeds().prints("deployment.apps/pingpong scaled");
        terminal.run("kubectl scale deploy/pingpong --current-replicas=2 --replicas=3").fails();
        terminal.run("kubectl scale deploy/pingpong --current-replicas=8 --replicas=3").succeeds();
        terminal.run("kubectl get deploy pingpong").prints("pingpong 0/3");
        terminal.run("kubectl autoscale deployment pingpong --min=2 --max=5 --cpu-percent=80").succeeds();
        terminal.run("kubectl get hpa").prints("pingpong Deployment/pingpong").prints("2 5 0");
        terminal.run("kubectl delete hpa pingpong").succeeds();
        terminal.run("kubectl rollout pause deployment pingpong").succeeds().prints("paused");
        terminal.run("kubectl rollout resume deployment pingpong").succeeds().prints("resumed");
        terminal.run("kubectl rollout restart deployment pingpong").succeeds().prints("restarted");
        terminal.run("kubectl set resources deployment pingpong --limits=cpu=200m,memory=512Mi").succeeds();
        terminal
            .run(
                "kubectl get deploy pingpong -o jsonpath='{.spec.template.spec.containers[0].resources.limits.memory}'",
            )
            .prints_exactly("512Mi");
    });
}

#[test]
fn storage_objects_print_their_columns() {
    with_every_kubectl(|terminal| {
        let manifest = "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: task-pv-volume, labels: {type: local}}\nspec: {storageClassName: manual, capacity: {storage: 10Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /mnt/data}}\n---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: myclaim}\nspec: {storageClassName: manual, accessModes: [ReadWriteOnce], resources: {requests: {storage: 3Gi}}}\n---\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: standard}\nprovisioner: kubernetes.io/aws-ebs\nreclaimPolicy: Retain\n";
        terminal.file("s.yaml", manifest);
        terminal.run("kubectl apply -f s.yaml").succeeds();
        terminal.run("kubectl get pv").prints("task-pv-volume 10Gi RWO Retain");
        terminal.run("kubectl get pvc").prints("myclaim");
        terminal.run("kubectl get sc").prints("standard kubernetes.io/aws-ebs Retain Immediate false");
    });
}

#[test]
fn a_pod_without_a_node_has_no_logs_and_no_sessions() {
    with_every_kubectl(|terminal| {
        terminal.run("kubectl run p --image=nginx").succeeds();
        // Nothing has been written yet, which is no error.
        terminal.run("kubectl logs p").succeeds();
        terminal.run("kubectl exec p -- true").fails().complains("does not have a host assigned");
    });
}
