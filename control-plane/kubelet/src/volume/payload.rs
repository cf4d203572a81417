//! The files of a volume that comes from the API server: what is to be in them.
//!
//! Everything here is pure; ConfigMaps, Secrets and tokens were fetched before.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, DownwardAPIVolumeFile, KeyToPath, Pod, SecretProjection, ServiceAccountTokenProjection,
    VolumeProjection,
};

use super::error::VolumeCause;
use crate::environment::field::{metadata_field, resource_field};
use crate::resource::Capacity;
use crate::source::{Objects, SourceError, Token, TokenError, TokenWish};

/// Permission bits of files for which nothing is said.
pub(super) const DEFAULT_MODE: u32 = 0o644;

/// How long a token lives for which nothing is said, in seconds.
const DEFAULT_EXPIRATION: i64 = 3600;

/// The permission bits of a token that is given to one user or to the volume's group.
const TOKEN_MODE: u32 = 0o600;

/// The files of one volume by their paths in it.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Payload(BTreeMap<String, File>);

/// One file. Its content may be secret: it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) content: Vec<u8>,
    /// Permission bits.
    pub(super) mode: u32,
    /// Its user, where it is not root.
    pub(super) user: Option<u32>,
}

/// What payloads are made from.
pub(super) struct Inputs<'a> {
    pub(super) pod: &'a Pod,
    pub(super) objects: &'a Objects,
    pub(super) tokens: &'a BTreeMap<TokenWish, Result<Token, TokenError>>,
    pub(super) allocatable: &'a Capacity,
}

/// One part of a volume of files; a plain ConfigMap or Secret volume has one, a projected volume any number.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    ConfigMap { name: &'a str, items: Option<&'a [KeyToPath]>, optional: Option<bool> },
    Secret { name: &'a str, items: Option<&'a [KeyToPath]>, optional: Option<bool> },
    Downward(&'a [DownwardAPIVolumeFile]),
    Token(&'a ServiceAccountTokenProjection),
    Unsupported(&'static str),
}

// === impl Source ===

impl<'a> Source<'a> {
    pub(super) fn projected(source: &'a VolumeProjection) -> Self {
        if let Some(ConfigMapProjection { name, items, optional }) = &source.config_map {
            return Self::ConfigMap { name, items: items.as_deref(), optional: *optional };
        }
        if let Some(SecretProjection { name, items, optional }) = &source.secret {
            return Self::Secret { name, items: items.as_deref(), optional: *optional };
        }
        if let Some(downward) = &source.downward_api {
            return Self::Downward(downward.items.as_deref().unwrap_or_default());
        }
        match (&source.service_account_token, &source.cluster_trust_bundle) {
            (Some(token), _) => Self::Token(token),
            (None, Some(_)) => Self::Unsupported("clusterTrustBundle"),
            (None, None) => Self::Unsupported("unknown projected"),
        }
    }
}

/// The token that a projection wants.
pub(super) fn wish(projection: &ServiceAccountTokenProjection) -> TokenWish {
    let audience = projection.audience.clone().filter(|audience| !audience.is_empty());
    TokenWish { audience, expiration: projection.expiration_seconds.unwrap_or(DEFAULT_EXPIRATION) }
}

// === impl Payload ===

impl Payload {
    /// The files of all parts; of two with the same path the later is there.
    pub(super) fn of(inputs: &Inputs<'_>, sources: &[Source<'_>], mode: u32) -> Result<Self, VolumeCause> {
        let mut payload = Self::default();
        for source in sources {
            payload.add(inputs, source, mode)?;
        }
        for path in payload.0.keys() {
            check(path)?;
        }
        Ok(payload)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.0.iter().map(|(path, file)| (path.as_str(), file))
    }

    #[cfg(test)]
    pub(super) fn from_files(files: &[(&str, &str)]) -> Self {
        let file = |content: &str| File { content: content.into(), mode: DEFAULT_MODE, user: None };
        Self(files.iter().map(|(path, content)| ((*path).to_owned(), file(content))).collect())
    }

    #[cfg(test)]
    pub(super) fn set_mode_for_test(&mut self, path: &str, mode: u32) {
        self.0.get_mut(path).unwrap().mode = mode;
    }

    fn add(&mut self, inputs: &Inputs<'_>, source: &Source<'_>, mode: u32) -> Result<(), VolumeCause> {
        match *source {
            Source::ConfigMap { name, items, optional } => {
                let Some(map) = unless_optional(inputs.objects.config_map(name), optional)? else { return Ok(()) };
                let text = map.data.iter().flatten().map(|(key, value)| (key.as_str(), value.as_bytes()));
                let binary = map.binary_data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice()));
                self.add_keys(text.chain(binary).collect(), items, optional, mode, VolumeCause::NoConfigMapKey)
            }
            Source::Secret { name, items, optional } => {
                let Some(secret) = unless_optional(inputs.objects.secret(name), optional)? else { return Ok(()) };
                let data = secret.data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice()));
                self.add_keys(data.collect(), items, optional, mode, VolumeCause::NoSecretKey)
            }
            Source::Downward(items) => self.add_fields(inputs, items, mode),
            Source::Token(projection) => {
                let Some(token) = inputs.tokens.get(&wish(projection)) else { return Ok(()) };
                let token = token.as_ref().map_err(Clone::clone)?;
                let user = common_user(inputs.pod);
                let mode = if user.is_some() || fs_group(inputs.pod).is_some() { TOKEN_MODE } else { mode };
                self.put(&projection.path, token.as_str().as_bytes(), mode, user);
                Ok(())
            }
            Source::Unsupported(kind) => Err(VolumeCause::Unsupported(kind)),
        }
    }

    fn add_keys(
        &mut self,
        data: BTreeMap<&str, &[u8]>,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: u32,
        missing: fn(String) -> VolumeCause,
    ) -> Result<(), VolumeCause> {
        let Some(items) = items.filter(|items| !items.is_empty()) else {
            data.into_iter().for_each(|(key, content)| self.put(key, content, mode, None));
            return Ok(());
        };
        for item in items {
            match data.get(item.key.as_str()) {
                Some(content) => self.put(&item.path, content, item.mode.map_or(mode, bits), None),
                None if optional == Some(true) => {}
                None => return Err(missing(item.key.clone())),
            }
        }
        Ok(())
    }

    fn add_fields(
        &mut self,
        inputs: &Inputs<'_>,
        items: &[DownwardAPIVolumeFile],
        mode: u32,
    ) -> Result<(), VolumeCause> {
        for item in items {
            let content = match (&item.field_ref, &item.resource_field_ref) {
                (Some(field), _) => metadata_field(inputs.pod, &field.field_path)?,
                (None, Some(selector)) => resource_field(inputs.pod, None, selector, inputs.allocatable)?,
                (None, None) => continue,
            };
            self.put(&item.path, content.as_bytes(), item.mode.map_or(mode, bits), None);
        }
        Ok(())
    }

    fn put(&mut self, path: &str, content: &[u8], mode: u32, user: Option<u32>) {
        self.0.insert(path.trim_end_matches('/').to_owned(), File { content: content.to_owned(), mode, user });
    }
}

