//! One object and the people who write it, so that a test reads as a story.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, json};
use sheave_api::Document;
use sheave_api::schema::Arena;

use super::{FieldManager, OneVersion, Tracked};
use crate::error::PatchError;
use crate::fields::{FieldPath, FieldSet};
use crate::managed::{Managers, Operation};

/// A stored object. Every write takes a second.
pub(super) struct Story {
    kind: &'static str,
    api_version: &'static str,
    definition: &'static str,
    pub(super) live: Option<Document>,
    now: Timestamp,
}

// === impl Story ===

impl Story {
    pub(super) fn of_a_deployment() -> Self {
        Self::of("Deployment", "apps/v1", "io.k8s.api.apps.v1.Deployment")
    }

    pub(super) fn of_a_service() -> Self {
        Self::of("Service", "v1", "io.k8s.api.core.v1.Service")
    }

    pub(super) fn of_a_config_map() -> Self {
        Self::of("ConfigMap", "v1", "io.k8s.api.core.v1.ConfigMap")
    }

    fn of(kind: &'static str, api_version: &'static str, definition: &'static str) -> Self {
        let now = Timestamp::from_second(1_767_225_600).expect("the start of 2026");
        Self { kind, api_version, definition, live: None, now }
    }

    fn manager<'a>(&self, subresource: &'a str, tracked: &'a Tracked) -> FieldManager<'a> {
        let arena = Arena::builtin();
        let schema = arena.named(self.definition).expect("a built-in kind");
        FieldManager {
            arena,
            schema,
            api_version: self.api_version,
            kind: self.kind,
            subresource,
            tracked,
            versions: &OneVersion,
        }
    }

    /// `fields` with what makes them a document of the kind.
    pub(super) fn document(&self, fields: Document) -> Document {
        let mut document = json!({"apiVersion": self.api_version, "kind": self.kind, "metadata": {"name": "web", "namespace": "default"}});
        json_patch::merge(&mut document, &fields);
        document
    }

    pub(super) fn try_apply(&mut self, manager: &str, fields: Document, force: bool) -> Result<(), PatchError> {
        let applied = self.document(fields);
        self.try_apply_document(manager, &applied, force)
    }

    fn try_apply_document(&mut self, manager: &str, applied: &Document, force: bool) -> Result<(), PatchError> {
        self.now += SignedDuration::from_secs(1);
        let tracked = Tracked::all_but_status();
        let result = self.manager("", &tracked).apply(self.live.as_ref(), applied, manager, force, self.now)?;
        self.live = Some(result);
        Ok(())
    }

    /// Applies a document as it is, nulls and all.
    #[track_caller]
    pub(super) fn apply_document(&mut self, manager: &str, applied: &Document) {
        if let Err(error) = self.try_apply_document(manager, applied, false) {
            panic!("{manager} cannot apply: {error}");
        }
    }

    #[track_caller]
    pub(super) fn apply(&mut self, manager: &str, fields: Document) {
        if let Err(error) = self.try_apply(manager, fields, false) {
            panic!("{manager} cannot apply: {error}");
        }
    }

    #[track_caller]
    pub(super) fn force(&mut self, manager: &str, fields: Document) {
        if let Err(error) = self.try_apply(manager, fields, true) {
            panic!("{manager} cannot force: {error}");
        }
    }

    /// The message with which an apply is refused; the object stays as it was.
    #[track_caller]
    pub(super) fn refused(&mut self, manager: &str, fields: Document) -> PatchError {
        let before = self.live.clone();
        let error = self.try_apply(manager, fields, false).expect_err("the apply must be refused");
        assert_eq!(self.live, before);
        error
    }

    /// A write that is no apply: the object with a merge patch.
    pub(super) fn update(&mut self, manager: &str, change: Document) {
        self.update_through("", Tracked::all_but_status(), manager, change);
    }

    pub(super) fn update_status(&mut self, manager: &str, change: Document) {
        self.update_through("status", Tracked::only_status(), manager, change);
    }

    pub(super) fn update_through(&mut self, subresource: &str, tracked: Tracked, manager: &str, change: Document) {
        self.now += SignedDuration::from_secs(1);
        let mut new = self.live.clone().unwrap_or_else(|| self.document(json!({})));
        json_patch::merge(&mut new, &change);
        let result = self.manager(subresource, &tracked).update(self.live.as_ref(), new, manager, self.now);
        self.live = Some(result);
    }

    #[track_caller]
    pub(super) fn live(&self) -> &Document {
        self.live.as_ref().expect("the object exists")
    }

    #[track_caller]
    pub(super) fn value(&self, pointer: &str) -> Option<Document> {
        self.live().pointer(pointer).cloned()
    }

    #[track_caller]
    pub(super) fn managers(&self) -> Managers {
        Managers::of(self.live()).expect("the server writes readable managed fields")
    }

    /// The names of the managers that own `path`, written as in conflicts; updaters with a `~`.
    #[track_caller]
    pub(super) fn owners(&self, path: &str) -> Vec<String> {
        let owns = |fields: &FieldSet| fields.paths().iter().map(FieldPath::to_string).any(|owned| owned == path);
        let managers = self.managers();
        let owners = managers.iter().filter(|(_, managed)| owns(&managed.fields));
        owners
            .map(|(id, _)| match id.operation {
                Operation::Apply => id.name.clone(),
                Operation::Update => format!("~{}", id.name),
            })
            .collect()
    }

    /// The `fieldsV1` of a manager.
    #[track_caller]
    pub(super) fn fields_of(&self, manager: &str) -> Document {
        let managers = self.managers();
        let found = managers.iter().find(|(id, _)| id.name == manager);
        found.map_or(Document::Object(Map::new()), |(_, managed)| managed.fields.to_document())
    }

    #[track_caller]
    pub(super) fn time_of(&self, manager: &str) -> Option<String> {
        let managers = self.managers();
        managers.iter().find(|(id, _)| id.name == manager).and_then(|(_, managed)| managed.time.clone())
    }
}
