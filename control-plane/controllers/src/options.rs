//! What an operator can set.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::certificates::SignCertificates;
use crate::cidr::Cidr;
use crate::load_balancer::pool::Pool;
use crate::registry::{self, Registration};
use crate::runtime::clock::Clock;
use crate::runtime::metrics::Metrics;

/// Settings of all controllers.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which controllers run (`--controllers`).
    pub controllers: Selection,
    /// The cluster's root certificates in PEM, for the ConfigMap `kube-root-ca.crt` of each namespace; none is made
    /// without them.
    pub root_certificates: Option<String>,
    /// How long a node may be silent before it counts as lost (`--node-monitor-grace-period`).
    pub node_monitor_grace_period: Duration,
    /// The cluster's pod addresses (`--pod-cidr`), one range per family, of which every node gets a piece; nodes get
    /// none without them.
    pub pod_cidrs: Vec<Cidr>,
    /// Addresses for Services of type LoadBalancer (`--load-balancer-pool`); none get one without them.
    pub load_balancer_pool: Option<Pool>,
    /// The cluster's authority, for CertificateSigningRequests; none are signed without it.
    pub certificate_signer: Option<Arc<dyn SignCertificates>>,
    /// Where they count what they do; a server renders it at `/metrics`.
    pub metrics: Metrics,
    /// The time that they go by.
    pub clock: Clock,
}

/// A selection as `--controllers` writes it: `*` for all that run by default, `name` for one more, `-name` for one
/// less. The first item that names a controller decides; without any item it is `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    items: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Default,
    With(&'static str),
    Without(&'static str),
}

/// A `--controllers` value that names a controller that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not in the list of known controllers: {}", known())]
pub struct UnknownController {
    name: String,
}

fn known() -> String {
    let names: BTreeSet<_> = registry::ALL.iter().map(|registration| registration.name).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            controllers: Selection::default(),
            root_certificates: None,
            node_monitor_grace_period: Duration::from_secs(40),
            pod_cidrs: Vec::new(),
            load_balancer_pool: None,
            certificate_signer: None,
            metrics: Metrics::default(),
            clock: Clock::default(),
        }
    }
}

// === impl Selection ===

impl Default for Selection {
    fn default() -> Self {
        Self { items: vec![Item::Default] }
    }
}

impl Selection {
    /// Whether the controller is to run.
    pub(crate) fn includes(&self, registration: &Registration) -> bool {
        let named = self.items.iter().find_map(|item| match item {
            Item::With(name) if *name == registration.name => Some(true),
            Item::Without(name) if *name == registration.name => Some(false),
            Item::With(_) | Item::Without(_) | Item::Default => None,
        });
        named.unwrap_or_else(|| self.items.contains(&Item::Default))
    }
}

impl FromStr for Selection {
    type Err = UnknownController;

    fn from_str(text: &str) -> Result<Self, UnknownController> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Item::from_str);
        let items = items.collect::<Result<Vec<_>, _>>()?;
        Ok(if items.is_empty() { Self::default() } else { Self { items } })
    }
}

impl FromStr for Item {
    type Err = UnknownController;

    fn from_str(text: &str) -> Result<Self, UnknownController> {
        let resolve = |name: &str| {
            let found = registry::ALL.iter().find(|known| known.name == name || known.aliases.contains(&name));
            found.map(|known| known.name).ok_or_else(|| UnknownController { name: name.to_owned() })
        };
        match text.strip_prefix('-') {
            _ if text == "*" => Ok(Self::Default),
            Some(name) => resolve(name).map(Self::Without),
            None => resolve(text).map(Self::With),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_reads_as_kubernetes_writes_it() {
        for (text, deployments, sets) in [
            ("*", true, true),
            ("", true, true),
            ("*,-deployment-controller", false, true),
            ("-deployment-controller,*", false, true),
            ("-deployment,*", false, true),
            ("deployment-controller", true, false),
            ("*,-deployment-controller,deployment-controller", false, true),
            ("-replicaset-controller", false, false),
        ] {
            let selection: Selection = text.parse().unwrap();
            let runs = |name: &str| {
                let registration = registry::ALL.iter().find(|known| known.name == name).unwrap();
                selection.includes(registration)
            };
            assert_eq!((runs("deployment-controller"), runs("replicaset-controller")), (deployments, sets), "{text:?}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = "*,-deploymint".parse::<Selection>().unwrap_err().to_string();
        assert!(error.starts_with("\"deploymint\" is not in the list of known controllers"), "{error}");
        assert!(error.contains("replicaset-controller"), "{error}");
    }
}
