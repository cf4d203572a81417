//! Logs and sessions with the real kubectl, from its oldest version to its newest: a server, a node that joined it with
//! a token, and containers of a real containerd.

use std::path::Path;

use api_tests::Kubectl;
use serde_json::json;
use tempfile::TempDir;
use test_support::{eventually, require_root};
use testbed::containerd::Containerd;
use testbed::{Daemon, Topology};

use super::bed::{self, IMAGE};

/// A cluster whose server is a process in a host of its own: it has to reach the node.
struct Cluster {
    topology: Topology,
    server: Daemon,
    kubelet: Daemon,
    _containerd: Containerd,
    folder: TempDir,
}

/// What a command line did.
#[derive(Debug)]
struct Outcome {
    #[expect(dead_code, reason = "for messages of failed assertions")]
    line: String,
    code: i32,
    stdout: String,
    stderr: String,
}

/// `web` answers on port 8080, writes to its log and waits.
const WEB: &str = "mkdir -p /www; echo hello > /www/index.html; dd if=/dev/urandom of=/www/large bs=1M count=5 2>/dev/null; \
                   echo first; echo second >&2; httpd -f -p 8080 -h /www";

// === impl Cluster ===

impl Cluster {
    fn start(label: &str) -> Self {
        let topology = Topology::builder(label).nodes(1).server().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("server");
        let address = topology.server().addresses().ipv4;
        let server = topology.server().daemon("server", env!("CARGO_BIN_EXE_sheave")).unwrap();
        let server = server.args(["server", "--listen", &format!("{address}:6443"), "--data-dir"]).arg(&data);
        let server = server.start().unwrap();
        let join = eventually!(within: 30s, std::fs::read_to_string(data.join("join")), "{}", server.last_words());
        eventually!(within: 30s, std::fs::metadata(data.join("admin.kubeconfig")), "{}", server.last_words());
        let containerd = bed::start_containerd(&topology, folder.path());
        let kubelet = topology.node(1).daemon("kubelet", env!("CARGO_BIN_EXE_sheave")).unwrap();
        let kubelet =
            kubelet.args(["node", "--name", bed::NODE, "--data-dir", "/var/lib/sheave", "--join", join.trim()]);
        let kubelet = kubelet.start().unwrap();
        let cluster = Self { topology, server, kubelet, _containerd: containerd, folder };
        cluster.route_to_pods();
        let kubectl = Kubectl::newest();
        eventually!(within: 60s, cluster.try_kubectl(&kubectl, "kubectl wait node/n1 --for=condition=Ready --timeout=1s"), "the node is not ready");
        cluster
    }

    /// The server reaches pods through their node, for `proxy`.
    fn route_to_pods(&self) {
        let node = self.topology.node(1).addresses().ipv4.to_string();
        let route = self.topology.server().command("ip").unwrap().args(["route", "add", "10.244.1.0/24", "via", &node]);
        assert!(route.output().unwrap().status.success());
        let forward = self.topology.node(1).command("sh").unwrap();
        let forward = forward.args(["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
        assert!(forward.output().unwrap().status.success());
    }

    /// Runs a line of bash beside the server, with this kubectl.
    fn run(&self, kubectl: &Kubectl, line: &str) -> Outcome {
        let (major, minor) = kubectl.version;
        let home = self.folder.path().join(format!("home-{major}.{minor}"));
        std::fs::create_dir_all(home.join("bin")).unwrap();
        let _ = std::os::unix::fs::symlink(&kubectl.binary, home.join("bin/kubectl"));
        let command = self.topology.server().command("timeout").unwrap().args(["60", "bash", "-c", line]);
        let command = command.env("HOME", &home).current_dir(&home);
        let command = command.env("KUBECONFIG", self.folder.path().join("server/admin.kubeconfig"));
        let command = command.env("PATH", format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", home.join("bin").display()));
        let output = command.output().unwrap();
        Outcome {
            line: format!("[kubectl {major}.{minor}] {line}"),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn try_kubectl(&self, kubectl: &Kubectl, line: &str) -> Result<(), String> {
        let outcome = self.run(kubectl, line);
        let logs =
            || format!("{outcome:#?}\nserver: {}\nkubelet: {}", self.server.last_words(), self.kubelet.last_words());
        if outcome.code == 0 { Ok(()) } else { Err(logs()) }
    }

    fn pod(&self, name: &str, script: &str, more: &serde_json::Value) {
        let mut container = json!({"name": "main", "image": IMAGE, "command": ["sh", "-c", script]});
        let fields = more.as_object().cloned().unwrap_or_default();
        container.as_object_mut().unwrap().extend(fields);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
            "nodeName": bed::NODE, "terminationGracePeriodSeconds": 1, "restartPolicy": "OnFailure",
            "containers": [container]}});
        let file = self.folder.path().join(format!("{name}.json"));
        std::fs::write(&file, pod.to_string()).unwrap();
        let line = format!("kubectl create -f {}", file.display());
        eventually!(within: 30s, self.try_kubectl(&Kubectl::newest(), &line), "no pod {name}");
    }

    fn wait(&self, name: &str) {
        let line = format!("kubectl wait pod/{name} --for=condition=Ready --timeout=30s");
        self.try_kubectl(&Kubectl::newest(), &line).unwrap();
    }

    fn stop(self) {
        self.kubelet.kill().unwrap();
        self.server.kill().unwrap();
    }
}

// === impl Outcome ===

impl Outcome {
    #[track_caller]
    fn is(self, code: i32, stdout: &str) -> Self {
        assert_eq!((self.code, self.stdout.as_str()), (code, stdout), "{self:#?}");
        self
    }

    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "no {text:?} in {self:#?}");
        self
    }
}

