//! What a request asks for (distribution-spec, "Endpoints").

/// The things that can be asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted<'a> {
    /// `/v2/`: whether this is a registry at all.
    Root,
    /// `/v2/<name>/manifests/<tag or digest>`
    Manifest { name: &'a str, reference: &'a str },
    /// `/v2/<name>/blobs/<digest>`
    Blob { digest: &'a str },
    /// `/v2/<name>/tags/list`
    Tags { name: &'a str },
}

// === impl Wanted ===

impl<'a> Wanted<'a> {
    /// Reads a path; nothing for one that the specification does not have. A name may hold slashes.
    pub(crate) fn parse(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/v2/")?;
        if rest.is_empty() {
            return Some(Self::Root);
        }
        let (rest, last) = rest.rsplit_once('/')?;
        let (name, kind) = rest.rsplit_once('/')?;
        match kind {
            "manifests" => Some(Self::Manifest { name, reference: last }),
            "blobs" => Some(Self::Blob { digest: last }),
            "tags" if last == "list" => Some(Self::Tags { name }),
            _ => None,
        }
    }
}

/// The registry that containerd asks in the name of: the query's `ns`.
pub(crate) fn namespace(query: Option<&str>) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(name, _)| name == "ns").map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_with_slashes_in_names() {
        for (path, wanted) in [
            ("/v2/", Some(Wanted::Root)),
            (
                "/v2/library/busybox/manifests/1.28",
                Some(Wanted::Manifest { name: "library/busybox", reference: "1.28" }),
            ),
            ("/v2/pause/blobs/sha256:00", Some(Wanted::Blob { digest: "sha256:00" })),
            ("/v2/a/manifests/b/tags/list", Some(Wanted::Tags { name: "a/manifests/b" })),
            ("/v2/pause", None),
            ("/v2/pause/blobs/uploads/", None),
            ("/v1/", None),
            ("/", None),
        ] {
            assert_eq!(Wanted::parse(path), wanted, "{path}");
        }
    }

    #[test]
    fn the_registry_of_the_images_name_is_in_the_query() {
        assert_eq!(namespace(Some("ns=docker.io")).as_deref(), Some("docker.io"));
        assert_eq!(namespace(Some("a=b&ns=localhost%3A5000")).as_deref(), Some("localhost:5000"));
        assert_eq!(namespace(Some("n=5")), None);
        assert_eq!(namespace(None), None);
    }
}
