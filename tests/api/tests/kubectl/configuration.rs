//! ConfigMaps and Secrets.

use crate::with_every_kubectl;

#[test]
fn a_config_map_is_made_from_files_literals_and_folders() {
    with_every_kubectl(|terminal| {
        terminal.file("my-config.txt", "parameter1 = value1\n");
        let create = "kubectl create configmap my-config --from-file=my-config.txt --from-literal=extra-param=extra-value --from-literal=another-param=another-value";
        terminal.run(create).succeeds().prints("configmap/my-config created");
        let outcome = terminal.run("kubectl get configmaps my-config -o yaml");
        outcome.succeeds().prints("another-param: another-value").prints("parameter1 = value1");
        terminal.run("kubectl get cm my-config").prints("NAME DATA AGE").prints("my-config 3");
        terminal.run("kubectl describe cm my-config").succeeds().prints("extra-value");
        terminal.run("mkdir -p folder && echo one > folder/a.txt && echo two > folder/b.txt").succeeds();
        terminal.run("kubectl create cm from-folder --from-file=folder").succeeds();
        terminal.run("kubectl create cm from-key --from-file=renamed=my-config.txt").succeeds();
        terminal.run("kubectl get cm from-folder -o jsonpath='{.data}'").prints("a.txt").prints("b.txt");
        terminal.run("kubectl get cm from-key -o jsonpath='{.data}'").prints("renamed");
    });
}

#[test]
fn a_config_map_key_must_be_a_file_name() {
    with_every_kubectl(|terminal| {
        for key in [".auth_token", "Key.pem", "config_file"] {
            terminal.run(&format!("kubectl create cm ok --from-literal={key}=x && kubectl delete cm ok")).succeeds();
        }
        let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndata: {'auth file.json': x}\n";
        terminal.file("bad.yaml", manifest);
        terminal.run("kubectl create -f bad.yaml").fails().complains("a valid config key must consist of alphanumeric");
    });
}

#[test]
fn secrets_of_each_type_are_made_and_described_without_their_values() {
    with_every_kubectl(|terminal| {
        terminal
            .run("kubectl create secret generic db --from-literal=user=admin --from-literal=password=hunter2")
            .succeeds()
            .prints("secret/db created");
        let registry = "kubectl create secret docker-registry pull --docker-username=u --docker-password=p --docker-email=e@example.com";
        terminal.run(registry).succeeds();
        let key =
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -days 1 -subj /CN=kuard 2>/dev/null";
        terminal.run(&format!("{key} && kubectl create secret tls kuard-tls --cert c.pem --key k.pem")).succeeds();
        let outcome = terminal.run("kubectl get secrets");
        outcome
            .prints("db Opaque 2")
            .prints("kuard-tls kubernetes.io/tls 2")
            .prints("pull kubernetes.io/dockerconfigjson 1");
        terminal.run("kubectl describe secret db").succeeds().prints("password: 7 bytes").does_not_print("hunter2");
        terminal.run("kubectl get secret db -o jsonpath='{.data.user}' | base64 -d").prints_exactly("admin");
    });
}

#[test]
fn string_data_becomes_data() {
    with_every_kubectl(|terminal| {
        terminal.file("s.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: hello}\n");
        terminal.run("kubectl apply -f s.yaml").succeeds().prints("secret/s created");
        terminal.run("kubectl get secret s -o jsonpath='{.data.a}{.stringData}'").prints_exactly("aGVsbG8=");
    });
}

#[test]
fn an_object_is_replaced_from_a_dry_run() {
    with_every_kubectl(|terminal| {
        let dry = if terminal.version() < (1, 18) { "--dry-run" } else { "--dry-run=client" };
        terminal.run("kubectl create cm c --from-literal=a=1").succeeds();
        terminal
            .run(&format!("kubectl create cm c --from-literal=a=2 {dry} -o yaml | kubectl replace -f -"))
            .succeeds()
            .prints("configmap/c replaced");
        terminal.run("kubectl get cm c -o jsonpath='{.data.a}'").prints_exactly("2");
        terminal
            .run(&format!("kubectl create cm c --from-literal=a=3 {dry} -o yaml | kubectl replace --force -f -"))
            .succeeds();
        terminal.run("kubectl get cm c -o jsonpath='{.data.a}'").prints_exactly("3");
    });
}

#[test]
fn an_immutable_config_map_stays_as_it_is() {
    with_every_kubectl(|terminal| {
        terminal
            .file("i.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: i}\nimmutable: true\ndata: {a: '1'}\n");
        terminal.run("kubectl apply -f i.yaml").succeeds();
        let outcome = terminal.run("kubectl patch cm i -p '{\"data\":{\"a\":\"2\"}}'");
        outcome.fails().complains("field is immutable when `immutable` is set");
    });
}
