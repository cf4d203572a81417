//! Pods through the API, as a client sees them: created, then Running.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use cluster::Cluster;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;

use crate::sample::Sample;

/// What runs: it is there after the first pod.
pub(super) const IMAGE: &str = "docker.io/library/busybox:1.36";

/// How long pods may take to run, or to be gone.
const PATIENCE: Duration = Duration::from_secs(120);

/// Pods of the default namespace.
pub(super) struct Pods {
    api: Api<Pod>,
}

// === impl Pods ===

impl Pods {
    pub(super) async fn connect(cluster: &Cluster) -> Result<Self> {
        let kubeconfig = Kubeconfig::read_from(cluster.kubectl().kubeconfig())?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Self { api: Api::default_namespaced(Client::try_from(config)?) })
    }

    /// Milliseconds from one pod's creation until it is Running; it is deleted again.
    pub(super) async fn run_one(&self, name: &str) -> Result<f64> {
        Ok(self.run_many(name, 1).await?.median())
    }

    /// The same of many at once.
    pub(super) async fn run_many(&self, name: &str, count: usize) -> Result<Sample> {
        let measured = tokio::time::timeout(PATIENCE, self.measure(name, count)).await;
        let sample = measured.context("the pods do not run in time")??;
        tokio::time::timeout(PATIENCE, self.delete(name)).await.context("the pods are not gone in time")??;
        Ok(sample)
    }

    async fn measure(&self, group: &str, count: usize) -> Result<Sample> {
        let from = self.api.list(&ListParams::default().limit(1)).await?.metadata.resource_version;
        let parameters = WatchParams::default().labels(&format!("group={group}"));
        let mut events = self.api.watch(&parameters, &from.context("a list without a version")?).await?.boxed();
        let mut created = HashMap::new();
        for number in 0..count {
            let name = format!("{group}-{number}");
            created.insert(name.clone(), Instant::now());
            self.api.create(&PostParams::default(), &pod(&name, group)?).await?;
        }
        let mut sample = Sample::default();
        while let Some(event) = events.try_next().await? {
            let (WatchEvent::Added(pod) | WatchEvent::Modified(pod)) = event else { continue };
            let phase = pod.status.and_then(|status| status.phase).unwrap_or_default();
            match phase.as_str() {
                "Running" => {
                    if let Some(began) = created.remove(&pod.metadata.name.unwrap_or_default()) {
                        sample.push(began.elapsed().as_secs_f64() * 1000.0);
                    }
                }
                "Failed" => bail!("a pod of the benchmark failed: {:?}", pod.metadata.name),
                _ => {}
            }
            if created.is_empty() {
                return Ok(sample);
            }
        }
        bail!("the watch ended before all pods ran")
    }

    async fn delete(&self, group: &str) -> Result<()> {
        let these = ListParams::default().labels(&format!("group={group}"));
        self.api.delete_collection(&DeleteParams::default().grace_period(0), &these).await?;
        while !self.api.list(&these).await?.items.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

fn pod(name: &str, group: &str) -> Result<Pod> {
    Ok(serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "group": group } },
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{ "name": "main", "image": IMAGE, "command": ["sleep", "1000"] }],
        },
    }))?)
}
