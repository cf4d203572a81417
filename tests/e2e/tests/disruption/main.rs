//! Parts of a cluster that are killed, cut off and brought back under running pods. One walk at a time.

mod beside;

use std::process::ExitCode;

use e2e_tests::{Bed, run, walks};

const BED: Bed = Bed {
    label: "disruption",
    nodes: 2,
    // A node renews its lease every ten seconds: it is lost soon after one that did not come.
    server_arguments: &["--node-monitor-grace-period", "15s"],
    one_at_a_time: true,
};

fn main() -> ExitCode {
    run(
        BED,
        walks![
            walk::a_kubelet_that_is_killed_finds_its_containers_again,
            walk::containerd_killed_takes_no_container_along,
            walk::a_server_that_is_killed_goes_on_where_it_was,
            walk::a_node_that_is_cut_off_loses_its_pods_and_comes_back,
            walk::a_node_that_dies_comes_back_and_starts_its_pods_again,
            beside::a_second_cluster_stays_until_it_is_removed_and_leaves_nothing,
        ],
    )
}

mod walk {
    use e2e_tests::Stage;
    use test_support::eventually;

    /// The container that must not be another one afterwards.
    const CONTAINER: &str = ".status.containerStatuses[0].containerID";

    fn sleeper(stage: &Stage) -> String {
        stage.pod("sleeper", "busybox", "command: [sleep, '100000']", "nodeName: n1");
        stage.row("sleeper", "1/1 Running 0");
        stage.field("pod sleeper", CONTAINER)
    }

    pub(super) fn a_kubelet_that_is_killed_finds_its_containers_again(stage: &Stage) {
        let container = sleeper(stage);
        stage.cluster().kubelet(1).expect("the kubelet runs").kill().expect("it can be killed");
        // Asked for while nobody is there to do it.
        stage.pod("later", "busybox", "command: [sleep, '1000']", "nodeName: n1");
        stage.cluster().start_node(1).expect("the kubelet starts again");
        stage.row("later", "1/1 Running 0");
        stage.row("sleeper", "1/1 Running 0");
        assert_eq!(stage.field("pod sleeper", CONTAINER), container);
        stage.run("kubectl exec sleeper -- true").succeeds();
    }

    pub(super) fn containerd_killed_takes_no_container_along(stage: &Stage) {
        let container = sleeper(stage);
        stage.cluster().containerd(1).expect("containerd runs").daemon().kill().expect("it can be killed");
        stage.cluster().start_node(1).expect("containerd starts again");
        stage.pod("later", "busybox", "command: [sleep, '1000']", "nodeName: n1");
        stage.row("later", "1/1 Running 0");
        assert_eq!(stage.field("pod sleeper", CONTAINER), container);
        stage.row("sleeper", "1/1 Running 0");
        stage.run("kubectl exec sleeper -- true").succeeds();
    }

    pub(super) fn a_server_that_is_killed_goes_on_where_it_was(stage: &Stage) {
        let container = sleeper(stage);
        stage.cluster().server().expect("the server runs").kill().expect("it can be killed");
        stage.cluster().start_server(&mut |_| ()).expect("the server starts again");
        assert_eq!(stage.field("pod sleeper", CONTAINER), container);
        stage.pod("later", "busybox", "command: [sleep, '1000']", "nodeName: n1");
        stage.row("later", "1/1 Running 0");
    }

    /// A deployment whose pods leave a lost node soon, and stand on n1 to begin with.
    fn movable(stage: &Stage) {
        stage.run("kubectl cordon n2").succeeds();
        stage.apply(
            r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      tolerations:
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 2}
      - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 2}
      containers: [{name: main, image: busybox, command: [sleep, "100000"]}]
"#,
        );
        stage.until("kubectl get deploy web --no-headers", "web 2/2");
        stage.run("kubectl uncordon n2").succeeds();
    }

    pub(super) fn a_node_that_is_cut_off_loses_its_pods_and_comes_back(stage: &Stage) {
        movable(stage);
        let node = stage.cluster().topology().node(1);
        node.cut_off().expect("the node can be cut off");
        stage.until("kubectl get node n1 --no-headers", "n1 NotReady");
        stage.until("kubectl describe node n1", "NodeStatusUnknown");
        stage.until("kubectl describe node n1", "node.kubernetes.io/unreachable:NoExecute");
        // Those on the lost node stay Terminating: nobody has said that they ended.
        stage.until("kubectl get pods -o wide --no-headers | grep ' n1 ' | grep -c Terminating", "2");
        stage.until("kubectl get deploy web --no-headers", "web 2/2");
        node.reconnect().expect("the node can be connected again");
        stage.until("kubectl get node n1 --no-headers", "n1 Ready");
        stage.wait("kubectl get pods -o wide --no-headers", |pods| !pods.stdout.contains(" n1 "));
        stage.run("kubectl describe node n1").succeeds().does_not_print("unreachable");
    }

    pub(super) fn a_node_that_dies_comes_back_and_starts_its_pods_again(stage: &Stage) {
        let container = sleeper(stage);
        let node = stage.cluster().topology().node(1);
        node.kill().expect("the node can be killed");
        stage.until("kubectl get node n1 --no-headers", "n1 NotReady");
        stage.cluster().start_node(1).expect("the node starts again");
        stage.until("kubectl get node n1 --no-headers", "n1 Ready");
        stage.row("sleeper", "1/1 Running 1");
        assert_ne!(stage.field("pod sleeper", CONTAINER), container);
        eventually!(within: 60s, stage.cluster().not_ready().is_ok_and(|nodes| nodes.is_empty()), "not all are ready");
    }
}
