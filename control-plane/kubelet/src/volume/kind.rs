//! What sort of volume a volume is.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Volume, VolumeProjection};
use sheave_api::quantity::Quantity;

use super::payload::{DEFAULT_MODE, Source, bits, wish};
use crate::source::TokenWish;

/// A volume, as far as this node knows what to do with it.
pub(super) enum Kind<'a> {
    /// Folders that live and die with the pod.
    EmptyDir {
        /// In memory rather than on the node's disk.
        in_memory: bool,
        /// In bytes; kept by the kernel where it is in memory.
        size_limit: Option<i64>,
    },
    /// A file or folder of the node.
    HostPath { path: &'a Path, expected: &'a str },
    /// Files made from what the API server has.
    Files { plugin: &'static str, sources: Vec<Source<'a>>, mode: u32, in_memory: bool },
    /// Nothing here can mount it.
    Unsupported(&'static str),
}

// === impl Kind ===

impl<'a> Kind<'a> {
    pub(super) fn of(volume: &'a Volume) -> Self {
        if let Some(path) = &volume.host_path {
            return Self::HostPath { path: Path::new(&path.path), expected: path.type_.as_deref().unwrap_or_default() };
        }
        if let Some(map) = &volume.config_map {
            let source = Source::ConfigMap { name: &map.name, items: map.items.as_deref(), optional: map.optional };
            return Self::files("configmap", vec![source], map.default_mode, false);
        }
        if let Some(secret) = &volume.secret {
            let name = secret.secret_name.as_deref().unwrap_or_default();
            let source = Source::Secret { name, items: secret.items.as_deref(), optional: secret.optional };
            return Self::files("secret", vec![source], secret.default_mode, true);
        }
        if let Some(downward) = &volume.downward_api {
            let source = Source::Downward(downward.items.as_deref().unwrap_or_default());
            return Self::files("downward-api", vec![source], downward.default_mode, true);
        }
        if let Some(projected) = &volume.projected {
            let sources = projected.sources.iter().flatten().map(Source::projected).collect();
            return Self::files("projected", sources, projected.default_mode, true);
        }
        match unsupported(volume) {
            Some(kind) => Self::Unsupported(kind),
            // A volume of no kind is an empty folder.
            None => Self::empty_dir(volume),
        }
    }

    fn empty_dir(volume: &Volume) -> Self {
        let empty = volume.empty_dir.as_ref();
        let limit =
            empty.and_then(|empty| empty.size_limit.as_ref()).and_then(|limit| limit.0.parse::<Quantity>().ok());
        Self::EmptyDir {
            in_memory: empty.and_then(|empty| empty.medium.as_deref()) == Some("Memory"),
            size_limit: limit.map(|limit| limit.value()).filter(|limit| *limit > 0),
        }
    }

    fn files(plugin: &'static str, sources: Vec<Source<'a>>, mode: Option<i32>, in_memory: bool) -> Self {
        Self::Files { plugin, sources, mode: mode.map_or(DEFAULT_MODE, bits), in_memory }
    }

    /// Where it is: on the node, or below the pod's folder for volumes.
    pub(super) fn path(&self, volumes: &Path, name: &str) -> PathBuf {
        let own = |plugin: &str| volumes.join(format!("kubernetes.io~{plugin}")).join(name);
        match self {
            Self::EmptyDir { .. } => own("empty-dir"),
            Self::HostPath { path, .. } => path.to_path_buf(),
            Self::Files { plugin, .. } => own(plugin),
            Self::Unsupported(_) => own("unsupported"),
        }
    }

    /// Whether containers cannot write to it, whatever they say.
    pub(super) fn is_read_only(&self) -> bool {
        matches!(self, Self::Files { .. })
    }
}

/// The tokens that a volume's files are made from.
pub(super) fn token_wishes(volume: &Volume) -> impl Iterator<Item = TokenWish> {
    let sources = volume.projected.as_ref().and_then(|projected| projected.sources.as_ref());
    let of_source = |source: &VolumeProjection| source.service_account_token.as_ref().map(wish);
    sources.into_iter().flatten().filter_map(of_source)
}

fn unsupported(volume: &Volume) -> Option<&'static str> {
    let known = [
        (volume.persistent_volume_claim.is_some(), "persistentVolumeClaim"),
        (volume.ephemeral.is_some(), "ephemeral"),
        (volume.csi.is_some(), "csi"),
        (volume.nfs.is_some(), "nfs"),
        (volume.iscsi.is_some(), "iscsi"),
        (volume.fc.is_some(), "fc"),
        (volume.image.is_some(), "image"),
        (volume.git_repo.is_some(), "gitRepo"),
        (volume.aws_elastic_block_store.is_some(), "awsElasticBlockStore"),
        (volume.azure_disk.is_some(), "azureDisk"),
        (volume.azure_file.is_some(), "azureFile"),
        (volume.cephfs.is_some(), "cephfs"),
        (volume.cinder.is_some(), "cinder"),
        (volume.flex_volume.is_some(), "flexVolume"),
        (volume.flocker.is_some(), "flocker"),
        (volume.gce_persistent_disk.is_some(), "gcePersistentDisk"),
        (volume.glusterfs.is_some(), "glusterfs"),
        (volume.photon_persistent_disk.is_some(), "photonPersistentDisk"),
        (volume.portworx_volume.is_some(), "portworxVolume"),
        (volume.quobyte.is_some(), "quobyte"),
        (volume.rbd.is_some(), "rbd"),
        (volume.scale_io.is_some(), "scaleIO"),
        (volume.storageos.is_some(), "storageos"),
        (volume.vsphere_volume.is_some(), "vsphereVolume"),
    ];
    known.into_iter().find_map(|(is, name)| is.then_some(name))
}
