//! What there is: versions, resource types, explanations.

use crate::with_every_kubectl;

#[test]
fn the_version_of_the_server_is_told() {
    with_every_kubectl(|terminal| {
        let outcome = terminal.run("kubectl version -o json");
        outcome.succeeds().prints("\"gitVersion\": \"v1.35");
    });
}

#[test]
fn resource_types_are_listed_by_scope() {
    with_every_kubectl(|terminal| {
        let namespaced = terminal.run("kubectl api-resources --namespaced=true");
        namespaced.succeeds().prints("pods").prints("deployments").does_not_print("persistentvolumes ");
        let cluster = terminal.run("kubectl api-resources --namespaced=false");
        cluster.succeeds().prints("nodes").prints("namespaces").does_not_print("deployments");
        terminal.run("kubectl api-versions").succeeds().prints("apps/v1").prints("networking.k8s.io/v1");
    });
}

#[test]
fn short_singular_plural_and_capital_names_all_work() {
    with_every_kubectl(|terminal| {
        for name in [
            "no",
            "node",
            "nodes",
            "Pods",
            "po",
            "deploy",
            "rs",
            "ds",
            "daemonSets",
            "sts",
            "cm",
            "svc",
            "ns",
            "sa",
            "ing",
            "netpol",
            "pv",
            "pvc",
            "hpa",
            "ep",
            "quota",
            "limits",
            "cj",
            "pdb",
            "pc",
            "sc",
            "csr",
            "rc",
        ] {
            terminal.run(&format!("kubectl get {name}")).succeeds();
        }
        terminal.run("kubectl get all --all-namespaces").succeeds().prints("service/kubernetes");
    });
}

#[test]
fn explain_describes_fields() {
    with_every_kubectl(|terminal| {
        terminal.run("kubectl explain pod").succeeds().prints("collection of containers that can run on a host");
        terminal.run("kubectl explain deployment.spec.strategy").succeeds().prints("rollingUpdate");
        terminal.run("kubectl explain pod.spec.containers.livenessProbe").succeeds().prints("httpGet");
        terminal.run("kubectl explain networkpolicies --recursive").succeeds().prints("podSelector");
    });
}

#[test]
fn the_cluster_answers_about_itself() {
    with_every_kubectl(|terminal| {
        terminal.run("kubectl cluster-info").succeeds().prints("is running at");
        terminal.run("kubectl get --raw /healthz").succeeds().prints_exactly("ok");
        terminal.run("kubectl get --raw '/readyz?verbose'").succeeds().prints("readyz check passed");
        terminal.run("kubectl get svc kubernetes").succeeds().prints("ClusterIP 10.96.0.1 <none> 443/TCP");
        terminal.run("kubectl get componentstatuses").succeeds();
    });
}

#[test]
fn an_unknown_type_and_an_unknown_name_are_told_apart() {
    with_every_kubectl(|terminal| {
        terminal.run("kubectl get gizmos").fails().complains("the server doesn't have a resource type \"gizmos\"");
        terminal
            .run("kubectl get pod nosuch")
            .fails()
            .complains("Error from server (NotFound): pods \"nosuch\" not found");
        terminal.run("kubectl get deployment nosuch").fails().complains("deployments.apps \"nosuch\" not found");
        terminal.run("kubectl get pods").succeeds().complains("No resources found in default namespace.");
    });
}
