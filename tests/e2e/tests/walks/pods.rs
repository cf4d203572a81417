//! A pod's life.

use e2e_tests::Stage;

const KUARD: &str = "gcr.io/kuar-demo/kuard-amd64:blue";

pub(crate) fn a_pod_runs_and_its_events_tell_how(stage: &Stage) {
    stage.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: kuard, labels: {run: kuard}}
spec:
  containers:
  - name: kuard
    image: gcr.io/kuar-demo/kuard-amd64:blue
    ports: [{containerPort: 8080, name: http, protocol: TCP}]
    resources: {requests: {cpu: 50m, memory: 16Mi}, limits: {memory: 256Mi}}
    livenessProbe: {httpGet: {path: /healthy, port: 8080}, initialDelaySeconds: 1, timeoutSeconds: 1, periodSeconds: 10}
    readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 2}
"#,
    );
    stage.row("kuard", "1/1 Running 0");
    stage.run("kubectl get pod kuard -o wide").succeeds().prints("10.244.").prints(" n");
    assert!(stage.field("pod kuard", ".status.hostIP").starts_with("192.168.77."));
    assert_eq!(stage.field("pod kuard", ".status.qosClass"), "Burstable");
    assert!(stage.field("pod kuard", ".status.containerStatuses[0].containerID").starts_with("containerd://"));
    let described = stage.until("kubectl describe pod kuard", "Started container kuard");
    described.prints("Successfully assigned").prints("Created container").prints("Ready True");
    stage.run("kubectl delete pod kuard").succeeds().prints("pod \"kuard\" deleted");
    stage.run("kubectl get pod kuard").fails().complains("not found");
}

pub(crate) fn containers_of_a_pod_share_its_network_and_volumes(stage: &Stage) {
    stage.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: pair}
spec:
  terminationGracePeriodSeconds: 2
  volumes: [{name: html, emptyDir: }]
  containers:
  - {name: web, image: nginx, volumeMounts: [{name: html, mountPath: /usr/share/nginx/html}]}
  - name: writer
    image: busybox
    command: [sh, -c, "echo written by the other > /html/index.html; sleep 1000"]
    volumeMounts: [{name: html, mountPath: /html}]
"#,
    );
    stage.row("pair", "2/2 Running 0");
    stage.until("kubectl exec pair -c writer -- wget -qO- http://localhost/", "written by the other");
    stage.run("kubectl exec pair -c writer -- hostname").succeeds().prints_exactly("pair");
    stage.until("kubectl logs pair web", "GET / HTTP/1.1");
}

pub(crate) fn init_containers_come_first_and_in_order(stage: &Stage) {
    stage.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: ordered}
spec:
  terminationGracePeriodSeconds: 2
  volumes: [{name: work, emptyDir: {}}]
  initContainers:
  - {name: one, image: busybox, command: [sh, -c, "echo one >> /shared/order"], volumeMounts: [{name: work, mountPath: /shared}]}
  - {name: two, image: busybox, command: [sh, -c, "echo two >> /shared/order"], volumeMounts: [{name: work, mountPath: /shared}]}
  containers:
  - {name: main, image: busybox, command: [sh, -c, "cat /shared/order; sleep 1000"], volumeMounts: [{name: work, mountPath: /shared}]}
"#,
    );
    stage.row("ordered", "1/1 Running 0");
    stage.until("kubectl logs ordered", "one two");
    assert_eq!(
        stage.field("pod ordered", ".status.initContainerStatuses[*].state.terminated.reason"),
        "Completed Completed"
    );
    stage.pod(
        "stuck",
        "busybox",
        "command: [sleep, '1000']",
        "initContainers: [{name: bad, image: busybox, command: ['false']}]",
    );
    stage.until("kubectl get pod stuck --no-headers", "stuck 0/1 Init:");
    stage.wait("kubectl get pod stuck --no-headers", |row| {
        row.stdout.contains("Init:Error") || row.stdout.contains("Init:CrashLoopBackOff")
    });
}

pub(crate) fn a_sidecar_runs_beside_the_containers_and_does_not_keep_a_job_from_ending(stage: &Stage) {
    stage.apply(
        r#"
apiVersion: batch/v1
kind: Job
metadata: {name: with-sidecar}
spec:
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 2
      initContainers: [{name: side, image: busybox, restartPolicy: Always, command: [sleep, "1000"]}]
      containers: [{name: main, image: busybox, command: [sh, -c, "sleep 1; echo done"]}]
"#,
    );
    stage.field_is("job with-sidecar", ".status.succeeded", "1");
}

