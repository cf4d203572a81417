//! What each directive does, to the kinds that people patch.

use serde_json::json;
use sheave_api::Document;
use sheave_api::schema::Arena;

use super::apply;

fn patched(kind: &str, target: &Document, patch: &Document) -> Result<Document, String> {
    let arena = Arena::builtin();
    let root = arena.named(&format!("io.k8s.api.{kind}")).expect("a built-in kind");
    apply(arena, root, target.clone(), patch.clone()).map_err(|error| error.to_string())
}

#[track_caller]
fn check(what: &str, kind: &str, target: Document, patch: Document, expected: Document) {
    assert_eq!(patched(kind, &target, &patch), Ok(expected), "{what}");
}

#[track_caller]
fn check_pod(what: &str, target: Document, patch: Document, expected: Document) {
    check(what, "core.v1.Pod", json!({"spec": target}), json!({"spec": patch}), json!({"spec": expected}));
}

#[track_caller]
fn check_refused(what: &str, target: Document, patch: Document, message: &str) {
    let refused = patched("core.v1.Pod", &json!({"spec": target}), &json!({"spec": patch}));
    assert_eq!(refused, Err(message.to_owned()), "{what}");
}

fn containers(names: &[&str]) -> Document {
    names.iter().map(|name| json!({"name": name})).collect()
}

#[test]
fn objects_merge_and_null_deletes() {
    check(
        "a field changes, a field goes, the others stay",
        "core.v1.Service",
        json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"type": "ClusterIP", "selector": {"app": "x"}}}),
        json!({"metadata": {"labels": {"a": null, "c": "3"}}, "spec": {"type": "NodePort"}}),
        json!({"metadata": {"labels": {"b": "2", "c": "3"}}, "spec": {"type": "NodePort", "selector": {"app": "x"}}}),
    );
    check(
        "kubectl set selector replaces a map key by key",
        "core.v1.Service",
        json!({"spec": {"selector": {"app": "web"}}}),
        json!({"spec": {"selector": {"a": "b", "app": null}}}),
        json!({"spec": {"selector": {"a": "b"}}}),
    );
    check(
        "nulls in a value that is new are no fields",
        "core.v1.Pod",
        json!({}),
        json!({"spec": {"nodeName": null, "securityContext": {"runAsUser": null, "fsGroup": 1}}}),
        json!({"spec": {"securityContext": {"fsGroup": 1}}}),
    );
}

