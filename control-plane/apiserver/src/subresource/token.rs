//! TokenRequest: a token of a service account, bound to a time, an audience and an object.

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;
use sheave_api::Document;
use sheave_api::field::{Cause, FieldError, Path};
use sheave_api::kind::GroupVersionKind;
use sheave_api::view::View;
use uuid::Uuid;

use crate::authn::{Claims, Private, Reference};
use crate::call::Call;
use crate::document;
use crate::input;
use crate::meta::Meta;
use crate::query::WriteOptions;
use crate::reply::Reply;
use crate::status::{StatusDetails, StatusError};

const GROUP: &str = "authentication.k8s.io";
const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;
const DEFAULT: i64 = 3600;

/// Answers `POST serviceaccounts/NAME/token`.
pub(crate) fn token(call: &Call, body: &Bytes) -> Result<Reply, StatusError> {
    let options = WriteOptions::parse(&call.query, &call.headers, "CreateOptions")?;
    let mut request =
        input::document(call, body, &GroupVersionKind::new(GROUP, "v1", "TokenRequest"), options.validation)?;
    let account = call.stored_object()?;
    let seconds = request.int("spec.expirationSeconds").unwrap_or(DEFAULT);
    check_expiration(call, seconds)?;
    let now = Timestamp::now().as_second();
    let claims = Claims {
        aud: audiences(call, &request),
        exp: now + seconds,
        iat: now,
        iss: call.server.authenticator.issuer.clone(),
        jti: Uuid::new_v4().to_string(),
        kubernetes: bound(call, &account, request.at("spec.boundObjectRef"))?,
        nbf: now,
        sub: format!("system:serviceaccount:{}:{}", account.namespace(), account.name()),
    };
    let token =
        call.server.authenticator.keys.sign(&claims).ok_or_else(|| StatusError::internal("cannot sign the token"))?;
    let expiration = Timestamp::from_second(claims.exp).map_err(StatusError::internal)?;
    request["metadata"] = json!({"name": account.name(), "namespace": account.namespace(),
        "creationTimestamp": sheave_api::time::format(Timestamp::now())});
    request["spec"]["audiences"] = json!(claims.aud);
    request["spec"]["expirationSeconds"] = seconds.into();
    request["status"] = json!({"token": token, "expirationTimestamp": sheave_api::time::format(expiration)});
    Ok(Reply::json(StatusCode::CREATED, &request))
}

fn audiences(call: &Call, request: &Document) -> Vec<String> {
    let asked: Vec<String> = request.texts("spec.audiences").map(ToOwned::to_owned).collect();
    if asked.is_empty() { call.server.authenticator.audiences.clone() } else { asked }
}

fn check_expiration(call: &Call, seconds: i64) -> Result<(), StatusError> {
    let why = match seconds {
        ..SHORTEST => "may not specify a duration less than 10 minutes",
        SHORTEST..=LONGEST => return Ok(()),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    let error = FieldError {
        path: Path::new("spec").child("expirationSeconds"),
        cause: Cause::Invalid,
        message: format!("Invalid value: {seconds}: {why}"),
    };
    Err(StatusError::invalid_kind(GROUP, "TokenRequest", call.name(), &[error]))
}

/// The claims about objects; a token bound to a pod also names the pod's node.
fn bound(call: &Call, account: &Document, reference: &Document) -> Result<Private, StatusError> {
    let mut private = Private {
        namespace: account.namespace().to_owned(),
        service_account: Reference { name: account.name().to_owned(), uid: account.uid().to_owned() },
        ..Private::default()
    };
    if reference.is_null() {
        return Ok(private);
    }
    let object = |plural: &str, namespaced: bool| bound_object(call, reference, plural, namespaced);
    match reference.text("kind") {
        "Pod" => {
            let pod = object("pods", true)?;
            if pod.text("spec.serviceAccountName") != account.name() {
                let why = format!(
                    "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                    account.name()
                );
                return Err(StatusError::bad_request(why));
            }
            private.node = node_of(call, &pod);
            private.pod = Some(reference_to(&pod));
        }
        "Secret" => private.secret = Some(reference_to(&object("secrets", true)?)),
        "Node" => private.node = Some(reference_to(&object("nodes", false)?)),
        other => {
            return Err(StatusError::bad_request(format!("cannot bind token to object of type {other:?}")));
        }
    }
    Ok(private)
}

fn reference_to(object: &Document) -> Reference {
    Reference { name: object.name().to_owned(), uid: object.uid().to_owned() }
}

fn node_of(call: &Call, pod: &Document) -> Option<Reference> {
    let name = pod.text("spec.nodeName");
    let node = call.server.store.get(&format!("/registry/nodes/{name}")).filter(|_| !name.is_empty())?;
    document::decode(&node.value).ok().map(|node| reference_to(&node))
}

fn bound_object(call: &Call, reference: &Document, plural: &str, namespaced: bool) -> Result<Document, StatusError> {
    let name = reference.text("name");
    let folder = match call.namespace().filter(|_| namespaced) {
        Some(namespace) => format!("/registry/{plural}/{namespace}/"),
        None => format!("/registry/{plural}/"),
    };
    let missing = || {
        StatusError::new(StatusCode::NOT_FOUND, "NotFound", format!("{plural} {name:?} not found"))
            .with_details(StatusDetails { name: name.to_owned(), kind: plural.to_owned(), ..StatusDetails::default() })
    };
    let entry = call.server.store.get(&format!("{folder}{name}")).filter(|_| !name.is_empty()).ok_or_else(missing)?;
    let object = document::decode(&entry.value).map_err(StatusError::internal)?;
    let wanted = reference.text("uid");
    if !wanted.is_empty() && wanted != object.uid() {
        let message = format!(
            "Operation cannot be fulfilled on {plural} {name:?}: the UID in the bound object reference ({wanted}) does \
             not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(StatusError::new(StatusCode::CONFLICT, "Conflict", message));
    }
    Ok(object)
}
