//! Stories of objects that several writers share.

use serde_json::json;
use sheave_api::Document;

use super::Tracked;
use super::scenario::Story;

fn web(replicas: u32, image: &str) -> Document {
    json!({"spec": {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": image}]},
        },
    }})
}

fn with_containers(containers: Document) -> Document {
    json!({"spec": {"template": {"spec": {"containers": containers}}}})
}

const CONTAINERS: &str = "/spec/template/spec/containers";

#[test]
fn an_applier_owns_the_leaves_the_elements_and_the_keys_that_it_applied() {
    let mut story = Story::of_a_deployment();
    story.apply("kubectl", web(3, "nginx"));
    assert_eq!(
        story.value("/metadata/managedFields").unwrap(),
        json!([{
            "manager": "kubectl", "operation": "Apply", "apiVersion": "apps/v1", "time": "2026-01-01T00:00:01Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {
                "f:replicas": {},
                "f:selector": {},
                "f:template": {
                    "f:metadata": {"f:labels": {"f:app": {}}},
                    "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:image": {}}}},
                },
            }},
        }])
    );
}

#[test]
fn a_changed_field_of_another_applier_is_a_conflict_and_stays() {
    let mut story = Story::of_a_deployment();
    story.apply("alice", web(3, "nginx"));
    let error = story.refused("bob", json!({"spec": {"replicas": 5}}));
    assert_eq!(error.to_string(), "Apply failed with 1 conflict: conflict with \"alice\": .spec.replicas");
    assert_eq!((error.code(), error.reason()), (409, "Conflict"));
    let causes = error.causes();
    assert_eq!(
        (causes[0].reason, causes[0].message.as_str(), causes[0].field.as_str()),
        ("FieldManagerConflict", "conflict with \"alice\"", ".spec.replicas")
    );
}

#[test]
fn conflicts_name_the_version_of_updaters_and_list_every_field_by_manager() {
    let mut story = Story::of_a_deployment();
    story.update("kubectl-create", web(3, "nginx"));
    story.update_through("scale", Tracked::Everything, "kubectl-scale", json!({"spec": {"replicas": 4}}));
    let error = story.refused("bob", web(5, "httpd"));
    assert_eq!(
        error.to_string(),
        "Apply failed with 2 conflicts: conflicts with \"kubectl-create\" using apps/v1:\n\
         - .spec.template.spec.containers[name=\"c\"].image\n\
         conflicts with \"kubectl-scale\" with subresource \"scale\" using apps/v1:\n\
         - .spec.replicas"
    );
    let error = story.refused("bob", json!({"spec": {"replicas": 5}}));
    assert_eq!(error.causes()[0].message, "conflict with \"kubectl-scale\" with subresource \"scale\" using apps/v1");
}

#[test]
fn force_takes_the_field_from_its_owner() {
    let mut story = Story::of_a_deployment();
    story.apply("alice", web(3, "nginx"));
    story.force("bob", json!({"spec": {"replicas": 5}}));
    assert_eq!(story.value("/spec/replicas"), Some(json!(5)));
    assert_eq!(story.owners(".spec.replicas"), ["bob"]);
    assert_eq!(story.owners(".spec.selector"), ["alice"]);
}

#[test]
fn equal_values_are_owned_together_and_go_with_the_last_owner() {
    let mut story = Story::of_a_deployment();
    story.apply("alice", web(3, "nginx"));
    story.apply("bob", json!({"spec": {"replicas": 3}}));
    assert_eq!(story.owners(".spec.replicas"), ["alice", "bob"]);

    let mut without = web(3, "nginx");
    without["spec"].as_object_mut().unwrap().remove("replicas");
    story.apply("alice", without);
    assert_eq!(story.value("/spec/replicas"), Some(json!(3)), "bob still applies it");
    assert_eq!(story.owners(".spec.replicas"), ["bob"]);

    story.apply("bob", json!({}));
    assert_eq!(story.value("/spec/replicas"), None);
    assert!(story.owners(".spec.replicas").is_empty());
}

#[test]
fn what_is_no_longer_applied_goes_and_its_empty_parents_with_it() {
    let mut story = Story::of_a_deployment();
    let mut applied = web(3, "nginx");
    applied["metadata"] = json!({"annotations": {"a": "1"}, "labels": {"x": "1", "y": "2"}});
    applied["spec"]["template"]["spec"]["nodeSelector"] = json!({"disk": "ssd"});
    story.apply("alice", applied);
    let mut applied = web(3, "nginx");
    applied["metadata"] = json!({"labels": {"y": "2"}});
    story.apply("alice", applied);
    assert_eq!(story.value("/metadata/annotations"), None);
    assert_eq!(story.value("/metadata/labels"), Some(json!({"y": "2"})));
    assert_eq!(story.value("/spec/template/spec/nodeSelector"), None);
}