/// The ways in which one kubectl opens sessions: WebSockets from 1.30 on, and SPDY always.
fn ways(kubectl: &Kubectl) -> &'static [&'static str] {
    const SPDY: &str = "export KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false KUBECTL_PORT_FORWARD_WEBSOCKETS=false;";
    const WEBSOCKET: &str = "export KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true KUBECTL_PORT_FORWARD_WEBSOCKETS=true;";
    if kubectl.version >= (1, 30) { &[WEBSOCKET, SPDY] } else { &[SPDY] }
}

#[test]
fn every_kubectl_opens_sessions_either_way() {
    require_root!();
    let cluster = Cluster::start("napi-s");
    cluster.pod("web", WEB, &json!({}));
    cluster.pod("echo", "while read line; do echo got $line; done", &json!({"stdin": true}));
    cluster.wait("web");
    cluster.wait("echo");
    for kubectl in Kubectl::all() {
        for way in ways(&kubectl) {
            let run = |line: &str| cluster.run(&kubectl, &format!("{way} {line}"));
            run("kubectl exec web -- sh -c 'echo out; echo err >&2; exit 7'").is(7, "out\n").says("err");
            run("printf 'to the end' | kubectl exec -i web -- cat").is(0, "to the end");
            run("head -c 3000000 /dev/zero | kubectl exec -i web -- wc -c").is(0, "3000000\n");
            run("script -qec \"kubectl exec -it web -- sh -c 'tty; exit 3'\" /dev/null; echo code $?")
                .says("/dev/pts/")
                .says("code 3");
            run("kubectl exec web -- no-such-program").says("no-such-program");
            run("(echo hello; sleep 1) | timeout 10 kubectl attach -i echo").says("got hello");
            run("head -c 300000 /dev/urandom > there; kubectl cp there web:/tmp/there && kubectl cp web:/tmp/there back && \
                 cmp there back && echo same")
            .says("same");
            port_forward(&cluster, &kubectl, way);
        }
    }
    cluster.stop();
}

fn port_forward(cluster: &Cluster, kubectl: &Kubectl, way: &str) {
    let script = "kubectl port-forward pod/web :8080 > forward.log 2>&1 & forward=$!; \
                  for i in $(seq 100); do port=$(sed -n 's/^Forwarding from 127.0.0.1:\\([0-9]*\\).*/\\1/p' forward.log); \
                  [ -n \"$port\" ] && break; sleep 0.1; done; \
                  curl -sS http://127.0.0.1:$port/; curl -sS http://127.0.0.1:$port/large | sha256sum > one & \
                  curl -sS http://127.0.0.1:$port/large | sha256sum > two; wait %2; \
                  kubectl exec web -- sha256sum /www/large | cut -c1-64 > three; \
                  for sum in one two; do cut -c1-64 $sum | cmp - three && echo $sum; done; kill $forward; cat forward.log >&2";
    cluster.run(kubectl, &format!("{way} {script}")).is(0, "hello\none\ntwo\n");
}

