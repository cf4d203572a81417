//! Since when endpoints are out of date: the value of the last-change annotation.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};
use parking_lot::Mutex;

use crate::object::pod;
use crate::runtime::key::ObjectKey;

/// Remembers, for each Service, the times at which it and its pods last changed.
///
/// A run compares the times with those of the run before: the earliest of the new ones is when the endpoints became
/// out of date. Deleted pods leave no time, so a run after a deletion has none.
#[derive(Default)]
pub(super) struct TriggerTimes {
    known: Mutex<HashMap<ObjectKey, Times>>,
}

#[derive(Default)]
struct Times {
    service: Option<Timestamp>,
    pods: HashMap<String, Timestamp>,
}

// === impl TriggerTimes ===

impl TriggerTimes {
    /// The earliest change that the run before did not know of. `pods` are all pods of the Service.
    pub(super) fn observe<'a>(
        &self,
        key: &ObjectKey,
        service: &Service,
        pods: impl Iterator<Item = &'a Pod>,
    ) -> Option<Timestamp> {
        let created = service.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let now = Times {
            service: created,
            pods: pods.filter_map(|pod| Some((pod.metadata.uid.clone()?, changed_at(pod)?))).collect(),
        };
        let mut known = self.known.lock();
        let Some(before) = known.get(key) else {
            // The first run after a start knows nothing of the past; a Service that is new has no past.
            let first = now.pods.values().copied().chain(now.service).min();
            known.insert(key.clone(), now);
            return first;
        };
        let is_later = |uid: &String, at: Timestamp| before.pods.get(uid).is_none_or(|known| at > *known);
        let pods = now.pods.iter().filter(|(uid, at)| is_later(uid, **at)).map(|(_, at)| *at);
        let service = now.service.filter(|at| before.service.is_none_or(|known| *at > known));
        let first = pods.chain(service).min();
        known.insert(key.clone(), now);
        first
    }

    /// Forgets a Service that is gone.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.known.lock().remove(key);
    }
}

fn changed_at(pod: &Pod) -> Option<Timestamp> {
    pod::condition(pod, "Ready")?.last_transition_time.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(uid: &str, second: i64) -> Pod {
        let at = Timestamp::from_second(second).unwrap().to_string();
        serde_json::from_value(json!({
            "metadata": {"uid": uid},
            "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at}]},
        }))
        .unwrap()
    }

    #[test]
    fn the_earliest_change_since_the_run_before_counts() {
        let times = TriggerTimes::default();
        let service: Service =
            serde_json::from_value(json!({"metadata": {"creationTimestamp": "1970-01-01T00:00:05Z"}})).unwrap();
        let observe = |pods: &[Pod]| {
            let first = times.observe(&ObjectKey::new("a", "web"), &service, pods.iter());
            first.map(Timestamp::as_second)
        };
        assert_eq!(observe(&[]), Some(5));
        assert_eq!(observe(&[pod("a", 7), pod("b", 9)]), Some(7));
        assert_eq!(observe(&[pod("a", 7), pod("b", 9)]), None);
        assert_eq!(observe(&[pod("a", 12)]), Some(12), "b is gone, a changed");
        assert_eq!(observe(&[]), None);
    }
}
