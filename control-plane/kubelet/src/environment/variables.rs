//! A container's variables: of Services, of whole ConfigMaps and Secrets, and its own.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVar, EnvVarSource, Pod, Service};

use super::expand::expand;
use super::field::{Addresses, FieldError, pod_field, resource_field};
use super::service::service_variables;
use crate::resource::Capacity;
use crate::source::{Objects, SourceError};

/// What a container's environment is made from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// One of its containers, of any sort.
    pub container: &'a Container,
    /// The ConfigMaps and Secrets that the pod refers to.
    pub objects: &'a Objects,
    /// Services of the pod's namespace and `default/kubernetes`; others do no harm.
    pub services: &'a [std::sync::Arc<Service>],
    /// The addresses of the pod, which has its sandbox by now, and of the node.
    pub addresses: &'a Addresses,
    /// What the node allows pods.
    pub allocatable: &'a Capacity,
}

/// A container's environment. Values may be secret: it has no `Debug`.
pub struct Environment {
    /// Names and values; no name twice. The container's own come last, in the order of the spec.
    pub variables: Vec<(String, String)>,
    /// Keys that were left out; each becomes a warning event.
    pub skipped: Vec<Skipped>,
}

/// Keys of a whole ConfigMap or Secret that are no names of variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// `configMap` or `secret`
    kind: &'static str,
    namespace: String,
    name: String,
    keys: Vec<String>,
}

/// Why a container cannot have its environment; the words are Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// A ConfigMap or Secret cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It has not the key.
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey {
        /// The key.
        key: String,
        /// `ConfigMap` or `Secret`
        kind: &'static str,
        /// The pod's namespace.
        namespace: String,
        /// The object's name.
        name: String,
    },
    /// A variable must be text.
    #[error(
        "the value of key {key} in Secret {namespace}/{name} is not UTF-8, which a variable must be: mount it as a file"
    )]
    NotText {
        /// The key.
        key: String,
        /// The pod's namespace.
        namespace: String,
        /// The Secret's name.
        name: String,
    },
    /// The downward API cannot tell it.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A sort of reference that this version does not know.
    #[error(
        "env {0}: this kind of valueFrom is not supported: use configMapKeyRef, secretKeyRef, fieldRef or resourceFieldRef"
    )]
    Unsupported(String),
}

/// Variables as they are collected: later ones of a name replace earlier ones.
#[derive(Default)]
struct Collected {
    order: Vec<String>,
    values: BTreeMap<String, String>,
}

// === impl Skipped ===

impl Skipped {
    /// The reason of the event.
    pub const REASON: &'static str = "InvalidEnvironmentVariableNames";

    /// The message of the event.
    #[must_use]
    pub fn message(&self) -> String {
        let Self { kind, namespace, name, keys } = self;
        format!(
            "Keys [{}] from the EnvFrom {kind} {namespace}/{name} were skipped since they are considered invalid \
             environment variable names.",
            keys.join(", ")
        )
    }
}

// === impl Collected ===

impl Collected {
    fn set(&mut self, name: &str, value: String) {
        if self.values.insert(name.to_owned(), value).is_some() {
            self.order.retain(|known| known != name);
        }
        self.order.push(name.to_owned());
    }

    fn into_list(mut self) -> Vec<(String, String)> {
        let order = std::mem::take(&mut self.order);
        order.into_iter().filter_map(|name| self.values.remove_entry(&name)).collect()
    }
}

/// Makes a container's environment.
///
/// # Errors
/// Something that is referred to and not optional is not there, or cannot be a variable.
pub fn environment(inputs: Inputs<'_>) -> Result<Environment, EnvironmentError> {
    let links = inputs.pod.spec.as_ref().and_then(|spec| spec.enable_service_links).unwrap_or(true);
    let services = inputs.services.iter().map(AsRef::as_ref);
    let services = service_variables(services, namespace(inputs.pod), links);
    let (mut own, mut skipped) = (Collected::default(), Vec::new());
    for source in inputs.container.env_from.iter().flatten() {
        skipped.extend(add_all(&mut own, &inputs, source)?);
    }
    for variable in inputs.container.env.iter().flatten() {
        if let Some(value) = value(&own, &services, &inputs, variable)? {
            own.set(&variable.name, value);
        }
    }
    let of_services = services.into_iter().filter(|(name, _)| !own.values.contains_key(name)).collect::<Vec<_>>();
    let variables = of_services.into_iter().chain(own.into_list()).collect();
    Ok(Environment { variables, skipped })
}

