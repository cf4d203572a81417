//! kube-proxy's verdict table, and the reading of objects.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use serde_json::{Value, json};

use super::*;

/// The node that all tests look from.
fn here() -> Place {
    Place { node: "here".into(), zone: Some("a".into()) }
}

fn service(spec: Value) -> Service {
    let mut object = json!({
        "metadata": { "namespace": "shop", "name": "web" },
        "spec": {
            "clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.5"],
            "ports": [{ "name": "http", "port": 80, "nodePort": 30080 }],
        },
        "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } },
    });
    object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let object: core::Service = serde_json::from_value(object).unwrap();
    let (service, complaints) = Service::read(&object);
    assert_eq!(complaints, []);
    service.unwrap()
}

fn slice(endpoints: Value) -> Slice {
    let object: discovery::EndpointSlice = serde_json::from_value(json!({
        "metadata": {
            "namespace": "shop", "name": "web-1", "labels": { "kubernetes.io/service-name": "web" },
        },
        "addressType": "IPv4",
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        "endpoints": endpoints,
    }))
    .unwrap();
    let (slice, complaints) = Slice::read(&object);
    assert_eq!(complaints, []);
    slice.unwrap()
}

/// An endpoint whose name says node and state: `here ready`, `away terminating`, `here unready`.
fn endpoint(index: usize, description: &str) -> Value {
    let (node, state) = description.split_once(' ').unwrap();
    let conditions = match state {
        "ready" => json!({ "ready": true, "serving": true, "terminating": false }),
        "terminating" => json!({ "ready": false, "serving": true, "terminating": true }),
        "ending" => json!({ "ready": false, "serving": false, "terminating": true }),
        "unready" => json!({ "ready": false, "serving": false, "terminating": false }),
        _ => panic!("{state}"),
    };
    json!({ "addresses": [format!("10.244.0.{}", index + 1)], "nodeName": node, "conditions": conditions })
}

fn endpoints(descriptions: &[&str]) -> Vec<Endpoint> {
    let list: Vec<Value> = descriptions.iter().enumerate().map(|(index, it)| endpoint(index, it)).collect();
    let service = service(json!({}));
    endpoints_of([&slice(json!(list))], &service.ports[0], true)
}

/// What happens to a connection, as a word: `reject`, `drop`, or the chosen endpoints, with `masquerade`.
fn outcome(verdict: Verdict, selection: &Selection, descriptions: &[&str]) -> String {
    match verdict {
        Verdict::Reject => "reject".into(),
        Verdict::Drop => "drop".into(),
        Verdict::Balance { policy, masquerade } => {
            let chosen: Vec<&str> = selection.under(policy).iter().map(|index| descriptions[*index]).collect();
            format!("{}{}", chosen.join(", "), if masquerade { " masquerade" } else { "" })
        }
    }
}

#[test]
fn verdicts_are_those_of_kube_proxy() {
    // Endpoints; internal and external policy; pod to cluster IP; pod to load balancer; outside to load balancer.
    type Row<'a> = (&'a [&'a str], &'a str, &'a str, &'a str, &'a str, &'a str);
    let rows: &[Row<'_>] = &[
        (
            &["here ready", "away ready"],
            "Cluster",
            "Cluster",
            "here ready, away ready",
            "here ready, away ready",
            "here ready, away ready masquerade",
        ),
        (
            &["here ready", "away ready"],
            "Cluster",
            "Local",
            "here ready, away ready",
            "here ready, away ready",
            "here ready",
        ),
        (
            &["here ready", "away ready"],
            "Local",
            "Cluster",
            "here ready",
            "here ready, away ready",
            "here ready, away ready masquerade",
        ),
        // Only those that terminate but serve are left: better than none.
        (
            &["here terminating", "away terminating"],
            "Cluster",
            "Cluster",
            "here terminating, away terminating",
            "here terminating, away terminating",
            "here terminating, away terminating masquerade",
        ),
        (
            &["here terminating", "away terminating"],
            "Cluster",
            "Local",
            "here terminating, away terminating",
            "here terminating, away terminating",
            "here terminating",
        ),
        (&["here terminating", "away ready"], "Cluster", "Local", "away ready", "away ready", "here terminating"),
        (&["here terminating", "away ready"], "Local", "Local", "here terminating", "away ready", "here terminating"),
        // Somebody serves, but not where the policy wants it.
        (&["away ready"], "Local", "Cluster", "drop", "away ready", "away ready masquerade"),
        (&["away ready"], "Cluster", "Local", "away ready", "away ready", "drop"),
        (&["away ready"], "Local", "Local", "drop", "away ready", "drop"),
        (&["away terminating"], "Cluster", "Local", "away terminating", "away terminating", "drop"),
        // Nobody serves anywhere.
        (&["here ending", "away ending"], "Cluster", "Local", "reject", "reject", "reject"),
        (&["here unready"], "Local", "Local", "reject", "reject", "reject"),
        (&[], "Cluster", "Cluster", "reject", "reject", "reject"),
        (&[], "Local", "Local", "reject", "reject", "reject"),
    ];
    for (descriptions, internal, external, cluster_ip, inside, outside) in rows {
        let service = service(json!({
            "type": "LoadBalancer", "internalTrafficPolicy": internal, "externalTrafficPolicy": external,
        }));
        let selection = Selection::of(&endpoints(descriptions), &here());
        let case = format!("{descriptions:?} internal {internal} external {external}");
        for frontend in frontends(&service, &service.ports[0], true, &selection) {
            let expected = match frontend.exposure {
                Exposure::ClusterIp => (
                    *cluster_ip,
                    cluster_ip.to_string() + if ["drop", "reject"].contains(cluster_ip) { "" } else { " masquerade" },
                ),
                _ => (*inside, (*outside).to_owned()),
            };
            let found = (
                outcome(frontend.inside, &selection, descriptions),
                outcome(frontend.outside, &selection, descriptions),
            );
            assert_eq!((found.0.as_str(), found.1), expected, "{case}: {:?}", frontend.exposure);
        }
    }
}

