//! What a Job's pods look like.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, Pod};

use super::indexes::INDEX;
use super::per_index::{FAILURES, Slot};
use super::plan::FINALIZER;
use crate::object::owner::controller_reference;
use crate::object::template::{name_prefix, pod_from_template};

/// A pod of a Job without indexes.
pub(super) fn new_pod(job: &Job) -> Pod {
    let template = job.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
    let mut pod = pod_from_template(&template, namespace, controller_reference(job));
    pod.metadata.generate_name = Some(name_prefix(name(job)));
    pod.metadata.finalizers.get_or_insert_default().push(FINALIZER.into());
    pod
}

/// The pod of an index.
pub(super) fn new_indexed_pod(job: &Job, slot: Slot) -> Pod {
    let (name, index) = (name(job), slot.index);
    let mut pod = new_pod(job);
    pod.metadata.generate_name = Some(format!("{name}-{index}-"));
    pod.metadata.labels.get_or_insert_default().insert(INDEX.into(), index.to_string());
    let annotations = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(INDEX.into(), index.to_string());
    annotations.extend(slot.failures.map(|failures| (FAILURES.to_owned(), failures.to_string())));
    let spec = pod.spec.get_or_insert_default();
    spec.hostname.get_or_insert_with(|| format!("{name}-{index}"));
    let containers = spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten());
    containers.for_each(|container| add_index(container.env.get_or_insert_default()));
    pod
}

/// The container learns its index, unless the user set the variable.
fn add_index(env: &mut Vec<EnvVar>) {
    const VARIABLE: &str = "JOB_COMPLETION_INDEX";
    if env.iter().any(|variable| variable.name == VARIABLE) {
        return;
    }
    let field_ref =
        Some(ObjectFieldSelector { api_version: None, field_path: format!("metadata.annotations['{INDEX}']") });
    let source = EnvVarSource { field_ref, ..EnvVarSource::default() };
    env.push(EnvVar { name: VARIABLE.into(), value: None, value_from: Some(source) });
}

fn name(job: &Job) -> &str {
    job.metadata.name.as_deref().unwrap_or_default()
}