#[test]
fn what_others_set_stays_when_an_applier_lets_go() {
    let mut story = Story::of_a_deployment();
    let mut applied = web(3, "nginx");
    applied["metadata"] = json!({"labels": {"mine": "1"}});
    story.apply("alice", applied);
    story.update("controller", json!({"metadata": {"labels": {"theirs": "2"}}}));
    story.apply("alice", web(3, "nginx"));
    assert_eq!(story.value("/metadata/labels"), Some(json!({"theirs": "2"})));
}

#[test]
fn two_managers_share_containers_and_each_removes_only_its_own() {
    let mut story = Story::of_a_deployment();
    story.apply("team", with_containers(json!([{"name": "app", "image": "app:1"}])));
    story.apply("mesh", with_containers(json!([{"name": "proxy", "image": "proxy:1"}])));
    assert_eq!(
        story.value(CONTAINERS),
        Some(json!([{"name": "app", "image": "app:1"}, {"name": "proxy", "image": "proxy:1"}]))
    );

    story.apply("team", with_containers(json!([{"name": "app", "image": "app:2"}])));
    assert_eq!(
        story.value(CONTAINERS),
        Some(json!([{"name": "app", "image": "app:2"}, {"name": "proxy", "image": "proxy:1"}]))
    );

    story.apply("mesh", json!({}));
    assert_eq!(story.value(CONTAINERS), Some(json!([{"name": "app", "image": "app:2"}])));
}

#[test]
fn two_managers_share_one_containers_environment() {
    let mut story = Story::of_a_deployment();
    story.apply(
        "team",
        with_containers(json!([{"name": "app", "image": "app:1", "env": [{"name": "A", "value": "1"}]}])),
    );
    story.apply("ops", with_containers(json!([{"name": "app", "env": [{"name": "B", "value": "2"}]}])));
    let env = || "/spec/template/spec/containers/0/env";
    assert_eq!(story.value(env()), Some(json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])));

    let error = story.refused("ops", with_containers(json!([{"name": "app", "env": [{"name": "A", "value": "9"}]}])));
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"team\": \
         .spec.template.spec.containers[name=\"app\"].env[name=\"A\"].value"
    );

    story.apply("ops", with_containers(json!([{"name": "app"}])));
    assert_eq!(story.value(env()), Some(json!([{"name": "A", "value": "1"}])));
    story.apply("team", json!({}));
    assert_eq!(story.value(CONTAINERS), Some(json!([{"name": "app"}])), "ops still applies the container itself");
}

#[test]
fn a_port_is_known_by_its_number_and_its_protocol_which_is_tcp_unless_it_says_otherwise() {
    let mut story = Story::of_a_service();
    story.apply("alice", json!({"spec": {"ports": [{"port": 53, "name": "dns-tcp"}]}}));
    story.apply("bob", json!({"spec": {"ports": [{"port": 53, "protocol": "UDP", "name": "dns"}]}}));
    assert_eq!(story.value("/spec/ports").unwrap().as_array().unwrap().len(), 2);
    assert_eq!(story.owners(".spec.ports[port=53,protocol=\"TCP\"].name"), ["alice"]);
    assert_eq!(story.owners(".spec.ports[port=53,protocol=\"UDP\"].name"), ["bob"]);

    // The server's default makes the implied protocol explicit; it is still the same port.
    story.update(
        "kube-apiserver",
        json!({"spec": {"ports": [
        {"port": 53, "name": "dns-tcp", "protocol": "TCP"}, {"port": 53, "protocol": "UDP", "name": "dns"}]}}),
    );
    story.apply("alice", json!({"spec": {"ports": [{"port": 53, "name": "dns-tcp", "targetPort": 5353}]}}));
    assert_eq!(
        story.value("/spec/ports/0"),
        Some(json!({"port": 53, "name": "dns-tcp", "protocol": "TCP", "targetPort": 5353}))
    );
}

