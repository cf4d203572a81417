//! Deployments: roll out, look back, undo, pause, restart, scale.

use crate::{Cluster, with_nodes};

const STATUS: &str = "kubectl rollout status deployment web --timeout=100s";
const ROLLED_OUT: &str = "deployment \"web\" successfully rolled out";
const IMAGE: &str = "kubectl get deploy web -o jsonpath='{.spec.template.spec.containers[0].image}'";

fn deploy(cluster: &Cluster, replicas: u32) {
    cluster.says("kubectl create deployment web --image=nginx:1.7.9", "deployment.apps/web created");
    cluster.says(&format!("kubectl scale deployment web --replicas={replicas}"), "deployment.apps/web scaled");
    cluster.says(STATUS, ROLLED_OUT);
}

#[test]
fn a_deployment_runs_and_is_described() {
    with_nodes(|cluster| {
        deploy(cluster, 3);
        cluster.comes_to_say("kubectl get deploy web", "NAME READY UP-TO-DATE AVAILABLE AGE web 3/3 3 3");
        cluster.comes_to_say("kubectl get rs -l app=web --no-headers | cut -c4-", "3 3 3");
        let pods = cluster.run("kubectl get pods -l app=web --no-headers");
        assert_eq!(pods.stdout.lines().filter(|line| line.contains("1/1") && line.contains("Running")).count(), 3);
        let described = cluster.run("kubectl describe deploy web");
        described.succeeds();
        for line in [
            "Replicas: 3 desired | 3 updated | 3 total | 3 available | 0 unavailable",
            "StrategyType: RollingUpdate",
            "RollingUpdateStrategy: 25% max unavailable, 25% max surge",
            "Available True MinimumReplicasAvailable",
            "Progressing True NewReplicaSetAvailable",
            "OldReplicaSets: <none>",
            "(3/3 replicas created)",
        ] {
            described.prints(line);
        }
        cluster.comes_to_say("kubectl describe deploy web", "ScalingReplicaSet");
        cluster.comes_to_say("kubectl get events", "Scaled up replica set web-");
        cluster.comes_to_say("kubectl describe pods -l app=web", "Successfully assigned default/web-");
        cluster.says("kubectl get all", "deployment.apps/web 3/3 3 3");
    });
}

#[test]
fn an_image_is_rolled_out_looked_back_at_and_undone() {
    with_nodes(|cluster| {
        deploy(cluster, 3);
        cluster.says("kubectl set image deploy web nginx=nginx:1.9.10", "deployment.apps/web image updated");
        cluster
            .says("kubectl annotate deploy web kubernetes.io/change-cause='to 1.9.10'", "deployment.apps/web annotate");
        cluster.says(STATUS, ROLLED_OUT);
        cluster.comes_to_say("kubectl rollout history deployment web", "1 <none> 2 to 1.9.10");
        cluster.says("kubectl rollout history deployment web --revision=2", "Image: nginx:1.9.10");
        let sets = cluster.run("kubectl get rs -l app=web -o jsonpath='{.items[*].spec.replicas}'");
        let mut sizes: Vec<_> = sets.stdout.split_whitespace().collect();
        sizes.sort_unstable();
        assert_eq!(sizes, ["0", "3"], "the old set is kept, empty: {sets}");

        cluster.says("kubectl rollout undo deployment web", "deployment.apps/web rolled back");
        cluster.says(STATUS, ROLLED_OUT);
        cluster.run(IMAGE).prints_exactly("nginx:1.7.9");
        cluster.comes_to_say("kubectl rollout history deployment web", "2 to 1.9.10 3 <none>");
        cluster.says("kubectl rollout undo deployment web --to-revision=2", "rolled back");
        cluster.says(STATUS, ROLLED_OUT);
        cluster.run(IMAGE).prints_exactly("nginx:1.9.10");
        let unknown = cluster.run("kubectl rollout undo deployment web --to-revision=99");
        unknown.fails().complains("unable to find specified revision 99 in history");
    });
}

#[test]
fn a_paused_deployment_waits_and_a_restarted_one_has_new_pods() {
    with_nodes(|cluster| {
        deploy(cluster, 2);
        cluster.says("kubectl rollout pause deployments web", "deployment.apps/web paused");
        cluster.says("kubectl set image deploy web nginx=nginx:1.9.10", "image updated");
        cluster.says("kubectl set resources deploy web -c=nginx --limits=cpu=200m", "resource requirements updated");
        cluster.comes_to_say("kubectl describe deploy web", "Progressing Unknown DeploymentPaused");
        cluster.says("kubectl get rs -l app=web --no-headers | wc -l", "1");
        cluster.says("kubectl rollout resume deployments web", "deployment.apps/web resumed");
        cluster.says(STATUS, ROLLED_OUT);
        cluster.says("kubectl get rs -l app=web --no-headers | wc -l", "2");

        cluster.says("kubectl rollout pause deployments web", "paused");
        cluster.run("kubectl rollout undo deployment web").fails().complains("cannot rollback a paused deployment");
        cluster.says("kubectl rollout resume deployments web", "resumed");

        let names = "kubectl get pods -l app=web -o name | sort";
        let before = cluster.run(names).stdout;
        cluster.says("kubectl rollout restart deployment web", "deployment.apps/web restarted");
        cluster.says(STATUS, ROLLED_OUT);
        let after = cluster.run(names).stdout;
        assert!(before.lines().all(|name| !after.contains(name)), "new pods: {before} {after}");
    });
}

#[test]
fn the_deployment_has_the_last_word_on_its_sets() {
    with_nodes(|cluster| {
        deploy(cluster, 2);
        let set = cluster.run("kubectl get rs -l app=web -o name").stdout.trim().to_owned();
        cluster.says(&format!("kubectl scale {set} --replicas=5"), "scaled");
        let size = format!("kubectl get {set} -o jsonpath='{{.spec.replicas}}/{{.status.replicas}}'");
        cluster.comes_to_say(&size, "2/2");
        cluster.says("kubectl delete deployment web", "deleted");
        cluster.comes_to_say("kubectl get rs,pods -l app=web -o name | wc -l", "0");
    });
}

#[test]
fn a_rollout_that_does_not_come_forward_says_so_and_is_undone() {
    with_nodes(|cluster| {
        deploy(cluster, 4);
        let broken = r#"{"spec":{"progressDeadlineSeconds":3,"template":{"metadata":{"annotations":{"simulated-nodes/ready":"false"}}}}}"#;
        cluster.says(&format!("kubectl patch deployment web -p '{broken}'"), "patched");
        let status = cluster.run(STATUS);
        status.fails().complains("deployment \"web\" exceeded its progress deadline");
        cluster.comes_to_say("kubectl describe deploy web", "Progressing False ProgressDeadlineExceeded");
        cluster.says("kubectl get deploy web", "web 3/4 2 3");
        cluster.says("kubectl rollout undo deployment web", "rolled back");
        cluster.says(STATUS, ROLLED_OUT);
        cluster.comes_to_say("kubectl get deploy web", "web 4/4 4 4");
    });
}