/// Adds every key of a ConfigMap or Secret.
fn add_all(
    own: &mut Collected,
    inputs: &Inputs<'_>,
    source: &EnvFromSource,
) -> Result<Option<Skipped>, EnvironmentError> {
    let namespace = namespace(inputs.pod);
    let (kind, name, entries) = if let Some(reference) = &source.config_map_ref {
        let found = inputs.objects.config_map(&reference.name);
        let Some(map) = unless_optional(found, reference.optional)? else { return Ok(None) };
        ("configMap", &reference.name, map.data.clone().unwrap_or_default())
    } else if let Some(reference) = &source.secret_ref {
        let found = inputs.objects.secret(&reference.name);
        let Some(secret) = unless_optional(found, reference.optional)? else { return Ok(None) };
        let entries = secret.data.iter().flatten();
        let texts = entries.map(|(key, value)| Ok((key.clone(), text(value, key, namespace, &reference.name)?)));
        ("secret", &reference.name, texts.collect::<Result<_, EnvironmentError>>()?)
    } else {
        return Ok(None);
    };
    let prefix = source.prefix.as_deref().unwrap_or_default();
    let mut invalid = Vec::new();
    for (key, value) in entries {
        let variable = format!("{prefix}{key}");
        if is_variable_name(&variable) {
            own.set(&variable, value);
        } else {
            invalid.push(variable);
        }
    }
    let skipped = Skipped { kind, namespace: namespace.to_owned(), name: name.clone(), keys: invalid };
    Ok(Some(skipped).filter(|skipped| !skipped.keys.is_empty()))
}

/// The value of one of the container's own variables; nothing where an optional reference leads nowhere.
fn value(
    own: &Collected,
    services: &BTreeMap<String, String>,
    inputs: &Inputs<'_>,
    variable: &EnvVar,
) -> Result<Option<String>, EnvironmentError> {
    match (variable.value.as_deref(), &variable.value_from) {
        (Some(text), _) if !text.is_empty() => {
            let known = |name: &str| own.values.get(name).or_else(|| services.get(name)).map(String::as_str);
            Ok(Some(expand(text, known)))
        }
        (_, Some(source)) => referred(inputs, variable, source),
        (_, None) => Ok(Some(String::new())),
    }
}

fn referred(inputs: &Inputs<'_>, variable: &EnvVar, source: &EnvVarSource) -> Result<Option<String>, EnvironmentError> {
    let namespace = namespace(inputs.pod);
    let no_key = |kind, name: &str, key: &str| EnvironmentError::NoKey {
        key: key.to_owned(),
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    if let Some(field) = &source.field_ref {
        return Ok(Some(pod_field(inputs.pod, &field.field_path, inputs.addresses)?));
    }
    if let Some(selector) = &source.resource_field_ref {
        let value = resource_field(inputs.pod, Some(inputs.container), selector, inputs.allocatable)?;
        return Ok(Some(value));
    }
    if let Some(reference) = &source.config_map_key_ref {
        let found = inputs.objects.config_map(&reference.name);
        let Some(map) = unless_optional(found, reference.optional)? else { return Ok(None) };
        return match map.data.as_ref().and_then(|data| data.get(&reference.key)) {
            Some(value) => Ok(Some(value.clone())),
            None if reference.optional == Some(true) => Ok(None),
            None => Err(no_key("ConfigMap", &reference.name, &reference.key)),
        };
    }
    if let Some(reference) = &source.secret_key_ref {
        let found = inputs.objects.secret(&reference.name);
        let Some(secret) = unless_optional(found, reference.optional)? else { return Ok(None) };
        return match secret.data.as_ref().and_then(|data| data.get(&reference.key)) {
            Some(value) => text(value, &reference.key, namespace, &reference.name).map(Some),
            None if reference.optional == Some(true) => Ok(None),
            None => Err(no_key("Secret", &reference.name, &reference.key)),
        };
    }
    Err(EnvironmentError::Unsupported(variable.name.clone()))
}

fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or("default")
}

/// An optional reference to what does not exist is no error; one to what cannot be had is.
fn unless_optional<T>(found: Result<T, SourceError>, optional: Option<bool>) -> Result<Option<T>, SourceError> {
    match found {
        Err(error) if error.is_not_found() && optional == Some(true) => Ok(None),
        other => other.map(Some),
    }
}

fn text(value: &ByteString, key: &str, namespace: &str, name: &str) -> Result<String, EnvironmentError> {
    String::from_utf8(value.0.clone()).map_err(|_| EnvironmentError::NotText {
        key: key.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}

/// `IsEnvVarName` of `k8s.io/apimachinery/pkg/util/validation`.
fn is_variable_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let starts_well = name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    starts_well && name.bytes().all(is_inner) && name != "." && !name.starts_with("..")
}

#[cfg(test)]
mod tests;
