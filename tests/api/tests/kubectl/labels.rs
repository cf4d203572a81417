//! Labels, selectors, annotations.

use api_tests::Terminal;

use crate::with_every_kubectl;

/// Four Deployments as in the book: alpaca and bandicoot, prod and test or staging.
fn alpaca_and_bandicoot(terminal: &Terminal) {
    for (name, labels) in [
        ("alpaca-prod", "ver: '1', app: alpaca, env: prod"),
        ("alpaca-test", "ver: '2', app: alpaca, env: test"),
        ("bandicoot-prod", "ver: '2', app: bandicoot, env: prod"),
        ("bandicoot-staging", "ver: '2', app: bandicoot, env: staging"),
    ] {
        let manifest = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, labels: {{{labels}}}}}\nspec:\n  selector: {{matchLabels: {{run: {name}}}}}\n  template:\n    metadata: {{labels: {{run: {name}}}}}\n    spec: {{containers: [{{name: kuard, image: 'gcr.io/kuar-demo/kuard-amd64:blue'}}]}}\n"
        );
        terminal.file("deployment.yaml", &manifest);
        terminal.run("kubectl apply -f deployment.yaml").succeeds().prints(&format!("deployment.apps/{name} created"));
    }
}

#[test]
fn selectors_of_every_form_pick_what_they_say() {
    with_every_kubectl(|terminal| {
        alpaca_and_bandicoot(terminal);
        for (selector, expected) in [
            ("ver=2", "alpaca-test bandicoot-prod bandicoot-staging"),
            ("ver==1", "alpaca-prod"),
            ("app=bandicoot,ver=2", "bandicoot-prod bandicoot-staging"),
            ("app in (alpaca,bandicoot)", "alpaca-prod alpaca-test bandicoot-prod bandicoot-staging"),
            ("env notin (prod,test)", "bandicoot-staging"),
            ("canary", ""),
            ("!canary,env!=prod", "alpaca-test bandicoot-staging"),
        ] {
            let line =
                format!("kubectl get deployments --selector='{selector}' -o jsonpath='{{.items[*].metadata.name}}'");
            terminal.run(&line).succeeds().prints_exactly(expected);
        }
        terminal.run("kubectl get deployments -l 'app in'").fails();
    });
}

#[test]
fn labels_are_set_shown_and_removed() {
    with_every_kubectl(|terminal| {
        alpaca_and_bandicoot(terminal);
        terminal.run("kubectl label deployments alpaca-test canary=true").succeeds().prints("labeled");
        terminal.run("kubectl get deployments -L canary").prints("CANARY");
        terminal.run("kubectl get deployments --selector=canary").prints("alpaca-test").does_not_print("alpaca-prod");
        terminal.run("kubectl label deployments alpaca-test canary=false").fails().complains("--overwrite");
        terminal.run("kubectl label deployments alpaca-test canary-").succeeds();
        terminal
            .run("kubectl get deployments --show-labels")
            .succeeds()
            .prints("app=alpaca,env=prod,ver=1")
            .does_not_print("canary");
        terminal.run("kubectl label deployments alpaca-test bad=-x-").fails();
        terminal.run("kubectl annotate deployment alpaca-prod note='any thing, at all: {}'").succeeds();
        terminal
            .run("kubectl get deployment alpaca-prod -o jsonpath='{.metadata.annotations.note}'")
            .prints_exactly("any thing, at all: {}");
    });
}

#[test]
fn several_types_are_deleted_by_one_selector() {
    with_every_kubectl(|terminal| {
        alpaca_and_bandicoot(terminal);
        terminal.run("kubectl expose deployment alpaca-prod --port=8080").succeeds();
        terminal.run("kubectl delete services,deployments -l app").succeeds();
        terminal.run("kubectl get deployments").complains("No resources found");
        terminal.run("kubectl get svc").does_not_print("alpaca-prod");
    });
}

#[test]
fn lists_sort_filter_and_format() {
    with_every_kubectl(|terminal| {
        for (name, value) in [("b", 1), ("a", 2), ("c", 3)] {
            terminal.run(&format!("kubectl create cm {name} --from-literal=n={value}")).succeeds();
        }
        let line =
            "kubectl get cm --sort-by=.data.n -o jsonpath='{range .items[?(@.data.n)]}{.metadata.name}{\" \"}{end}'";
        terminal.run(line).succeeds().prints_exactly("b a c");
        terminal.run("kubectl get cm --field-selector metadata.name=a -o name").prints_exactly("configmap/a");
        terminal.run("kubectl get cm a --no-headers -o custom-columns=N:.metadata.name").prints_exactly("a");
        terminal
            .run("kubectl get svc kubernetes -o go-template --template '{{ .spec.clusterIP }}'")
            .prints_exactly("10.96.0.1");
        terminal.run("kubectl get pods --field-selector spec.gizmo=x").fails().complains("field label not supported");
    });
}
