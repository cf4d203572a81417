//! A real containerd in each node, asked through CRI.
#![expect(clippy::unwrap_used, reason = "a step of a test that fails is a panic with its message")]

mod cri;
mod image;

use std::fs;
use std::path::Path;
use std::time::Instant;

use cri::{client, version};
use k8s_cri::v1::{ContainerStatusRequest, StatusRequest};
use test_support::{eventually, require_root};
use testbed::containerd::{Containerd, ContainerdError, Settings};
use testbed::{Node, Stopped, Topology};

#[tokio::test]
async fn each_node_has_a_containerd_of_its_own_that_answers_through_cri() {
    require_root!();
    let topology = Topology::builder("containerd").nodes(2).build().unwrap();
    let [one, two] = [1, 2].map(|number| start(topology.node(number)));
    for containerd in [&one, &two] {
        let version = eventually!(within: 30s, await version(containerd.socket()), "CRI does not answer");
        assert_eq!((version.runtime_name.as_str(), version.runtime_api_version.as_str()), ("containerd", "v1"));
    }
    // Of its own: what happens to one leaves the other alone.
    assert_eq!(one.stop().unwrap(), Stopped::ByItself);
    assert!(version(one.socket()).await.is_err());
    assert!(two.daemon().is_running() && version(two.socket()).await.is_ok());
}

#[tokio::test]
async fn containerd_is_ready_for_pods_but_for_the_network_that_nobody_has_configured() {
    require_root!();
    let topology = Topology::builder("conditions").nodes(1).build().unwrap();
    let containerd = start(topology.node(1));
    eventually!(within: 30s, await version(containerd.socket()), "CRI does not answer");
    let status = client(containerd.socket()).await.unwrap().status(StatusRequest { verbose: true }).await.unwrap();
    let status = status.into_inner();
    let conditions = status.status.unwrap().conditions;
    let condition = |kind: &str| conditions.iter().find(|condition| condition.r#type == kind).unwrap();
    assert!(condition("RuntimeReady").status);
    assert!(condition("NetworkReady").message.contains("cni plugin not initialized"), "{conditions:?}");
    let configuration = &status.info["config"];
    for setting in [
        r#""sandboxImage":"docker.io/library/sleeper:latest""#,
        r#""restrictOOMScoreAdj":true"#,
        r#""configPath":"/etc/containerd/certs.d""#,
    ] {
        assert!(configuration.contains(setting), "{setting} is not in {configuration}");
    }
}

#[tokio::test]
async fn containerd_killed_is_started_again_and_found_by_others() {
    require_root!();
    let topology = Topology::builder("again").nodes(1).build().unwrap();
    let node = topology.node(1);
    let first = start(node);
    let refused = Containerd::start(node, &settings()).unwrap_err();
    assert!(matches!(refused, ContainerdError::Daemon(_)), "{refused}");
    first.daemon().kill().unwrap();
    assert!(Containerd::find(node).is_none());
    let second = start(node);
    assert_eq!(Containerd::find(node).unwrap().daemon().process(), second.daemon().process());
    eventually!(within: 30s, await version(second.socket()), "CRI does not answer");
}

#[tokio::test]
async fn a_container_runs_in_the_namespaces_and_cgroups_of_its_node_survives_containerd_and_ends_with_the_node() {
    require_root!();
    let topology = Topology::builder("container").nodes(1).build().unwrap();
    let node = topology.node(1);
    let containerd = start(node);
    eventually!(within: 30s, await version(containerd.socket()), "CRI does not answer");
    import_image(node);
    let began = Instant::now();
    let id = cri::run_pod(containerd.socket(), IMAGE, "/kubepods").await;
    println!("pod and container run after {:.0?}", began.elapsed());

    let process = container_process(containerd.socket(), &id).await;
    let cgroups = shell(node, &format!("cat /proc/{process}/cgroup"));
    assert!(cgroups.lines().all(|line| line.ends_with(&format!(":/kubepods/{id}"))), "{cgroups}");
    let namespace = |process: u32, kind| shell(node, &format!("readlink /proc/{process}/ns/{kind}"));
    assert_eq!(namespace(process, "net"), namespace(1, "net"));
    assert_ne!(namespace(process, "pid"), namespace(1, "pid"));

    containerd.daemon().kill().unwrap();
    let containerd = start(node);
    eventually!(within: 30s, await version(containerd.socket()), "CRI does not answer");
    assert_eq!(container_process(containerd.socket(), &id).await, process, "it was started again");
    node.kill().unwrap();
    assert!(!node.cgroup().unified().exists(), "something survives the node");
}

#[test]
fn a_containerd_that_does_not_come_up_is_quoted() {
    require_root!();
    let topology = Topology::builder("broken").nodes(1).build().unwrap();
    let node = topology.node(1);
    // A folder where the socket should be.
    fs::create_dir_all(node.root().unwrap().join("run/containerd/containerd.sock/folder")).unwrap();
    let error = Containerd::start(node, &settings()).unwrap_err().to_string();
    for part in ["ended at once", "containerd.log", "containerd.sock"] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
}

/// Name of the one image: it serves as pause container and as workload.
const IMAGE: &str = "docker.io/library/sleeper:latest";

fn settings() -> Settings {
    Settings { sandbox_image: IMAGE.to_owned(), registry: Some("http://127.0.0.1:5000".to_owned()) }
}

fn start(node: &Node) -> Containerd {
    let began = Instant::now();
    let containerd = Containerd::start(node, &settings()).unwrap();
    println!("containerd in {} takes connections after {:.0?}", node.name(), began.elapsed());
    containerd
}

fn import_image(node: &Node) {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("image.tar");
    image::write_sleeping(&archive, IMAGE);
    let import = node.command("ctr").unwrap().args(["--namespace", "k8s.io", "images", "import"]).arg(&archive);
    let output = import.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Process id of a running container, as its node sees it.
async fn container_process(socket: &Path, id: &str) -> u32 {
    let request = ContainerStatusRequest { container_id: id.to_owned(), verbose: true };
    let status = client(socket).await.unwrap().container_status(request).await.unwrap().into_inner();
    let info: serde_json::Value = serde_json::from_str(&status.info["info"]).unwrap();
    info["pid"].as_u64().unwrap().try_into().unwrap()
}

fn shell(node: &Node, script: &str) -> String {
    let output = node.command("sh").unwrap().args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "`{script}`: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