#[test]
fn lists_of_objects_merge_by_their_key() {
    check_pod(
        "a known container changes, a new one follows it as in the patch, the others stay",
        json!({"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:1"}]}),
        json!({"containers": [{"name": "b", "image": "y:2"}, {"name": "c", "image": "z"}]}),
        json!({"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:2"}, {"name": "c", "image": "z"}]}),
    );
    check_pod(
        "lists merge inside of merged elements, what is new first",
        json!({"containers": [{"name": "a", "env": [{"name": "A", "value": "1"}], "args": ["x"]}]}),
        json!({"containers": [{"name": "a", "env": [{"name": "B", "value": "2"}], "args": ["y"]}]}),
        json!({"containers": [{"name": "a", "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}], "args": ["y"]}]}),
    );
    check_pod(
        "a list without a strategy is replaced",
        json!({"tolerations": [{"key": "a", "operator": "Exists"}]}),
        json!({"tolerations": [{"key": "b", "operator": "Exists"}]}),
        json!({"tolerations": [{"key": "b", "operator": "Exists"}]}),
    );
    check(
        "service ports merge by port",
        "core.v1.Service",
        json!({"spec": {"ports": [{"port": 80, "targetPort": 8080}]}}),
        json!({"spec": {"ports": [{"port": 80, "nodePort": 30080}, {"port": 443}]}}),
        json!({"spec": {"ports": [{"port": 80, "targetPort": 8080, "nodePort": 30080}, {"port": 443}]}}),
    );
    check(
        "conditions merge by type",
        "core.v1.Node",
        json!({"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}]}}),
        json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
        json!({"status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "DiskPressure", "status": "False"}]}}),
    );
}

#[test]
fn patched_elements_take_the_order_of_the_patch_and_the_rest_keeps_its_own() {
    for (live, patch, expected) in [
        (&["a", "b", "c"][..], &["c", "a"][..], &["b", "c", "a"][..]),
        (&["a", "b", "c"], &["x"], &["x", "a", "b", "c"]),
        (&["a", "b"], &["b", "x"], &["a", "b", "x"]),
        (&["a"], &[], &["a"]),
    ] {
        check_pod(
            &format!("{patch:?} into {live:?}"),
            json!({"containers": containers(live)}),
            json!({"containers": containers(patch)}),
            json!({"containers": containers(expected)}),
        );
    }
}

#[test]
fn patch_directives_replace_and_delete() {
    check_pod(
        "$patch: delete takes an element out",
        json!({"containers": containers(&["a", "b"])}),
        json!({"containers": [{"name": "a", "$patch": "delete"}]}),
        json!({"containers": containers(&["b"])}),
    );
    check_pod(
        "deleting what is not there is no error",
        json!({"containers": containers(&["a"])}),
        json!({"containers": [{"name": "x", "$patch": "delete"}]}),
        json!({"containers": containers(&["a"])}),
    );
    check_pod(
        "$patch: replace in a list replaces it",
        json!({"containers": containers(&["a", "b"])}),
        json!({"containers": [{"name": "c"}, {"$patch": "replace"}]}),
        json!({"containers": containers(&["c"])}),
    );
    check_pod(
        "$patch: replace in an object replaces it",
        json!({"nodeSelector": {"a": "1", "b": "2"}}),
        json!({"nodeSelector": {"c": "3", "$patch": "replace"}}),
        json!({"nodeSelector": {"c": "3"}}),
    );
    check_pod(
        "$patch: delete in an object empties it",
        json!({"nodeSelector": {"a": "1"}}),
        json!({"nodeSelector": {"$patch": "delete"}}),
        json!({"nodeSelector": {}}),
    );
    check_pod(
        "directives in a value that is new leave nothing behind",
        json!({}),
        json!({"nodeSelector": {"$patch": "delete"}, "containers": [{"name": "a"}, {"name": "b", "$patch": "delete"}]}),
        json!({"containers": containers(&["a"])}),
    );
    check(
        "$patch: replace at the root replaces everything",
        "core.v1.ConfigMap",
        json!({"data": {"a": "1"}}),
        json!({"$patch": "replace", "data": {"b": "2"}}),
        json!({"data": {"b": "2"}}),
    );
}

#[test]
fn retain_keys_drops_the_fields_of_another_member_of_a_union() {
    check(
        "a Deployment changes from RollingUpdate to Recreate",
        "apps.v1.Deployment",
        json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}),
        json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
        json!({"spec": {"strategy": {"type": "Recreate"}}}),
    );
    check_pod(
        "a volume changes from one source to another",
        json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "emptyDir": {}}]}),
        json!({"$setElementOrder/volumes": [{"name": "v"}, {"name": "w"}],
               "volumes": [{"$retainKeys": ["name", "configMap"], "name": "v", "configMap": {"name": "c"}}]}),
        json!({"volumes": [{"name": "v", "configMap": {"name": "c"}}, {"name": "w", "emptyDir": {}}]}),
    );
    for bad in [json!("type"), json!([]), json!(["rollingUpdate"])] {
        let refused = patched(
            "apps.v1.Deployment",
            &json!({"spec": {"strategy": {"type": "RollingUpdate"}}}),
            &json!({"spec": {"strategy": {"$retainKeys": bad, "type": "Recreate"}}}),
        );
        assert_eq!(refused, Err("invalid patch format of retainKeys".to_owned()), "{bad}");
    }
}

#[test]
fn lists_of_scalars_merge_as_sets() {
    let finalizers = |list: Document| json!({"metadata": {"finalizers": list}});
    check(
        "what is new is added once",
        "core.v1.Pod",
        finalizers(json!(["a", "b"])),
        finalizers(json!(["b", "c", "c"])),
        finalizers(json!(["a", "b", "c"])),
    );
    check(
        "$deleteFromPrimitiveList takes out",
        "core.v1.Pod",
        finalizers(json!(["a", "b", "c"])),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a", "x"]}}),
        finalizers(json!(["b", "c"])),
    );
    check(
        "one patch deletes, adds and orders",
        "core.v1.Pod",
        finalizers(json!(["a", "b", "server"])),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["c", "b"],
                            "finalizers": ["c"]}}),
        finalizers(json!(["c", "b", "server"])),
    );
    check(
        "deleting from a list that is not there is no error",
        "core.v1.Pod",
        json!({"metadata": {}}),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}),
        json!({"metadata": {}}),
    );
}

