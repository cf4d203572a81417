//! `metadata.managedFields`: who owns which field, kept by every write.

use jiff::Timestamp;
use sheave_api::Document;
use sheave_api::kind::{GroupVersionKind, SubresourceAction};
use sheave_api::registry::Registry;
use sheave_api::schema::TypeId;
use sheave_patch::PatchError;
use sheave_patch::apply::{FieldManager, OneVersion, Tracked, Versions};

use super::modify::Part;
use crate::call::Call;
use crate::convert;
use crate::meta::Meta;
use crate::query::WriteOptions;
use crate::status::StatusError;

/// The versions of a kind that is stored in another one.
struct Conversions<'a>(&'a Registry);

/// `object` with its managers brought up to date after a write that is no apply. Both documents are in the stored
/// version; fields are owned in the version of the request.
pub(super) fn track(
    call: &Call,
    part: Part,
    object: Document,
    old: Option<&Document>,
    options: &WriteOptions,
) -> Document {
    let update = |new: Document, old: Option<&Document>| {
        with_manager(call, part, |manager| manager.update(old, new, &options.field_manager, Timestamp::now()))
    };
    if !convert::is_needed(&call.kind) {
        return update(object, old);
    }
    let served = convert::to_served(&call.kind, &object).into_owned();
    let tracked = update(served, old.map(|old| convert::to_served(&call.kind, old)).as_deref());
    let mut object = object;
    object.set_meta("managedFields", tracked["metadata"]["managedFields"].clone());
    object
}

/// Server-side apply of `patch` over `live`, both in the version of the request.
pub(super) fn apply(
    call: &Call,
    part: Part,
    live: Option<&Document>,
    patch: &Document,
    options: &WriteOptions,
) -> Result<Document, StatusError> {
    with_manager(call, part, |manager| {
        manager.apply(live, patch, &options.field_manager, options.force == Some(true), Timestamp::now())
    })
    .map_err(|error| refused(call, &error))
}

/// The Status of a patch that was refused.
pub(super) fn refused(call: &Call, error: &PatchError) -> StatusError {
    let code = http::StatusCode::from_u16(error.code()).unwrap_or(http::StatusCode::BAD_REQUEST);
    let details = match code {
        http::StatusCode::BAD_REQUEST => return StatusError::bad_request(error.to_string()),
        _ => crate::status::resource_details(&call.kind, call.name()),
    };
    let status = StatusError::new(code, error.reason(), error.to_string()).with_details(details);
    error
        .causes()
        .into_iter()
        .fold(status, |status, cause| status.with_cause(cause.reason, cause.message, &cause.field))
}

fn with_manager<T>(call: &Call, part: Part, work: impl FnOnce(FieldManager<'_>) -> T) -> T {
    let registry = &call.server.registry;
    let conversions = Conversions(registry);
    let versions: &dyn Versions = if convert::is_needed(&call.kind) { &conversions } else { &OneVersion };
    work(FieldManager {
        arena: registry.schema(),
        schema: call.kind.schema,
        api_version: &call.kind.gvk.api_version(),
        kind: &call.kind.gvk.kind,
        subresource: call.path.subresource.as_deref().unwrap_or_default(),
        tracked: &tracked(call, part),
        versions,
    })
}

/// A write of the object never owns the status, a write of the status nothing else.
fn tracked(call: &Call, part: Part) -> Tracked {
    let has_status = call.kind.subresources.iter().any(|it| it.action == SubresourceAction::Status);
    match part {
        Part::Main if has_status => Tracked::all_but_status(),
        Part::Status => Tracked::only_status(),
        Part::Main | Part::Subresource(_) | Part::Trusted => Tracked::Everything,
    }
}

// === impl Conversions ===

impl Versions for Conversions<'_> {
    fn convert(&self, document: &Document, api_version: &str) -> Option<(TypeId, Document)> {
        let text = |field: &str| document.get(field).and_then(Document::as_str).unwrap_or_default();
        let from = self.0.kind(&GroupVersionKind::from_api_version(text("apiVersion"), text("kind")))?;
        let to = self.0.kind(&GroupVersionKind::from_api_version(api_version, text("kind")))?;
        if from.storage != to.storage {
            return None;
        }
        let stored = convert::to_stored(from, document.clone());
        Some((to.schema, convert::to_served(to, &stored).into_owned()))
    }
}
