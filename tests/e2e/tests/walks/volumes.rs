//! Volumes.

use e2e_tests::Stage;

pub(crate) fn an_empty_folder_outlives_its_containers(stage: &Stage) {
    stage.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: keeper}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: disk, emptyDir: {}}, {name: memory, emptyDir: {medium: Memory}}]
  containers:
  - name: main
    image: busybox
    command: [sh, -c, "echo start >> /disk/starts; cat /disk/starts; sleep 1000"]
    volumeMounts: [{name: disk, mountPath: /disk}, {name: memory, mountPath: /memory}]
"#,
    );
    stage.row("keeper", "1/1 Running 0");
    stage.run("kubectl exec keeper -- stat -f -c %T /memory").succeeds().prints("tmpfs");
    // Its own process ends, so the container does.
    let _ = stage.run("kubectl exec keeper -- sh -c 'kill -9 $(pgrep -f \"sleep 1000\")'");
    stage.row("keeper", "1/1 Running 1");
    stage.until("kubectl logs keeper", "start start");
}

pub(crate) fn a_folder_of_the_host_is_shared_with_it(stage: &Stage) {
    let volume = "nodeName: n1, volumes: [{name: data, hostPath: {path: /var/lib/kuard, type: DirectoryOrCreate}}]";
    let mount = "command: [sh, -c, 'echo from the pod > /data/file; sleep 1000'], volumeMounts: [{name: data, mountPath: /data}]";
    stage.pod("kuard", "busybox", mount, volume);
    stage.row("kuard", "1/1 Running 0");
    let file = stage.cluster().topology().node(1).data().join("var-lib/kuard/file");
    assert_eq!(std::fs::read_to_string(file).expect("the pod's file on the host"), "from the pod\n");
    let missing = "nodeName: n1, volumes: [{name: data, hostPath: {path: /not/there, type: Directory}}]";
    stage.pod("missing", "busybox", mount, missing);
    stage.until("kubectl describe pod missing", "hostPath type check failed: /not/there is not a directory");
}

pub(crate) fn a_piece_of_a_volume_is_mounted(stage: &Stage) {
    stage.run("kubectl create configmap parts --from-literal=one=1 --from-literal=two=2").succeeds();
    let mount = "command: [sh, -c, 'cat /etc/one; ls /etc/passwd; sleep 1000'], volumeMounts: [{name: v, mountPath: /etc/one, subPath: one}]";
    stage.pod("piece", "busybox", mount, "volumes: [{name: v, configMap: {name: parts}}]");
    stage.row("piece", "1/1 Running 0");
    stage.until("kubectl logs piece", "1/etc/passwd");
}