#[test]
fn hints_hold_only_where_every_ready_endpoint_has_them_and_one_fits() {
    // Of each endpoint: node hints, zone hints, ready; then who is chosen.
    type Row<'a> = (&'a [(&'a [&'a str], &'a [&'a str], bool)], &'a [usize]);
    let rows: &[Row<'_>] = &[
        (&[(&[], &["a"], true), (&[], &["b"], true)], &[0]),
        (&[(&[], &["a"], true), (&[], &[], true)], &[0, 1]),
        (&[(&[], &["b"], true), (&[], &["c"], true)], &[0, 1]),
        // A hint that an endpoint lacks does not count while that endpoint is not ready.
        (&[(&[], &["a"], true), (&[], &["b"], true), (&[], &[], false)], &[0]),
        // Nodes are nearer than zones.
        (&[(&["here"], &["b"], true), (&["away"], &["a"], true)], &[0]),
        (&[(&["away"], &["a"], true), (&["away"], &["b"], true)], &[0]),
        (&[], &[]),
    ];
    for (hinted, expected) in rows {
        let list: Vec<Value> = hinted
            .iter()
            .enumerate()
            .map(|(index, (nodes, zones, ready))| {
                let mut endpoint = endpoint(index, if *ready { "away ready" } else { "away unready" });
                let names = |names: &[&str]| names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>();
                endpoint["hints"] = json!({ "forNodes": names(nodes), "forZones": names(zones) });
                endpoint
            })
            .collect();
        let endpoints = endpoints_of([&slice(json!(list))], &service(json!({})).ports[0], true);
        assert_eq!(Selection::of(&endpoints, &here()).cluster, *expected, "{hinted:?}");
    }
}

#[test]
fn hints_do_not_hold_for_endpoints_that_terminate() {
    let mut ending = endpoint(0, "away terminating");
    ending["hints"] = json!({ "forZones": [{ "name": "b" }] });
    let endpoints = endpoints_of([&slice(json!([ending]))], &service(json!({})).ports[0], true);
    assert_eq!(Selection::of(&endpoints, &here()).cluster, [0]);
}

#[test]
fn an_endpoint_in_two_slices_counts_once_in_its_better_state() {
    let (old, new) = (slice(json!([endpoint(0, "here unready")])), slice(json!([endpoint(0, "here ready")])));
    for slices in [[&old, &new], [&new, &old]] {
        let endpoints = endpoints_of(slices, &service(json!({})).ports[0], true);
        assert_eq!(endpoints.len(), 1);
        assert_eq!(endpoints[0].state, EndpointState::Ready);
    }
}

