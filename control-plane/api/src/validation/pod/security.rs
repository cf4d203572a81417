//! What a pod and its containers are allowed on the node.

use std::collections::BTreeSet;

use super::volumes::descending_path;
use crate::field::Errors;
use crate::names;
use crate::validation::{Place, optional_one_of};
use crate::view::View;

const PROFILE_TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

/// A sysctl's name: segments joined by dots or slashes.
const SYSCTL_NAME: &str = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
const SYSCTL_LENGTH: usize = 253;

/// Sysctls that belong to a namespace of the network or of inter-process communication.
const NET_SYSCTLS: [&str; 1] = ["net."];
const IPC_SYSCTLS: [&str; 4] = ["kernel.sem", "kernel.shm", "kernel.msg", "fs.mqueue."];

/// What Windows does not know of a pod's security context.
const NOT_OF_WINDOWS_PODS: [&str; 11] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "procMount",
];

/// What Windows does not know of a container's security context.
const NOT_OF_WINDOWS_CONTAINERS: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

/// `securityContext` of a pod.
pub(super) fn pod_security_context(spec: &Place<'_>, errors: &mut Errors) {
    let context = spec.child("securityContext");
    for name in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(&context.child(name), errors);
    }
    for group in context.child("supplementalGroups").items() {
        id(&group, errors);
    }
    let share = spec.child("shareProcessNamespace");
    if share.value().as_bool() == Some(true) && spec.value().flag("hostPID") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        // The message names the field as if it were in the security context.
        errors.invalid(&context.shown_as("shareProcessNamespace", share.value()), detail);
    }
    sysctls(spec, &context.child("sysctls"), errors);
    optional_one_of(&context.child("fsGroupChangePolicy"), &["Always", "OnRootMismatch"], errors);
    seccomp_profile(&context.child("seccompProfile"), errors);
    app_armor_profile(&context.child("appArmorProfile"), errors);
    optional_one_of(&context.child("supplementalGroupsPolicy"), &["Merge", "Strict"], errors);
    optional_one_of(&context.child("seLinuxChangePolicy"), &["MountOption", "Recursive"], errors);
}

/// `securityContext` of a container.
pub(super) fn security_context(context: &Place<'_>, spec: &Place<'_>, errors: &mut Errors) {
    if !context.is_set() {
        return;
    }
    id(&context.child("runAsUser"), errors);
    id(&context.child("runAsGroup"), errors);
    let proc_mount = context.child("procMount");
    optional_one_of(&proc_mount, &["Default", "Unmasked"], errors);
    let host_users = spec.value().at("hostUsers").as_bool().unwrap_or(true);
    if host_users && proc_mount.text() == "Unmasked" {
        errors.invalid(&proc_mount, "`hostUsers` must be false to use `Unmasked`");
    }
    seccomp_profile(&context.child("seccompProfile"), errors);
    if context.value().at("allowPrivilegeEscalation").as_bool() == Some(false) {
        if context.value().flag("privileged") {
            errors.invalid(context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        }
        let added = context.child("capabilities").child("add").value().clone();
        if added.as_array().is_some_and(|added| added.iter().any(|name| name == "CAP_SYS_ADMIN")) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.invalid(context, detail);
        }
    }
    app_armor_profile(&context.child("appArmorProfile"), errors);
}

/// A user namespace of the pod's own excludes the host's other namespaces.
pub(super) fn host_users(spec: &Place<'_>, errors: &mut Errors) {
    if spec.value().at("hostUsers").as_bool() != Some(false) {
        return;
    }
    for (name, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.value().flag(name) {
            errors.forbidden(&spec.shown_as(shown, spec.value().at(name)), "when `pod.Spec.HostUsers` is false");
        }
    }
}

/// `os`, and what does not go with it.
pub(super) fn operating_system(spec: &Place<'_>, errors: &mut Errors) {
    let os = spec.child("os");
    if !os.is_set() {
        return;
    }
    let name = os.child("name");
    match name.text() {
        "" => errors.required(&name, "cannot be empty"),
        "linux" => forbid_windows_options(spec, errors),
        "windows" => forbid_linux_options(spec, errors),
        other => {
            errors.push(crate::field::FieldError::not_supported(&os.path(), other, &["linux", "windows"]));
        }
    }
}

fn forbid_windows_options(spec: &Place<'_>, errors: &mut Errors) {
    let detail = "windows options cannot be set for a linux pod";
    let of_pod = spec.child("securityContext");
    let options = of_pod.child("windowsOptions");
    if options.is_set() {
        errors.forbidden(&options, detail);
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in spec.child(list).items() {
            let context = container.child("securityContext");
            let options = context.child("windowsOptions");
            if options.is_set() {
                errors.forbidden(&options, detail);
            }
        }
    }
}

fn forbid_linux_options(spec: &Place<'_>, errors: &mut Errors) {
    let detail = "cannot be set for a windows pod";
    let refuse = |holder: &Place<'_>, fields: &[&str], errors: &mut Errors| {
        for field in fields {
            let place = holder.child(field);
            if place.is_set() && place.value().as_bool() != Some(false) {
                errors.forbidden(&place, detail);
            }
        }
    };
    refuse(&spec.child("securityContext"), &NOT_OF_WINDOWS_PODS, errors);
    refuse(spec, &["hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"], errors);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in spec.child(list).items() {
            refuse(&container.child("securityContext"), &NOT_OF_WINDOWS_CONTAINERS, errors);
        }
    }
}

fn id(place: &Place<'_>, errors: &mut Errors) {
    if let Some(id) = place.int() {
        for reason in names::id_number(id) {
            errors.invalid_int(place, reason);
        }
    }
}

