//! Services of type LoadBalancer, over a pool of addresses.

use k8s_openapi::api::core::v1::Service;
use serde_json::json;

use crate::cluster::Cluster;

fn addresses(service: &Service) -> Vec<String> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.into_iter().flat_map(|status| status.ingress.iter().flatten());
    ingress.filter_map(|ingress| ingress.ip.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_gets_an_address_until_the_pool_is_empty_and_gives_it_back() {
    let pool = "192.0.2.10-192.0.2.11".parse().unwrap();
    let cluster = Cluster::start_with("service-lb-controller", |it| it.load_balancer_pool = Some(pool)).await;
    for name in ["one", "two", "three"] {
        let spec = json!({"type": "LoadBalancer", "selector": {"app": name}, "ports": [{"port": 80}]});
        cluster.create::<Service>(json!({"metadata": {"name": name}, "spec": spec})).await;
        if name != "three" {
            cluster.until(name, "it has an address", |service: &Service| !addresses(service).is_empty()).await;
        }
    }
    let (one, two) = (cluster.get::<Service>("one").await, cluster.get::<Service>("two").await);
    let mut given = [addresses(&one), addresses(&two)].concat();
    given.sort();
    assert_eq!(given, ["192.0.2.10", "192.0.2.11"]);
    cluster
        .eventually("the third is told", async || {
            let events = cluster.events_of("three").await;
            events.iter().any(|event| event.starts_with("SyncLoadBalancerFailed")).then_some(())
        })
        .await;
    assert!(addresses(&cluster.get::<Service>("three").await).is_empty());
    cluster.merge::<Service>("one", json!({"spec": {"type": "ClusterIP"}})).await;
    cluster.until("one", "it gives its address back", |service: &Service| addresses(service).is_empty()).await;
    let three = cluster.until("three", "it has an address", |service: &Service| !addresses(service).is_empty()).await;
    assert_eq!(addresses(&three), addresses(&one));
}
