//! Which ConfigMaps and Secrets a pod names: those are what a node may read, and what it reads.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, Pod, PodSpec, Volume, VolumeProjection};

/// The names of the objects that a pod refers to, all in the pod's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// Names of ConfigMaps.
    pub config_maps: BTreeSet<String>,
    /// Names of Secrets, those for pulling images included.
    pub secrets: BTreeSet<String>,
}

// === impl References ===

impl References {
    /// Everything that a pod refers to: containers of all sorts, volumes, pull secrets.
    #[must_use]
    pub fn of(pod: &Pod) -> Self {
        let mut references = Self::default();
        if let Some(spec) = &pod.spec {
            references.add_spec(spec);
        }
        references.config_maps.remove("");
        references.secrets.remove("");
        references
    }

    fn add_spec(&mut self, spec: &PodSpec) {
        for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
            self.add_environment(container.env.as_deref(), container.env_from.as_deref());
        }
        for container in spec.ephemeral_containers.iter().flatten() {
            self.add_environment(container.env.as_deref(), container.env_from.as_deref());
        }
        spec.volumes.iter().flatten().for_each(|volume| self.add_volume(volume));
        self.secrets.extend(spec.image_pull_secrets.iter().flatten().map(|secret| secret.name.clone()));
    }

    fn add_environment(&mut self, env: Option<&[EnvVar]>, env_from: Option<&[EnvFromSource]>) {
        for source in env.into_iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
            self.config_maps.extend(source.config_map_key_ref.as_ref().map(|key| key.name.clone()));
            self.secrets.extend(source.secret_key_ref.as_ref().map(|key| key.name.clone()));
        }
        for source in env_from.into_iter().flatten() {
            self.config_maps.extend(source.config_map_ref.as_ref().map(|map| map.name.clone()));
            self.secrets.extend(source.secret_ref.as_ref().map(|secret| secret.name.clone()));
        }
    }

    fn add_volume(&mut self, volume: &Volume) {
        self.config_maps.extend(volume.config_map.as_ref().map(|map| map.name.clone()));
        self.secrets.extend(volume.secret.as_ref().and_then(|secret| secret.secret_name.clone()));
        let projected = volume.projected.as_ref().and_then(|projected| projected.sources.as_ref());
        projected.into_iter().flatten().for_each(|source| self.add_projection(source));
    }

    fn add_projection(&mut self, source: &VolumeProjection) {
        self.config_maps.extend(source.config_map.as_ref().map(|map| map.name.clone()));
        self.secrets.extend(source.secret.as_ref().map(|secret| secret.name.clone()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_place_that_names_an_object_is_found() {
        let spec = json!({
            "containers": [{
                "name": "c",
                "env": [
                    {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm-env", "key": "k"}}},
                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s-env", "key": "k"}}},
                    {"name": "C", "value": "plain"},
                ],
                "envFrom": [{"configMapRef": {"name": "cm-from"}}, {"secretRef": {"name": "s-from"}}],
            }],
            "initContainers": [{"name": "i", "envFrom": [{"configMapRef": {"name": "cm-init"}}]}],
            "ephemeralContainers": [{"name": "e", "envFrom": [{"secretRef": {"name": "s-ephemeral"}}]}],
            "volumes": [
                {"name": "1", "configMap": {"name": "cm-volume"}},
                {"name": "2", "secret": {"secretName": "s-volume"}},
                {"name": "3", "projected": {"sources": [
                    {"configMap": {"name": "cm-projected"}}, {"secret": {"name": "s-projected"}},
                ]}},
                {"name": "4", "emptyDir": {}},
            ],
            "imagePullSecrets": [{"name": "s-pull"}, {}],
        });
        let references = References::of(&serde_json::from_value(json!({"spec": spec})).unwrap());
        let expected = ["cm-env", "cm-from", "cm-init", "cm-projected", "cm-volume"];
        assert_eq!(references.config_maps.iter().collect::<Vec<_>>(), expected);
        let expected = ["s-env", "s-ephemeral", "s-from", "s-projected", "s-pull", "s-volume"];
        assert_eq!(references.secrets.iter().collect::<Vec<_>>(), expected);
    }
}
