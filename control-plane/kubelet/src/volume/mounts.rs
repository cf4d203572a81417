//! A container's mounts, as CRI wants them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use k8s_cri::v1 as cri;
use k8s_openapi::api::core::v1::{Container, Volume, VolumeMount};

use super::error::{MountError, SubPathError};
use super::kind::Kind;
use super::sub_path;
use crate::environment::expand_strictly;

/// Where the pod's volumes and parts of them are.
pub(super) struct Places {
    /// `<pods>/<uid>/volumes`
    pub(super) volumes: PathBuf,
    /// `<pods>/<uid>/volume-subpaths`
    pub(super) sub_paths: PathBuf,
}

/// The mounts of one container in the order of its spec. Parts of volumes are mounted on the node on the way.
pub(super) fn make(
    places: &Places,
    volumes: &[Volume],
    container: &Container,
    variables: &[(String, String)],
) -> Result<Vec<cri::Mount>, MountError> {
    let known: HashMap<&str, &str> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mounts = container.volume_mounts.iter().flatten().enumerate();
    mounts.map(|(index, mount)| make_one(places, volumes, container, &known, index, mount)).collect()
}

fn make_one(
    places: &Places,
    volumes: &[Volume],
    container: &Container,
    variables: &HashMap<&str, &str>,
    index: usize,
    mount: &VolumeMount,
) -> Result<cri::Mount, MountError> {
    let names = || (mount.name.clone(), container.name.clone());
    let Some(volume) = volumes.iter().find(|volume| volume.name == mount.name) else {
        let (volume, container) = names();
        return Err(MountError::NoVolume { volume, container });
    };
    if mount.recursive_read_only.as_deref() == Some("Enabled") {
        let (volume, container) = names();
        return Err(MountError::RecursiveReadOnly { volume, container });
    }
    let kind = Kind::of(volume);
    let whole = kind.path(&places.volumes, &volume.name);
    let host_path = match sub_path(mount, container, variables)? {
        None => whole,
        Some(path) => {
            let target = places.sub_paths.join(&volume.name).join(&container.name).join(index.to_string());
            sub_path::bind(&whole, &path, &target).map_err(|cause| sub_path_error(mount, container, cause))?;
            target
        }
    };
    Ok(cri::Mount {
        container_path: absolute(&mount.mount_path),
        host_path: host_path.display().to_string(),
        readonly: mount.read_only == Some(true) || kind.is_read_only(),
        propagation: propagation(mount).into(),
        ..cri::Mount::default()
    })
}

/// The part of the volume that is wanted, if not all of it.
fn sub_path(
    mount: &VolumeMount,
    container: &Container,
    variables: &HashMap<&str, &str>,
) -> Result<Option<String>, MountError> {
    let expression = mount.sub_path_expr.as_deref().filter(|expression| !expression.is_empty());
    let Some(expression) = expression else {
        return Ok(mount.sub_path.clone().filter(|path| !path.is_empty()));
    };
    let expanded = expand_strictly(expression, |name| variables.get(name).copied()).map_err(|variable| {
        MountError::Variable { volume: mount.name.clone(), container: container.name.clone(), variable }
    })?;
    if expanded.is_empty() {
        return Err(sub_path_error(mount, container, SubPathError::Invalid(expanded)));
    }
    Ok(Some(expanded))
}

fn sub_path_error(mount: &VolumeMount, container: &Container, cause: SubPathError) -> MountError {
    MountError::SubPath { volume: mount.name.clone(), container: container.name.clone(), cause }
}

fn propagation(mount: &VolumeMount) -> cri::MountPropagation {
    match mount.mount_propagation.as_deref() {
        Some("HostToContainer") => cri::MountPropagation::PropagationHostToContainer,
        Some("Bidirectional") => cri::MountPropagation::PropagationBidirectional,
        _ => cri::MountPropagation::PropagationPrivate,
    }
}

