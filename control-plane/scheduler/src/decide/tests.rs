//! Scenes: nodes, pods that run on them, a pod that asks, and where it goes or why not.

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use super::*;

/// A cluster told as JSON: nodes, and pods that are bound to them.
pub(super) struct Scene(pub(super) Cluster);

impl Scene {
    pub(super) fn new(nodes: &[Value]) -> Self {
        let mut cluster = Cluster::default();
        for node in nodes {
            cluster.set_node(&serde_json::from_value::<Node>(node.clone()).unwrap());
        }
        for namespace in ["default", "other"] {
            let labels = [("kubernetes.io/metadata.name".to_owned(), namespace.to_owned())].into();
            cluster.set_namespace(namespace, labels);
        }
        Self(cluster)
    }

    pub(super) fn runs(mut self, pod: &Value, node: &str) -> Self {
        let mut pod = pod.clone();
        let count = self.0.live_nodes().map(|node| node.requested.pods).sum::<i64>();
        pod["metadata"]["uid"] = format!("running-{count}").into();
        let pod = self.compile(&pod);
        self.0.set_pod(pod.into(), node);
        self
    }

    pub(super) fn compile(&mut self, pod: &Value) -> PodRequirements {
        self.0.compile(&serde_json::from_value::<Pod>(pod.clone()).unwrap())
    }

    #[track_caller]
    fn sends(mut self, pod: &Value, expected: &str) {
        let pod = self.compile(pod);
        for start in 0..self.0.node_count() {
            let decision = decide(&self.0, &pod, &mut start.clone());
            assert_eq!(decision, Decision::Node(expected.to_owned()), "starting at node {start}");
        }
    }

    #[track_caller]
    fn refuses(mut self, pod: &Value, message: &str) {
        let pod = self.compile(pod);
        match decide(&self.0, &pod, &mut 0) {
            Decision::Unschedulable(reasons) => assert_eq!(reasons.to_string(), message),
            Decision::Node(node) => panic!("went to {node}, expected: {message}"),
        }
    }
}

fn node(name: &str) -> Value {
    json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } },
        "status": { "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "110" } },
    })
}

fn in_zone(name: &str, zone: &str) -> Value {
    with(node(name), "/metadata/labels/topology.kubernetes.io~1zone", zone)
}

fn pod(labels: Value) -> Value {
    json!({
        "metadata": { "uid": "u", "name": "p", "namespace": "default", "labels": labels },
        "spec": { "containers": [{ "name": "c" }] },
    })
}

/// The document with the value at `pointer` set; objects on the way are made.
fn with(mut document: Value, pointer: &str, value: impl Into<Value>) -> Value {
    let mut place = &mut document;
    for part in pointer.trim_start_matches('/').split('/') {
        let part = part.replace("~1", "/");
        place = match part.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[part],
        };
    }
    *place = value.into();
    document
}

fn asking(cpu: &str) -> Value {
    with(pod(json!({})), "/spec/containers/0/resources", json!({ "requests": { "cpu": cpu } }))
}

#[test]
fn a_cluster_without_nodes_says_so() {
    Scene::new(&[]).refuses(&pod(json!({})), "no nodes available to schedule pods");
}

#[test]
fn the_sum_of_requests_never_exceeds_a_node() {
    let nodes = [node("a"), node("b")];
    Scene::new(&nodes).runs(&asking("3"), "a").sends(&asking("2"), "b");
    let full = Scene::new(&nodes).runs(&asking("3"), "a").runs(&asking("3"), "b");
    full.refuses(&asking("2"), "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.");
    Scene::new(&nodes).refuses(&asking("5"), "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.");
}

#[test]
fn extended_resources_and_the_number_of_pods_are_limits_too() {
    let gpu = with(node("gpu"), "/status/allocatable/nvidia.com~1gpu", "1");
    let wants = with(pod(json!({})), "/spec/containers/0/resources", json!({ "requests": { "nvidia.com/gpu": "1" } }));
    Scene::new(&[node("a"), gpu.clone()]).sends(&wants, "gpu");
    Scene::new(&[gpu]).runs(&wants, "gpu").refuses(&wants, "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.");
    let small = with(node("a"), "/status/allocatable/pods", "1");
    Scene::new(&[small]).runs(&pod(json!({})), "a").refuses(&pod(json!({})), "0/1 nodes are available: 1 Too many pods. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.");
}