fn seccomp_profile(profile: &Place<'_>, errors: &mut Errors) {
    if !profile.is_set() {
        return;
    }
    let (ty, local) = (profile.child("type"), profile.child("localhostProfile"));
    match ty.text() {
        "" => errors.required(&ty, "type is required when seccompProfile is set"),
        _ => crate::validation::one_of(&ty, &PROFILE_TYPES, errors),
    }
    if ty.text() == "Localhost" {
        if local.is_set() {
            descending_path(&local, errors);
        } else {
            errors.required(&local, "must be set when seccomp type is Localhost");
        }
    } else if local.is_set() {
        errors.invalid_as(&local, profile.value().clone(), "can only be set when seccomp type is Localhost");
    }
}

fn app_armor_profile(profile: &Place<'_>, errors: &mut Errors) {
    const PATH_LENGTH: usize = 4095;
    if !profile.is_set() {
        return;
    }
    let (ty, local) = (profile.child("type"), profile.child("localhostProfile"));
    match ty.text() {
        "Localhost" if local.text().trim() != local.text() => {
            errors.invalid_text(&local, "must not be padded with whitespace");
        }
        "Localhost" if local.text().is_empty() => {
            errors.required(&local, "must be set when AppArmor type is Localhost");
        }
        "Localhost" if local.text().len() > PATH_LENGTH => errors.too_long(&local, PATH_LENGTH),
        "Localhost" => {}
        "RuntimeDefault" | "Unconfined" => {
            if local.is_set() {
                errors.invalid(&local, "can only be set when AppArmor type is Localhost");
            }
        }
        "" => errors.required(&ty, "type is required when appArmorProfile is set"),
        _ => errors.not_supported(&ty, &PROFILE_TYPES),
    }
}

fn sysctls(spec: &Place<'_>, sysctls: &Place<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for sysctl in sysctls.items() {
        let name = sysctl.child("name");
        if name.text().is_empty() {
            errors.required(&name, "");
        } else if name.text().len() > SYSCTL_LENGTH || !is_sysctl_name(name.text()) {
            let detail = format!("must have at most {SYSCTL_LENGTH} characters and match regex ^{SYSCTL_NAME}$");
            errors.invalid_text(&name, detail);
        } else if !seen.insert(name.text().to_owned()) {
            errors.duplicate(&name);
        }
        let dotted = name.text().replace('/', ".");
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| dotted.starts_with(prefix));
        if spec.value().flag("hostNetwork") && begins(&NET_SYSCTLS) {
            errors.invalid_text(&name, "may not be specified when 'hostNetwork' is true");
        }
        if spec.value().flag("hostIPC") && begins(&IPC_SYSCTLS) {
            errors.invalid_text(&name, "may not be specified when 'hostIPC' is true");
        }
    }
}

fn is_sysctl_name(name: &str) -> bool {
    let well_formed = |segment: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        let outer = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let bytes = segment.as_bytes();
        bytes.iter().all(|byte| inner(*byte)) && outer(bytes.first()) && outer(bytes.last())
    };
    name.split(['.', '/']).all(well_formed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::refusals_of_spec;

    #[test]
    fn security_contexts_are_refused_in_kubernetes_words() {
        let table = [
            (
                json!({"securityContext": {"runAsUser": 1000, "fsGroup": 2000, "seccompProfile": {"type": "RuntimeDefault"}}}),
                "",
            ),
            (
                json!({"securityContext": {"runAsUser": -1}}),
                "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            ),
            (
                json!({"securityContext": {"seccompProfile": {"type": "Localhost"}}}),
                "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is \
                 Localhost",
            ),
            (
                json!({"securityContext": {"appArmorProfile": {"type": "Odd"}}}),
                "spec.securityContext.appArmorProfile.type: Unsupported value: \"Odd\": supported values: \"Localhost\", \
                 \"RuntimeDefault\", \"Unconfined\"",
            ),
            (json!({"securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}}), ""),
            (
                json!({"hostNetwork": true, "securityContext": {"sysctls": [{"name": "net.core.somaxconn"}]}}),
                "spec.securityContext.sysctls[0].name: Invalid value: \"net.core.somaxconn\": may not be specified when \
                 'hostNetwork' is true",
            ),
            (
                json!({"hostPID": true, "shareProcessNamespace": true}),
                "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot \
                 both be enabled",
            ),
            (
                json!({"hostUsers": false, "hostNetwork": true}),
                "spec.hostNetwork: Forbidden: when `pod.Spec.HostUsers` is false",
            ),
            (json!({"os": {"name": "linux"}}), ""),
            (
                json!({"os": {"name": "plan9"}}),
                "spec.os: Unsupported value: \"plan9\": supported values: \"linux\", \"windows\"",
            ),
            (
                json!({"os": {"name": "windows"}, "securityContext": {"runAsUser": 1}}),
                "spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod",
            ),
        ];
        for (fields, expected) in table {
            assert_eq!(refusals_of_spec(&fields), expected, "{fields}");
        }
    }

    #[test]
    fn a_container_cannot_be_privileged_and_not() {
        let with = |context| {
            refusals_of_spec(&json!({"containers": [{"name": "a", "image": "x", "securityContext": context}]}))
        };
        assert_eq!(with(json!({"privileged": true, "capabilities": {"add": ["NET_ADMIN"]}})), "");
        assert!(
            with(json!({"privileged": true, "allowPrivilegeEscalation": false}))
                .ends_with("cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
        );
        assert!(with(json!({"procMount": "Unmasked"})).ends_with("`hostUsers` must be false to use `Unmasked`"));
    }
}
