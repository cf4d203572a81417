//! From specs to what CRI is told.

use std::path::Path;

use k8s_cri::v1::NamespaceMode::{Container as OfContainer, Node as OfNode, Pod as OfPod, Target as OfTarget};
use k8s_cri::v1::security_profile::ProfileType;
use k8s_cri::v1::{Image, Int64Value, LinuxContainerSecurityContext};
use serde_json::{Value, json};

use super::*;

fn pod(spec: Value) -> Pod {
    let metadata = json!({"name": "web", "namespace": "shop", "uid": "u-1"});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

fn with_contexts(pod_context: Value, container_context: Value) -> Pod {
    let container = json!({"name": "c", "securityContext": container_context});
    pod(json!({"containers": [container], "securityContext": pod_context}))
}

fn first(pod: &Pod) -> &Container {
    &pod.spec.as_ref().unwrap().containers[0]
}

fn made(pod: &Pod, image: &ImageUser) -> LinuxContainerSecurityContext {
    container_context(pod, first(pod), image, None, Path::new("/profiles"))
}

fn value(value: Option<&Int64Value>) -> Option<i64> {
    value.map(|value| value.value)
}

#[test]
fn the_containers_user_wins_then_the_pods_then_the_images() {
    let table = [
        (json!({}), json!({}), ImageUser::Id(7), Some(7), ""),
        (json!({}), json!({}), ImageUser::Name("www".into()), None, "www"),
        (json!({"runAsUser": 5}), json!({}), ImageUser::Name("www".into()), Some(5), ""),
        (json!({"runAsUser": 5}), json!({"runAsUser": 0}), ImageUser::Id(7), Some(0), ""),
    ];
    for (of_pod, of_container, image, user, name) in table {
        let made = made(&with_contexts(of_pod.clone(), of_container.clone()), &image);
        assert_eq!(value(made.run_as_user.as_ref()), user, "{of_pod} {of_container}");
        assert_eq!(made.run_as_username, name, "{of_pod} {of_container}");
    }
}

#[test]
fn groups_are_those_of_the_pod_with_the_volumes_group_first() {
    let pod = with_contexts(json!({"fsGroup": 2000, "supplementalGroups": [10, 11], "runAsGroup": 3}), json!({}));
    let container = made(&pod, &ImageUser::Id(0));
    assert_eq!(container.supplemental_groups, [2000, 10, 11]);
    assert_eq!(value(container.run_as_group.as_ref()), Some(3));
    let sandbox = sandbox_context(&pod);
    assert_eq!(sandbox.supplemental_groups, [2000, 10, 11]);
    assert_eq!(sandbox.run_as_group, None, "a group without a user is the containers' alone");
}

#[test]
fn an_ordinary_container_is_masked_and_unconfined_by_seccomp() {
    let made = made(&with_contexts(json!({}), json!({})), &ImageUser::Id(0));
    assert!(made.masked_paths.contains(&"/proc/kcore".to_owned()));
    assert!(made.readonly_paths.contains(&"/proc/sys".to_owned()));
    assert_eq!(made.seccomp.unwrap().profile_type(), ProfileType::Unconfined);
    assert!(!made.privileged && !made.no_new_privs && !made.readonly_rootfs);
    assert_eq!(made.capabilities, None);
}

#[test]
fn a_hardened_container_is_told_so() {
    let hardened = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
        "procMount": "Unmasked",
    });
    let pod = with_contexts(json!({"seccompProfile": {"type": "RuntimeDefault"}}), hardened);
    let made = made(&pod, &ImageUser::Id(0));
    assert!(made.no_new_privs && made.readonly_rootfs);
    let capabilities = made.capabilities.unwrap();
    assert_eq!(capabilities.add_capabilities, ["NET_BIND_SERVICE"]);
    assert_eq!(capabilities.drop_capabilities, ["ALL"]);
    assert_eq!(made.seccomp.unwrap().profile_type(), ProfileType::RuntimeDefault);
    assert!(made.masked_paths.is_empty() && made.readonly_paths.is_empty());
}

#[test]
fn a_profile_of_the_node_is_named_by_its_path() {
    let profile = json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "audit.json"}});
    let seccomp = made(&with_contexts(json!({}), profile), &ImageUser::Id(0)).seccomp.unwrap();
    assert_eq!(
        (seccomp.profile_type(), seccomp.localhost_ref.as_str()),
        (ProfileType::Localhost, "/profiles/audit.json")
    );
}

