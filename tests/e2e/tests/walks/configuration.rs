//! ConfigMaps, Secrets, and what a pod is told of itself.

use e2e_tests::Stage;

pub(crate) fn a_config_map_gives_variables_files_and_arguments(stage: &Stage) {
    stage.file("my-config.txt", "parameter1 = value1\nparameter2 = value2\n");
    let create = "kubectl create configmap my-config --from-file=my-config.txt --from-literal=extra-param=extra-value --from-literal=another-param=another-value";
    stage.run(create).succeeds();
    stage.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: kuard-config}
spec:
  containers:
  - name: test-container
    image: gcr.io/kuar-demo/kuard-amd64:1
    imagePullPolicy: Always
    command: ["/bin/sh", "-c", "echo $ANOTHER_PARAM $(EXTRA_PARAM) $$(EXTRA_PARAM) $(NOT_THERE); cat /config/my-config.txt"]
    env:
    - {name: ANOTHER_PARAM, valueFrom: {configMapKeyRef: {name: my-config, key: another-param}}}
    - {name: EXTRA_PARAM, valueFrom: {configMapKeyRef: {name: my-config, key: extra-param}}}
    volumeMounts: [{name: config-volume, mountPath: /config}]
  volumes: [{name: config-volume, configMap: {name: my-config}}]
  restartPolicy: Never
"#,
    );
    stage.row("kuard-config", "0/1 Completed 0");
    stage.run("kubectl logs kuard-config").succeeds().prints("another-value extra-value").prints("parameter2 = value2");
}

pub(crate) fn a_missing_key_is_named_and_waited_for(stage: &Stage) {
    stage.run("kubectl create configmap my-config --from-literal=extra-param=extra-value").succeeds();
    let variable = "env: [{name: A, valueFrom: {configMapKeyRef: {name: my-config, key: another-param}}}]";
    stage.pod("kuard-config", "busybox", &format!("command: [sh, -c, 'echo $A; sleep 1000'], {variable}"), "");
    stage.row("kuard-config", "0/1 CreateContainerConfigError 0");
    let message = format!("couldn't find key another-param in ConfigMap {}/my-config", stage.namespace());
    stage.until("kubectl describe pod kuard-config", &message);
    stage.run(r#"kubectl patch configmap my-config -p '{"data":{"another-param":"late"}}'"#).succeeds();
    stage.row("kuard-config", "1/1 Running 0");
    stage.until("kubectl logs kuard-config", "late");
    let volume = "volumes: [{name: v, configMap: {name: nobody-made-this}}]";
    stage.pod("no-map", "busybox", "command: [sleep, '1000'], volumeMounts: [{name: v, mountPath: /v}]", volume);
    stage.until("kubectl describe pod no-map", "configmap \"nobody-made-this\" not found");
    stage.row("no-map", "0/1 ContainerCreating 0");
}

pub(crate) fn a_secret_gives_variables_and_files(stage: &Stage) {
    stage
        .run(
            "kubectl create secret generic mysecret --from-literal=username=admin --from-literal=password=1f2d1e2e67df",
        )
        .succeeds();
    stage.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: secret-env-pod}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: mycontainer
    image: redis
    envFrom: [{prefix: ALL_, secretRef: {name: mysecret}}]
    env:
    - {name: SECRET_USERNAME, valueFrom: {secretKeyRef: {name: mysecret, key: username}}}
    - {name: MAYBE, valueFrom: {secretKeyRef: {name: mysecret, key: not-there, optional: true}}}
    volumeMounts: [{name: foo, mountPath: /etc/foo, readOnly: true}]
  volumes: [{name: foo, secret: {secretName: mysecret, defaultMode: 256}}]
"#,
    );
    stage.row("secret-env-pod", "1/1 Running 0");
    let environment = stage.run("kubectl exec secret-env-pod -- env");
    environment.succeeds().prints("SECRET_USERNAME=admin").prints("ALL_password=1f2d1e2e67df").does_not_print("MAYBE");
    let inside = |command: &str| stage.run(&format!("kubectl exec secret-env-pod -- {command}"));
    inside("cat /etc/foo/username").succeeds().prints_exactly("admin");
    inside("stat -L -c %a /etc/foo/username").succeeds().prints_exactly("400");
    inside("stat -f -c %T /etc/foo").succeeds().prints("tmpfs");
    inside("touch /etc/foo/x").fails();
}

