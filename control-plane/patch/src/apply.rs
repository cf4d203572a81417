//! Server-side apply, and the field ownership of every other write.
//!
//! The rules are those of [KEP-555](https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/555-server-side-apply)
//! and of structured-merge-diff:
//!
//! - An applier owns the fields of its last configuration; it says nothing about others.
//! - It may not change a field that somebody else owns, unless it forces; with equal values both own it.
//! - What it applied before and no longer does goes, unless somebody else owns it.
//! - Any other writer owns what it changed, and takes it from everybody else.

mod conflict;
mod last_applied;
mod ownership;
mod prune;
mod version;

pub use conflict::Conflict;
pub use version::{OneVersion, Versions};

use jiff::Timestamp;
use serde_json::{Map, json};
use sheave_api::Document;
use sheave_api::schema::{Arena, TypeId};
use thiserror::Error;

use crate::error::{Cause, PatchError};
use crate::fields::FieldSet;
use crate::limits::check_depth;
use crate::managed::{Managed, ManagedFieldsError, ManagerId, Managers, Operation};
use crate::typed::{Shape, TypedErrors, field_set, merge, validate};

/// Keeps the field ownership of one kind in one version, for writes through one subresource.
///
/// Cheap to make; holds no state between calls.
#[derive(Clone, Copy)]
pub struct FieldManager<'a> {
    /// Where the schema is.
    pub arena: &'a Arena,
    /// The root type of the kind.
    pub schema: TypeId,
    /// `apps/v1`: the version of the request, in which the documents are.
    pub api_version: &'a str,
    /// `Deployment`.
    pub kind: &'a str,
    /// `status`, `scale`; empty for the object itself. A `scale` is written as the change that it makes to its object.
    pub subresource: &'a str,
    /// The fields that the request can change.
    pub tracked: &'a Tracked,
    /// Other versions of the kind, in which managers may have named their fields.
    pub versions: &'a dyn Versions,
}

/// The fields that writes through a subresource can change; the others are never owned through it.
#[derive(Clone, Debug, Default)]
pub enum Tracked {
    /// Every field.
    #[default]
    Everything,
    /// All but these and what is below them: `status` for the object itself.
    AllBut(FieldSet),
    /// These and what is below them: `status` for the status subresource.
    Only(FieldSet),
}

/// Why an apply was refused.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// 422: no `fieldManager`.
    #[error("fieldManager: Required value: is required for apply patch")]
    NoManager,
    /// 400: the patch is of another kind or version than the request.
    #[error("invalid object type: {group_version}, Kind={kind}")]
    WrongType {
        /// As Kubernetes writes it: `apps/v1`, `/v1`.
        group_version: String,
        /// The kind.
        kind: String,
    },
    /// 400: the patch sets who owns its fields.
    #[error("metadata.managedFields must be nil")]
    SetsManagedFields,
    /// 400: the patch does not have the shape of its schema.
    #[error("failed to create typed patch object ({object}): {errors}")]
    NotTyped {
        /// `default/web; apps/v1, Kind=Deployment`.
        object: String,
        /// What is wrong, with paths.
        errors: String,
    },
    /// 409: others own fields that the patch would change.
    #[error("{}", conflict::message(.0))]
    Conflicts(Vec<Conflict>),
    /// 500: the stored object's managed fields are broken.
    #[error("failed to decode managed fields: {0}")]
    BrokenManagedFields(#[from] ManagedFieldsError),
}

/// What an apply leaves behind.
struct Applied {
    document: Document,
    managers: Managers,
}

/// The one whose `kubectl apply --server-side` takes over what `kubectl apply` once set.
const KUBECTL: &str = "kubectl";

/// Whoever wrote a document before its first manager.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

// === impl FieldManager ===

