//! Whole pods' volumes over the real API server in this process.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use sheave_apiserver::{ApiServer, Identity, store_options};
use sheave_store::Store;

use super::*;

struct Node {
    client: Client,
    volumes: Volumes,
    pods: tempfile::TempDir,
    _server: ApiServer,
}

impl Node {
    async fn start() -> Self {
        let store = Store::in_memory(store_options()).unwrap();
        let server = ApiServer::start(Arc::new(store), sheave_apiserver::Options::default()).await.unwrap();
        let client = server.client(Identity::admin());
        let pods = tempfile::tempdir().unwrap();
        let path = pods.path().canonicalize().unwrap();
        let volumes = Volumes::new(path, Sources::new(client.clone()), Capacity::new(2000, 64 << 20, 0));
        Self { client, volumes, pods, _server: server }
    }

    async fn apply_map(&self, data: Value) {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data});
        let api: Api<ConfigMap> = Api::default_namespaced(self.client.clone());
        api.patch("settings", &PatchParams::apply("test").force(), &Patch::Apply(map)).await.unwrap();
    }

    fn path(&self, below: &str) -> PathBuf {
        self.pods.path().join("u-1").join(below)
    }

    fn read(&self, below: &str) -> String {
        let path = self.path(below);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    async fn set_up(&self, pod: &Pod) -> Result<(), Vec<String>> {
        let made = self.volumes.set_up(pod).await;
        made.map_err(|errors| errors.iter().map(VolumeError::to_string).collect())
    }
}

fn pod(spec: Value) -> Pod {
    let metadata = json!({"name": "web", "namespace": "default", "uid": "u-1", "labels": {"app": "web"}});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

fn with_volumes(volumes: Value) -> Pod {
    pod(json!({"containers": [{"name": "c"}], "volumes": volumes}))
}

#[tokio::test]
async fn files_follow_their_config_map() {
    let node = Node::start().await;
    let pod = with_volumes(json!([{"name": "v", "configMap": {"name": "settings"}}]));
    let expected = "MountVolume.SetUp failed for volume \"v\" : configmap \"settings\" not found";
    assert_eq!(node.set_up(&pod).await, Err(vec![expected.to_owned()]));
    node.apply_map(json!({"a": "1", "b": "2"})).await;
    node.set_up(&pod).await.unwrap();
    assert_eq!(node.read("volumes/kubernetes.io~configmap/v/a"), "1");
    let mut changes = node.volumes.0.sources.changes();
    node.apply_map(json!({"a": "changed"})).await;
    let followed = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        while node.read("volumes/kubernetes.io~configmap/v/a") != "changed" {
            changes.recv().await.unwrap();
            node.volumes.refresh(&pod).await.unwrap();
        }
    });
    followed.await.unwrap();
    assert!(!node.path("volumes/kubernetes.io~configmap/v/b").exists());
    node.volumes.tear_down("u-1").await.unwrap();
    node.volumes.tear_down("u-1").await.unwrap();
    assert!(!node.path("volumes").exists());
}

#[tokio::test]
async fn files_stay_when_their_config_map_goes() {
    let node = Node::start().await;
    node.apply_map(json!({"a": "1"})).await;
    let pod = with_volumes(json!([{"name": "v", "configMap": {"name": "settings"}}]));
    node.set_up(&pod).await.unwrap();
    let mut changes = node.volumes.0.sources.changes();
    let api: Api<ConfigMap> = Api::default_namespaced(node.client.clone());
    api.delete("settings", &DeleteParams::default()).await.unwrap();
    let gone = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        while node.volumes.refresh(&pod).await.is_ok() {
            changes.recv().await.unwrap();
        }
    });
    gone.await.unwrap();
    assert_eq!(node.read("volumes/kubernetes.io~configmap/v/a"), "1");
}

