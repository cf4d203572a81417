//! Seccomp profiles.

use std::path::Path;

use k8s_cri::v1::SecurityProfile;
use k8s_cri::v1::security_profile::ProfileType;
use k8s_openapi::api::core::v1::{Container, Pod, SeccompProfile};

use super::{of_container, of_pod};

/// The container's profile, or its pod's; unconfined where neither names one, as Kubernetes has it by default.
///
/// `profiles` is the folder that profiles of type `Localhost` are named in.
pub(super) fn seccomp(pod: &Pod, container: &Container, profiles: &Path) -> SecurityProfile {
    let own = of_container(container).and_then(|own| own.seccomp_profile.as_ref());
    let named = own.or_else(|| of_pod(pod)?.seccomp_profile.as_ref());
    named.map_or_else(|| of_type(ProfileType::Unconfined), |named| converted(named, profiles))
}

pub(super) fn of_type(profile: ProfileType) -> SecurityProfile {
    SecurityProfile { profile_type: profile.into(), localhost_ref: String::new() }
}

fn converted(profile: &SeccompProfile, profiles: &Path) -> SecurityProfile {
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Unconfined", _) => of_type(ProfileType::Unconfined),
        ("Localhost", Some(name)) => SecurityProfile {
            localhost_ref: profiles.join(name).display().to_string(),
            ..of_type(ProfileType::Localhost)
        },
        // The API server lets no other type pass; a confined container is the safe reading of one.
        _ => of_type(ProfileType::RuntimeDefault),
    }
}
