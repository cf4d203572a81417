//! Controllers whose pods really run.

use e2e_tests::Stage;

pub(crate) fn a_deployment_rolls_forward_and_back(stage: &Stage) {
    stage.run("kubectl create deployment kuard --image=gcr.io/kuar-demo/kuard-amd64:blue --replicas=3").succeeds();
    stage.run("kubectl rollout status deployment kuard").succeeds().prints("successfully rolled out");
    stage.run("kubectl set image deployment kuard kuard-amd64=gcr.io/kuar-demo/kuard-amd64:green").succeeds();
    stage.run("kubectl rollout status deployment kuard").succeeds();
    let page = "kubectl exec deploy/kuard -- wget -qO- localhost:8080";
    stage.until(page, "version: green");
    stage.run("kubectl set image deployment kuard kuard-amd64=gcr.io/kuar-demo/kuard-amd64:nosuch").succeeds();
    stage.until("kubectl get pods --no-headers", "ImagePullBackOff");
    // The old pods serve on.
    stage.until("kubectl get deploy kuard --no-headers", "kuard 3/3 1 3");
    stage.run("kubectl rollout undo deployment kuard").succeeds();
    stage.run("kubectl rollout status deployment kuard").succeeds();
    stage.run("kubectl rollout undo deployment kuard --to-revision=1").succeeds();
    stage.run("kubectl rollout status deployment kuard").succeeds();
    stage.until(page, "version: blue");
    stage.run("kubectl delete pod -l app=kuard --wait=false").succeeds();
    stage.until("kubectl get deploy kuard --no-headers", "kuard 3/3 3 3");
}

pub(crate) fn a_stateful_set_starts_in_order(stage: &Stage) {
    stage.apply(
        r#"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: redis}
spec:
  replicas: 2
  serviceName: redis
  selector: {matchLabels: {app: redis}}
  template:
    metadata: {labels: {app: redis}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - command: [sh, -c, "source /redis-config/init.sh"]
        image: redis:3.2.7-alpine
        name: redis
        ports: [{containerPort: 6379, name: redis}]
        readinessProbe: {exec: {command: [redis-cli, ping]}, periodSeconds: 1}
        volumeMounts: [{mountPath: /redis-config, name: config}, {mountPath: /redis-data, name: data}]
      volumes:
      - {configMap: {defaultMode: 420, name: redis-config}, name: config}
      - {emptyDir: , name: data}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: redis-config}
data:
  master.conf: "bind 0.0.0.0\nport 6379\ndir /redis-data\n"
  init.sh: |
    if [[ ${HOSTNAME} == 'redis-0' ]]; then
      redis-server /redis-config/master.conf
    else
      redis-server --port 6379
    fi
"#,
    );
    stage.row("redis-1", "1/1 Running 0");
    let started =
        |pod: &str| stage.field(&format!("pod {pod}"), ".status.conditions[?(@.type==\"Ready\")].lastTransitionTime");
    assert!(started("redis-0") <= stage.field("pod redis-1", ".metadata.creationTimestamp"));
    stage.run("kubectl exec redis-0 -- redis-cli config get dir").succeeds().prints("/redis-data");
    stage.run("kubectl exec redis-1 -- hostname").succeeds().prints_exactly("redis-1");
    stage.run("kubectl scale sts redis --replicas=1").succeeds();
    stage.wait("kubectl get pod redis-1", |outcome| outcome.code != 0);
    stage.row("redis-0", "1/1 Running 0");
}

pub(crate) fn a_daemon_set_has_a_pod_on_every_chosen_node(stage: &Stage) {
    stage.apply(
        r#"
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: nginx-fast-storage}
spec:
  selector: {matchLabels: {app: fast}}
  template:
    metadata: {labels: {app: fast}}
    spec: {nodeSelector: {walk: fast}, containers: [{name: nginx, image: "nginx:1.10.0"}]}
"#,
    );
    stage.until("kubectl get ds nginx-fast-storage --no-headers", "nginx-fast-storage 0 0 0 0 0");
    stage.run("kubectl label nodes n1 n2 walk=fast").succeeds();
    stage.until("kubectl get ds nginx-fast-storage --no-headers", "nginx-fast-storage 2 2 2 2 2");
    stage.run("kubectl label nodes n1 walk-").succeeds();
    stage.until("kubectl get ds nginx-fast-storage --no-headers", "nginx-fast-storage 1 1 1 1 1");
    stage.run("kubectl label nodes n2 walk-").succeeds();
}

/// The book's job, with the command that it should have had.
fn keygen(name: &str, times: &str) -> String {
    format!(
        r#"
apiVersion: batch/v1
kind: Job
metadata: {{name: {name}}}
spec:
  {times}
  template:
    spec:
      containers:
      - name: kuard
        image: gcr.io/kuar-demo/kuard-amd64:blue
        imagePullPolicy: Always
        command: ["/kuard"]
        args: ["--keygen-enable", "--keygen-exit-on-complete", "--keygen-num-to-gen=15"]
      restartPolicy: OnFailure
"#
    )
}

pub(crate) fn a_job_runs_to_completion_once(stage: &Stage) {
    stage.apply(&keygen("oneshot", "completions: 1"));
    stage.until("kubectl get jobs --no-headers", "1/1");
    stage
        .run("kubectl logs -l job-name=oneshot")
        .succeeds()
        .prints("(ID 0 15/15) Item done: SHA256:")
        .prints("Workload exiting");
    stage.run("kubectl get pods --no-headers").prints("0/1 Completed 0");
    stage.run("kubectl delete jobs oneshot").succeeds();
    stage.wait("kubectl get pods --no-headers", |outcome| outcome.stdout.is_empty());
}

pub(crate) fn a_job_runs_ten_times_five_at_once(stage: &Stage) {
    stage.apply(&keygen("parallel", "parallelism: 5\n  completions: 10"));
    stage.until("kubectl get pods --no-headers | grep -c Running", "5");
    stage.until("kubectl get jobs --no-headers", "10/10");
    stage.run("kubectl get pods --no-headers | grep -c Completed").prints_exactly("10");
}

pub(crate) fn a_cron_jobs_job_can_be_made_by_hand(stage: &Stage) {
    stage.run("kubectl create cronjob example --image=busybox --schedule='0 5 31 2 *' -- echo ran").succeeds();
    stage.run("kubectl create job --from=cronjob/example by-hand").succeeds();
    stage.field_is("job by-hand", ".status.succeeded", "1");
    stage.run("kubectl logs job/by-hand").succeeds().prints_exactly("ran");
}