#[tokio::test]
async fn an_empty_folder_is_open_to_all_and_keeps_what_is_in_it() {
    let node = Node::start().await;
    let pod = with_volumes(json!([{"name": "v", "emptyDir": {}}, {"name": "w"}]));
    node.set_up(&pod).await.unwrap();
    let path = node.path("volumes/kubernetes.io~empty-dir/v");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o777);
    fs::write(path.join("kept"), "x").unwrap();
    node.set_up(&pod).await.unwrap();
    assert_eq!(node.read("volumes/kubernetes.io~empty-dir/v/kept"), "x");
    assert!(node.path("volumes/kubernetes.io~empty-dir/w").is_dir());
}

#[tokio::test]
async fn each_volume_that_fails_is_named_and_the_others_are_made() {
    let node = Node::start().await;
    let pod = with_volumes(json!([
        {"name": "a", "emptyDir": {}},
        {"name": "b", "persistentVolumeClaim": {"claimName": "c"}},
        {"name": "d", "hostPath": {"path": "/nowhere", "type": "Directory"}},
        {"name": "e", "configMap": {"name": "no", "optional": true}},
    ]));
    let expected = [
        "MountVolume.SetUp failed for volume \"b\" : no volume plugin matched: persistentVolumeClaim volumes are not \
         supported on this node",
        "MountVolume.SetUp failed for volume \"d\" : hostPath type check failed: /nowhere is not a directory",
    ];
    assert_eq!(node.set_up(&pod).await.unwrap_err(), expected);
    assert!(node.path("volumes/kubernetes.io~empty-dir/a").is_dir());
    assert!(node.path("volumes/kubernetes.io~configmap/e").is_dir());
}

#[tokio::test]
async fn secrets_and_memory_are_file_systems_of_their_own_with_the_pods_group() {
    test_support::require_root!();
    let node = Node::start().await;
    let secret = json!({"metadata": {"name": "login"}, "stringData": {"password": "pass"}});
    let api: Api<Secret> = Api::default_namespaced(node.client.clone());
    api.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    let pod = pod(json!({
        "securityContext": {"fsGroup": 2000},
        "containers": [{"name": "c", "volumeMounts": [
            {"name": "s", "mountPath": "/s", "subPath": "password"},
            {"name": "m", "mountPath": "/m", "subPath": "made/here"},
        ]}],
        "volumes": [
            {"name": "s", "secret": {"secretName": "login", "defaultMode": 256}},
            {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "d", "downwardAPI": {"items": [
                {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            ]}},
        ],
    }));
    node.set_up(&pod).await.unwrap();
    node.set_up(&pod).await.unwrap();
    let table = MountTable::read().unwrap();
    let base = node.pods.path().canonicalize().unwrap().join("u-1");
    assert_eq!(table.below(&base).count(), 3, "setting up twice mounts once");
    assert_eq!(node.read("volumes/kubernetes.io~secret/s/password"), "pass");
    assert_eq!(node.read("volumes/kubernetes.io~downward-api/d/labels"), "app=\"web\"");
    let password = fs::metadata(node.path("volumes/kubernetes.io~secret/s/password")).unwrap();
    assert_eq!((password.gid(), password.mode() & 0o777), (2000, 0o440));
    let memory = node.path("volumes/kubernetes.io~empty-dir/m");
    assert_eq!(fs::metadata(&memory).unwrap().mode() & 0o7777, 0o2777);
    let too_large = fs::write(memory.join("large"), vec![0; 2 << 20]).unwrap_err();
    assert_eq!(too_large.kind(), io::ErrorKind::StorageFull);

    let mounts = node.volumes.mounts(&pod, &pod.spec.as_ref().unwrap().containers[0], &[]).await.unwrap();
    assert_eq!(fs::read_to_string(&mounts[0].host_path).unwrap(), "pass");
    assert!(mounts[0].readonly && !mounts[1].readonly);
    fs::write(Path::new(&mounts[1].host_path).join("x"), "").unwrap();
    assert!(memory.join("made/here/x").exists());
    assert_eq!(MountTable::read().unwrap().below(&base).count(), 5);

    node.volumes.tear_down("u-1").await.unwrap();
    assert_eq!(MountTable::read().unwrap().below(&base).count(), 0);
    assert!(!node.path("volumes").exists() && !node.path("volume-subpaths").exists());
}
