//! A real containerd in each node, asked through CRI.
#![expect(clippy::unwrap_used, reason = "a step of a test that fails is a panic with its message")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use hyper_util::rt::TokioIo;
use k8s_cri::v1::runtime_service_client::RuntimeServiceClient;
use k8s_cri::v1::{StatusRequest, VersionRequest, VersionResponse};
use test_support::{eventually, require_root};
use testbed::containerd::{Containerd, ContainerdError, Settings};
use testbed::{Node, Stopped, Topology};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

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
    for setting in
        [r#""sandboxImage":"pause""#, r#""restrictOOMScoreAdj":true"#, r#""configPath":"/etc/containerd/certs.d""#]
    {
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

#[test]
fn a_containerd_that_does_not_come_up_is_quoted() {
    require_root!();
    let topology = Topology::builder("broken").nodes(1).build().unwrap();
    let node = topology.node(1);
    // A folder where the socket should be.
    std::fs::create_dir_all(node.root().unwrap().join("run/containerd/containerd.sock/folder")).unwrap();
    let error = Containerd::start(node, &settings()).unwrap_err().to_string();
    for part in ["ended at once", "containerd.log", "containerd.sock"] {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
}

fn settings() -> Settings {
    Settings { sandbox_image: "pause".to_owned(), registry: Some("http://127.0.0.1:5000".to_owned()) }
}

fn start(node: &Node) -> Containerd {
    let began = Instant::now();
    let containerd = Containerd::start(node, &settings()).unwrap();
    println!("containerd in {} takes connections after {:.0?}", node.name(), began.elapsed());
    containerd
}

async fn version(socket: &Path) -> Result<VersionResponse, String> {
    let mut client = client(socket).await.map_err(|error| error.to_string())?;
    let version = client.version(VersionRequest { version: "v1".to_owned() }).await;
    version.map(tonic::Response::into_inner).map_err(|error| error.to_string())
}

/// A CRI client over a unix socket; the address is a formality.
async fn client(socket: &Path) -> Result<RuntimeServiceClient<Channel>, tonic::transport::Error> {
    let socket: PathBuf = socket.to_owned();
    let connect = move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    };
    let channel = Endpoint::from_static("http://containerd").connect_with_connector(tower::service_fn(connect)).await?;
    Ok(RuntimeServiceClient::new(channel))
}
