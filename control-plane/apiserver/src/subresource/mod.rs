//! Subresources with a form of their own, and requests that are answered rather than kept.

mod access_review;
mod binding;
mod budget;
mod condition;
mod eviction;
mod identity_review;
mod scale;
mod token;

use bytes::Bytes;
use http::StatusCode;

pub(crate) use binding::bind;
pub(crate) use eviction::evict;
pub(crate) use scale::scale;
pub(crate) use token::token;

use crate::body;
use crate::call::Call;
use crate::input;
use crate::query::WriteOptions;
use crate::reply::Reply;
use crate::status::{self, StatusError};

/// Answers a POST of a kind that is not kept: a review, a binding.
pub(crate) async fn request(call: &Call, body: &Bytes) -> Result<Reply, StatusError> {
    let options = WriteOptions::parse(&call.query, &call.headers, "CreateOptions")?;
    if call.kind.gvk.kind == "Binding" {
        return binding::bind_by_name(call, body).await;
    }
    let mut review = input::document(call, body, &call.kind.gvk, options.validation)?;
    review["status"] = match call.kind.gvk.kind.as_str() {
        "SelfSubjectAccessReview" => access_review::of_self(call, &review)?,
        "SubjectAccessReview" => access_review::of_subject(call, &review)?,
        "LocalSubjectAccessReview" => access_review::of_subject_in_namespace(call, &review)?,
        "SelfSubjectRulesReview" => access_review::rules(call, &review)?,
        "SelfSubjectReview" => identity_review::of_self(call),
        "TokenReview" => identity_review::of_token(call, &review)?,
        _ => return Err(StatusError::method_not_allowed()),
    };
    Ok(Reply::json(StatusCode::CREATED, &review))
}

/// The Status of a subresource that did what it was asked.
fn done() -> Reply {
    Reply::new(StatusCode::CREATED, body::full(status::success(None, Some(201))))
}
