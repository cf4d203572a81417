//! Approves what a node asks for itself: its client certificate, and that of its own port.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use k8s_openapi::api::core::v1::Node;

use super::request::{self, Asked};
use super::{APPROVED, DENIED, has_condition, rules, watch, with_condition};
use crate::runtime::api::Requests;
use crate::runtime::cache::Cache;
use crate::runtime::clock::Clock;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::worker::{Action, Reconciler};

const WORKERS: usize = 1;
/// A node asks for its port's certificate before it has told its addresses; they come with its next status.
const AGAIN: Duration = Duration::from_secs(1);

struct Controller {
    requests: Requests,
    clock: Clock,
    signing: Cache<CertificateSigningRequest>,
    nodes: Cache<Node>,
}

/// Adds the controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let (signing, nodes) = (manager.cache::<CertificateSigningRequest>(), manager.cache::<Node>());
    let queue = manager.queue::<ObjectKey>(name);
    watch(&signing, &queue);
    let controller = Controller {
        requests: manager.requests(),
        clock: manager.clock(),
        signing: signing.clone(),
        nodes: nodes.clone(),
    };
    manager.run(name, WORKERS, Needs::default().and(&signing).and(&nodes), queue, controller);
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let Some(request) = self.signing.get(key) else { return Ok(Action::await_change()) };
        if has_condition(&request, APPROVED) || has_condition(&request, DENIED) {
            return Ok(Action::await_change());
        }
        let Some(asked) = request::asked(&request) else { return Ok(Action::await_change()) };
        let spec = &request.spec;
        if rules::objection(&spec.signer_name, &asked, spec.usages.as_deref().unwrap_or_default()).is_some() {
            return Ok(Action::await_change());
        }
        let is_allowed = match spec.signer_name.as_str() {
            rules::KUBELET_CLIENT => self.may_be_client(spec, &asked).await?,
            rules::KUBELET_SERVING => match self.is_own_address(spec, &asked) {
                Some(is_own) => is_own,
                None => return Ok(Action::requeue(AGAIN)),
            },
            _ => false,
        };
        if is_allowed {
            let message = "Auto approving kubelet certificate after SubjectAccessReview.";
            let approved = with_condition(&request, APPROVED, "AutoApproved", message, self.clock.time());
            ignore_not_found(self.requests.replace_subresource("approval", &approved).await)?;
        }
        Ok(Action::await_change())
    }
}

impl Controller {
    /// Renewal needs the right for oneself; a first certificate, which bootstrap tokens ask for, the right for any node.
    async fn may_be_client(&self, spec: &CertificateSigningRequestSpec, asked: &Asked) -> Result<bool, Error> {
        let is_self = spec.username.as_deref() == Some(asked.common_name.as_str());
        for subresource in is_self.then_some("selfnodeclient").into_iter().chain(["nodeclient"]) {
            let review = SubjectAccessReview { spec: question(spec, subresource), ..SubjectAccessReview::default() };
            let answer: SubjectAccessReview = self.requests.create(&review).await?;
            if answer.status.is_some_and(|status| status.allowed) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a node asks for itself, for names and addresses that its Node object has; none while it has none of them.
    fn is_own_address(&self, spec: &CertificateSigningRequestSpec, asked: &Asked) -> Option<bool> {
        if spec.username.as_deref() != Some(asked.common_name.as_str()) {
            return Some(false);
        }
        let name = asked.common_name.strip_prefix(rules::NODE_USER)?;
        let node = self.nodes.get(&ObjectKey::cluster(name))?;
        let known = node.status.as_ref()?.addresses.as_ref().filter(|addresses| !addresses.is_empty())?;
        let has_address = |wanted: &IpAddr| known.iter().any(|it| it.address.parse() == Ok(*wanted));
        let has_name = |wanted: &String| wanted == name || known.iter().any(|it| it.address == *wanted);
        let is_own = asked.addresses.iter().all(has_address) && asked.names.iter().all(has_name);
        // An address that is not there yet may come with the next status.
        is_own.then_some(true)
    }
}

fn question(spec: &CertificateSigningRequestSpec, subresource: &str) -> SubjectAccessReviewSpec {
    SubjectAccessReviewSpec {
        user: spec.username.clone(),
        uid: spec.uid.clone(),
        groups: spec.groups.clone(),
        extra: spec.extra.clone(),
        resource_attributes: Some(ResourceAttributes {
            group: Some("certificates.k8s.io".to_owned()),
            version: Some("v1".to_owned()),
            resource: Some("certificatesigningrequests".to_owned()),
            subresource: Some(subresource.to_owned()),
            verb: Some("create".to_owned()),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    }
}
