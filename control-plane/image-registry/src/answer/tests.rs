//! The registry as containerd sees it, over a folder that the image builder wrote.

use std::path::Path;
use std::sync::Arc;

use http_body_util::BodyExt as _;
use images::{Archive, Reference, Start, Tree};
use tower::ServiceExt as _;

use super::*;
use crate::Library;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// A folder with one image under three names.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("tools.tar"), &["busybox", "busybox:1.28", "gcr.io/demo/tool:blue"]);
    folder
}

fn write(archive: &Path, names: &[&str]) {
    let mut tree = Tree::default();
    tree.file("bin/true", 0o755, names.concat());
    let references: Vec<_> = names.iter().map(|name| Reference::of(name)).collect();
    let mut images = Archive::default();
    images.add_image(&references, &[tree], &Start::NOTHING).unwrap();
    images.write(archive).unwrap();
}

async fn ask(library: &Shared, method: Method, uri: &str, range: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(uri);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let response = router(Arc::clone(library)).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

async fn get(library: &Shared, uri: &str) -> Answer {
    ask(library, Method::GET, uri, None).await
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[tokio::test]
async fn an_image_is_pulled_whole_manifest_configuration_and_layers() {
    let folder = folder();
    let library = Arc::new(Library::open(folder.path()));
    assert_eq!(get(&library, "/v2/").await.status, 200);
    let manifest = get(&library, "/v2/library/busybox/manifests/latest?ns=docker.io").await;
    assert_eq!((manifest.status, manifest.header("content-type")), (200, MANIFEST));
    let digest = manifest.header("docker-content-digest").to_owned();
    let again = get(&library, &format!("/v2/library/busybox/manifests/{digest}?ns=docker.io")).await;
    assert_eq!(again.body, manifest.body);
    let manifest = manifest.json();
    for descriptor in [&manifest["config"], &manifest["layers"][0]] {
        let digest = descriptor["digest"].as_str().unwrap();
        let blob = get(&library, &format!("/v2/library/busybox/blobs/{digest}?ns=docker.io")).await;
        assert_eq!(images::Digest::of(&blob.body).to_string(), digest);
        assert_eq!(blob.header("content-length"), descriptor["size"].to_string());
    }
}

#[tokio::test]
async fn every_name_of_an_image_finds_it_and_no_other_does() {
    let folder = folder();
    let library = Arc::new(Library::open(folder.path()));
    for (path, status, code) in [
        ("/v2/library/busybox/manifests/1.28?ns=docker.io", 200, None),
        ("/v2/demo/tool/manifests/blue?ns=gcr.io", 200, None),
        // Asked without containerd's hint, any registry's will do.
        ("/v2/demo/tool/manifests/blue", 200, None),
        ("/v2/busybox/manifests/latest", 200, None),
        ("/v2/demo/tool/manifests/blue?ns=docker.io", 404, Some("NAME_UNKNOWN")),
        ("/v2/demo/tool/manifests/red?ns=gcr.io", 404, Some("MANIFEST_UNKNOWN")),
        ("/v2/library/nginx/manifests/latest?ns=docker.io", 404, Some("NAME_UNKNOWN")),
        ("/v2/demo/tool/manifests/sha256:00?ns=gcr.io", 404, Some("MANIFEST_UNKNOWN")),
        ("/v2/demo/tool/blobs/sha256:00?ns=gcr.io", 404, Some("BLOB_UNKNOWN")),
        ("/v2/demo/tool/blobs/..%2f..%2fetc%2fpasswd", 404, Some("BLOB_UNKNOWN")),
        ("/favicon.ico", 404, Some("UNSUPPORTED")),
    ] {
        let answer = get(&library, path).await;
        assert_eq!(answer.status, status, "{path}");
        if let Some(code) = code {
            assert_eq!(answer.json()["errors"][0]["code"], code, "{path}");
        }
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let folder = folder();
    let library = Arc::new(Library::open(folder.path()));
    let path = "/v2/demo/tool/manifests/blue?ns=gcr.io";
    let (get, head) = (get(&library, path).await, ask(&library, Method::HEAD, path, None).await);
    assert_eq!((head.status, head.body.len()), (200, 0));
    for header in ["content-length", "content-type", "docker-content-digest"] {
        assert_eq!(get.header(header), head.header(header), "{header}");
    }
}

#[tokio::test]
async fn a_download_that_broke_off_goes_on() {
    let folder = folder();
    let library = Arc::new(Library::open(folder.path()));
    let manifest = get(&library, "/v2/demo/tool/manifests/blue").await.json();
    let path = format!("/v2/demo/tool/blobs/{}", manifest["layers"][0]["digest"].as_str().unwrap());
    let whole = get(&library, &path).await.body;
    let rest = ask(&library, Method::GET, &path, Some("bytes=100-")).await;
    assert_eq!((rest.status, rest.body.as_slice()), (206, &whole[100..]));
    assert_eq!(rest.header("content-range"), format!("bytes 100-{}/{}", whole.len() - 1, whole.len()));
    let beyond = ask(&library, Method::GET, &path, Some(&format!("bytes={}-", whole.len()))).await;
    assert_eq!(beyond.status, 416);
}

#[tokio::test]
async fn nothing_can_be_pushed_or_deleted() {
    let folder = folder();
    let library = Arc::new(Library::open(folder.path()));
    for (method, path) in [
        (Method::POST, "/v2/demo/tool/blobs/uploads/"),
        (Method::PUT, "/v2/demo/tool/manifests/blue"),
        (Method::DELETE, "/v2/demo/tool/manifests/blue"),
    ] {
        assert_eq!(ask(&library, method, path, None).await.status, 405);
    }
}

#[tokio::test]
async fn an_image_that_is_added_later_is_found_and_a_damaged_one_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("damaged.tar"), "no archive at all").unwrap();
    let library = Arc::new(Library::open(folder.path()));
    let path = "/v2/library/late/manifests/latest?ns=docker.io";
    assert_eq!(get(&library, path).await.status, 404);
    write(&folder.path().join("late.tar"), &["late"]);
    assert_eq!(get(&library, path).await.status, 200);
    assert_eq!(get(&library, "/v2/library/late/tags/list").await.json()["tags"], json!(["latest"]));
}

#[tokio::test]
async fn a_layout_may_be_a_folder_and_its_index_may_name_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    std::fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    let store = |document: &Value| {
        let bytes = document.to_string();
        let digest = images::Digest::of(bytes.as_bytes()).to_string();
        std::fs::write(layout.join("blobs").join(digest.replace(':', "/")), &bytes).unwrap();
        json!({ "digest": digest, "size": bytes.len(), "mediaType": document["mediaType"] })
    };
    let manifest = store(&json!({ "mediaType": MANIFEST, "layers": [] }));
    let elsewhere = json!({ "digest": "sha256:00", "size": 1, "mediaType": MANIFEST });
    let list = "application/vnd.docker.distribution.manifest.list.v2+json";
    let mut index = store(&json!({ "mediaType": list, "manifests": [manifest, elsewhere] }));
    index["annotations"] = json!({ "org.opencontainers.image.ref.name": "quay.io/a/b:1" });
    std::fs::write(layout.join("index.json"), json!({ "manifests": [index] }).to_string()).unwrap();

    let library = Arc::new(Library::open(folder.path()));
    let answer = get(&library, "/v2/a/b/manifests/1?ns=quay.io").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, list));
    let child = format!("/v2/a/b/manifests/{}?ns=quay.io", manifest["digest"].as_str().unwrap());
    assert_eq!(get(&library, &child).await.header("content-type"), MANIFEST);
}
