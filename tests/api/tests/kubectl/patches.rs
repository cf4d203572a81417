//! Apply, edit, patch, replace, server-side apply, dry-run, validation.

use crate::with_every_kubectl;

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: kuard
  labels: {app: kuard}
spec:
  replicas: 2
  selector: {matchLabels: {app: kuard}}
  template:
    metadata: {labels: {app: kuard}}
    spec:
      containers:
      - name: kuard
        image: gcr.io/kuar-demo/kuard-amd64:blue
        ports: [{containerPort: 8080, name: http}]
      - name: side
        image: busybox
";

#[test]
fn apply_creates_changes_and_leaves_alone() {
    with_every_kubectl(|terminal| {
        terminal.file("d.yaml", DEPLOYMENT);
        terminal.run("kubectl apply -f d.yaml").succeeds().prints("deployment.apps/kuard created");
        terminal.run("kubectl apply -f d.yaml").succeeds().prints("deployment.apps/kuard unchanged");
        terminal.file("d.yaml", &DEPLOYMENT.replace(":blue", ":green").replace("replicas: 2", "replicas: 3"));
        terminal.run("kubectl diff -f d.yaml").prints("kuard-amd64:green");
        terminal.run("kubectl apply -f d.yaml").succeeds().prints("deployment.apps/kuard configured");
        let images =
            "kubectl get deploy kuard -o jsonpath='{.spec.replicas} {.spec.template.spec.containers[*].image}'";
        terminal.run(images).prints_exactly("3 gcr.io/kuar-demo/kuard-amd64:green busybox");
        terminal.run("kubectl apply view-last-applied -f d.yaml").succeeds().prints("kuard-amd64:green");
    });
}

#[test]
fn what_leaves_the_manifest_leaves_the_object_and_what_others_set_stays() {
    with_every_kubectl(|terminal| {
        terminal.file("d.yaml", DEPLOYMENT);
        terminal.run("kubectl apply -f d.yaml").succeeds();
        terminal.run("kubectl scale deployments kuard --replicas=5").succeeds().prints("deployment.apps/kuard scaled");
        let without =
            DEPLOYMENT.replace("  replicas: 2\n", "").replace("      - name: side\n        image: busybox\n", "");
        terminal.file("d.yaml", &without);
        terminal.run("kubectl apply -f d.yaml").succeeds();
        terminal
            .run("kubectl get deploy kuard -o jsonpath='{.spec.template.spec.containers[*].name}'")
            .prints_exactly("kuard");
    });
}

#[test]
fn a_strategic_patch_merges_containers_by_name() {
    with_every_kubectl(|terminal| {
        terminal.file("d.yaml", DEPLOYMENT);
        terminal.run("kubectl create -f d.yaml").succeeds();
        let patch = "kubectl patch deployment kuard -p '{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"side\",\"image\":\"alpine\"}]}}}}'";
        terminal.run(patch).succeeds().prints("deployment.apps/kuard patched");
        let images = "kubectl get deploy kuard -o jsonpath='{.spec.template.spec.containers[*].image}'";
        terminal.run(images).prints_exactly("gcr.io/kuar-demo/kuard-amd64:blue alpine");
        terminal.run("kubectl set image deploy kuard side=redis kuard=nginx").succeeds().prints("image updated");
        terminal.run(images).prints_exactly("nginx redis");
        let json = "kubectl patch deployment kuard --type=json -p '[{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":7}]'";
        terminal.run(json).succeeds();
        let merge =
            "kubectl patch deployment kuard --type=merge -p '{\"metadata\":{\"labels\":{\"a\":\"b\",\"app\":null}}}'";
        terminal.run(merge).succeeds();
        terminal
            .run("kubectl get deploy kuard -o jsonpath='{.spec.replicas} {.metadata.labels.a}{.metadata.labels.app}'")
            .prints_exactly("7 b");
        terminal.run("kubectl patch deployment kuard --type=json -p '[{\"op\":\"test\",\"path\":\"/spec/replicas\",\"value\":1}]'").fails();
    });
}

#[test]
fn a_patch_may_be_written_in_yaml() {
    with_every_kubectl(|terminal| {
        terminal.file("d.yaml", DEPLOYMENT);
        terminal.run("kubectl create -f d.yaml").succeeds();
        let line = "kubectl patch deployment kuard -p \"\nspec:\n  minReadySeconds: 10\n  template:\n    spec:\n      containers:\n      - name: side\n        image: dockercoins/worker:v0.1\n\"";
        terminal.run(line).succeeds();
        terminal.run("kubectl get deploy kuard -o jsonpath='{.spec.minReadySeconds}'").prints_exactly("10");
    });
}

