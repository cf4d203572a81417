//! Writes: what a request wants, what the kind's rules and admission make of it, and the commit.

mod commit;
mod create;
mod delete;
mod delete_collection;
mod modify;
mod ownership;
mod patch;
mod rules;
mod system_fields;
mod update;

pub(crate) use create::create;
pub(crate) use delete::{check_preconditions, delete, delete_object};
pub(crate) use delete_collection::delete_collection;
pub(crate) use modify::{Change, Part, modify};
pub(crate) use patch::{PatchType, patch};
pub(crate) use system_fields::random_suffix;
pub(crate) use update::update;

use bytes::Bytes;
use http::StatusCode;

use crate::body;
use crate::call::Call;
use crate::read::{Object, Rendering};
use crate::reply::Reply;
use crate::status::StatusError;

/// The outcome of a write.
pub(crate) struct Written {
    /// The object as presented.
    pub(crate) value: Bytes,
    /// Whether it was made by this write.
    pub(crate) created: bool,
}

// === impl Written ===

impl Written {
    /// The answer to the client: 201 for a new object.
    pub(crate) fn reply(self, call: &Call) -> Result<Reply, StatusError> {
        let code = if self.created { StatusCode::CREATED } else { StatusCode::OK };
        let rendering = Rendering::new(&call.kind, call.accepted, &call.query)?;
        Ok(Reply::new(code, body::full(rendering.object(&Object::new(self.value)))))
    }
}