#[test]
fn cordons_taints_and_selectors_keep_pods_away_each_in_its_words() {
    let nodes = [
        with(node("cordoned"), "/spec", json!({ "unschedulable": true })),
        with(node("tainted"), "/spec", json!({ "taints": [{ "key": "gpu", "value": "yes", "effect": "NoSchedule" }] })),
        node("plain"),
    ];
    let picky = with(pod(json!({})), "/spec/nodeSelector", json!({ "ssd": "true" }));
    Scene::new(&nodes).refuses(
        &picky,
        "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint {gpu: yes}, 1 node(s) were unschedulable. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
    );
    let tolerant = with(pod(json!({})), "/spec/tolerations", json!([{ "key": "gpu", "operator": "Exists" }]));
    Scene::new(&nodes[..2]).sends(&tolerant, "tainted");
    Scene::new(&nodes).sends(&pod(json!({})), "plain");
}

#[test]
fn node_affinity_knows_every_operator() {
    for (expression, fits) in [
        (json!({ "key": "size", "operator": "In", "values": ["3", "5"] }), true),
        (json!({ "key": "size", "operator": "NotIn", "values": ["5"] }), false),
        (json!({ "key": "colour", "operator": "NotIn", "values": ["red"] }), true),
        (json!({ "key": "size", "operator": "Exists" }), true),
        (json!({ "key": "size", "operator": "DoesNotExist" }), false),
        (json!({ "key": "size", "operator": "Gt", "values": ["4"] }), true),
        (json!({ "key": "size", "operator": "Gt", "values": ["5"] }), false),
        (json!({ "key": "size", "operator": "Lt", "values": ["6"] }), true),
        (json!({ "key": "size", "operator": "Lt", "values": ["six"] }), false),
    ] {
        let mut scene = Scene::new(&[with(node("a"), "/metadata/labels/size", "5")]);
        let required = json!({ "nodeSelectorTerms": [{ "matchExpressions": [expression] }] });
        let pod = with(
            pod(json!({})),
            "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution",
            required,
        );
        let pod = scene.compile(&pod);
        assert_eq!(matches!(decide(&scene.0, &pod, &mut 0), Decision::Node(_)), fits, "{expression}");
    }
}

#[test]
fn a_preferred_node_wins_among_those_that_will_do() {
    let nodes = [node("a"), with(node("b"), "/metadata/labels/ssd", "true"), node("c")];
    let preferred =
        json!([{ "weight": 100, "preference": { "matchExpressions": [{ "key": "ssd", "operator": "Exists" }] } }]);
    let pod =
        with(pod(json!({})), "/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution", preferred);
    Scene::new(&nodes).sends(&pod, "b");
}

#[test]
fn a_named_field_picks_one_node() {
    let terms = json!({ "nodeSelectorTerms": [{ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["b"] }] }] });
    let pod = with(pod(json!({})), "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution", terms);
    Scene::new(&[node("a"), node("b"), node("c")]).sends(&pod, "b");
}

#[test]
fn the_emptier_node_wins_and_a_soft_taint_is_avoided() {
    Scene::new(&[node("a"), node("b")]).runs(&asking("2"), "a").sends(&asking("1"), "b");
    let soft =
        with(node("a"), "/spec", json!({ "taints": [{ "key": "k", "value": "v", "effect": "PreferNoSchedule" }] }));
    Scene::new(&[soft, node("b")]).sends(&pod(json!({})), "b");
}

#[test]
fn a_host_port_is_taken_once_per_node() {
    let port = with(pod(json!({})), "/spec/containers/0/ports", json!([{ "containerPort": 80, "hostPort": 80 }]));
    Scene::new(&[node("a"), node("b")]).runs(&port, "a").sends(&port, "b");
    Scene::new(&[node("a")]).runs(&port, "a").refuses(&port, "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.");
}

fn near(kind: &str, key: &str, selector: Value) -> Value {
    let term = json!([{ "topologyKey": key, "labelSelector": selector }]);
    with(
        pod(json!({ "app": "web" })),
        &format!("/spec/affinity/{kind}/requiredDuringSchedulingIgnoredDuringExecution"),
        term,
    )
}