#[test]
fn sets_merge_and_atomic_values_have_one_owner() {
    let mut story = Story::of_a_service();
    story.apply("alice", json!({"metadata": {"finalizers": ["a.io/x"]}, "spec": {"selector": {"app": "web"}, "externalIPs": ["1.1.1.1"]}}));
    story.apply("bob", json!({"metadata": {"finalizers": ["b.io/y"]}}));
    assert_eq!(story.value("/metadata/finalizers"), Some(json!(["a.io/x", "b.io/y"])));
    story.apply("bob", json!({}));
    assert_eq!(story.value("/metadata/finalizers"), Some(json!(["a.io/x"])));

    let error = story.refused("bob", json!({"spec": {"selector": {"tier": "front"}, "externalIPs": ["2.2.2.2"]}}));
    assert_eq!(
        error.to_string(),
        "Apply failed with 2 conflicts: conflicts with \"alice\":\n- .spec.externalIPs\n- .spec.selector"
    );
    story.force("bob", json!({"spec": {"selector": {"tier": "front"}}}));
    assert_eq!(story.value("/spec/selector"), Some(json!({"tier": "front"})));
}

#[test]
fn an_update_owns_what_it_changed_and_nothing_else() {
    let mut story = Story::of_a_deployment();
    story.apply("alice", web(3, "nginx"));
    story.update("hpa", json!({"spec": {"replicas": 7}}));
    assert_eq!(story.owners(".spec.replicas"), ["~hpa"]);
    assert_eq!(story.fields_of("hpa"), json!({"f:spec": {"f:replicas": {}}}));
    assert_eq!(story.owners(".spec.selector"), ["alice"]);
    let error = story.refused("alice", web(3, "nginx"));
    assert_eq!(error.to_string(), "Apply failed with 1 conflict: conflict with \"hpa\" using apps/v1: .spec.replicas");
}

#[test]
fn a_removal_by_an_update_takes_the_field_from_everybody() {
    let mut story = Story::of_a_config_map();
    story.apply("alice", json!({"data": {"a": "1", "b": "2"}}));
    let before = story.time_of("alice");
    story.update("bob", json!({"data": {"a": null}}));
    assert_eq!(story.fields_of("alice"), json!({"f:data": {"f:b": {}}}));
    assert_eq!(story.fields_of("bob"), json!({}), "removing leaves nothing to own");
    assert_eq!(story.time_of("alice"), before);
    story.apply("alice", json!({"data": {"a": "1", "b": "2"}}));
    assert_eq!(story.owners(".data.a"), ["alice"]);
}

#[test]
fn a_created_object_is_owned_by_its_creator_as_kubernetes_writes_it() {
    let mut story = Story::of_a_deployment();
    let mut created = web(1, "nginx");
    created["metadata"] =
        json!({"labels": {"app": "web"}, "creationTimestamp": "2026-01-01T00:00:00Z", "uid": "u", "generation": 1});
    created["spec"]["strategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}});
    created["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "protocol": "TCP"}]);
    story.update("kubectl-create", created);
    assert_eq!(
        story.fields_of("kubectl-create"),
        json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {
                "f:replicas": {},
                "f:selector": {},
                "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}},
                "f:template": {
                    "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                    "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {
                        ".": {}, "f:image": {}, "f:name": {},
                        "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
                            ".": {}, "f:containerPort": {}, "f:protocol": {},
                        }},
                    }}},
                },
            },
        })
    );
}

#[test]
fn status_writers_have_entries_of_their_own_and_own_only_status() {
    let mut story = Story::of_a_deployment();
    story.apply("alice", web(3, "nginx"));
    story.update_status("kube-controller-manager", json!({"spec": {"replicas": 9}, "status": {"replicas": 3}}));
    let managers = story.managers();
    let (id, managed) = managers.iter().find(|(id, _)| id.name == "kube-controller-manager").unwrap();
    assert_eq!(id.subresource, "status");
    assert_eq!(managed.fields.to_document(), json!({"f:status": {"f:replicas": {}}}));
    assert_eq!(story.owners(".spec.replicas"), ["alice"], "the status subresource changes no spec");

    story.update("bob", json!({"status": {"replicas": 4}}));
    assert_eq!(story.owners(".status.replicas"), ["~kube-controller-manager"], "nor the object itself a status");
}

#[test]
fn applying_the_same_again_changes_nothing_at_all() {
    let mut story = Story::of_a_deployment();
    story.apply("alice", web(3, "nginx"));
    story.update("controller", json!({"metadata": {"annotations": {"deployment.kubernetes.io/revision": "1"}}}));
    let before = story.live.clone();
    story.apply("alice", web(3, "nginx"));
    assert_eq!(story.live, before);
    story.update("controller", json!({}));
    assert_eq!(story.live, before);
}

