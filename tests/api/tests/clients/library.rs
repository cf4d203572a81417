//! kube-rs: watcher, server-side apply, typed and dynamic.

use std::pin::pin;
use std::time::Duration;

use futures::TryStreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Discovery};
use serde_json::json;

use crate::{connect, with_server};

const PATIENCE: Duration = Duration::from_secs(30);

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"a": "b"}})).expect("a ConfigMap")
}

/// Says each event of the watcher until one is `last`.
async fn told(maps: Api<ConfigMap>, config: watcher::Config, last: &str) -> Vec<String> {
    let mut events =
        pin!(watcher(maps, config.labels("!kubernetes.io/nothing").fields("metadata.name!=kube-root-ca.crt")));
    let mut told = Vec::new();
    let name = |map: &ConfigMap| map.metadata.name.clone().unwrap_or_default();
    while told.last().is_none_or(|it| it != last) {
        let event = tokio::time::timeout(PATIENCE, events.try_next()).await.expect("an event").expect("no error");
        told.push(match event.expect("the watcher never ends") {
            Event::Init => "init".to_owned(),
            Event::InitApply(map) => format!("there {}", name(&map)),
            Event::InitDone => "done".to_owned(),
            Event::Apply(map) => format!("apply {}", name(&map)),
            Event::Delete(map) => format!("delete {}", name(&map)),
        });
    }
    told
}

#[test]
fn a_watcher_lists_then_follows_in_both_of_its_ways() {
    with_server(async |kubeconfig| {
        for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
            let maps: Api<ConfigMap> = Api::default_namespaced(connect(&kubeconfig).await);
            maps.create(&PostParams::default(), &map("first")).await.expect("it is made");
            let watching = tokio::spawn({
                let (maps, config) = (maps.clone(), config.clone());
                async move { told(maps, config, "delete second").await }
            });
            let watching_too = told(maps.clone(), config, "done").await;
            assert_eq!(watching_too, ["init", "there first", "done"]);
            maps.create(&PostParams::default(), &map("second")).await.expect("it is made");
            maps.delete("second", &DeleteParams::default()).await.expect("it goes");
            let told = watching.await.expect("the watcher saw the end");
            // How much was there when it began is a matter of time; the rest is not.
            assert_eq!(told.first().map(String::as_str), Some("init"), "{told:?}");
            assert!(told.contains(&"there first".to_owned()) && told.contains(&"done".to_owned()), "{told:?}");
            maps.delete("first", &DeleteParams::default()).await.expect("it goes");
        }
    });
}

#[test]
fn server_side_apply_shares_an_object_and_names_conflicts() {
    with_server(async |kubeconfig| {
        let deployments: Api<Deployment> = Api::default_namespaced(connect(&kubeconfig).await);
        let mine = |replicas: i32| {
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
                "replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": {
                    "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}}})
        };
        let apply = PatchParams::apply("me");
        deployments.patch("web", &apply, &Patch::Apply(mine(2))).await.expect("it is made");
        let label = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"labels": {"team": "blue"}}});
        let other = PatchParams::apply("other");
        let shared = deployments.patch("web", &other, &Patch::Apply(&label)).await.expect("it is shared");
        let managers = shared.metadata.managed_fields.unwrap_or_default();
        let names: Vec<_> = managers.iter().filter_map(|entry| entry.manager.as_deref()).collect();
        assert!(names.contains(&"me") && names.contains(&"other"), "{names:?}");

        let grab = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 5}});
        let error = deployments.patch("web", &other, &Patch::Apply(&grab)).await.expect_err("a conflict");
        let kube::Error::Api(status) = error else { panic!("not a Status: {error}") };
        assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
        assert!(status.message.contains("conflict with \"me\": .spec.replicas"), "{}", status.message);
        let forced = deployments.patch("web", &other.clone().force(), &Patch::Apply(&grab)).await.expect("by force");
        assert_eq!(forced.spec.and_then(|spec| spec.replicas), Some(5));
        assert_eq!(forced.metadata.labels, None, "what other no longer applies goes");
    });
}

#[test]
fn types_that_nobody_compiled_in_are_discovered() {
    with_server(async |kubeconfig| {
        let client = connect(&kubeconfig).await;
        let discovery = Discovery::new(client.clone()).run().await.expect("the groups");
        let gvk = GroupVersionKind::gvk("networking.k8s.io", "v1", "NetworkPolicy");
        let (resource, _) = discovery.resolve_gvk(&gvk).expect("network policies are served");
        assert_eq!(resource, ApiResource::from_gvk_with_plural(&gvk, "networkpolicies"));
        let policies: Api<DynamicObject> = Api::default_namespaced_with(client, &resource);
        let policy = DynamicObject::new("deny", &resource).data(json!({"spec": {"podSelector": {}}}));
        let made = policies.create(&PostParams::default(), &policy).await.expect("it is made");
        assert_eq!(made.data["spec"]["policyTypes"], json!(["Ingress"]), "defaults are filled in");
        let listed = policies.list(&Default::default()).await.expect("a list");
        assert_eq!(listed.items.len(), 1);
        policies.delete("deny", &DeleteParams::default()).await.expect("it goes");
        assert!(policies.get_opt("deny").await.expect("an answer").is_none());
    });
}