fn absolute(path: &str) -> String {
    Path::new("/").join(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(volumes: Value, mounts: Value) -> Result<Vec<cri::Mount>, String> {
        let volumes: Vec<Volume> = serde_json::from_value(volumes).unwrap();
        let container = serde_json::from_value(json!({"name": "c", "volumeMounts": mounts})).unwrap();
        let places = Places { volumes: "/pods/u/volumes".into(), sub_paths: "/pods/u/volume-subpaths".into() };
        make(&places, &volumes, &container, &[("A".into(), "..".into()), ("E".into(), String::new())])
            .map_err(|error| error.to_string())
    }

    #[test]
    fn each_kind_is_mounted_from_where_it_is() {
        let table = [
            (json!({"emptyDir": {}}), "/pods/u/volumes/kubernetes.io~empty-dir/v", false),
            (json!({}), "/pods/u/volumes/kubernetes.io~empty-dir/v", false),
            (json!({"hostPath": {"path": "/srv/data"}}), "/srv/data", false),
            (json!({"configMap": {"name": "m"}}), "/pods/u/volumes/kubernetes.io~configmap/v", true),
            (json!({"secret": {"secretName": "s"}}), "/pods/u/volumes/kubernetes.io~secret/v", true),
            (json!({"projected": {"sources": []}}), "/pods/u/volumes/kubernetes.io~projected/v", true),
            (json!({"downwardAPI": {"items": []}}), "/pods/u/volumes/kubernetes.io~downward-api/v", true),
        ];
        for (mut volume, path, readonly) in table {
            volume["name"] = json!("v");
            let mounts = made(json!([volume]), json!([{"name": "v", "mountPath": "data"}])).unwrap();
            let [mount] = mounts.as_slice() else { panic!("one mount") };
            assert_eq!((mount.host_path.as_str(), mount.readonly), (path, readonly));
            assert_eq!(mount.container_path, "/data");
        }
    }

    #[test]
    fn mounts_are_read_only_and_propagate_as_they_say() {
        let mounts = made(
            json!([{"name": "v", "hostPath": {"path": "/srv"}}]),
            json!([
                {"name": "v", "mountPath": "/a", "readOnly": true},
                {"name": "v", "mountPath": "/b", "mountPropagation": "HostToContainer"},
                {"name": "v", "mountPath": "/c", "mountPropagation": "Bidirectional"},
            ]),
        )
        .unwrap();
        assert_eq!(mounts.iter().map(|mount| mount.readonly).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(mounts.iter().map(|mount| mount.propagation).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn what_cannot_be_mounted_is_said() {
        let table = [
            (json!({"name": "no", "mountPath": "/x"}), "cannot find volume \"no\" to mount into container \"c\""),
            (
                json!({"name": "v", "mountPath": "/x", "subPathExpr": "$(NO)"}),
                "failed to expand subPath for volumeMount \"v\" of container \"c\": missing value for \"NO\"",
            ),
            (
                json!({"name": "v", "mountPath": "/x", "subPathExpr": "a/$(A)"}),
                "failed to prepare subPath for volumeMount \"v\" of container \"c\": \
                 subPath \"a/..\" must be a relative path and must not contain '..'",
            ),
            (
                json!({"name": "v", "mountPath": "/x", "subPathExpr": "$(E)"}),
                "failed to prepare subPath for volumeMount \"v\" of container \"c\": \
                 subPath \"\" must be a relative path and must not contain '..'",
            ),
            (
                json!({"name": "v", "mountPath": "/x", "readOnly": true, "recursiveReadOnly": "Enabled"}),
                "recursiveReadOnly of volumeMount \"v\" of container \"c\": recursive read-only mount is not supported \
                 by runtime",
            ),
        ];
        for (mount, message) in table {
            let error = made(json!([{"name": "v", "hostPath": {"path": "/"}}]), json!([mount])).unwrap_err();
            assert_eq!(error, message);
        }
    }
}