impl FieldManager<'_> {
    /// `applied` over `live`, with `metadata.managedFields` brought up to date; no live document means that apply
    /// creates one. The result is `live` itself where nothing changed.
    ///
    /// The result still needs defaults, and the system's own metadata (uid, creation time) wherever the patch wrote
    /// there.
    ///
    /// # Errors
    /// [`ApplyError`], or that the patch is nested too deeply.
    pub fn apply(
        &self,
        live: Option<&Document>,
        applied: &Document,
        manager: &str,
        force: bool,
        now: Timestamp,
    ) -> Result<Document, PatchError> {
        self.check(applied, manager)?;
        let mut managers = live.map(Managers::of).transpose().map_err(ApplyError::from)?.unwrap_or_default();
        let live = self.without_managed_fields(live);
        if managers.is_empty() {
            managers = self.updated(&self.empty(), &live, &managers, BEFORE_FIRST_APPLY, now);
        }
        let managers = self.reconciled(managers);
        let id = ManagerId::new(manager, Operation::Apply, self.api_version, self.subresource);
        let mut result = match self.merged(&live, applied, &managers, &id, force, now) {
            Err(conflicts) if manager == KUBECTL => {
                let conflicts = last_applied::without_allowed(self.shape(), self.api_version, &live, conflicts);
                if !conflicts.is_empty() {
                    return Err(ApplyError::Conflicts(conflicts).into());
                }
                self.merged(&live, applied, &managers, &id, true, now)
            }
            result => result,
        }
        .map_err(ApplyError::Conflicts)?;
        if manager == KUBECTL {
            last_applied::refresh(&mut result.document, applied);
        }
        result.managers.write_to(&mut result.document);
        Ok(result.document)
    }

    /// `new` with `metadata.managedFields` brought up to date after any write that is no apply: a create (no live
    /// document), an update, any other patch. Never fails: where the request's own managed fields cannot be read,
    /// those of `live` stay.
    #[must_use]
    pub fn update(&self, live: Option<&Document>, mut new: Document, manager: &str, now: Timestamp) -> Document {
        let managers = self.reconciled(self.managers_of_update(live, &new));
        if let Some(metadata) = new.get_mut("metadata").and_then(Document::as_object_mut) {
            metadata.remove("managedFields");
        }
        // A document that nobody manages stays so until somebody applies, or it would look as if the next writer had
        // set all of it.
        if managers.is_empty() && live.is_some() {
            return new;
        }
        let empty = self.empty();
        let managers = self.updated(live.unwrap_or(&empty), &new, &managers, manager, now);
        managers.write_to(&mut new);
        new
    }

    fn shape(&self) -> Shape<'_> {
        Shape::new(self.arena, self.schema)
    }

    fn check(&self, applied: &Document, manager: &str) -> Result<(), PatchError> {
        check_depth(applied)?;
        if manager.is_empty() {
            return Err(ApplyError::NoManager.into());
        }
        let text = |name: &str| applied.get(name).and_then(Document::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        if (api_version, kind) != (self.api_version, self.kind) {
            let group_version = written_group_version(api_version);
            return Err(ApplyError::WrongType { group_version, kind: kind.to_owned() }.into());
        }
        if applied.pointer("/metadata/managedFields").is_some_and(|fields| !fields.is_null()) {
            return Err(ApplyError::SetsManagedFields.into());
        }
        validate(self.shape(), applied).map_err(|errors| self.not_typed(applied, &errors))?;
        Ok(())
    }

    fn not_typed(&self, applied: &Document, errors: &TypedErrors) -> ApplyError {
        let text = |pointer: &str| applied.pointer(pointer).and_then(Document::as_str).unwrap_or_default();
        let object = format!(
            "{}/{}; {}, Kind={}",
            text("/metadata/namespace"),
            text("/metadata/name"),
            written_group_version(self.api_version),
            self.kind
        );
        ApplyError::NotTyped { object, errors: errors.to_string() }
    }

    /// What every document of the kind has, and nothing more.
    fn empty(&self) -> Document {
        json!({"apiVersion": self.api_version, "kind": self.kind, "metadata": {}})
    }

    fn without_managed_fields(&self, live: Option<&Document>) -> Document {
        let mut live = live.cloned().unwrap_or_else(|| self.empty());
        if let Some(metadata) = live.get_mut("metadata").and_then(Document::as_object_mut) {
            metadata.remove("managedFields");
        }
        live
    }

    /// The managers that an update starts from: those of the request, who may edit the list, or those of the live
    /// document. An empty list, or a list of one empty entry, forgets everybody. Through a subresource the list
    /// cannot be edited.
    fn managers_of_update(&self, live: Option<&Document>, new: &Document) -> Managers {
        let of_live = || live.and_then(|live| Managers::of(live).ok()).unwrap_or_default();
        if !self.subresource.is_empty() {
            return of_live();
        }
        match new.pointer("/metadata/managedFields").and_then(Document::as_array).map(Vec::as_slice) {
            Some([]) => Managers::default(),
            Some([entry]) if entry.as_object().is_some_and(Map::is_empty) => Managers::default(),
            _ => Managers::of(new).ok().filter(|managers| !managers.is_empty()).unwrap_or_else(of_live),
        }
    }

    /// Merges and prunes, then settles who owns what.
    fn merged(
        &self,
        live: &Document,
        applied: &Document,
        managers: &Managers,
        id: &ManagerId,
        force: bool,
        now: Timestamp,
    ) -> Result<Applied, Vec<Conflict>> {
        let mut managers = managers.clone();
        let last = managers.remove(id);
        let fields = self.tracked.filter(&field_set(self.shape(), applied));
        let managed = Managed { fields: fields.clone(), api_version: self.api_version.to_owned(), time: None };
        managers.set(id.clone(), managed);
        let merged = merge(self.shape(), live, applied);
        let let_go = |last: &&Managed| last.api_version != self.api_version || !last.fields.is_subset(&fields);
        let document = match last.as_ref().filter(let_go) {
            Some(last) => self.prune(merged, last, &managers),
            None => merged,
        };
        let mut managers = self.taken_over(live, &document, &managers, id, force)?;

        let fields = fields.difference(&ownership::never_owned());
        let is_unchanged = document == *live
            && last.as_ref().is_some_and(|last| last.fields == fields && last.api_version == self.api_version);
        let time = if is_unchanged { last.and_then(|last| last.time) } else { Some(written_time(now)) };
        managers.set(id.clone(), Managed { fields, api_version: self.api_version.to_owned(), time });
        Ok(Applied { document, managers })
    }
}

