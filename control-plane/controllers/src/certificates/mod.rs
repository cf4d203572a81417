//! CertificateSigningRequests: a node's are approved, approved ones signed, old ones removed.
//!
//! ```text
//! a node joins  ─▶ approve  the subject is the node's, and whoever asks may ask for it
//! kubectl certificate approve ─┐
//!                              ▼
//!                            sign   what the signer's rules allow, with the cluster's authority
//!                            clean  an hour after the decision, a day without one
//! ```

pub(crate) mod approve;
pub(crate) mod clean;
mod request;
mod rules;
pub(crate) mod sign;

use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::runtime::cache::Cache;
use crate::runtime::key::ObjectKey;
use crate::runtime::queue::WorkQueue;

/// Signs for the cluster's authority. Where its key is, and how it is used, is the caller's business.
pub trait SignCertificates: std::fmt::Debug + Send + Sync {
    /// A certificate in PEM for the subject, the alternative names and the key of `request` (PKCS#10 in PEM).
    ///
    /// # Errors
    /// A text for the request's owner, when the request's signature does not hold or it asks for what cannot be signed.
    fn sign(&self, request: &str, grant: &Grant) -> Result<String, String>;
}

/// What a certificate is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// `spec.usages`: each is one of `certificates.k8s.io/v1 KeyUsage`.
    pub usages: Vec<String>,
    /// From now on.
    pub seconds: u64,
}

const APPROVED: &str = "Approved";
const DENIED: &str = "Denied";
const FAILED: &str = "Failed";

fn has_condition(request: &CertificateSigningRequest, kind: &str) -> bool {
    condition(request, kind).is_some()
}

fn condition<'a>(request: &'a CertificateSigningRequest, kind: &str) -> Option<&'a CertificateSigningRequestCondition> {
    request.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

fn is_issued(request: &CertificateSigningRequest) -> bool {
    request.status.as_ref().and_then(|status| status.certificate.as_ref()).is_some_and(|it| !it.0.is_empty())
}

/// The request with one more condition.
fn with_condition(
    request: &CertificateSigningRequest,
    kind: &str,
    reason: &str,
    message: &str,
    now: Time,
) -> CertificateSigningRequest {
    let mut request = request.clone();
    let condition = CertificateSigningRequestCondition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(now.clone()),
        last_update_time: Some(now),
    };
    request.status.get_or_insert_default().conditions.get_or_insert_default().push(condition);
    request
}

/// Every request that changes is looked at.
fn watch(requests: &Cache<CertificateSigningRequest>, queue: &WorkQueue<ObjectKey>) {
    let queue = queue.clone();
    requests.on_change(move |change| change.new.into_iter().for_each(|it| queue.add(ObjectKey::of(it.as_ref()))));
}
