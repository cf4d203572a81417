//! An image made on the spot: busybox under all its names, as an OCI archive.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use sha2::{Digest as _, Sha256};

/// The statically linked program that the image consists of.
const BUSYBOX: &str = "/bin/busybox";

/// Writes an archive with an image of this name, whose containers sleep unless told otherwise.
pub(crate) fn write_busybox(archive: &Path, name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (root, layout) = (folder.path().join("root"), folder.path().join("layout"));
    for subfolder in [root.join("bin"), layout.join("blobs/sha256")] {
        fs::create_dir_all(subfolder).unwrap();
    }
    fs::copy(BUSYBOX, root.join("bin/busybox")).expect("busybox-static is installed");
    let names = Command::new(BUSYBOX).arg("--list").output().unwrap().stdout;
    for name in String::from_utf8(names).unwrap().lines().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    fs::create_dir(root.join("tmp")).unwrap();
    tar(&folder.path().join("layer.tar"), &root);
    let layer = blob(&layout, &fs::read(folder.path().join("layer.tar")).unwrap());
    let configuration = serde_json::json!({
        "architecture": std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64"),
        "os": "linux",
        "config": { "Cmd": [BUSYBOX, "sleep", "1000"], "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
    });
    let configuration = blob(&layout, configuration.to_string().as_bytes());
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": with_type(configuration, "application/vnd.oci.image.config.v1+json"),
        "layers": [with_type(layer, "application/vnd.oci.image.layer.v1.tar")],
    });
    let mut manifest =
        with_type(blob(&layout, manifest.to_string().as_bytes()), "application/vnd.oci.image.manifest.v1+json");
    manifest["annotations"] = serde_json::json!({ "io.containerd.image.name": name });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    tar(archive, &layout);
}

/// Adds a blob to a layout; gives its descriptor but for the type.
fn blob(layout: &Path, bytes: &[u8]) -> serde_json::Value {
    let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(layout.join("blobs/sha256").join(&digest), bytes).unwrap();
    serde_json::json!({ "digest": format!("sha256:{digest}"), "size": bytes.len() })
}

fn with_type(mut descriptor: serde_json::Value, media_type: &str) -> serde_json::Value {
    descriptor["mediaType"] = media_type.into();
    descriptor
}

fn tar(archive: &Path, folder: &Path) {
    let status = Command::new("tar").arg("-cf").arg(archive).arg("-C").arg(folder).arg(".").status().unwrap();
    assert!(status.success(), "tar: {status}");
}
