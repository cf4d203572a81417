//! Which endpoints may be used from a node.

use super::endpoint::{Endpoint, EndpointState};
use super::spec::TrafficPolicy;

/// Where the node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The node's name.
    pub node: String,
    /// Its zone (`topology.kubernetes.io/zone`), if it has one.
    pub zone: Option<String>,
}

/// The endpoints of a service port that a node may use, as indices into the list that was chosen from.
///
/// The rules are those of kube-proxy: hints hold only where every ready endpoint has them and one fits; where none is
/// ready, those that terminate but still serve are used (KEP-1669), whatever their hints say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// For traffic that any endpoint may serve.
    pub cluster: Vec<usize>,
    /// For traffic that must stay on the node.
    pub local: Vec<usize>,
    /// Whether there is an endpoint anywhere that could serve. Without one clients are refused; with one that the
    /// policy rules out, their packets are dropped.
    pub exists: bool,
    /// How many endpoints on this node are ready, which is what load balancers ask for.
    pub local_ready: usize,
}

/// Which hints are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hints {
    Ignored,
    Zone,
    Node,
}

// === impl Selection ===

impl Selection {
    /// Chooses among the endpoints of one port.
    #[must_use]
    pub fn of(endpoints: &[Endpoint], place: &Place) -> Self {
        let hints = Hints::followed(endpoints, place);
        let matching = |fits: &dyn Fn(&Endpoint) -> bool| -> Vec<usize> {
            endpoints.iter().enumerate().filter(|(_, it)| fits(it)).map(|(index, _)| index).collect()
        };
        let first_that_has_any = |near: &dyn Fn(&Endpoint) -> bool, hints: Hints| {
            let ready = matching(&|it| it.state == EndpointState::Ready && near(it) && hints.allow(it, place));
            if !ready.is_empty() {
                return ready;
            }
            matching(&|it| it.state == EndpointState::ServingTerminating && near(it))
        };
        let is_local = |endpoint: &Endpoint| endpoint.is_on(&place.node);
        Self {
            cluster: first_that_has_any(&|_| true, hints),
            // A node's own endpoints are as near as can be: hints say nothing about them.
            local: first_that_has_any(&is_local, Hints::Ignored),
            exists: endpoints.iter().any(|it| it.state != EndpointState::Unusable),
            local_ready: endpoints.iter().filter(|it| it.state == EndpointState::Ready && is_local(it)).count(),
        }
    }

    /// The endpoints for traffic under a policy.
    #[must_use]
    pub fn under(&self, policy: TrafficPolicy) -> &[usize] {
        match policy {
            TrafficPolicy::Cluster => &self.cluster,
            TrafficPolicy::Local => &self.local,
        }
    }
}

// === impl Hints ===

impl Hints {
    /// Hints are all or nothing: while one ready endpoint lacks them they are being changed, and where none fits they
    /// would leave the node without an endpoint.
    fn followed(endpoints: &[Endpoint], place: &Place) -> Self {
        let (mut all_have_nodes, mut all_have_zones) = (true, true);
        let (mut one_for_node, mut one_for_zone) = (false, false);
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.state == EndpointState::Ready) {
            all_have_nodes &= !endpoint.nodes.is_empty();
            all_have_zones &= !endpoint.zones.is_empty();
            one_for_node |= Self::Node.allow(endpoint, place);
            one_for_zone |= Self::Zone.allow(endpoint, place);
        }
        if all_have_nodes && one_for_node {
            Self::Node
        } else if all_have_zones && one_for_zone {
            Self::Zone
        } else {
            Self::Ignored
        }
    }

    fn allow(self, endpoint: &Endpoint, place: &Place) -> bool {
        match self {
            Self::Ignored => true,
            Self::Zone => endpoint.zones.iter().any(|zone| Some(&**zone) == place.zone.as_deref()),
            Self::Node => endpoint.nodes.iter().any(|node| **node == *place.node),
        }
    }
}