pub(crate) fn a_pod_knows_itself(stage: &Stage) {
    stage.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: self, labels: {app: me}, annotations: {note: read this}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox
    command: [sleep, "1000"]
    resources: {limits: {cpu: 500m, memory: 64Mi}}
    env:
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: ADDRESS, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    volumeMounts: [{name: about, mountPath: /about}]
  volumes:
  - name: about
    projected:
      sources:
      - {downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}, {path: note, fieldRef: {fieldPath: "metadata.annotations['note']"}}]}}
"#,
    );
    stage.row("self", "1/1 Running 0");
    let environment = stage.run("kubectl exec self -- env");
    environment.succeeds().prints("NAME=self").prints("MEMORY=64").prints("ADDRESS=10.244.");
    environment.prints(&format!("NODE={}", stage.field("pod self", ".spec.nodeName")));
    stage.run("kubectl exec self -- cat /about/labels /about/note").succeeds().prints("app=\"me\"").prints("read this");
    stage.run("kubectl label pod self app=you --overwrite").succeeds();
    stage.until("kubectl exec self -- cat /about/labels", "app=\"you\"");
}

pub(crate) fn variables_tell_of_services_that_came_before(stage: &Stage) {
    stage.run("kubectl create service clusterip alpaca-prod --tcp=8080").succeeds();
    let address = stage.field("service alpaca-prod", ".spec.clusterIP");
    // The kubelet learns of Services by a watch of its own, so a pod that comes at once may miss one: ask again.
    let try_once = "kubectl run asked --image=busybox --restart=Never --rm -i --quiet -- env";
    stage.until(try_once, &format!("ALPACA_PROD_SERVICE_HOST={address}"));
    stage.pod("without", "busybox", "command: [sleep, '1000']", "enableServiceLinks: false");
    stage.row("without", "1/1 Running 0");
    let environment = stage.run("kubectl exec without -- env");
    environment.succeeds().does_not_print("ALPACA_PROD").prints("KUBERNETES_SERVICE_HOST=10.96.0.1");
}

pub(crate) fn files_follow_their_config_map(stage: &Stage) {
    stage.run("kubectl create configmap live --from-literal=word=before").succeeds();
    let volume = "volumes: [{name: v, configMap: {name: live}}]";
    stage.pod("reader", "busybox", "command: [sleep, '1000'], volumeMounts: [{name: v, mountPath: /v}]", volume);
    stage.row("reader", "1/1 Running 0");
    stage.run("kubectl exec reader -- cat /v/word").succeeds().prints_exactly("before");
    stage.run(r#"kubectl patch configmap live -p '{"data":{"word":"after","more":"x"}}'"#).succeeds();
    stage.until("kubectl exec reader -- cat /v/word", "after");
    stage.run("kubectl exec reader -- ls /v").succeeds().prints("more");
    stage.row("reader", "1/1 Running 0");
}

pub(crate) fn a_pod_has_a_token_of_its_service_account(stage: &Stage) {
    let folder = "/var/run/secrets/kubernetes.io/serviceaccount";
    stage.pod("with", "busybox", "command: [sleep, '1000']", "");
    stage.pod("without", "busybox", "command: [sleep, '1000']", "automountServiceAccountToken: false");
    stage.row("with", "1/1 Running 0");
    stage.row("without", "1/1 Running 0");
    stage
        .run(&format!("kubectl exec with -- ls {folder}"))
        .succeeds()
        .prints("ca.crt")
        .prints("namespace")
        .prints("token");
    stage.run(&format!("kubectl exec with -- cat {folder}/namespace")).succeeds().prints_exactly(stage.namespace());
    stage.run(&format!("kubectl exec without -- ls {folder}")).fails();
    let who = format!(
        "kubectl exec with -- cat {folder}/token > token && kubectl --token=$(cat token) --kubeconfig=/dev/null --insecure-skip-tls-verify --server=$(kubectl config view --minify -o jsonpath='{{.clusters[0].cluster.server}}') create --raw /apis/authentication.k8s.io/v1/selfsubjectreviews -f - <<< '{{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"SelfSubjectReview\"}}'"
    );
    stage.run(&who).succeeds().prints(&format!("system:serviceaccount:{}:default", stage.namespace()));
}
