//! What goes wrong, in Kubernetes' words.

use e2e_tests::Stage;

pub(crate) fn an_image_that_nobody_has_is_not_found(stage: &Stage) {
    stage.run("kubectl run missing --image=registry.example/nobody/has:this").succeeds();
    stage.wait("kubectl get pod missing --no-headers", |row| row.stdout.contains("ErrImagePull"));
    stage.row("missing", "0/1 ImagePullBackOff 0");
    let described = stage.until("kubectl describe pod missing", "Error: ErrImagePull");
    described.prints("Failed to pull image").prints("not found");
    stage.run("kubectl run local --image=nobody/has:that --image-pull-policy=Never").succeeds();
    stage.row("local", "0/1 ErrImageNeverPull 0");
    // With another image the same pod runs.
    stage.run("kubectl set image pod/missing missing=nginx").succeeds();
    stage.row("missing", "1/1 Running 0");
}

pub(crate) fn arguments_without_a_command_fail_as_the_book_says(stage: &Stage) {
    stage.apply(
        r#"
apiVersion: batch/v1
kind: Job
metadata: {name: oneshot}
spec:
  backoffLimit: 1
  template:
    spec:
      containers:
      - name: kuard
        image: gcr.io/kuar-demo/kuard-amd64:blue
        imagePullPolicy: Always
        args: ["--keygen-enable", "--keygen-exit-on-complete", "--keygen-num-to-gen=10"]
      restartPolicy: OnFailure
"#,
    );
    stage.wait("kubectl get pods --no-headers", |rows| {
        rows.stdout.contains("RunContainerError") || rows.stdout.contains("CrashLoopBackOff")
    });
    stage.until("kubectl get events", "executable file not found in $PATH");
    stage.until("kubectl describe job oneshot", "BackoffLimitExceeded");
}

pub(crate) fn a_container_over_its_memory_limit_is_killed(stage: &Stage) {
    stage.pod(
        "greedy",
        "sheave/testbox",
        "args: [memory, '300'], resources: {limits: {memory: 64Mi}}",
        "restartPolicy: Never",
    );
    stage.row("greedy", "0/1 OOMKilled 0");
    assert_eq!(stage.field("pod greedy", ".status.containerStatuses[0].state.terminated.exitCode"), "137");
}

pub(crate) fn a_container_that_fails_again_and_again_is_backed_off_from(stage: &Stage) {
    stage.pod("crasher", "busybox", "command: [sh, -c, 'echo last words > /dev/termination-log; exit 3']", "");
    stage.until("kubectl get pod crasher --no-headers", "CrashLoopBackOff");
    let last = ".status.containerStatuses[0].lastState.terminated";
    assert_eq!(stage.field("pod crasher", &format!("{last}.exitCode")), "3");
    assert_eq!(stage.field("pod crasher", &format!("{last}.message")).trim(), "last words");
    stage.until("kubectl describe pod crasher", "Back-off restarting failed container");
}

pub(crate) fn a_container_that_must_not_be_root_does_not_start_as_root(stage: &Stage) {
    stage.pod("rootless", "busybox", "command: [sleep, '1000']", "securityContext: {runAsNonRoot: true}");
    stage.row("rootless", "0/1 CreateContainerConfigError 0");
    stage.until("kubectl describe pod rootless", "container has runAsNonRoot and image will run as root");
}