#[test]
fn set_element_order_orders_and_keeps_what_only_the_server_has() {
    let order = |names: &[&str]| containers(names);
    for (what, live, patch, set, expected) in [
        ("without content it only orders", &["a", "b", "c"][..], &[][..], &["c", "b", "a"][..], &["c", "b", "a"][..]),
        ("the order may name more than the patch", &["a", "b"], &["c"], &["c", "a", "b"], &["c", "a", "b"]),
        ("an injected sidecar keeps its place", &["a", "sidecar", "b"], &[], &["a", "b"], &["a", "sidecar", "b"]),
        ("an injected sidecar gives way", &["a", "sidecar", "b"], &["b"], &["b", "a"], &["sidecar", "b", "a"]),
        ("into nothing", &[], &["b", "a"], &["b", "a"], &["b", "a"]),
        ("an order of what is gone is no error", &["a"], &[], &["x", "a"], &["a"]),
    ] {
        check_pod(
            what,
            json!({"containers": containers(live)}),
            json!({"$setElementOrder/containers": order(set), "containers": containers(patch)}),
            json!({"containers": containers(expected)}),
        );
    }
}

#[test]
fn kubectl_apply_of_the_traced_deployment_gives_what_the_file_says() {
    let live = json!({
        "metadata": {"name": "dep2", "labels": {"app": "web"}, "annotations": {"deployment.kubernetes.io/revision": "1"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"restartPolicy": "Always", "containers": [
                {"name": "injected", "image": "proxy"},
                {"name": "c", "image": "busybox", "imagePullPolicy": "Always", "resources": {}},
            ]},
        }},
        "status": {"replicas": 1},
    });
    let patch = json!({
        "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}\n"}},
        "spec": {"replicas": 3, "template": {"spec": {
            "$setElementOrder/containers": [{"name": "c"}],
            "containers": [{"image": "nginx", "name": "c"}],
        }}},
    });
    let result = patched("apps.v1.Deployment", &live, &patch).unwrap();
    assert_eq!(result.pointer("/spec/replicas"), Some(&json!(3)));
    assert_eq!(
        result.pointer("/spec/template/spec/containers"),
        Some(&json!([
            {"name": "injected", "image": "proxy"},
            {"name": "c", "image": "nginx", "imagePullPolicy": "Always", "resources": {}},
        ]))
    );
    assert_eq!(result.pointer("/spec/template/spec/restartPolicy"), Some(&json!("Always")));
    assert_eq!(result.pointer("/status"), live.pointer("/status"));
    assert_eq!(result.pointer("/metadata/annotations/deployment.kubernetes.io~1revision"), Some(&json!("1")));
}

