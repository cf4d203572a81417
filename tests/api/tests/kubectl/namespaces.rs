//! Namespaces and contexts.

use crate::with_every_kubectl;

#[test]
fn the_four_namespaces_are_there_and_others_can_be_made() {
    with_every_kubectl(|terminal| {
        let outcome = terminal.run("kubectl get namespaces");
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            outcome.prints(&format!("{name} Active"));
        }
        terminal.run("kubectl create namespace jupyter").succeeds().prints("namespace/jupyter created");
        terminal.run("kubectl create namespace jupyter").fails().complains("namespaces \"jupyter\" already exists");
        terminal.run("kubectl get ns jupyter -o jsonpath='{.metadata.labels}'").prints("kubernetes.io/metadata.name");
        terminal.run("kubectl create namespace Upper").fails().complains("a lowercase RFC 1123 label must consist of");
    });
}

#[test]
fn one_name_lives_once_in_each_namespace() {
    with_every_kubectl(|terminal| {
        for namespace in ["test", "prod"] {
            terminal.run(&format!("kubectl create namespace {namespace}")).succeeds();
            let create = format!("kubectl create configmap settings --from-literal=where={namespace} -n {namespace}");
            terminal.run(&create).succeeds().prints("configmap/settings created");
        }
        let read = |namespace: &str| {
            terminal.run(&format!("kubectl get cm settings -n {namespace} -o jsonpath='{{.data.where}}'")).stdout
        };
        assert_eq!((read("test"), read("prod")), ("test".to_owned(), "prod".to_owned()));
        terminal.run("kubectl get cm -A").succeeds().prints("prod settings 1").prints("test settings 1");
    });
}

#[test]
fn a_context_can_carry_a_namespace() {
    with_every_kubectl(|terminal| {
        terminal.run("kubectl create namespace mystuff").succeeds();
        let context = "kubectl config set-context my-context --namespace=mystuff --cluster=$(kubectl config view -o jsonpath='{.clusters[0].name}') --user=$(kubectl config view -o jsonpath='{.users[0].name}')";
        terminal.run(context).succeeds().prints("Context \"my-context\" created.");
        terminal.run("kubectl config use-context my-context").succeeds();
        terminal.run("kubectl create configmap here --from-literal=a=b").succeeds();
        terminal.run("kubectl get cm here -o jsonpath='{.metadata.namespace}'").prints_exactly("mystuff");
    });
}

#[test]
fn objects_need_a_namespace_that_exists() {
    with_every_kubectl(|terminal| {
        let outcome = terminal.run("kubectl create configmap x --from-literal=a=b -n nosuch");
        outcome.fails().complains("namespaces \"nosuch\" not found");
    });
}
