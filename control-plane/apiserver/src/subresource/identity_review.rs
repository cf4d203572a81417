//! `authentication.k8s.io`: who somebody is.

use serde_json::json;
use sheave_api::Document;
use sheave_api::view::View;

use crate::authn::UserInfo;
use crate::call::Call;
use crate::status::StatusError;

/// Who the asker is.
pub(super) fn of_self(call: &Call) -> Document {
    json!({"userInfo": user_info(&call.identity)})
}

/// Whose token it is.
pub(super) fn of_token(call: &Call, review: &Document) -> Result<Document, StatusError> {
    let token = review.text("spec.token");
    if token.is_empty() {
        return Err(StatusError::bad_request("token is required for TokenReview in authentication"));
    }
    let asked: Vec<String> = review.texts("spec.audiences").map(ToOwned::to_owned).collect();
    let authenticator = &call.server.authenticator;
    let audiences = if asked.is_empty() { &authenticator.audiences } else { &asked };
    Ok(match authenticator.token(token, audiences) {
        Some((identity, meant)) => json!({"authenticated": true, "user": user_info(&identity), "audiences": meant}),
        None => json!({"authenticated": false, "error": "invalid bearer token"}),
    })
}

fn user_info(user: &UserInfo) -> Document {
    let mut shown = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        shown["uid"] = user.uid.as_str().into();
    }
    if !user.extra.is_empty() {
        shown["extra"] = json!(user.extra);
    }
    shown
}
