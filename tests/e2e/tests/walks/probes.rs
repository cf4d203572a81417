//! Probes, and what hangs on them.

use e2e_tests::Stage;

/// Tells a probe of testbox to fail so often.
fn fail(stage: &Stage, pod: &str, probe: &str, times: i32) {
    let url = format!("http://localhost:8080/probe/{probe}/fail?times={times}");
    stage.run(&format!("kubectl exec {pod} -- wget -qO- --post-data= '{url}'")).succeeds();
}

pub(crate) fn a_failing_liveness_probe_restarts_the_container(stage: &Stage) {
    stage.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: liveness-exec, labels: {test: liveness}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: liveness
    image: k8s.gcr.io/busybox
    args: [/bin/sh, -c, "touch /tmp/healthy; sleep 3; rm -rf /tmp/healthy; sleep 600"]
    livenessProbe: {exec: {command: [cat, /tmp/healthy]}, periodSeconds: 1, failureThreshold: 2}
"#,
    );
    stage.row("liveness-exec", "1/1 Running 0");
    stage.row("liveness-exec", "1/1 Running 1");
    let described = stage.until("kubectl describe pod liveness-exec", "Liveness probe failed");
    described.prints("Unhealthy").prints("will be restarted");
}

pub(crate) fn a_pod_is_ready_while_its_probe_says_so(stage: &Stage) {
    let probe = "readinessProbe: {httpGet: {path: /probe/ready, port: 8080}, periodSeconds: 1, failureThreshold: 1}";
    stage.pod("web", "sheave/testbox", probe, "");
    stage.run("kubectl expose pod web --port=80 --target-port=8080").succeeds();
    stage.row("web", "1/1 Running 0");
    let ready = ".items[0].endpoints[0].conditions.ready";
    let slices = "endpointslices -l kubernetes.io/service-name=web";
    stage.field_is(slices, ready, "true");
    fail(stage, "web", "ready", -1);
    stage.row("web", "0/1 Running 0");
    stage.field_is(slices, ready, "false");
    fail(stage, "web", "ready", 0);
    stage.row("web", "1/1 Running 0");
}

pub(crate) fn a_startup_probe_holds_the_others_back(stage: &Stage) {
    stage.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: slow}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox
    command: [sh, -c, "sleep 4; touch /tmp/started; sleep 600"]
    startupProbe: {exec: {command: [cat, /tmp/started]}, periodSeconds: 1, failureThreshold: 60}
    livenessProbe: {exec: {command: [cat, /tmp/started]}, periodSeconds: 1, failureThreshold: 1}
"#,
    );
    stage.field_is("pod slow", ".status.containerStatuses[0].started", "false");
    stage.row("slow", "1/1 Running 0");
}

pub(crate) fn a_probe_may_ask_a_port(stage: &Stage) {
    let probe = "livenessProbe: {tcpSocket: {port: 6379}, periodSeconds: 1}, readinessProbe: {exec: {command: [redis-cli, ping]}, periodSeconds: 1}";
    stage.pod("redis", "redis", probe, "");
    stage.row("redis", "1/1 Running 0");
    stage.run("kubectl exec redis -- redis-cli set foo 10").succeeds().prints_exactly("OK");
    stage.run("kubectl exec redis -- redis-cli -p 6379 get foo").succeeds().prints("10");
    let wrong = "readinessProbe: {tcpSocket: {port: 6380}, periodSeconds: 1, failureThreshold: 1}";
    stage.pod("deaf", "redis", wrong, "");
    stage.until("kubectl describe pod deaf", "Readiness probe failed");
    stage.row("deaf", "0/1 Running 0");
}
