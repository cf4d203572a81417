//! Writes each node's range of pod addresses into its spec.

use k8s_openapi::api::core::v1::Node;
use parking_lot::Mutex;
use serde_json::json;

use super::name;
use super::pod_ranges::Allocator;
use crate::cidr::Cidr;
use crate::object::owner::is_deleted;
use crate::runtime::api::Requests;
use crate::runtime::cache::Cache;
use crate::runtime::error::Error;
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::recorder::Recorder;
use crate::runtime::worker::{Action, Reconciler};

/// One at a time: the first run takes in what every node has.
const WORKERS: usize = 1;

struct Controller {
    requests: Requests,
    recorder: Recorder,
    nodes: Cache<Node>,
    /// `None` before the first run.
    allocator: Mutex<Option<Allocator>>,
    ranges: Vec<Cidr>,
}

/// Adds the controller, which cuts up `ranges`, one per family.
pub(crate) fn register(manager: &mut Manager, controller: &'static str, ranges: Vec<Cidr>) {
    let nodes = manager.cache::<Node>();
    let queue = manager.queue::<ObjectKey>(controller);
    nodes.on_change({
        let queue = queue.clone();
        move |change| change.latest().into_iter().for_each(|node| queue.add(ObjectKey::of(node)))
    });
    let reconciler = Controller {
        requests: manager.requests(),
        recorder: manager.recorder(controller),
        nodes: nodes.clone(),
        allocator: Mutex::default(),
        ranges,
    };
    manager.run(controller, WORKERS, Needs::default().and(&nodes), queue, reconciler);
}

/// What the node's spec says; text that is no range is none.
fn assigned(node: &Node) -> Vec<Cidr> {
    let Some(spec) = &node.spec else { return Vec::new() };
    let listed = spec.pod_cidrs.iter().flatten();
    let listed: Vec<_> = listed.chain(&spec.pod_cidr).filter_map(|text| text.parse().ok()).collect();
    listed
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let node = self.nodes.get(key);
        let pieces = {
            let mut allocator = self.allocator.lock();
            let allocator = allocator.get_or_insert_with(|| self.take_stock());
            match &node {
                None => {
                    allocator.release(&key.name);
                    return Ok(Action::await_change());
                }
                Some(node) if !assigned(node).is_empty() => {
                    allocator.occupy(&key.name, assigned(node));
                    return Ok(Action::await_change());
                }
                Some(node) if is_deleted(&node.metadata) => return Ok(Action::await_change()),
                Some(_) => allocator.allocate(&key.name),
            }
        };
        match (pieces, node) {
            (Some(pieces), _) => self.assign(key, &pieces).await,
            (None, Some(node)) => {
                let message = format!("Node {} status is now: CIDRNotAvailable", key.name);
                self.recorder.normal(node.as_ref(), "CIDRNotAvailable", message);
                let reason = "no range of pod addresses is left".to_owned();
                Err(Error::Invalid { object: format!("Node {key}"), reason })
            }
            (None, None) => Ok(Action::await_change()),
        }
    }
}

impl Controller {
    fn take_stock(&self) -> Allocator {
        let mut allocator = Allocator::new(&self.ranges);
        for node in self.nodes.list() {
            let pieces = assigned(&node);
            if !pieces.is_empty() {
                allocator.occupy(name(&node), pieces);
            }
        }
        allocator
    }

    async fn assign(&self, key: &ObjectKey, pieces: &[Cidr]) -> Result<Action, Error> {
        let texts: Vec<_> = pieces.iter().map(Cidr::to_string).collect();
        let patch = json!({"spec": {"podCIDR": texts.first(), "podCIDRs": texts}});
        self.requests.strategic::<Node>(key, patch).await?;
        Ok(Action::await_change())
    }
}
