//! Names of images: `[registry[:port]/]path[:tag][@digest]`, as `distribution/reference` has them.

/// A name that no image can have. The text is Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Failed to apply default image tag \"{name}\": couldn't parse image name \"{name}\": {cause}")]
pub struct InvalidImageName {
    /// The name.
    pub name: String,
    /// What is wrong with it.
    pub cause: &'static str,
}

/// Whether the name says which version it means: a tag that is not `latest`, or a digest.
#[must_use]
pub fn has_fixed_tag(name: &str) -> bool {
    let (name, digest) = split_digest(name);
    digest.is_some() || split_tag(name).1.is_some_and(|tag| tag != "latest")
}

/// Refuses what no image can be called.
///
/// # Errors
/// When the name is empty or malformed.
pub(super) fn check(name: &str) -> Result<(), InvalidImageName> {
    let invalid = |cause| Err(InvalidImageName { name: name.to_owned(), cause });
    let (rest, digest) = split_digest(name);
    let (path, tag) = split_tag(rest);
    if tag.is_some_and(|tag| !is_tag(tag)) || digest.is_some_and(|digest| !is_digest(digest)) || path.is_empty() {
        return invalid("invalid reference format");
    }
    let (registry, path) = split_registry(path);
    if path.chars().any(|character| character.is_ascii_uppercase()) {
        return invalid("invalid reference format: repository name must be lowercase");
    }
    if !path.split('/').all(is_component) || registry.is_some_and(|registry| !is_registry(registry)) {
        return invalid("invalid reference format");
    }
    Ok(())
}

fn split_digest(name: &str) -> (&str, Option<&str>) {
    name.split_once('@').map_or((name, None), |(name, digest)| (name, Some(digest)))
}

/// A colon after the last slash begins a tag; one before it, a port.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[file..].find(':') {
        Some(colon) => (&name[..file + colon], Some(&name[file + colon + 1..])),
        None => (name, None),
    }
}

/// The first part is a registry when it looks like a host.
fn split_registry(path: &str) -> (Option<&str>, &str) {
    match path.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
        Some(_) | None => (None, path),
    }
}

fn is_component(component: &str) -> bool {
    let is_edge = |character: Option<char>| character.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    is_edge(component.chars().next())
        && is_edge(component.chars().next_back())
        && component.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'))
}

fn is_registry(registry: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    !registry.is_empty() && registry.chars().all(allowed)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.starts_with(is_word) && tag.chars().all(|c| is_word(c) || matches!(c, '.' | '-'))
}

fn is_digest(digest: &str) -> bool {
    let hex = digest.split_once(':').map(|(_, hex)| hex);
    hex.is_some_and(|hex| hex.len() >= 32 && hex.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_images_can_have_pass_and_others_are_refused() {
        let digest = format!("busybox@sha256:{}", "0".repeat(64));
        for name in [
            "busybox",
            "busybox:1.36",
            "gcr.io/kuar-demo/kuard-amd64:blue",
            "localhost:5000/a/b_c:V1",
            "registry.k8s.io/pause:3.9",
            &digest,
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in ["", ":1", "busybox:", "Busybox", "a//b", "a b", "-a", "a@sha256:1", "a:tag with space"] {
            assert!(check(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_fixed_tag_is_any_but_latest() {
        for (name, expected) in [
            ("busybox", false),
            ("busybox:latest", false),
            ("busybox:1", true),
            ("localhost:5000/busybox", false),
            ("localhost:5000/busybox:1", true),
            ("busybox@sha256:00", true),
        ] {
            assert_eq!(has_fixed_tag(name), expected, "{name}");
        }
    }

    #[test]
    fn the_message_is_kubernetes_own() {
        let message = check("Nginx").unwrap_err().to_string();
        assert_eq!(
            message,
            "Failed to apply default image tag \"Nginx\": couldn't parse image name \"Nginx\": invalid reference format: \
             repository name must be lowercase"
        );
    }
}
