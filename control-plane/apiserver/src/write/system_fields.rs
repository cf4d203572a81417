//! The fields of `metadata` that only the server decides, and the checks of those that a request repeats.

use jiff::Timestamp;
use sheave_api::Document;
use sheave_api::view::{Edit, View};
use uuid::Uuid;

use crate::call::Call;
use crate::meta::Meta;
use crate::status::StatusError;

/// The alphabet of generated names, without vowels and look-alikes (`k8s.io/apimachinery/pkg/util/rand`).
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX: usize = 5;
/// A generated name has 63 characters at most, of which the suffix takes its share.
const LONGEST_BASE: usize = 63 - SUFFIX;

/// What the server sets in every update's `metadata`, whatever the client sent.
const KEPT: &[&str] = &["uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"];

/// A random suffix for a generated name.
pub(crate) fn random_suffix() -> String {
    (0..SUFFIX).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())])).collect()
}

/// `generateName` with a random suffix.
pub(crate) fn generated_name(base: &str) -> String {
    let base: String = base.chars().take(LONGEST_BASE).collect();
    base + &random_suffix()
}

/// Gives a new object its identity.
pub(crate) fn set_new(object: &mut Document) {
    for field in ["resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"] {
        object.remove(&format!("metadata.{field}"));
    }
    object.set_meta("uid", Uuid::new_v4().to_string());
    object.set_meta("creationTimestamp", sheave_api::time::format(Timestamp::now()));
}

/// Carries over from `old` what an update does not decide.
pub(crate) fn keep(new: &mut Document, old: &Document) {
    for field in KEPT {
        new.copy_from(old, &format!("metadata.{field}"));
    }
}

/// The namespace of the object is that of the path, or says nothing.
pub(crate) fn check_namespace(call: &Call, object: &mut Document) -> Result<(), StatusError> {
    let given = object.namespace();
    match call.namespace() {
        None if given.is_empty() => Ok(()),
        None => {
            // Cluster-scoped objects have no namespace; upstream's validation says so with the field.
            Ok(())
        }
        Some(namespace) if given.is_empty() => {
            let namespace = namespace.to_owned();
            object.set_meta("namespace", namespace);
            Ok(())
        }
        Some(namespace) if given == namespace => Ok(()),
        Some(namespace) => Err(StatusError::bad_request(format!(
            "the namespace of the provided object does not match the namespace sent on the request: {given} is not {namespace}"
        ))),
    }
}

/// The name of the object is that of the path, or says nothing.
pub(crate) fn check_name(call: &Call, object: &mut Document) -> Result<(), StatusError> {
    let Some(name) = call.path.name.as_deref() else { return Ok(()) };
    let given = object.name();
    if given.is_empty() {
        object.set_meta("name", name);
        return Ok(());
    }
    if given == name {
        return Ok(());
    }
    Err(StatusError::bad_request(format!(
        "the name of the object ({given}) does not match the name on the URL ({name})"
    )))
}

/// The UID that the client expects is the object's.
pub(crate) fn check_uid(call: &Call, new: &Document, old: &Document) -> Result<(), StatusError> {
    let (wanted, found) = (new.text("metadata.uid"), old.text("metadata.uid"));
    if wanted.is_empty() || wanted == found {
        return Ok(());
    }
    let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}");
    Err(StatusError::conflict(&call.kind, old.name(), &why))
}
