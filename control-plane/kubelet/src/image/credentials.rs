//! Credentials for registries, from the Secrets that a pod names.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_cri::v1::AuthConfig;
use k8s_openapi::api::core::v1::{Pod, Secret};
use serde_json::Value;

use crate::source::Objects;

/// Docker Hub's names in configuration files.
const HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// What a pod's secrets say for the registry of an image, the best match first. Secrets are shown to nobody.
#[must_use]
pub(super) fn of(pod: &Pod, objects: &Objects, image: &str) -> Vec<AuthConfig> {
    let named = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    let secrets = named.filter_map(|reference| objects.secret(&reference.name).ok());
    let entries = secrets.flat_map(|secret| entries(secret));
    let mut matching = entries.filter(|(pattern, _)| matches(pattern, image)).collect::<Vec<_>>();
    // The longer one says more.
    matching.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.len()));
    matching.into_iter().map(|(_, auth)| auth).collect()
}

/// Registries of a secret, each with what to say there.
fn entries(secret: &Secret) -> Vec<(String, AuthConfig)> {
    let (key, is_nested) = match secret.type_.as_deref() {
        Some("kubernetes.io/dockerconfigjson") => (".dockerconfigjson", true),
        Some("kubernetes.io/dockercfg") => (".dockercfg", false),
        Some(_) | None => return Vec::new(),
    };
    let data = secret.data.as_ref().and_then(|data| data.get(key));
    let document = data.and_then(|data| serde_json::from_slice::<Value>(&data.0).ok()).unwrap_or_default();
    let auths = if is_nested { &document["auths"] } else { &document };
    let auths = auths.as_object().into_iter().flatten();
    auths.map(|(registry, entry)| (pattern(registry), auth(registry, entry))).collect()
}

/// `https://index.docker.io/v1/` is the registry `docker.io`; other keys are hosts, perhaps with a path.
fn pattern(registry: &str) -> String {
    let bare = registry.trim_start_matches("https://").trim_start_matches("http://");
    let bare = bare.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2");
    if HUB.contains(&bare) { "docker.io".to_owned() } else { bare.to_owned() }
}

fn auth(registry: &str, entry: &Value) -> AuthConfig {
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let decoded = BASE64_STANDARD.decode(text("auth")).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let (username, password) = match decoded.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((username, password)) if text("username").is_empty() => (username.to_owned(), password.to_owned()),
        Some(_) | None => (text("username"), text("password")),
    };
    AuthConfig {
        username,
        password,
        server_address: registry.to_owned(),
        identity_token: text("identitytoken"),
        registry_token: text("registrytoken"),
        ..AuthConfig::default()
    }
}

/// Whether a registry, perhaps with a path or with `*` for parts of its host, is the image's.
fn matches(pattern: &str, image: &str) -> bool {
    let full = full_name(image);
    let (host, path) = full.split_once('/').unwrap_or((&full, ""));
    let (wanted_host, wanted_path) = pattern.split_once('/').unwrap_or((pattern, ""));
    let (wanted, parts) = (wanted_host.split('.').collect::<Vec<_>>(), host.split('.').collect::<Vec<_>>());
    let same_host =
        wanted.len() == parts.len() && wanted.iter().zip(parts).all(|(wanted, part)| *wanted == "*" || *wanted == part);
    same_host && path.starts_with(wanted_path)
}

/// The image with its registry.
fn full_name(image: &str) -> String {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => image.to_owned(),
        Some(_) => format!("docker.io/{image}"),
        None => format!("docker.io/library/{image}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_registry_is_recognized_by_host_pattern_and_path() {
        for (registry, image, expected) in [
            ("https://index.docker.io/v1/", "nginx", true),
            ("https://index.docker.io/v1/", "quay.io/nginx", false),
            ("quay.io", "quay.io/team/app:1", true),
            ("quay.io/other", "quay.io/team/app:1", false),
            ("*.example.org", "eu.example.org/app", true),
            ("*.example.org", "example.org/app", false),
            ("localhost:5000", "localhost:5000/app", true),
        ] {
            assert_eq!(matches(&pattern(registry), image), expected, "{registry} {image}");
        }
    }

    #[test]
    fn the_pods_secrets_give_user_and_password() {
        let file = json!({ "auths": {
            "quay.io": { "auth": BASE64_STANDARD.encode("me:secret:word") },
            "quay.io/team": { "username": "team", "password": "p" },
        }});
        let data = json!({ ".dockerconfigjson": BASE64_STANDARD.encode(file.to_string()) });
        let secret = json!({ "type": "kubernetes.io/dockerconfigjson", "data": data });
        let mut objects = Objects::default();
        objects.insert_secret("pull", Ok(Arc::new(serde_json::from_value(secret).unwrap())));
        let pod =
            json!({ "spec": { "containers": [], "imagePullSecrets": [{ "name": "pull" }, { "name": "absent" }] } });
        let pod = serde_json::from_value(pod).unwrap();
        let users = of(&pod, &objects, "quay.io/team/app").into_iter().map(|auth| (auth.username, auth.password));
        let expected = [("team", "p"), ("me", "secret:word")].map(|(user, word)| (user.to_owned(), word.to_owned()));
        assert_eq!(users.collect::<Vec<_>>(), expected);
        assert!(of(&pod, &objects, "nginx").is_empty());
    }
}
