//! All endpoints of the node with their addresses: what the journal says, and who has which address.
//!
//! The order of steps is the argument that no address is ever given out twice. An endpoint is written down before
//! anything is made in the kernel, and is written off only after nothing of it is left there. What an agent that died in
//! between has left is therefore always in the journal: an endpoint that was never completed is undone at the next start,
//! one whose interface is gone is written off.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ipnetwork::IpNetwork;
use sheave_cni::protocol::{Attachment, PodReference};

use crate::endpoint::Endpoint;
use crate::journal::{Journal, JournalError, Step};
use crate::pool::{NoAddress, Pool};

/// The endpoints and their addresses.
#[derive(Debug)]
pub struct Endpoints {
    pool: Pool,
    journal: Journal,
    living: BTreeMap<Attachment, Living>,
    /// Addresses that the kernel routes to interfaces which the journal does not know, by interface.
    strangers: BTreeMap<String, BTreeSet<IpAddr>>,
}

#[derive(Clone, Debug)]
struct Living {
    endpoint: Endpoint,
    is_complete: bool,
}

/// No endpoint.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// No address.
    #[error(transparent)]
    NoAddress(#[from] NoAddress),
    /// The attachment has its endpoint already.
    #[error("{0} is attached already: the runtime must call DEL before it calls ADD again")]
    Exists(String),
    /// It could not be written down.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

// === impl Endpoints ===

impl Endpoints {
    /// Reads the journal. `delay` is how long a freed address stays unused.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(path: &Path, delay: Duration) -> Result<Self, JournalError> {
        let (journal, steps) = Journal::open(path)?;
        let mut endpoints =
            Self { pool: Pool::new(delay), journal, living: BTreeMap::new(), strangers: BTreeMap::new() };
        for step in steps {
            endpoints.replay(step);
        }
        Ok(endpoints)
    }

    fn replay(&mut self, step: Step) {
        match step {
            Step::Reserve { endpoint } => {
                endpoint.addresses.iter().for_each(|address| self.pool.occupy(*address));
                self.living.insert(endpoint.attachment.clone(), Living { endpoint, is_complete: false });
            }
            Step::Complete { attachment } => {
                if let Some(living) = self.living.get_mut(&attachment) {
                    living.is_complete = true;
                }
            }
            Step::Release { attachment, at } => {
                if let Some(living) = self.living.remove(&attachment) {
                    living.endpoint.addresses.iter().for_each(|address| self.pool.free(*address, at));
                }
            }
        }
    }

    /// The networks that addresses come from.
    pub fn set_networks(&mut self, networks: &[IpNetwork]) {
        if self.pool.networks() == networks {
            return;
        }
        self.pool.set_networks(networks);
        let highest =
            self.living.values().flat_map(|living| living.endpoint.addresses.iter().copied()).collect::<BTreeSet<_>>();
        highest.into_iter().for_each(|address| self.pool.resume_after(address));
    }

    /// Addresses of the node itself, which no pod gets.
    pub fn exclude(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.pool.exclude(addresses);
    }

    /// Gives an attachment its addresses and writes it down.
    ///
    /// # Errors
    /// [`ReserveError`].
    pub fn reserve(
        &mut self,
        attachment: Attachment,
        pod: Option<PodReference>,
        namespace: String,
    ) -> Result<Endpoint, ReserveError> {
        if let Some(living) = self.living.get(&attachment) {
            return Err(ReserveError::Exists(living.endpoint.name()));
        }
        let addresses = self.pool.take(seconds_now())?;
        let endpoint = Endpoint::new(attachment, pod, namespace, addresses);
        if let Err(error) = self.journal.write(&Step::Reserve { endpoint: endpoint.clone() }) {
            endpoint.addresses.iter().for_each(|address| self.pool.free(*address, seconds_now()));
            return Err(error.into());
        }
        self.living.insert(endpoint.attachment.clone(), Living { endpoint: endpoint.clone(), is_complete: false });
        Ok(endpoint)
    }

    /// Writes down that an endpoint is whole in the kernel.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn complete(&mut self, attachment: &Attachment) -> Result<(), JournalError> {
        self.journal.write(&Step::Complete { attachment: attachment.clone() })?;
        if let Some(living) = self.living.get_mut(attachment) {
            living.is_complete = true;
        }
        Ok(())
    }

    /// Writes an endpoint off: nothing of it is left in the kernel. One that is not there is no error.
    ///
    /// # Errors
    /// [`JournalError`]; then its addresses stay in use.
    pub fn release(&mut self, attachment: &Attachment) -> Result<(), JournalError> {
        let Some(living) = self.living.get(attachment).cloned() else { return Ok(()) };
        let at = seconds_now();
        self.journal.write(&Step::Release { attachment: attachment.clone(), at })?;
        self.living.remove(attachment);
        living.endpoint.addresses.iter().for_each(|address| self.pool.free(*address, at));
        if self.journal.is_slack(self.living.len()) {
            self.compact()?;
        }
        Ok(())
    }

    /// Marks an address as in use that the kernel routes to an interface of the agent's which the journal does not know.
    pub fn add_stranger(&mut self, interface: &str, address: IpAddr) {
        self.strangers.entry(interface.to_owned()).or_default().insert(address);
        self.pool.occupy(address);
    }

    /// Frees the addresses of such an interface, which is gone.
    pub fn remove_stranger(&mut self, interface: &str) {
        for address in self.strangers.remove(interface).unwrap_or_default() {
            self.pool.free(address, seconds_now());
        }
    }

    /// The endpoint of an attachment.
    pub fn get(&self, attachment: &Attachment) -> Option<&Endpoint> {
        self.living.get(attachment).map(|living| &living.endpoint)
    }

    /// The endpoint with this node's end.
    pub fn by_interface(&self, interface: &str) -> Option<&Endpoint> {
        self.iter().find(|endpoint| endpoint.host_interface == interface)
    }

    /// All endpoints, those that are being made included.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.living.values().map(|living| &living.endpoint)
    }

    /// Endpoints that were begun and not completed.
    pub fn incomplete(&self) -> Vec<Endpoint> {
        self.living.values().filter(|living| !living.is_complete).map(|living| living.endpoint.clone()).collect()
    }

    /// The networks, the number of addresses in use, and how many can be.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Writes the journal anew with what still counts: the living endpoints.
    fn compact(&mut self) -> Result<(), JournalError> {
        let mut steps = Vec::new();
        for living in self.living.values() {
            steps.push(Step::Reserve { endpoint: living.endpoint.clone() });
            if living.is_complete {
                steps.push(Step::Complete { attachment: living.endpoint.attachment.clone() });
            }
        }
        self.journal.rewrite(&steps)
    }
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn attachment(number: u8) -> Attachment {
        Attachment { network: "pods".into(), container: format!("c{number}"), interface: "eth0".into() }
    }

    fn open(path: &Path, delay: Duration) -> Endpoints {
        let mut endpoints = Endpoints::open(path, delay).unwrap();
        endpoints.set_networks(&["10.0.0.0/28".parse().unwrap(), "fd00::/64".parse().unwrap()]);
        endpoints
    }

    #[test]
    fn a_restart_keeps_endpoints_and_goes_on_after_the_last_address() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endpoints");
        let mut first = open(&path, Duration::ZERO);
        let one = first.reserve(attachment(1), None, "/run/netns/1".into()).unwrap();
        first.complete(&attachment(1)).unwrap();
        let two = first.reserve(attachment(2), None, "/run/netns/2".into()).unwrap();
        drop(first);
        let mut second = open(&path, Duration::ZERO);
        assert_eq!(second.get(&attachment(1)), Some(&one));
        assert_eq!(second.incomplete(), [two]);
        let three = second.reserve(attachment(3), None, "/run/netns/3".into()).unwrap();
        assert_eq!(three.addresses[0].to_string(), "10.0.0.3");
        assert!(matches!(second.reserve(attachment(1), None, String::new()), Err(ReserveError::Exists(_))));
    }

    #[test]
    fn a_freed_address_stays_unused_for_its_delay_across_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endpoints");
        let mut first = open(&path, Duration::from_secs(1000));
        let freed = first.reserve(attachment(1), None, String::new()).unwrap().addresses[0];
        first.release(&attachment(1)).unwrap();
        drop(first);
        let mut second = open(&path, Duration::from_secs(1000));
        let others: Vec<_> = (2..15)
            .map(|number| second.reserve(attachment(number), None, String::new()).unwrap().addresses[0])
            .collect();
        assert!(!others.contains(&freed));
        let refused = second.reserve(attachment(99), None, String::new()).unwrap_err();
        assert!(matches!(refused, ReserveError::NoAddress(NoAddress::AllFresh(..))), "{refused}");
    }

    #[test]
    fn the_journal_does_not_grow_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endpoints");
        let mut endpoints = open(&path, Duration::ZERO);
        endpoints.reserve(attachment(0), None, String::new()).unwrap();
        endpoints.complete(&attachment(0)).unwrap();
        for _ in 0..3000 {
            endpoints.reserve(attachment(1), None, String::new()).unwrap();
            endpoints.release(&attachment(1)).unwrap();
        }
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines < 4200, "{lines} lines");
        drop(endpoints);
        let again = open(&path, Duration::ZERO);
        assert_eq!((again.iter().count(), again.incomplete().len()), (1, 0));
    }

    #[test]
    fn a_damaged_journal_is_refused_and_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endpoints");
        fs::write(&path, "{\"step\":\"complete\"}\n").unwrap();
        let error = Endpoints::open(&path, Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("move the file away"), "{error}");
    }

    #[derive(Clone, Debug)]
    enum Action {
        Add(u8),
        Del(u8),
        /// The agent dies; of its last write only so many bytes reached the file.
        Crash {
            torn: usize,
        },
    }

    fn actions() -> impl Strategy<Value = Vec<Action>> {
        let action = prop_oneof![
            4 => (0_u8..20).prop_map(Action::Add),
            3 => (0_u8..20).prop_map(Action::Del),
            1 => (0_usize..200).prop_map(|torn| Action::Crash { torn }),
        ];
        proptest::collection::vec(action, 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// The kernel is a map of what is attached. An address is never given out while the kernel has it, whatever
        /// the agent was doing when it died.
        #[test]
        fn no_address_is_given_out_twice_whenever_the_agent_dies(actions in actions()) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("endpoints");
            let mut endpoints = open(&path, Duration::ZERO);
            let mut kernel: HashMap<Attachment, Vec<IpAddr>> = HashMap::new();
            let mut acknowledged = fs::metadata(&path).unwrap().len();
            for action in actions {
                match action {
                    Action::Add(number) => {
                        if let Ok(endpoint) = endpoints.reserve(attachment(number), None, String::new()) {
                            let in_use = kernel.values().flatten().any(|used| endpoint.addresses.contains(used));
                            prop_assert!(!in_use, "{:?} given out twice", endpoint.addresses);
                            acknowledged = fs::metadata(&path).unwrap().len();
                            kernel.insert(attachment(number), endpoint.addresses);
                            endpoints.complete(&attachment(number)).unwrap();
                        }
                    }
                    Action::Del(number) => {
                        kernel.remove(&attachment(number));
                        acknowledged = fs::metadata(&path).unwrap().len();
                        endpoints.release(&attachment(number)).unwrap();
                    }
                    Action::Crash { torn } => {
                        drop(endpoints);
                        let length = fs::metadata(&path).unwrap().len();
                        let kept = (acknowledged + torn as u64).min(length);
                        fs::File::options().write(true).open(&path).unwrap().set_len(kept).unwrap();
                        endpoints = open(&path, Duration::ZERO);
                        // As at a start: what the kernel does not have is written off, what was not completed undone.
                        let gone: Vec<_> = endpoints.iter().map(|it| it.attachment.clone()).filter(|it| !kernel.contains_key(it)).collect();
                        let undone: Vec<_> = endpoints.incomplete().into_iter().map(|it| it.attachment).collect();
                        for one in gone.iter().chain(&undone) {
                            kernel.remove(one);
                            endpoints.release(one).unwrap();
                        }
                        acknowledged = fs::metadata(&path).unwrap().len();
                    }
                }
                for (attached, addresses) in &kernel {
                    prop_assert_eq!(endpoints.get(attached).map(|endpoint| &endpoint.addresses), Some(addresses));
                }
                prop_assert_eq!(endpoints.pool().used(), kernel.len() * 2);
            }
        }
    }
}
