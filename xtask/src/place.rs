//! What a cluster of this checkout is called and where it keeps things.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use testbed::{ClusterName, Topology};

use crate::workspace;

/// The cluster that is meant when none is named.
const DEFAULT: &str = "dev";

/// Which cluster.
#[derive(clap::Args)]
pub(crate) struct Name {
    /// The cluster's name: 1 to 20 of a-z, 0-9 and `-`.
    #[arg(long, default_value = DEFAULT)]
    name: String,
}

/// The folders and files of one cluster.
pub(crate) struct Place {
    /// As one would write it.
    pub(crate) label: String,
    /// As its hosts are called.
    pub(crate) cluster: ClusterName,
}

// === impl Name ===

impl Name {
    pub(crate) fn place(&self) -> Result<Place> {
        // Its folder would be the file that the default cluster's kubeconfig is.
        if self.name == "kubeconfig" {
            bail!("a cluster cannot be called `kubeconfig`: choose another name");
        }
        Ok(Place { label: self.name.clone(), cluster: ClusterName::persistent(&self.name)? })
    }
}

// === impl Place ===

impl Place {
    /// Everything of this cluster alone.
    pub(crate) fn folder(&self) -> PathBuf {
        workspace::root().join(".sheave").join(&self.label)
    }

    /// What its hosts write.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder().join("hosts")
    }

    /// The administrator's kubeconfig. That of the default cluster has the shorter path.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        if self.label == DEFAULT {
            workspace::root().join(".sheave/kubeconfig")
        } else {
            self.folder().join("kubeconfig")
        }
    }

    /// ` --name C`, unless it is the default cluster.
    pub(crate) fn option(&self) -> String {
        if self.label == DEFAULT { String::new() } else { format!(" --name {}", self.label) }
    }

    /// Its hosts.
    pub(crate) fn open(&self) -> Result<Topology> {
        let opened = Topology::open(&self.cluster, &self.data());
        let option = self.option();
        let opened =
            opened.with_context(|| format!("no cluster {}: `cargo xtask up{option}` starts one", self.label))?;
        if !opened.is_whole() {
            bail!("the cluster {} was never finished: `cargo xtask down{option}` removes what there is", self.label);
        }
        Ok(opened)
    }
}