#[test]
fn a_kubectl_rollout_restart_touches_one_annotation() {
    check(
        "restartedAt appears beside what is there",
        "apps.v1.Deployment",
        json!({"spec": {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers(&["c"])}}}}),
        json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}),
        json!({"spec": {"template": {
            "metadata": {"labels": {"app": "web"}, "annotations": {"kubectl.kubernetes.io/restartedAt": "now"}},
            "spec": {"containers": containers(&["c"])},
        }}}),
    );
}

#[test]
fn a_disruption_budget_replaces_its_selector_whole() {
    check(
        "the field's strategy is replace",
        "policy.v1.PodDisruptionBudget",
        json!({"spec": {"selector": {"matchLabels": {"a": "1"}}}}),
        json!({"spec": {"selector": {"matchLabels": {"b": "2"}}}}),
        json!({"spec": {"selector": {"matchLabels": {"b": "2"}}}}),
    );
}

#[test]
fn a_bad_patch_is_refused_in_kubernetes_words() {
    let live = || json!({"containers": [{"name": "a"}], "nodeSelector": {"x": "y"}});
    for (what, patch, message) in [
        (
            "an element without its key",
            json!({"containers": [{"image": "nginx"}]}),
            "map: map[image:nginx] does not contain declared merge key: name",
        ),
        (
            "an element to delete without its key",
            json!({"containers": [{"$patch": "delete"}]}),
            "map: map[$patch:delete] does not contain declared merge key: name",
        ),
        (
            "an unknown directive",
            json!({"nodeSelector": {"$patch": "burn", "a": "b"}}),
            "unknown patch type: burn in map: map[$patch:burn a:b]",
        ),
        (
            "a directive that lists do not have",
            json!({"containers": [{"name": "a", "$patch": "merge"}]}),
            "merging lists cannot yet be specified in the patch",
        ),
        (
            "a mixed list",
            json!({"containers": [{"name": "b"}, "c"]}),
            "list element types are not identical: [[map[name:a]] [map[name:b] c]]",
        ),
        (
            "a list of scalars for a list of objects",
            json!({"containers": ["x"]}),
            "list element types are not identical: [[map[name:a]] [x]]",
        ),
        (
            "a deletion without a list",
            json!({"$deleteFromPrimitiveList": []}),
            "invalid patch format of primitive list",
        ),
        ("an order without a list", json!({"$setElementOrder": []}), "invalid patch format of setElementOrder list"),
        (
            "an order that is no list",
            json!({"$setElementOrder/containers": {}}),
            "expected a []interface {}, but received a map[string]interface {}",
        ),
        (
            "an order of an unknown list",
            json!({"$setElementOrder/contaners": []}),
            "unable to find api field in struct PodSpec for the json field \"contaners\"",
        ),
        (
            "an order that contradicts the patch",
            json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "c"}], "containers": [{"name": "c"}, {"name": "b"}]}),
            "The order in patch list:\n[map[name:c] map[name:b]]\n doesn't match $setElementOrder list:\n[map[name:b] map[name:c]]\n",
        ),
    ] {
        check_refused(what, live(), patch, message);
    }
    check_refused(
        "a list of lists",
        json!({"containers": [["a"]]}),
        json!({"containers": [["b"]]}),
        "lists of lists are not supported",
    );
    let refused = patched("core.v1.Pod", &json!({}), &json!([]));
    assert_eq!(refused, Err("invalid JSON document".to_owned()));
}

#[test]
fn a_long_list_merges_in_reasonable_time() {
    let names = (0..20_000).map(|index| format!("c{index}")).collect::<Vec<_>>();
    let names = names.iter().map(String::as_str).collect::<Vec<_>>();
    let reversed = names.iter().rev().copied().collect::<Vec<_>>();
    check_pod(
        "twenty thousand containers are turned round",
        json!({"containers": containers(&names)}),
        json!({"$setElementOrder/containers": containers(&reversed), "containers": containers(&reversed)}),
        json!({"containers": containers(&reversed)}),
    );
}
