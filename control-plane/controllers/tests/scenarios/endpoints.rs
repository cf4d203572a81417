//! Endpoints and EndpointSlices of a Service, by the state of its pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster::Cluster;

// The collector, because slices go as dependents of their Service.
const CONTROLLERS: &str = "endpoints-controller,endpointslice-controller,endpointslice-mirroring-controller,\
                           garbage-collector-controller";

/// Ready, serving, terminating.
type State = (bool, bool, bool);

fn service(spec: Value) -> Value {
    let mut spec = spec;
    spec["ports"] = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
    json!({"metadata": {"name": "web"}, "spec": spec})
}

/// A pod on a node that nobody speaks for, so that it stays while it is deleted.
async fn pod(cluster: &Cluster, name: &str, ip: &str, ready: bool) {
    let meta = json!({"name": name, "labels": {"app": "web"}});
    let spec = json!({"nodeName": "n1", "containers": [{"name": "c", "image": "nginx"}]});
    cluster.create::<Pod>(json!({"metadata": meta, "spec": spec})).await;
    set_ready(cluster, name, ip, ready).await;
}

async fn set_ready(cluster: &Cluster, name: &str, ip: &str, ready: bool) {
    let state = if ready { "True" } else { "False" };
    let status = json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
                        "conditions": [{"type": "Ready", "status": state}]});
    let patch = Patch::Strategic(json!({ "status": status }));
    cluster.api::<Pod>().patch_status(name, &PatchParams::default(), &patch).await.unwrap();
}

async fn states(cluster: &Cluster) -> BTreeMap<String, State> {
    let slices = cluster.list::<EndpointSlice>().await;
    let endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter());
    let state = endpoints.map(|endpoint| {
        let conditions = endpoint.conditions.clone().unwrap_or_default();
        let flag = |flag: Option<bool>| flag.unwrap_or(false);
        let state = (flag(conditions.ready), flag(conditions.serving), flag(conditions.terminating));
        (endpoint.addresses[0].clone(), state)
    });
    state.collect()
}

