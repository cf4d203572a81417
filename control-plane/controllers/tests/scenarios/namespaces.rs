//! Namespaces: what each has from the start, and how one goes with all that is in it.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::cluster::Cluster;

fn namespaces(cluster: &Cluster) -> Api<Namespace> {
    Api::all(cluster.client.clone())
}

async fn create(cluster: &Cluster, name: &str) {
    let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    namespaces(cluster).create(&PostParams::default(), &namespace).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_has_an_account_and_the_root_certificates_and_gets_them_back() {
    let controllers = "serviceaccount-controller,root-ca-certificate-publisher-controller";
    let certificates = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let cluster = Cluster::start_with(controllers, |it| it.root_certificates = Some(certificates.clone())).await;
    create(&cluster, "team").await;
    let accounts = Api::<ServiceAccount>::namespaced(cluster.client.clone(), "team");
    let config_maps = Api::<ConfigMap>::namespaced(cluster.client.clone(), "team");
    let both = async || {
        let published = config_maps.get_opt("kube-root-ca.crt").await.unwrap()?;
        let right = published.data.is_some_and(|data| data.get("ca.crt") == Some(&certificates));
        (right && accounts.get_opt("default").await.unwrap().is_some()).then_some(())
    };
    cluster.eventually("account and certificates", both).await;
    accounts.delete("default", &DeleteParams::default()).await.unwrap();
    let forged = Patch::Merge(json!({"data": {"ca.crt": "forged"}}));
    config_maps.patch("kube-root-ca.crt", &PatchParams::default(), &forged).await.unwrap();
    cluster.eventually("both are put right", both).await;
    config_maps.delete("kube-root-ca.crt", &DeleteParams::default()).await.unwrap();
    cluster.eventually("the certificates are published again", both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_goes_with_its_content_and_says_what_holds_it() {
    let cluster = Cluster::start("namespace-controller,serviceaccount-controller").await;
    create(&cluster, "team").await;
    let secrets = Api::<Secret>::namespaced(cluster.client.clone(), "team");
    let config_maps = Api::<ConfigMap>::namespaced(cluster.client.clone(), "team");
    let secret = serde_json::from_value(json!({"metadata": {"name": "plain"}})).unwrap();
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/busy"]}});
    config_maps.create(&PostParams::default(), &serde_json::from_value(held).unwrap()).await.unwrap();

    namespaces(&cluster).delete("team", &DeleteParams::default()).await.unwrap();
    let condition = async |kind: &str| {
        let namespace = namespaces(&cluster).get_opt("team").await.unwrap()?;
        let conditions = namespace.status?.conditions?;
        conditions.into_iter().find(|condition| condition.type_ == kind && condition.status == "True")
    };
    let holds = cluster.eventually("it says what is left", async || condition("NamespaceFinalizersRemaining").await);
    let message = holds.await.message.unwrap_or_default();
    assert!(message.contains("example.com/busy in 1 resource instances"), "{message}");
    assert!(secrets.get_opt("plain").await.unwrap().is_none());
    let refused = secrets.create(&PostParams::default(), &secret).await.unwrap_err().to_string();
    assert!(refused.contains("because it is being terminated"), "{refused}");

    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    config_maps.patch("held", &PatchParams::default(), &free).await.unwrap();
    let gone = async || namespaces(&cluster).get_opt("team").await.unwrap().is_none().then_some(());
    cluster.eventually("the namespace is gone", gone).await;
}