#[test]
fn the_time_of_an_entry_is_that_of_its_last_change() {
    let mut story = Story::of_a_deployment();
    story.apply("alice", web(3, "nginx"));
    story.apply("bob", json!({"spec": {"replicas": 3}}));
    assert_eq!(story.time_of("alice").as_deref(), Some("2026-01-01T00:00:01Z"));
    assert_eq!(story.time_of("bob").as_deref(), Some("2026-01-01T00:00:02Z"), "bob became an owner");
    story.apply("bob", json!({"spec": {"replicas": 3}}));
    assert_eq!(story.time_of("bob").as_deref(), Some("2026-01-01T00:00:02Z"));
    story.apply("bob", json!({"spec": {"replicas": 3, "paused": true}}));
    assert_eq!(story.time_of("bob").as_deref(), Some("2026-01-01T00:00:04Z"));
}

#[test]
fn an_object_that_nobody_manages_belongs_to_before_first_apply() {
    let mut story = Story::of_a_config_map();
    story.live = Some(story.document(json!({"metadata": {"uid": "u"}, "data": {"a": "1"}})));
    story.update("somebody", json!({"data": {"b": "2"}}));
    assert_eq!(story.value("/metadata/managedFields"), None, "an update does not begin to track");
    story.apply("alice", json!({"data": {"c": "3"}}));
    assert_eq!(story.owners(".data.a"), ["~before-first-apply"]);
    assert_eq!(story.owners(".data.c"), ["alice"]);
    let error = story.refused("alice", json!({"data": {"a": "9"}}));
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a"
    );
}

#[test]
fn an_empty_list_of_managed_fields_forgets_everybody() {
    for reset in [json!([]), json!([{}])] {
        let mut story = Story::of_a_config_map();
        story.apply("alice", json!({"data": {"a": "1"}}));
        story.update("bob", json!({"metadata": {"managedFields": reset}, "data": {"b": "2"}}));
        assert_eq!(story.value("/metadata/managedFields"), None);
        assert_eq!(story.value("/data"), Some(json!({"a": "1", "b": "2"})));
    }
}

#[test]
fn the_list_of_managed_fields_can_be_edited_but_not_broken_and_not_through_a_subresource() {
    let mut story = Story::of_a_config_map();
    story.apply("alice", json!({"data": {"a": "1"}}));
    let mut entries = story.value("/metadata/managedFields").unwrap();
    story.update("bob", json!({"metadata": {"managedFields": [{"operation": "Nonsense"}]}}));
    assert_eq!(story.value("/metadata/managedFields"), Some(entries.clone()), "broken entries are not taken");
    story.update("bob", json!({"metadata": {"managedFields": null}}));
    assert_eq!(story.value("/metadata/managedFields"), Some(entries.clone()), "a client that drops them loses nothing");
    entries[0]["manager"] = json!("carol");
    story.update_status("bob", json!({"metadata": {"managedFields": entries}}));
    assert_eq!(story.owners(".data.a"), ["alice"]);
    story.update("bob", json!({"metadata": {"managedFields": entries}}));
    assert_eq!(story.owners(".data.a"), ["carol"]);
}

