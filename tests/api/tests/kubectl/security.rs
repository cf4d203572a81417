//! Roles, bindings, questions about rights, service accounts, and clients without rights.

use crate::with_every_kubectl;

#[test]
fn roles_and_bindings_decide_what_a_user_may_do() {
    with_every_kubectl(|terminal| {
        terminal.run("kubectl create role pod-and-services --verb=create,delete,get,list,patch,update,watch --resource=pods,services").succeeds();
        terminal
            .run("kubectl create rolebinding pod-and-services --role=pod-and-services --user=alice --group=mydevs")
            .succeeds();
        for (question, answer) in [
            ("create pods", "yes"),
            ("get pods --kubeconfig alice", "yes"),
            ("get pods --kubeconfig alice -n kube-system", "no"),
            ("get pods --subresource=logs --kubeconfig alice", "no"),
            ("create deployments --kubeconfig alice", "no"),
            ("delete services --kubeconfig carol", "yes"),
        ] {
            let outcome = terminal.run(&format!("kubectl auth can-i {question}"));
            assert!(outcome.stdout.starts_with(answer), "{question} should be {answer}: {outcome}");
        }
        terminal.run("kubectl get rolebinding pod-and-services -o wide").prints("Role/pod-and-services");
        terminal.run("kubectl describe role pod-and-services").succeeds().prints("pods");
    });
}

#[test]
fn the_default_roles_are_there() {
    with_every_kubectl(|terminal| {
        let outcome = terminal.run("kubectl get clusterroles");
        for role in
            ["cluster-admin", "admin", "edit", "view", "system:node", "system:kube-scheduler", "system:discovery"]
        {
            outcome.prints(role);
        }
        terminal.run("kubectl create clusterrolebinding look --clusterrole=view --user=eve").succeeds();
        assert!(terminal.run("kubectl auth can-i list deployments --kubeconfig eve").stdout.starts_with("yes"));
        assert!(terminal.run("kubectl auth can-i list secrets --kubeconfig eve").stdout.starts_with("no"));
    });
}

#[test]
fn a_forbidden_request_says_who_may_not_do_what() {
    with_every_kubectl(|terminal| {
        let outcome = terminal.run("kubectl get pods --kubeconfig eve");
        outcome.fails().complains("pods is forbidden: User \"eve\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"");
    });
}

#[test]
fn anonymous_clients_are_refused_with_a_status() {
    with_every_kubectl(|terminal| {
        let server = "$(kubectl config view -o jsonpath='{.clusters[0].cluster.server}')";
        let anonymous = terminal.run(&format!("curl -sk {server}/"));
        anonymous
            .succeeds()
            .prints("\"kind\":\"Status\"")
            .prints("forbidden: User \\\"system:anonymous\\\" cannot get path \\\"/\\\"");
        terminal.run(&format!("curl -sk {server}/version")).succeeds().prints("gitVersion");
        let bad = terminal.run(&format!("curl -sk -H 'Authorization: Bearer nonsense' {server}/api"));
        bad.succeeds().prints("\"reason\":\"Unauthorized\"");
    });
}

#[test]
fn a_service_account_token_is_good_for_what_the_account_may_do() {
    with_every_kubectl(|terminal| {
        if terminal.version() < (1, 24) {
            return;
        }
        terminal.run("kubectl create serviceaccount robot").succeeds().prints("serviceaccount/robot created");
        terminal.run("kubectl create rolebinding robot --clusterrole=view --serviceaccount=default:robot").succeeds();
        terminal.run("kubectl create token robot > token").succeeds();
        let server = "$(kubectl config view -o jsonpath='{.clusters[0].cluster.server}')";
        let ask =
            |path: &str| terminal.run(&format!("curl -sk -H \"Authorization: Bearer $(cat token)\" {server}{path}"));
        ask("/api/v1/namespaces/default/pods").succeeds().prints("PodList");
        ask("/api/v1/namespaces/default/secrets").succeeds().prints("Forbidden");
        terminal.run("kubectl delete serviceaccount robot").succeeds();
        ask("/api/v1/namespaces/default/pods").succeeds().prints("Unauthorized");
    });
}

#[test]
fn whoami_and_reconcile_work() {
    with_every_kubectl(|terminal| {
        if terminal.version() >= (1, 28) {
            terminal.run("kubectl auth whoami").succeeds().prints("system:masters");
        }
        let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r, namespace: default}\nrules: [{apiGroups: [''], resources: [pods], verbs: [get]}]\n";
        terminal.file("r.yaml", role);
        terminal.run("kubectl auth reconcile -f r.yaml").succeeds().prints("reconciled");
    });
}