#[test]
fn pods_go_near_those_they_need_and_away_from_those_they_avoid() {
    let nodes = [in_zone("a", "z1"), in_zone("b", "z1"), in_zone("c", "z2")];
    let (zone, host) = ("topology.kubernetes.io/zone", "kubernetes.io/hostname");
    let cache = json!({ "matchLabels": { "app": "cache" } });
    let web = json!({ "matchLabels": { "app": "web" } });
    let running = pod(json!({ "app": "cache" }));
    Scene::new(&nodes).runs(&running, "c").sends(&near("podAffinity", zone, cache.clone()), "c");
    Scene::new(&nodes).runs(&running, "a").sends(&near("podAntiAffinity", zone, cache.clone()), "c");
    let avoiding = near("podAntiAffinity", host, web.clone());
    Scene::new(&nodes).runs(&avoiding, "a").runs(&avoiding, "b").sends(&avoiding, "c");
    Scene::new(&nodes[..1]).refuses(&near("podAffinity", zone, cache), "0/1 nodes are available: 1 node(s) didn't match pod affinity rules. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.");
    let scene = Scene::new(&nodes[..1]).runs(&avoiding, "a");
    scene.refuses(&pod(json!({ "app": "web" })), "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.");
}

#[test]
fn a_pod_is_near_only_what_all_of_its_terms_mean() {
    let term =
        |labels: Value| json!({ "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": labels } });
    let terms = json!([term(json!({ "app": "cache" })), term(json!({ "tier": "back" }))]);
    let picky =
        with(pod(json!({})), "/spec/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution", terms);
    Scene::new(&[node("a"), node("b")])
        .runs(&pod(json!({ "app": "cache" })), "a")
        .runs(&pod(json!({ "tier": "back" })), "a")
        .runs(&pod(json!({ "app": "cache", "tier": "back" })), "b")
        .sends(&picky, "b");
}

#[test]
fn the_first_of_a_series_that_must_be_near_itself_may_begin_anywhere() {
    let itself = near("podAffinity", "kubernetes.io/hostname", json!({ "matchLabels": { "app": "web" } }));
    Scene::new(&[node("a")]).sends(&itself, "a");
    Scene::new(&[node("a"), node("b")]).runs(&itself, "b").sends(&itself, "b");
}

#[test]
fn terms_look_into_the_namespaces_that_they_name_or_select() {
    let elsewhere = with(pod(json!({ "app": "cache" })), "/metadata/namespace", "other");
    for (field, value) in [
        ("namespaces", json!(["other"])),
        ("namespaceSelector", json!({})),
        ("namespaceSelector", json!({ "matchLabels": { "kubernetes.io/metadata.name": "other" } })),
    ] {
        let path = "/spec/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/0";
        let term = near("podAffinity", "kubernetes.io/hostname", json!({ "matchLabels": { "app": "cache" } }));
        let term = with(term, &format!("{path}/{field}"), value);
        Scene::new(&[node("a"), node("b")]).runs(&elsewhere, "b").sends(&term, "b");
    }
    let default = near("podAffinity", "kubernetes.io/hostname", json!({ "matchLabels": { "app": "cache" } }));
    let mut scene = Scene::new(&[node("b")]).runs(&elsewhere, "b");
    let default = scene.compile(&default);
    assert!(matches!(decide(&scene.0, &default, &mut 0), Decision::Unschedulable(_)));
}

fn spreading(when: &str, key: &str) -> Value {
    let constraint = json!([{ "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": when, "labelSelector": { "matchLabels": { "app": "web" } } }]);
    with(pod(json!({ "app": "web" })), "/spec/topologySpreadConstraints", constraint)
}

#[test]
fn pods_spread_evenly_over_a_topology() {
    let nodes = [in_zone("a", "z1"), in_zone("b", "z1"), in_zone("c", "z2")];
    let zone = "topology.kubernetes.io/zone";
    for when in ["DoNotSchedule", "ScheduleAnyway"] {
        let web = spreading(when, zone);
        Scene::new(&nodes).runs(&web, "a").sends(&web, "c");
    }
    let hard = spreading("DoNotSchedule", zone);
    let tight = [in_zone("a", "z1"), with(in_zone("c", "z2"), "/spec", json!({ "unschedulable": true }))];
    Scene::new(&tight).runs(&hard, "a").refuses(&hard, "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) were unschedulable. preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.");
    Scene::new(&[node("a")]).refuses(&hard, "0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label). preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.");
}

#[test]
fn missing_domains_count_as_empty_and_nodes_that_are_ruled_out_do_not_count() {
    let zone = "topology.kubernetes.io/zone";
    let wide = with(spreading("DoNotSchedule", zone), "/spec/topologySpreadConstraints/0/minDomains", 2);
    let mut scene = Scene::new(&[in_zone("a", "z1")]).runs(&wide, "a");
    let pod = scene.compile(&wide);
    assert!(matches!(decide(&scene.0, &pod, &mut 0), Decision::Unschedulable(_)), "a second zone is missing");
    let selective = with(spreading("DoNotSchedule", zone), "/spec/nodeSelector", json!({ "ssd": "true" }));
    let nodes = [with(in_zone("a", "z1"), "/metadata/labels/ssd", "true"), in_zone("b", "z2")];
    Scene::new(&nodes).runs(&selective, "a").sends(&selective, "a");
}

