//! Signs approved requests for the cluster's own signers.

use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use super::with_condition;
use super::{APPROVED, DENIED, FAILED, Grant, SignCertificates, has_condition, is_issued, request, rules, watch};
use crate::runtime::api::Requests;
use crate::runtime::cache::Cache;
use crate::runtime::clock::Clock;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::worker::{Action, Reconciler};

const WORKERS: usize = 1;
/// Upstream's `--cluster-signing-duration`.
const LONGEST: u64 = 365 * 24 * 3600;
/// The shortest that the API takes.
const SHORTEST: u64 = 600;

struct Controller {
    requests: Requests,
    clock: Clock,
    signing: Cache<CertificateSigningRequest>,
    signer: Arc<dyn SignCertificates>,
}

/// Adds the controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str, signer: Arc<dyn SignCertificates>) {
    let signing = manager.cache::<CertificateSigningRequest>();
    let queue = manager.queue::<ObjectKey>(name);
    watch(&signing, &queue);
    let controller =
        Controller { requests: manager.requests(), clock: manager.clock(), signing: signing.clone(), signer };
    manager.run(name, WORKERS, Needs::default().and(&signing), queue, controller);
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let Some(request) = self.signing.get(key) else { return Ok(Action::await_change()) };
        let is_decided = [DENIED, FAILED].iter().any(|kind| has_condition(&request, kind)) || is_issued(&request);
        if is_decided || !has_condition(&request, APPROVED) || !rules::is_ours(&request.spec.signer_name) {
            return Ok(Action::await_change());
        }
        let done = match self.sign(&request) {
            Ok(certificate) => {
                let mut signed = request.as_ref().clone();
                signed.status.get_or_insert_default().certificate = Some(ByteString(certificate.into_bytes()));
                signed
            }
            Err(why) => with_condition(&request, FAILED, "SignerValidationFailure", &why, self.clock.time()),
        };
        ignore_not_found(self.requests.replace_status(&done).await)?;
        Ok(Action::await_change())
    }
}

impl Controller {
    fn sign(&self, request: &CertificateSigningRequest) -> Result<String, String> {
        let spec = &request.spec;
        let usages = spec.usages.clone().unwrap_or_default();
        let asked = request::asked(request).ok_or("the request is no PKCS#10 certificate request in PEM")?;
        if let Some(objection) = rules::objection(&spec.signer_name, &asked, &usages) {
            return Err(objection.to_owned());
        }
        let wished = spec.expiration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let grant = Grant { usages, seconds: wished.unwrap_or(LONGEST).clamp(SHORTEST, LONGEST) };
        let text = std::str::from_utf8(&spec.request.0).map_err(|_| "the request is not PEM")?;
        self.signer.sign(text, &grant)
    }
}