#[test]
fn an_editor_that_changes_a_line_changes_the_object() {
    with_every_kubectl(|terminal| {
        terminal.file("d.yaml", DEPLOYMENT);
        terminal.run("kubectl create -f d.yaml").succeeds();
        terminal.run("KUBE_EDITOR='sed -i s/:blue/:purple/' kubectl edit deployment kuard").succeeds().prints("edited");
        terminal.run("kubectl get deploy kuard -o yaml").prints("kuard-amd64:purple");
        terminal.run("KUBE_EDITOR=true kubectl edit deployment kuard").succeeds().complains("no changes");
    });
}

#[test]
fn an_unknown_field_is_refused_by_name_unless_validation_is_off() {
    with_every_kubectl(|terminal| {
        terminal.file("d.yaml", &DEPLOYMENT.replace("  replicas: 2\n", "  replicas: 2\n  gizmo: 1\n"));
        let refused = terminal.run("kubectl apply -f d.yaml");
        refused.fails();
        assert!(refused.stderr.contains("unknown field") && refused.stderr.contains("gizmo"), "{refused}");
        terminal.run("kubectl apply -f d.yaml --validate=false").succeeds();
    });
}

#[test]
fn a_manifest_with_several_mistakes_is_told_all_of_them() {
    with_every_kubectl(|terminal| {
        let manifest = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: Bad_Name}\nspec:\n  replicas: -1\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: c}}\n    spec: {containers: [{name: x}]}\n";
        terminal.file("bad.yaml", manifest);
        let outcome = terminal.run("kubectl create -f bad.yaml");
        outcome.fails();
        for part in
            ["metadata.name", "spec.replicas", "`selector` does not match template `labels`", "image: Required value"]
        {
            outcome.complains(part);
        }
    });
}

#[test]
fn a_dry_run_on_the_server_changes_nothing() {
    with_every_kubectl(|terminal| {
        if terminal.version() < (1, 18) {
            return;
        }
        terminal.file("d.yaml", DEPLOYMENT);
        terminal.run("kubectl apply -f d.yaml --dry-run=server").succeeds().prints("created (server dry run)");
        terminal.run("kubectl get deploy kuard").fails();
        terminal
            .run("kubectl create deployment web --image=nginx --dry-run=client -o yaml")
            .succeeds()
            .prints("image: nginx");
    });
}

#[test]
fn server_side_apply_names_the_manager_that_it_conflicts_with() {
    with_every_kubectl(|terminal| {
        if terminal.version() < (1, 22) {
            return;
        }
        terminal.file("d.yaml", DEPLOYMENT);
        terminal
            .run("kubectl apply --server-side -f d.yaml --field-manager=first")
            .succeeds()
            .prints("serverside-applied");
        terminal.file("d.yaml", &DEPLOYMENT.replace("replicas: 2", "replicas: 4"));
        let conflict = terminal.run("kubectl apply --server-side -f d.yaml --field-manager=second");
        conflict.fails().complains("conflict with \"first\"").complains(".spec.replicas");
        terminal.run("kubectl apply --server-side -f d.yaml --field-manager=second --force-conflicts").succeeds();
        let managers = terminal
            .run("kubectl get deploy kuard --show-managed-fields -o jsonpath='{.metadata.managedFields[*].manager}'");
        managers.succeeds().prints("first").prints("second");
        terminal.run("kubectl apply --server-side -f d.yaml --field-manager=second").succeeds();
    });
}

#[test]
fn a_stale_resource_version_is_a_conflict() {
    with_every_kubectl(|terminal| {
        terminal.run("kubectl create cm c --from-literal=a=1").succeeds();
        terminal
            .run("kubectl get cm c -o yaml > old.yaml && kubectl patch cm c -p '{\"data\":{\"a\":\"2\"}}'")
            .succeeds();
        let outcome = terminal.run("sed -i 's/a: \"1\"/a: \"3\"/' old.yaml && kubectl replace -f old.yaml");
        outcome
            .fails()
            .complains("the object has been modified; please apply your changes to the latest version and try again");
    });
}

#[test]
fn waiting_for_a_deletion_ends_when_the_object_is_gone() {
    with_every_kubectl(|terminal| {
        terminal.file("d.yaml", DEPLOYMENT);
        terminal.run("kubectl apply -f d.yaml").succeeds();
        terminal.run("kubectl delete -f d.yaml").succeeds().prints("deployment.apps \"kuard\" deleted");
        terminal.run("kubectl delete -f d.yaml").fails().complains("\"kuard\" not found");
        terminal.run("kubectl delete -f d.yaml --ignore-not-found").succeeds();
    });
}