#[test]
fn a_node_that_lacks_a_label_counts_for_no_constraint() {
    let zone = "topology.kubernetes.io/zone";
    let mut two = spreading("DoNotSchedule", zone);
    let constraint =
        json!({ "maxSkew": 5, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {} });
    two["spec"]["topologySpreadConstraints"].as_array_mut().unwrap().push(constraint);
    let racked = |name: &str, zone: &str| with(in_zone(name, zone), "/metadata/labels/rack", "r");
    // The empty zone z3 has no rack: it does not make the others too full.
    Scene::new(&[racked("a", "z1"), racked("b", "z2"), in_zone("c", "z3")])
        .runs(&two, "a")
        .runs(&two, "b")
        .runs(&two, "a")
        .sends(&two, "b");
}

#[test]
fn a_soft_constraint_prefers_fewer_neighbours_and_nodes_that_have_the_label() {
    let soft = spreading("ScheduleAnyway", "topology.kubernetes.io/zone");
    let nodes = [in_zone("a", "z1"), in_zone("b", "z2"), node("nowhere")];
    Scene::new(&nodes).runs(&soft, "a").runs(&soft, "a").runs(&soft, "b").sends(&soft, "b");
}

#[test]
fn controlled_pods_spread_by_default() {
    let owner = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "r", "controller": true }]);
    let web = with(pod(json!({ "app": "web" })), "/metadata/ownerReferences", owner);
    // The node without its sibling is the fuller one, so that only the spread speaks for it.
    Scene::new(&[node("a"), node("b")]).runs(&web, "a").runs(&asking("500m"), "b").sends(&web, "b");
}

#[test]
fn a_pod_that_left_a_node_leaves_nothing_behind() {
    let web = with(
        near("podAntiAffinity", "kubernetes.io/hostname", json!({})),
        "/spec/containers/0/ports",
        json!([{ "containerPort": 1, "hostPort": 1 }]),
    );
    let mut scene = Scene::new(&[node("a")]).runs(&web, "a");
    assert!(scene.0.remove_pod("running-0"));
    assert!(!scene.0.remove_pod("running-0"), "it is gone already");
    scene.sends(&web, "a");
}

#[test]
fn a_node_that_changes_its_labels_takes_its_pods_along() {
    let hard = spreading("DoNotSchedule", "topology.kubernetes.io/zone");
    let mut scene = Scene::new(&[in_zone("a", "z1"), in_zone("b", "z2")]).runs(&hard, "a");
    scene.0.set_node(&serde_json::from_value::<Node>(in_zone("a", "z2")).unwrap());
    scene.0.set_node(&serde_json::from_value::<Node>(in_zone("b", "z1")).unwrap());
    scene.sends(&hard, "b");
}

#[test]
fn what_a_decision_does_not_look_at_is_no_change() {
    let mut scene = Scene::new(&[node("a")]);
    let read = |json: Value| serde_json::from_value::<Node>(json).unwrap();
    let heartbeat = with(node("a"), "/status/conditions", json!([{ "type": "Ready", "status": "True" }]));
    assert!(!scene.0.set_node(&read(heartbeat)));
    assert!(scene.0.set_node(&read(with(node("a"), "/metadata/labels/new", "x"))));
    let mut web = pod(json!({ "app": "web" }));
    let first = scene.compile(&web);
    assert!(scene.0.set_pod(first.into(), "a"));
    web["status"] = json!({ "phase": "Running", "podIP": "10.0.0.1" });
    let again = scene.compile(&web);
    assert!(!scene.0.set_pod(again.into(), "a"));
    let relabelled = scene.compile(&with(web, "/metadata/labels/app", "other"));
    assert!(scene.0.set_pod(relabelled.into(), "a"));
}

#[test]
fn nothing_is_said_of_preemption_where_pods_of_lower_priority_run() {
    let low = with(asking("3"), "/spec/priority", -1);
    Scene::new(&[node("a")]).runs(&low, "a").refuses(&asking("2"), "0/1 nodes are available: 1 Insufficient cpu.");
}

#[test]
fn a_large_cluster_is_looked_at_part_by_part() {
    assert_eq!([1, 100, 1000, 5000, 20_000].map(enough), [100, 100, 420, 500, 1000]);
}
