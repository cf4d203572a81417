//! Removes requests that nobody needs any more, with upstream's times.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use super::{APPROVED, DENIED, FAILED, condition, watch};
use crate::runtime::api::{Deletion, Requests};
use crate::runtime::cache::Cache;
use crate::runtime::clock::Clock;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::worker::{Action, Reconciler};

const WORKERS: usize = 1;
/// After a decision.
const DECIDED: Duration = Duration::from_secs(3600);
/// Without one.
const PENDING: Duration = Duration::from_secs(24 * 3600);

struct Controller {
    requests: Requests,
    clock: Clock,
    signing: Cache<CertificateSigningRequest>,
}

/// Adds the controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let signing = manager.cache::<CertificateSigningRequest>();
    let queue = manager.queue::<ObjectKey>(name);
    watch(&signing, &queue);
    let controller = Controller { requests: manager.requests(), clock: manager.clock(), signing: signing.clone() };
    manager.run(name, WORKERS, Needs::default().and(&signing), queue, controller);
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let Some(request) = self.signing.get(key) else { return Ok(Action::await_change()) };
        match remaining(&request, self.clock.now()) {
            Some(remaining) => Ok(Action::requeue(remaining)),
            None => {
                ignore_not_found(
                    self.requests.delete::<CertificateSigningRequest>(key, &Deletion::of(request.as_ref())).await,
                )?;
                Ok(Action::await_change())
            }
        }
    }
}

/// How long a request stays; none when its time is over.
fn remaining(request: &CertificateSigningRequest, now: Timestamp) -> Option<Duration> {
    let decided = [APPROVED, DENIED, FAILED].iter().find_map(|kind| condition(request, kind));
    let (since, stays) = match decided {
        Some(condition) => (condition.last_update_time.as_ref(), DECIDED),
        None => (request.metadata.creation_timestamp.as_ref(), PENDING),
    };
    let since = since.or(request.metadata.creation_timestamp.as_ref()).map_or(now, |time| time.0);
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    stays.checked_sub(passed).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::super::with_condition;
    use super::*;

    #[test]
    fn a_request_stays_an_hour_after_its_decision_and_a_day_without_one() {
        let created: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        let mut request = CertificateSigningRequest::default();
        request.metadata.creation_timestamp = Some(Time(created));
        let after = |hours: i64| created + jiff::SignedDuration::from_hours(hours);
        assert_eq!(remaining(&request, after(23)), Some(Duration::from_secs(3600)));
        assert_eq!(remaining(&request, after(24)), None);
        let denied = with_condition(&request, DENIED, "No", "", Time(after(2)));
        assert_eq!(remaining(&denied, after(2)), Some(DECIDED));
        assert_eq!(remaining(&denied, after(3)), None);
    }
}