/// As Kubernetes writes a group and version: `/v1` for the core group.
fn written_group_version(api_version: &str) -> String {
    if api_version.contains('/') { api_version.to_owned() } else { format!("/{api_version}") }
}

/// RFC 3339 in whole seconds, as every time in metadata.
fn written_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

// === impl Tracked ===

impl Tracked {
    /// Of the object itself, where it has a status subresource.
    #[must_use]
    pub fn all_but_status() -> Self {
        Self::AllBut(FieldSet::of(&[&["status"]]))
    }

    /// Of the status subresource.
    #[must_use]
    pub fn only_status() -> Self {
        Self::Only(FieldSet::of(&[&["status"]]))
    }

    fn filter(&self, fields: &FieldSet) -> FieldSet {
        match self {
            Self::Everything => fields.clone(),
            Self::AllBut(others) => fields.difference_with_below(others),
            Self::Only(these) => fields.intersection_with_below(these),
        }
    }
}

// === impl ApplyError ===

impl ApplyError {
    /// The HTTP status code.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::NoManager => 422,
            Self::WrongType { .. } | Self::SetsManagedFields | Self::NotTyped { .. } => 400,
            Self::Conflicts(_) => 409,
            Self::BrokenManagedFields(_) => 500,
        }
    }

    pub(crate) fn causes(&self) -> Vec<Cause> {
        match self {
            Self::Conflicts(conflicts) => conflicts.iter().map(Conflict::cause).collect(),
            Self::NoManager => vec![Cause {
                reason: "FieldValueRequired",
                message: "Required value: is required for apply patch".to_owned(),
                field: "fieldManager".to_owned(),
            }],
            Self::WrongType { .. } | Self::SetsManagedFields | Self::NotTyped { .. } | Self::BrokenManagedFields(_) => {
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod scenario;
#[cfg(test)]
mod tests;