#[test]
fn namespaces_are_the_pods_unless_the_spec_shares_them() {
    let table = [
        (json!({}), (OfPod, OfContainer, OfPod)),
        (json!({"hostNetwork": true}), (OfNode, OfContainer, OfPod)),
        (json!({"hostPID": true}), (OfPod, OfNode, OfPod)),
        (json!({"hostIPC": true}), (OfPod, OfContainer, OfNode)),
        (json!({"shareProcessNamespace": true}), (OfPod, OfPod, OfPod)),
    ];
    for (fields, expected) in table {
        let mut spec = json!({"containers": [{"name": "c"}]});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let options = sandbox_context(&pod(spec)).namespace_options.unwrap();
        assert_eq!((options.network(), options.pid(), options.ipc()), expected, "{fields}");
    }
    let pod = with_contexts(json!({}), json!({}));
    let target = container_context(&pod, first(&pod), &ImageUser::Id(0), Some("id"), Path::new("/"));
    let options = target.namespace_options.unwrap();
    assert_eq!((options.pid(), options.target_id.as_str()), (OfTarget, "id"));
}

#[test]
fn a_sandbox_is_privileged_where_a_container_is_and_confined_by_seccomp() {
    let privileged = sandbox_context(&with_contexts(json!({}), json!({"privileged": true})));
    assert!(privileged.privileged);
    assert_eq!(privileged.seccomp.unwrap().profile_type(), ProfileType::RuntimeDefault);
    assert!(!sandbox_context(&with_contexts(json!({}), json!({}))).privileged);
}

#[test]
fn root_is_found_out_in_kubernetes_words() {
    let non_root = json!({"runAsNonRoot": true});
    let table = [
        (json!({}), json!({}), ImageUser::Id(0), None),
        (non_root.clone(), json!({}), ImageUser::Id(1), None),
        (non_root.clone(), json!({"runAsUser": 5}), ImageUser::Id(0), None),
        (non_root.clone(), json!({"runAsNonRoot": false}), ImageUser::Id(0), None),
        (
            non_root.clone(),
            json!({"runAsUser": 0}),
            ImageUser::Id(1),
            Some("container's runAsUser breaks non-root policy (pod: \"web_shop(u-1)\", container: c)"),
        ),
        (
            non_root.clone(),
            json!({}),
            ImageUser::Id(0),
            Some("container has runAsNonRoot and image will run as root (pod: \"web_shop(u-1)\", container: c)"),
        ),
        (
            json!({}),
            non_root,
            ImageUser::Name("www".into()),
            Some(
                "container has runAsNonRoot and image has non-numeric user (www), cannot verify user is non-root \
                 (pod: \"web_shop(u-1)\", container: c)",
            ),
        ),
    ];
    for (of_pod, of_container, image, message) in table {
        let pod = with_contexts(of_pod.clone(), of_container.clone());
        let verified = verify_non_root(&pod, first(&pod), &image).map_err(|error| error.to_string());
        assert_eq!(verified.err().as_deref(), message, "{of_pod} {of_container}");
    }
}

#[test]
fn an_image_without_a_user_runs_as_root() {
    let image = |uid: Option<i64>, username: &str| {
        let uid = uid.map(|value| Int64Value { value });
        ImageUser::of(&Image { uid, username: username.into(), ..Image::default() })
    };
    assert_eq!(image(None, ""), ImageUser::Id(0));
    assert_eq!(image(Some(101), ""), ImageUser::Id(101));
    assert_eq!(image(None, "www"), ImageUser::Name("www".into()));
}

#[test]
fn only_safe_parameters_of_the_pods_own_namespaces_may_be_set() {
    let table = [
        ("net.ipv4.tcp_syncookies", json!({}), None),
        ("net/ipv4/tcp_syncookies", json!({}), None),
        ("kernel.msgmax", json!({}), Some("forbidden sysctl: \"kernel.msgmax\" not allowlisted")),
        (
            "net.ipv4.tcp_syncookies",
            json!({"hostNetwork": true}),
            Some("forbidden sysctl: \"net.ipv4.tcp_syncookies\" not allowed with host net enabled"),
        ),
        (
            "kernel.shm_rmid_forced",
            json!({"hostIPC": true}),
            Some("forbidden sysctl: \"kernel.shm_rmid_forced\" not allowed with host ipc enabled"),
        ),
    ];
    for (name, fields, message) in table {
        let context = json!({"sysctls": [{"name": name, "value": "1"}]});
        let mut spec = json!({"containers": [], "securityContext": context});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let pod = pod(spec);
        assert_eq!(check_sysctls(&pod).map_err(|error| error.to_string()).err().as_deref(), message, "{name}");
        assert_eq!(sysctls(&pod).values().collect::<Vec<_>>(), ["1"]);
    }
}