#[test]
fn a_port_takes_endpoints_of_its_own_name_protocol_and_family() {
    let service = service(json!({ "ports": [
        { "name": "http", "port": 80 }, { "name": "dns", "port": 53, "protocol": "UDP" }, { "name": "none", "port": 1 },
    ] }));
    let mut slice = slice(json!([endpoint(0, "here ready")]));
    slice.ports.push(SlicePort { name: "dns".into(), protocol: Protocol::Udp, port: 5353 });
    slice.ports.push(SlicePort { name: "dns".into(), protocol: Protocol::Tcp, port: 9 });
    let ports_of = |index: usize, is_ipv4| {
        endpoints_of([&slice], &service.ports[index], is_ipv4).iter().map(|it| it.port).collect::<Vec<_>>()
    };
    assert_eq!(ports_of(0, true), [8080]);
    assert_eq!(ports_of(1, true), [5353]);
    assert_eq!(ports_of(2, true), [0_u16; 0]);
    assert_eq!(ports_of(0, false), [0_u16; 0]);
}

#[test]
fn a_dual_stack_service_has_frontends_of_both_families() {
    let service = service(json!({
        "clusterIPs": ["10.96.0.5", "fd00::5"], "externalIPs": ["198.51.100.1"],
        "loadBalancerSourceRanges": [" 192.0.2.0/24"],
    }));
    let of = |is_ipv4| {
        frontends(&service, &service.ports[0], is_ipv4, &Selection::default())
            .into_iter()
            .map(|it| (it.exposure, it.address, it.port, it.is_filtered))
            .collect::<Vec<_>>()
    };
    let ip = |text: &str| FrontendAddress::Ip(text.parse::<IpAddr>().unwrap());
    assert_eq!(
        of(true),
        [
            (Exposure::ClusterIp, ip("10.96.0.5"), 80, false),
            (Exposure::ExternalIp, ip("198.51.100.1"), 80, false),
            (Exposure::LoadBalancer, ip("192.0.2.1"), 80, true),
            (Exposure::NodePort, FrontendAddress::Node { is_ipv4: true }, 30080, false),
        ]
    );
    assert_eq!(
        of(false),
        [
            (Exposure::ClusterIp, ip("fd00::5"), 80, false),
            (Exposure::NodePort, FrontendAddress::Node { is_ipv4: false }, 30080, false),
        ]
    );
}

#[test]
fn what_no_node_serves_is_left_out() {
    for (labels, spec) in [
        (json!({}), json!({ "clusterIP": "None" })),
        (json!({}), json!({ "clusterIP": "" })),
        (json!({}), json!({})),
        (json!({}), json!({ "type": "ExternalName", "externalName": "example.org" })),
        (json!({ "service.kubernetes.io/service-proxy-name": "other" }), json!({ "clusterIP": "10.96.0.1" })),
    ] {
        let object = json!({ "metadata": { "name": "a", "namespace": "b", "labels": labels }, "spec": spec });
        let object: core::Service = serde_json::from_value(object).unwrap();
        assert_eq!(Service::read(&object), (None, vec![]), "{spec}");
    }
    for (labels, kind) in [
        (json!({}), "IPv4"),
        (json!({ "kubernetes.io/service-name": "a" }), "FQDN"),
        (json!({ "kubernetes.io/service-name": "a", "service.kubernetes.io/headless": "" }), "IPv4"),
        (json!({ "kubernetes.io/service-name": "a", "service.kubernetes.io/service-proxy-name": "b" }), "IPv4"),
    ] {
        let object = json!({ "metadata": { "labels": labels }, "addressType": kind, "endpoints": [] });
        let object: discovery::EndpointSlice = serde_json::from_value(object).unwrap();
        assert_eq!(Slice::read(&object), (None, vec![]), "{labels} {kind}");
    }
}

#[test]
fn a_field_that_cannot_be_read_is_named_and_the_rest_is_served() {
    let object: core::Service = serde_json::from_value(json!({
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": {
            "clusterIP": "10.96.0.5", "externalIPs": ["here", "192.0.2.7"],
            "ports": [{ "port": 0 }, { "port": 80, "protocol": "DCCP" }, { "port": 80, "nodePort": 70000 }],
            "sessionAffinity": "ClientIP",
        },
        "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.1", "ipMode": "Proxy" }, { "hostname": "lb.example" }] } },
    }))
    .unwrap();
    let (service, complaints) = Service::read(&object);
    let service = service.unwrap();
    assert_eq!(service.external_ips, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
    assert_eq!(service.load_balancer_ips, [] as [IpAddr; 0]);
    assert_eq!(service.affinity, Affinity::ClientIp(Duration::from_secs(10_800)));
    assert_eq!(service.ports, [ServicePort { name: "".into(), protocol: Protocol::Tcp, port: 80, node_port: None }]);
    let complaints: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    assert_eq!(complaints.len(), 4, "{complaints:?}");
    assert_eq!(
        complaints[0],
        "Service shop/web: spec.externalIPs is \"here\", which is left out: it must be an IP address"
    );
}