pub(crate) fn restart_policies_are_kept(stage: &Stage) {
    for (name, policy, command, row) in [
        ("never-well", "Never", "true", "0/1 Completed 0"),
        ("never-bad", "Never", "false", "0/1 Error 0"),
        ("failure-well", "OnFailure", "true", "0/1 Completed 0"),
    ] {
        stage.pod(name, "busybox", &format!("command: ['{command}']"), &format!("restartPolicy: {policy}"));
        stage.row(name, row);
    }
    assert_eq!(stage.field("pod never-bad", ".status.phase"), "Failed");
    assert_eq!(stage.field("pod never-bad", ".status.containerStatuses[0].state.terminated.exitCode"), "1");
    stage.pod("always", "busybox", "command: ['true']", "restartPolicy: Always");
    stage.wait("kubectl get pod always -o jsonpath='{.status.containerStatuses[0].restartCount}'", |outcome| {
        outcome.stdout.parse::<u32>().is_ok_and(|restarts| restarts > 0)
    });
}

pub(crate) fn a_new_image_restarts_the_container_and_not_the_pod(stage: &Stage) {
    stage.pod("kuard", KUARD, "", "");
    stage.row("kuard", "1/1 Running 0");
    let before = [stage.field("pod kuard", ".metadata.uid"), stage.field("pod kuard", ".status.podIP")];
    stage.run("kubectl set image pod/kuard main=gcr.io/kuar-demo/kuard-amd64:green").succeeds();
    stage.row("kuard", "1/1 Running 1");
    let after = [stage.field("pod kuard", ".metadata.uid"), stage.field("pod kuard", ".status.podIP")];
    assert_eq!(before, after);
    stage.run("kubectl exec kuard -- wget -qO- localhost:8080").succeeds().prints("version: green");
}

pub(crate) fn a_pod_is_asked_to_end_before_it_is_killed(stage: &Stage) {
    stage.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: polite}
spec:
  terminationGracePeriodSeconds: 20
  containers:
  - name: main
    image: sheave/testbox
    args: [signals]
    lifecycle: {preStop: {exec: {command: [sh, -c, "echo before the signal > /proc/1/fd/1"]}}}
"#,
    );
    stage.row("polite", "1/1 Running 0");
    stage.until("kubectl logs polite", "waiting for signals");
    let line = "kubectl logs -f polite > followed & sleep 1; kubectl delete pod polite && wait; cat followed";
    stage.run(line).succeeds().prints("before the signal\ngot TERM");
}

pub(crate) fn a_pod_on_the_hosts_network_has_its_address(stage: &Stage) {
    stage.pod("host", "busybox", "command: [sleep, '1000']", "hostNetwork: true, hostPID: true");
    stage.row("host", "1/1 Running 0");
    assert_eq!(stage.field("pod host", ".status.podIP"), stage.field("pod host", ".status.hostIP"));
    stage.run("kubectl exec host -- ps").succeeds().prints("containerd");
}

pub(crate) fn host_names_and_aliases_are_in_the_hosts_file(stage: &Stage) {
    stage.pod(
        "named",
        "busybox",
        "command: [sleep, '1000']",
        "hostname: other, hostAliases: [{ip: 192.0.2.7, hostnames: [legacy.example, legacy]}]",
    );
    stage.row("named", "1/1 Running 0");
    let hosts = stage.run("kubectl exec named -- cat /etc/hosts");
    hosts.succeeds().prints("192.0.2.7 legacy.example legacy").prints(&stage.field("pod named", ".status.podIP"));
    stage.run("kubectl exec named -- hostname").succeeds().prints_exactly("other");
}

pub(crate) fn pods_of_two_nodes_reach_each_other(stage: &Stage) {
    stage.pod("far", "sheave/testbox", "", "nodeName: n2");
    stage.pod("near", "sheave/testbox", "", "nodeName: n1");
    stage.row("far", "1/1 Running 0");
    stage.row("near", "1/1 Running 0");
    let address = stage.field("pod far", ".status.podIP");
    for protocol in ["", "--udp"] {
        let line = format!("kubectl exec near -- testbox connect {protocol} {address}:9000");
        stage.run(&line).succeeds().prints_exactly("far: hello");
    }
    stage.run(&format!("kubectl exec near -- ping -c 1 {address}")).succeeds().prints("1 packets received");
}

pub(crate) fn security_contexts_hold(stage: &Stage) {
    stage.pod(
        "careful",
        "busybox",
        "command: [sh, -c, 'id -u; touch /x; sleep 1000'], securityContext: {runAsUser: 1234, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}",
        "",
    );
    stage.row("careful", "1/1 Running 0");
    let logs = stage.until("kubectl logs careful", "Read-only file system");
    logs.prints("1234");
    stage.run("kubectl exec careful -- grep NoNewPrivs /proc/self/status").succeeds().prints("NoNewPrivs: 1");
}

pub(crate) fn a_node_selector_is_waited_for(stage: &Stage) {
    stage.pod("chosen", "busybox", "command: [sleep, '1000']", "nodeSelector: {disk: ssd}");
    stage.row("chosen", "0/1 Pending 0");
    stage.run("kubectl label node n2 disk=ssd").succeeds();
    stage.row("chosen", "1/1 Running 0");
    assert_eq!(stage.field("pod chosen", ".spec.nodeName"), "n2");
    stage.run("kubectl label node n2 disk-").succeeds();
}
