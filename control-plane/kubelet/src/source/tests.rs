//! Sources over the real API server in this process.

use std::time::Duration;

use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use sheave_apiserver::{ApiServer, Identity, store_options};
use sheave_store::Store;

use super::*;

/// Generous: the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(60);

struct Cluster {
    client: Client,
    _server: ApiServer,
}

impl Cluster {
    async fn start() -> Self {
        let store = Store::in_memory(store_options()).unwrap();
        let server = ApiServer::start(Arc::new(store), sheave_apiserver::Options::default()).await.unwrap();
        Self { client: server.client(Identity::admin()), _server: server }
    }

    fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), "default")
    }

    async fn put(&self, name: &str, value: &str) {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}});
        let parameters = PatchParams::apply("test").force();
        self.config_maps().patch(name, &parameters, &Patch::Apply(map)).await.unwrap();
    }
}

fn pod(uid: &str, volumes: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": uid, "namespace": "default", "uid": uid},
        "spec": {"containers": [{"name": "c", "image": "i"}], "volumes": volumes},
    }))
    .unwrap()
}

fn with_map(uid: &str) -> Pod {
    pod(uid, json!([{"name": "v", "configMap": {"name": "settings"}}]))
}

fn value(objects: &Objects) -> Result<String, String> {
    let found = objects.config_map("settings").map_err(|error| error.to_string())?;
    Ok(found.data.as_ref().unwrap()["key"].clone())
}

async fn within_deadline<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it takes less than a minute")
}

#[tokio::test]
async fn a_pods_first_look_sees_the_current_object_and_later_looks_follow_the_watch() {
    let cluster = Cluster::start().await;
    let sources = Sources::new(cluster.client.clone());
    assert_eq!(value(&sources.objects(&with_map("a")).await), Err("configmap \"settings\" not found".into()));
    cluster.put("settings", "1").await;
    assert_eq!(value(&sources.objects(&with_map("a")).await), Ok("1".into()));
    let mut changes = sources.changes();
    cluster.put("settings", "2").await;
    // Another pod, whose first look this is, must not be served from what the watch has said so far.
    assert_eq!(value(&sources.objects(&with_map("b")).await), Ok("2".into()));
    cluster.put("settings", "3").await;
    within_deadline(async {
        while value(&sources.objects(&with_map("a")).await) != Ok("3".into()) {
            changes.recv().await.unwrap();
        }
    })
    .await;
    cluster.config_maps().delete("settings", &DeleteParams::default()).await.unwrap();
    within_deadline(async {
        while value(&sources.objects(&with_map("a")).await).is_ok() {
            changes.recv().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn an_object_is_watched_until_no_pod_refers_to_it() {
    let cluster = Cluster::start().await;
    cluster.put("settings", "1").await;
    let sources = Sources::new(cluster.client.clone());
    for uid in ["a", "b"] {
        sources.objects(&with_map(uid)).await;
    }
    assert_eq!(sources.0.config_maps.watched(), ["default/settings"]);
    sources.forget("a");
    assert_eq!(sources.0.config_maps.watched(), ["default/settings"]);
    sources.forget("b");
    assert_eq!(sources.0.config_maps.watched(), Vec::<String>::new());
}

#[tokio::test]
async fn services_are_those_of_the_namespace_unless_links_are_off() {
    let cluster = Cluster::start().await;
    let service = json!({"metadata": {"name": "redis"}, "spec": {"ports": [{"port": 6379}]}});
    let services: Api<Service> = Api::namespaced(cluster.client.clone(), "default");
    services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
    let sources = Sources::new(cluster.client.clone());
    let names = async |pod: &Pod| {
        let services = sources.services(pod).await.unwrap();
        services.iter().filter_map(|service| service.metadata.name.clone()).collect::<Vec<_>>()
    };
    let mut pod = pod("a", json!([]));
    assert!(names(&pod).await.contains(&"redis".to_owned()));
    pod.spec.as_mut().unwrap().enable_service_links = Some(false);
    assert!(!names(&pod).await.contains(&"redis".to_owned()));
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_only_for_an_account_that_exists() {
    let cluster = Cluster::start().await;
    let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = Api::namespaced(cluster.client.clone(), "default");
    let account = serde_json::from_value(json!({"metadata": {"name": "robot"}})).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "default");
    let spec = json!({"serviceAccountName": "robot", "containers": [{"name": "c", "image": "i"}]});
    let pod = serde_json::from_value(json!({"metadata": {"name": "web"}, "spec": spec})).unwrap();
    let mut pod = pods.create(&PostParams::default(), &pod).await.unwrap();
    let sources = Sources::new(cluster.client.clone());
    let wish = TokenWish { audience: None, expiration: 3600 };
    let token = sources.token(&pod, &wish).await.unwrap();
    assert_eq!(token.as_str().split('.').count(), 3);
    assert_eq!(sources.token(&pod, &wish).await.unwrap(), token);
    let other = TokenWish { audience: Some("vault".into()), ..wish.clone() };
    assert_ne!(sources.token(&pod, &other).await.unwrap(), token);
    sources.forget(pod.metadata.uid.as_deref().unwrap());
    assert_ne!(sources.token(&pod, &wish).await.unwrap(), token);
    pod.spec.as_mut().unwrap().service_account_name = Some("nobody".into());
    let error = sources.token(&pod, &wish).await.unwrap_err().to_string();
    assert_eq!(error, "failed to fetch token: serviceaccounts \"nobody\" not found");
}