/// Waits until the slices say this, and Endpoints have these addresses, ready and not.
async fn told(cluster: &Cluster, expected: &[(&str, State)], ready: &[&str], not_ready: &[&str]) {
    let wanted: BTreeMap<String, State> = expected.iter().map(|(ip, state)| ((*ip).to_owned(), *state)).collect();
    let what = format!("slices {expected:?}, Endpoints {ready:?} and {not_ready:?}");
    cluster
        .eventually(&what, async || {
            let endpoints = cluster.api::<Endpoints>().get_opt("web").await.unwrap()?;
            let subsets = endpoints.subsets.unwrap_or_default();
            let first: Vec<_> = subsets.iter().flat_map(|it| it.addresses.iter().flatten()).collect();
            let second: Vec<_> = subsets.iter().flat_map(|it| it.not_ready_addresses.iter().flatten()).collect();
            let same = |found: &[&k8s_openapi::api::core::v1::EndpointAddress], wanted: &[&str]| {
                found.iter().map(|address| address.ip.as_str()).eq(wanted.iter().copied())
            };
            (states(cluster).await == wanted && same(&first, ready) && same(&second, not_ready)).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_tell_who_is_ready_who_still_serves_and_who_goes() {
    let cluster = Cluster::start_without_kubelet(CONTROLLERS, |_| {}).await;
    cluster.create::<Service>(service(json!({"selector": {"app": "web"}}))).await;
    told(&cluster, &[], &[], &[]).await;
    pod(&cluster, "a", "10.0.0.1", true).await;
    pod(&cluster, "b", "10.0.0.2", false).await;
    let (serves, waits) = ((true, true, false), (false, false, false));
    told(&cluster, &[("10.0.0.1", serves), ("10.0.0.2", waits)], &["10.0.0.1"], &["10.0.0.2"]).await;

    cluster.delete::<Pod>("a").await;
    let goes = (false, true, true);
    told(&cluster, &[("10.0.0.1", goes), ("10.0.0.2", waits)], &[], &["10.0.0.2"]).await;
    set_ready(&cluster, "b", "10.0.0.2", true).await;
    cluster.api::<Pod>().delete("a", &DeleteParams::default().grace_period(0)).await.unwrap();
    told(&cluster, &[("10.0.0.2", serves)], &["10.0.0.2"], &[]).await;

    set_ready(&cluster, "b", "10.0.0.2", false).await;
    cluster.merge::<Service>("web", json!({"spec": {"publishNotReadyAddresses": true}})).await;
    let published = cluster
        .eventually("b is published although it is not ready", async || {
            states(&cluster).await.get("10.0.0.2").copied().filter(|(ready, ..)| *ready)
        })
        .await;
    assert!(!published.2);
    cluster
        .until("web", "as do Endpoints", |endpoints: &Endpoints| {
            endpoints.subsets.iter().flatten().any(|subset| subset.addresses.is_some())
        })
        .await;

    cluster.merge::<Pod>("b", json!({"metadata": {"labels": {"app": "other"}}})).await;
    told(&cluster, &[], &[], &[]).await;
    cluster.delete::<Service>("web").await;
    let gone = async || cluster.list::<EndpointSlice>().await.is_empty().then_some(());
    cluster.eventually("the slices go with the Service", gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slice_holds_at_most_a_hundred_and_a_change_touches_one() {
    let cluster = Cluster::start_without_kubelet(CONTROLLERS, |_| {}).await;
    cluster.create::<Service>(service(json!({"selector": {"app": "web"}}))).await;
    for index in 0..230 {
        pod(&cluster, &format!("p{index:03}"), &format!("10.0.1.{index}"), true).await;
    }
    let sizes = async || {
        let slices = cluster.list::<EndpointSlice>().await;
        let mut sizes: Vec<_> = slices.iter().map(|slice| slice.endpoints.len()).collect();
        sizes.sort_unstable();
        sizes
    };
    let full = async || {
        let sizes = sizes().await;
        assert!(sizes.iter().all(|size| *size <= 100), "{sizes:?}");
        (sizes.iter().sum::<usize>() == 230).then_some(sizes)
    };
    assert_eq!(cluster.eventually("all 230", full).await, [30, 100, 100]);
    let versions = async || -> BTreeMap<_, _> {
        let slices = cluster.list::<EndpointSlice>().await;
        slices.into_iter().map(|slice| (slice.metadata.name, slice.metadata.resource_version)).collect()
    };
    let before = versions().await;
    set_ready(&cluster, "p000", "10.0.1.0", false).await;
    let waits = async || (!states(&cluster).await["10.0.1.0"].0).then_some(());
    cluster.eventually("one is not ready", waits).await;
    let after = versions().await;
    assert_eq!(before.iter().filter(|(name, version)| after[*name] != **version).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_made_by_hand_are_mirrored() {
    let cluster = Cluster::start_without_kubelet(CONTROLLERS, |_| {}).await;
    cluster.create::<Service>(service(json!({}))).await;
    let subset = |ips: &[&str]| {
        let addresses: Vec<Value> = ips.iter().map(|ip| json!({ "ip": ip })).collect();
        json!([{"addresses": addresses, "ports": [{"name": "http", "port": 9000}]}])
    };
    cluster.create::<Endpoints>(json!({"metadata": {"name": "web"}, "subsets": subset(&["192.0.2.1"])})).await;
    let mirrored = async |expected: &[&str]| {
        let found = async || {
            let slices = cluster.list::<EndpointSlice>().await;
            let label = |slice: &EndpointSlice| slice.metadata.labels.clone().unwrap_or_default();
            let ours = slices.iter().filter(|slice| {
                label(slice).get("endpointslice.kubernetes.io/managed-by").map(String::as_str)
                    == Some("endpointslicemirroring-controller.k8s.io")
            });
            let addresses = ours.flat_map(|slice| slice.endpoints.iter());
            let mut addresses: Vec<_> = addresses.flat_map(|endpoint| endpoint.addresses.clone()).collect();
            addresses.sort();
            (addresses == expected && slices.len() == expected.len().min(1)).then_some(())
        };
        cluster.eventually(&format!("mirrored {expected:?}"), found).await;
    };
    mirrored(&["192.0.2.1"]).await;
    cluster.merge::<Endpoints>("web", json!({"subsets": subset(&["192.0.2.1", "192.0.2.2"])})).await;
    mirrored(&["192.0.2.1", "192.0.2.2"]).await;
    cluster.delete::<Endpoints>("web").await;
    mirrored(&[]).await;
}