/// Permission bits as the API has them, which lets through 0 to 0777 only.
pub(super) fn bits(mode: i32) -> u32 {
    u32::try_from(mode).unwrap_or(DEFAULT_MODE) & 0o777
}

/// The group that owns the pod's volumes.
pub(super) fn fs_group(pod: &Pod) -> Option<u32> {
    let group = pod.spec.as_ref()?.security_context.as_ref()?.fs_group?;
    u32::try_from(group).ok()
}

/// The user that all containers of the pod run as, if it is one.
fn common_user(pod: &Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let of_pod = spec.security_context.as_ref().and_then(|context| context.run_as_user);
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let own = |context: Option<i64>| context.or(of_pod);
    let mut users =
        containers.map(|container| own(container.security_context.as_ref().and_then(|own| own.run_as_user)));
    let first = users.next()??;
    users.all(|user| user == Some(first)).then_some(first).and_then(|user| u32::try_from(user).ok())
}

fn unless_optional<T>(found: Result<T, SourceError>, optional: Option<bool>) -> Result<Option<T>, SourceError> {
    match found {
        Err(error) if error.is_not_found() && optional == Some(true) => Ok(None),
        other => other.map(Some),
    }
}

/// A path must stay in the volume, and must not look like what the writer itself puts there.
fn check(path: &str) -> Result<(), VolumeCause> {
    let mut parts = path.split('/');
    let is_plain = !path.starts_with("..") && parts.all(|part| !matches!(part, "" | "." | ".."));
    if is_plain && !path.contains('\0') { Ok(()) } else { Err(VolumeCause::Path(path.to_owned())) }
}

#[cfg(test)]
mod tests;