#[test]
fn kubectl_takes_over_from_client_side_apply_what_nobody_changed_since() {
    let mut story = Story::of_a_deployment();
    let last_applied = story.document(web(3, "nginx")).to_string();
    let annotated = |replicas, image| {
        let mut document = web(replicas, image);
        document["metadata"] =
            json!({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": last_applied}});
        document
    };
    story.update("kubectl-client-side-apply", annotated(3, "nginx"));
    story.apply("kubectl", web(4, "nginx:2"));
    assert_eq!(story.value("/spec/replicas"), Some(json!(4)));
    assert_eq!(story.owners(".spec.replicas"), ["kubectl"]);
    let annotation = story.value("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration").unwrap();
    let written: Document = serde_json::from_str(annotation.as_str().unwrap()).unwrap();
    assert_eq!(written.pointer("/spec/replicas"), Some(&json!(4)), "a later client-side apply finds the right base");
    assert!(annotation.as_str().unwrap().ends_with('\n'));

    // The second apply of the real kubectl, by another manager, only takes over the annotation.
    story.apply(
        "kubectl-last-applied",
        json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": annotation}}}),
    );
    let mut owners = story.owners(".metadata.annotations.kubectl.kubernetes.io/last-applied-configuration");
    owners.sort();
    assert_eq!(owners, ["kubectl-last-applied", "~kubectl-client-side-apply"]);
}

#[test]
fn kubectl_does_not_take_over_what_somebody_changed_since_the_client_side_apply() {
    let mut story = Story::of_a_deployment();
    let last_applied = story.document(web(3, "nginx")).to_string();
    let mut document = web(3, "nginx");
    document["metadata"] = json!({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": last_applied}});
    story.update("kubectl-client-side-apply", document);
    story.update("hpa", json!({"spec": {"replicas": 8}}));
    let error = story.refused("kubectl", web(4, "nginx:2"));
    assert_eq!(error.to_string(), "Apply failed with 1 conflict: conflict with \"hpa\" using apps/v1: .spec.replicas");
    let error = story.refused("argo", web(3, "nginx:2"));
    assert!(error.to_string().contains("2 conflicts"), "only kubectl may: {error}");
}

#[test]
fn beyond_ten_updates_the_oldest_become_ancient_changes() {
    let mut story = Story::of_a_config_map();
    story.apply("alice", json!({"data": {"x": "1"}}));
    for number in 0..12 {
        let key = format!("k{number:02}");
        story.update(&format!("m{number:02}"), json!({"data": {(key): "v"}}));
    }
    let managers = story.managers();
    let names = managers.iter().map(|(id, _)| id.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["alice", "ancient-changes", "m03", "m04", "m05", "m06", "m07", "m08", "m09", "m10", "m11"]);
    assert_eq!(story.fields_of("ancient-changes"), json!({"f:data": {"f:k00": {}, "f:k01": {}, "f:k02": {}}}));
    assert_eq!(story.time_of("ancient-changes").as_deref(), Some("2026-01-01T00:00:04Z"));
}

#[test]
fn a_bad_apply_is_refused_in_kubernetes_words() {
    let mut story = Story::of_a_deployment();
    story.apply("alice", web(3, "nginx"));
    let typed = "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): ";
    for (fields, message) in [
        (json!({"kind": "Job"}), "invalid object type: apps/v1, Kind=Job".to_owned()),
        (json!({"apiVersion": "v1", "kind": "Pod"}), "invalid object type: /v1, Kind=Pod".to_owned()),
        (json!({"metadata": {"managedFields": []}}), "metadata.managedFields must be nil".to_owned()),
        (json!({"spec": {"replcas": 1}}), format!("{typed}.spec.replcas: field not declared in schema")),
        (
            json!({"spec": {"replicas": "3"}}),
            format!("{typed}.spec.replicas: expected numeric (int or float), got \"3\""),
        ),
        (json!({"spec": []}), format!("{typed}.spec: expected map, got []")),
        (
            with_containers(json!([{"name": "c"}, {"name": "c"}])),
            format!("{typed}.spec.template.spec.containers: duplicate entries for key [name=\"c\"]"),
        ),
        (
            with_containers(json!([{"image": "x"}])),
            format!(
                "{typed}.spec.template.spec.containers: element 0: associative list with keys has an element that \
                 omits all key fields [\"name\"] (and doesn't have default values for any key fields)"
            ),
        ),
        (
            json!({"spec": {"a": 1, "b": 2}}),
            format!("{typed}errors:\n  .spec.a: field not declared in schema\n  .spec.b: field not declared in schema"),
        ),
    ] {
        let error = story.refused("bob", fields);
        assert_eq!((error.code(), error.to_string()), (400, message));
    }
    let error = story.refused("", web(3, "nginx"));
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        (422, "fieldManager: Required value: is required for apply patch")
    );
}

#[test]
fn a_null_in_an_applied_map_keeps_what_is_there() {
    let mut story = Story::of_a_config_map();
    story.apply("alice", json!({"data": {"a": "1"}}));
    let mut applied = story.document(json!({}));
    applied["data"] = Document::Null;
    story.apply_document("bob", &applied);
    assert_eq!(story.value("/data"), Some(json!({"a": "1"})));
}

#[test]
fn a_version_that_is_served_no_more_takes_its_claims_with_it() {
    let mut story = Story::of_a_config_map();
    story.apply("alice", json!({"data": {"a": "1"}}));
    let mut entries = story.value("/metadata/managedFields").unwrap();
    entries[0]["apiVersion"] = json!("v0");
    let live = story.live.as_mut().unwrap();
    live["metadata"]["managedFields"] = entries;
    story.apply("alice", json!({"data": {"b": "2"}}));
    assert_eq!(
        story.value("/data"),
        Some(json!({"a": "1", "b": "2"})),
        "a set in a version that is gone prunes nothing"
    );
    assert_eq!(story.fields_of("alice"), json!({"f:data": {"f:b": {}}}));
}