#[test]
fn logs_are_read_followed_and_refused_in_kubernetes_words() {
    require_root!();
    let cluster = Cluster::start("napi-l");
    let newest = Kubectl::newest();
    cluster.pod("web", WEB, &json!({}));
    cluster.pod("count", "for i in 1 2 3 4 5; do echo line $i; sleep 0.3; done", &json!({}));
    cluster.pod("crash", "[ -f /tmp/x ] && exec sleep 1000; echo before the crash; exit 1", &json!({}));
    cluster.pod("none", "true", &json!({"image": "docker.io/library/none:1", "imagePullPolicy": "Never"}));
    cluster.wait("web");
    eventually!(within: 30s, cluster.try_kubectl(&newest, "kubectl logs crash --previous | grep before"), "no previous log");
    let numbers = "line 1\nline 2\nline 3\nline 4\nline 5\n";
    for kubectl in Kubectl::all() {
        let run = |line: &str| cluster.run(&kubectl, line);
        eventually!(within: 10s, cluster.try_kubectl(&kubectl, "kubectl logs count"), "no log");
        run("kubectl logs -f count").is(0, numbers);
        run("kubectl logs count --tail=2").is(0, "line 4\nline 5\n");
        run("kubectl logs count --limit-bytes=8").is(0, "line 1\nl");
        run("kubectl logs count --since=1h --timestamps | grep -c Z.line").is(0, "5\n");
        run("kubectl logs web --all-containers").says("first").says("second");
        run("kubectl logs web -c nope; true").says("container nope is not valid for pod web");
        run("kubectl logs count --previous; true")
            .says("previous terminated container \"main\" in pod \"count\" not found");
        run("kubectl logs none; true").says("container \"main\" in pod \"none\" is waiting to start");
        run("kubectl logs nothing; true").says("pods \"nothing\" not found");
    }
    let run = |line: &str| cluster.run(&newest, line);
    run("kubectl get --raw /api/v1/nodes/n1/proxy/metrics").says("kubelet_running_pods");
    run("kubectl get --raw /api/v1/nodes/n1/proxy/stats/summary").says("\"podRef\"");
    run("kubectl get --raw /api/v1/namespaces/default/pods/web:8080/proxy/").is(0, "hello\n");
    run("kubectl run once --image=docker.io/library/busybox:1 --restart=Never --rm -i -- sh -c 'echo from the run'")
        .says("from the run");
    run("kubectl get csr -o jsonpath='{.items[*].status.conditions[*].type}'").is(0, "Approved Approved");
    run("curl -sk -o /dev/null -w '%{http_code}' https://192.168.77.11:10250/pods").is(0, "401");
    run("curl -s -o /dev/null https://192.168.77.11:10250/healthz; echo $?").is(0, "60\n");
    cluster.stop();
}

/// A person's certificate: made, approved by hand, signed, and good for what the roles say.
#[test]
fn a_certificate_that_somebody_approves_is_signed() {
    require_root!();
    let topology = Topology::builder("napi-c").nodes(1).server().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let address = topology.server().addresses().ipv4;
    let server = topology.server().daemon("server", env!("CARGO_BIN_EXE_sheave")).unwrap();
    let data = folder.path().join("server");
    let server =
        server.args(["server", "--listen", &format!("{address}:6443"), "--data-dir"]).arg(&data).start().unwrap();
    let kubeconfig = data.join("admin.kubeconfig");
    eventually!(within: 30s, std::fs::metadata(&kubeconfig), "{}", server.last_words());
    let kubectl = Kubectl::newest();
    let run = |line: &str| shell(&topology, &kubectl.binary, &kubeconfig, folder.path(), line);
    let steps = "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -subj /O=dev/CN=jane \
                 -out request 2>/dev/null && printf 'apiVersion: certificates.k8s.io/v1\\nkind: CertificateSigningRequest\\n\
                 metadata: {name: jane}\\nspec: {signerName: kubernetes.io/kube-apiserver-client, usages: [client auth], \
                 expirationSeconds: 3600, request: %s}\\n' $(base64 -w0 request) | kubectl create -f - && \
                 kubectl certificate approve jane";
    let approved = run(steps);
    assert!(approved.contains("approved"), "{approved}");
    let whoami = "for i in $(seq 50); do kubectl get csr jane -o jsonpath='{.status.certificate}' | base64 -d > cert; \
                  [ -s cert ] && break; sleep 0.1; done; \
                  kubectl --kubeconfig=/dev/null --server=https://192.168.77.2:6443 --certificate-authority=server/pki/ca.crt \
                  --client-certificate=cert --client-key=key create --raw /apis/authentication.k8s.io/v1/selfsubjectreviews \
                  -f - <<< '{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"SelfSubjectReview\"}'";
    let who = run(whoami);
    assert!(who.contains("\"username\":\"jane\""), "{who}");
    let created = run("$SHEAVE token create --kubeconfig server/admin.kubeconfig --hours 1");
    assert!(created.contains("@https://192.168.77.2:6443#sha256:"), "{created}");
    server.kill().unwrap();
}

fn shell(topology: &Topology, kubectl: &Path, kubeconfig: &Path, folder: &Path, line: &str) -> String {
    let _ = std::fs::create_dir(folder.join("bin"));
    let _ = std::os::unix::fs::symlink(kubectl, folder.join("bin/kubectl"));
    let command = topology.server().command("timeout").unwrap().args(["60", "bash", "-c", line]);
    let command = command.env("KUBECONFIG", kubeconfig).env("HOME", folder).current_dir(folder);
    let command = command.env("SHEAVE", env!("CARGO_BIN_EXE_sheave"));
    let command = command.env("PATH", format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", folder.join("bin").display()));
    let output = command.output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
