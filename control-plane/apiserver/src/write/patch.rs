//! PATCH of an object or of one of its parts.

use bytes::Bytes;
use http::HeaderMap;
use sheave_api::Document;
use sheave_api::decode::{FieldValidation, Format};
use sheave_api::schema::{Arena, TypeId};
use sheave_patch::{PatchError, json, strategic};

use super::create::create_object;
use super::modify::{Part, modify};
use super::ownership;
use crate::call::Call;
use crate::input;
use crate::negotiate::media_type;
use crate::query::WriteOptions;
use crate::reply::Reply;
use crate::status::StatusError;

/// How the body is to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchType {
    /// `application/json-patch+json`
    Json,
    /// `application/merge-patch+json`
    Merge,
    /// `application/strategic-merge-patch+json`
    Strategic,
    /// `application/apply-patch+yaml`
    Apply,
}

const PATCH_TYPES: &str = "application/json-patch+json, application/merge-patch+json, \
    application/strategic-merge-patch+json, application/apply-patch+yaml";

/// Answers a PATCH.
pub(crate) async fn patch(call: &Call, part: Part, body: &Bytes) -> Result<Reply, StatusError> {
    let kind = PatchType::of(&call.headers)?;
    let options = WriteOptions::parse_patch(&call.query, &call.headers, kind == PatchType::Apply)?;
    let patch = kind.read(body)?;
    match kind {
        PatchType::Apply => apply(call, part, &patch, &options).await,
        _ => {
            let mut change = |old: &Document| changed(call, kind, old, &patch, options.validation);
            modify(call, part, &options, &mut change).await?.reply(call)
        }
    }
}

/// Server-side apply creates what is not there, unless it is a part of something.
async fn apply(call: &Call, part: Part, patch: &Document, options: &WriteOptions) -> Result<Reply, StatusError> {
    loop {
        let creates = matches!(part, Part::Main) && call.server.store.get(&call.key()).is_none();
        let outcome = if creates {
            create_object(call, ownership::apply(call, part, None, patch, options)?, options).await
        } else {
            let mut change = |old: &Document| ownership::apply(call, part, Some(old), patch, options);
            modify(call, part, options, &mut change).await
        };
        match outcome {
            // Somebody else made the object, or deleted it, in between.
            Err(error) if creates && error.reason() == "AlreadyExists" => {}
            Err(error) if !creates && matches!(part, Part::Main) && error.reason() == "NotFound" => {}
            outcome => return outcome?.reply(call),
        }
    }
}

fn changed(
    call: &Call,
    kind: PatchType,
    old: &Document,
    patch: &Document,
    validation: FieldValidation,
) -> Result<Document, StatusError> {
    let patched = kind.apply(call.server.registry.schema(), call.kind.schema, old, patch);
    let patched = patched.map_err(|error| ownership::refused(call, &error))?;
    call.forget_warnings();
    input::patched(call, patched, patch, validation)
}

// === impl PatchType ===

impl PatchType {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, StatusError> {
        match media_type(headers) {
            Some("application/json-patch+json") => Ok(Self::Json),
            Some("application/merge-patch+json") => Ok(Self::Merge),
            Some("application/strategic-merge-patch+json") => Ok(Self::Strategic),
            Some("application/apply-patch+yaml") => Ok(Self::Apply),
            _ => Err(StatusError::unsupported_media_type(PATCH_TYPES)),
        }
    }

    /// Applies a patch that needs no field owners; an apply patch is then a merge patch.
    pub(crate) fn apply(
        self,
        arena: &Arena,
        schema: TypeId,
        old: &Document,
        patch: &Document,
    ) -> Result<Document, PatchError> {
        match self {
            Self::Json => json::apply_patch(old.clone(), patch),
            Self::Strategic => strategic::apply(arena, schema, old.clone(), patch.clone()),
            Self::Merge | Self::Apply => json::apply_merge(old.clone(), patch),
        }
    }

    pub(crate) fn read(self, body: &Bytes) -> Result<Document, StatusError> {
        match self {
            Self::Apply => input::patch(body, Format::Yaml),
            Self::Json | Self::Merge | Self::Strategic => input::patch(body, Format::Json),
        }
    }
}
