//! Logs, exec, attach, cp, port-forward and proxy.

use e2e_tests::Stage;

const COUNTER: &str = "command: [sh, -c, 'i=0; while true; do echo \"$i: $(date)\"; i=$((i+1)); sleep 1; done']";

pub(crate) fn logs_are_read_in_every_way(stage: &Stage) {
    stage.pod("counter", "busybox", COUNTER, "");
    stage.until("kubectl logs counter", "3: ");
    stage.run("kubectl logs counter -c main").succeeds().prints("0: ");
    stage.run("kubectl logs counter main --tail 1 | wc -l").succeeds().prints_exactly("1");
    stage.run("kubectl logs -l app=counter --tail 1").succeeds().prints(": ");
    stage.run("kubectl logs counter --timestamps --tail=1").succeeds().prints("Z ");
    stage.run("kubectl logs counter --since=1h --limit-bytes=3").succeeds().prints_exactly("0:");
    stage.run("timeout 3 kubectl logs -f counter --tail 1 > followed; test $(wc -l < followed) -ge 2").succeeds();
    stage.run("kubectl logs counter -c nobody").fails().complains("container nobody is not valid for pod counter");
    stage.run("kubectl create deployment ping --image=busybox -- sh -c 'echo pong; sleep 1000'").succeeds();
    stage.until("kubectl logs deploy/ping --tail 1", "pong");
}

pub(crate) fn logs_of_the_container_before_are_kept(stage: &Stage) {
    stage.pod("again", "busybox", "command: [sh, -c, 'echo run of $(cat /proc/uptime); sleep 2; exit 1']", "");
    stage.wait("kubectl logs again --previous", |outcome| outcome.code == 0 && outcome.stdout.contains("run of"));
}

pub(crate) fn a_command_in_a_container_has_its_input_output_and_exit_code(stage: &Stage) {
    stage.pod("box", "busybox", "command: [sleep, '1000']", "");
    stage.row("box", "1/1 Running 0");
    stage.run("kubectl exec box -- date -u +%Y").succeeds().prints("20");
    stage.run("echo input | kubectl exec -i box -- cat").succeeds().prints_exactly("input");
    stage.run("kubectl exec box -- sh -c 'echo out; echo err >&2; exit 7'").prints_exactly("out").complains("err");
    assert_eq!(stage.run("kubectl exec box -- sh -c 'exit 7'").code, 7);
    stage.run("kubectl exec box -- no-such-program").fails().complains("executable file not found");
    let bytes = "head -c 3000000 /dev/urandom > sent; kubectl exec -i box -- cat < sent > received; cmp sent received";
    stage.run(bytes).succeeds();
}

pub(crate) fn a_terminal_is_a_terminal(stage: &Stage) {
    stage.pod("box", "busybox", "command: [sleep, '1000']", "");
    stage.row("box", "1/1 Running 0");
    // script(1) gives kubectl a terminal of its own.
    let line =
        "echo 'tty; stty size; exit 5' | script -qec 'stty rows 33 cols 77; kubectl exec -it box -- ash' /dev/null";
    let outcome = stage.run(line);
    outcome.prints("/dev/pts/").prints("33 77");
}

pub(crate) fn attaching_talks_to_the_containers_own_process(stage: &Stage) {
    stage.pod(
        "listener",
        "busybox",
        "stdin: true, command: [sh, -c, 'while read line; do echo heard $line; done']",
        "",
    );
    stage.row("listener", "1/1 Running 0");
    let line = "(echo hello; sleep 2) | timeout 10 kubectl attach -i listener > heard; cat heard";
    stage.until(line, "heard hello");
    stage.until("kubectl logs listener", "heard hello");
}

pub(crate) fn run_with_input_is_gone_when_it_ends(stage: &Stage) {
    stage
        .run("echo input | kubectl run once --rm -i --image=busybox --restart=Never -- cat")
        .succeeds()
        .prints("input");
    stage.run("kubectl get pod once").fails();
    let keygen = "kubectl run -i oneshot --image=gcr.io/kuar-demo/kuard-amd64:blue --restart=Never --command -- /kuard --keygen-enable --keygen-exit-on-complete --keygen-num-to-gen 3";
    stage.run(keygen).succeeds().prints("(ID 0 3/3) Item done");
}

pub(crate) fn files_are_copied_both_ways(stage: &Stage) {
    stage.pod("box", "busybox", "command: [sleep, '1000']", "");
    stage.row("box", "1/1 Running 0");
    stage.file("config.txt", "copied\n");
    stage.run("kubectl cp config.txt box:/config.txt").succeeds();
    stage.run("kubectl exec box -- cat /config.txt").succeeds().prints_exactly("copied");
    stage.run("kubectl cp box:/etc/passwd ./passwd && cat passwd").succeeds().prints("root:x:0:0");
}

pub(crate) fn a_port_is_forwarded_to_a_pod_and_to_a_service(stage: &Stage) {
    stage.pod("kuard", "gcr.io/kuar-demo/kuard-amd64:blue", "", "");
    stage.row("kuard", "1/1 Running 0");
    stage.run("kubectl expose pod kuard --port=80 --target-port=8080").succeeds();
    for target in ["kuard :8080", "pod/kuard :8080", "services/kuard :80"] {
        let line = format!(
            "kubectl port-forward {target} > forwarded & forwarder=$!; trap 'kill $forwarder' EXIT; \
             for i in $(seq 100); do grep -q 127.0.0.1 forwarded && break; sleep 0.1; done; \
             port=$(sed -n 's/.*127.0.0.1:\\([0-9]*\\) .*/\\1/p' forwarded); \
             curl -sS --noproxy '*' http://127.0.0.1:$port/ && curl -sS --noproxy '*' http://127.0.0.1:$port/env/api"
        );
        stage.run(&line).succeeds().prints("KUAR Demo").prints("KUARD_COLOUR");
    }
}

pub(crate) fn the_proxy_reaches_a_pod(stage: &Stage) {
    stage.pod("kuard", "gcr.io/kuar-demo/kuard-amd64:blue", "", "");
    stage.row("kuard", "1/1 Running 0");
    let path = format!("/api/v1/namespaces/{}/pods/kuard:8080/proxy/env/api", stage.namespace());
    stage.run(&format!("kubectl get --raw {path}")).succeeds().prints("KUARD_COLOUR");
    stage.run("kubectl expose pod kuard --port=80 --target-port=8080").succeeds();
    let path = format!("/api/v1/namespaces/{}/services/kuard/proxy/", stage.namespace());
    stage.until(&format!("kubectl get --raw {path}"), "KUAR Demo");
}
