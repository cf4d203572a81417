//! Taking over what an earlier agent left in the kernel.
//!
//! Numbers are kept, so that connections that remember them go on, and nothing is removed before [`Tables::prune`]:
//! until every watch has synced, a service that is not known yet may only not have been heard of.

use std::collections::HashMap;

use dataplane_common::{Backend, Frontend, FrontendKey, IpProtocol, Row, Verdict as KernelVerdict};

use super::compile::{BackendAddress, CompiledFrontend};
use super::frontend::Verdict;
use super::plan::{Change, PortKey, RowKey, Tables};
use super::spec::Protocol;

/// What the kernel's tables say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// By number, those that were and are no longer included.
    pub backends: Vec<(u32, Backend)>,
    /// By number, with the places that they name; without empty ones.
    pub rows: Vec<(u32, Row, Vec<u32>)>,
    /// All of them.
    pub frontends: Vec<(FrontendKey, Frontend)>,
}

/// What an earlier agent left and no service has claimed yet.
#[derive(Debug, Default)]
pub(super) struct Adopted {
    pub(super) frontends: HashMap<FrontendKey, Frontend>,
    pub(super) rows: HashMap<u32, (Row, Vec<u32>)>,
}

// === impl Tables ===

impl Tables {
    /// Takes over what the kernel's tables say. What does not fit together is left alone: it is replaced or pruned.
    pub fn adopt(&mut self, snapshot: Snapshot) {
        for (number, backend) in snapshot.backends {
            self.written.insert(number, backend);
            if let Some(address) = BackendAddress::of(&backend).filter(|_| backend.is_in_use()) {
                self.backends.adopt(address, number);
            }
        }
        for (number, row, places) in snapshot.rows {
            if self.arena.claim(row.offset(), row.length()) && self.rows.reserve(number) {
                self.adopted.rows.insert(number, (row, places));
            }
        }
        self.adopted.frontends.extend(snapshot.frontends);
    }

    /// Removes what no service has claimed. To be called once every watch has synced.
    #[must_use]
    pub fn prune(&mut self) -> Vec<Change> {
        let mut changes: Vec<Change> =
            self.adopted.frontends.drain().map(|(key, _)| Change::RemoveFrontend(key)).collect();
        for (number, (row, _)) in std::mem::take(&mut self.adopted.rows) {
            changes.push(Change::SetRow(number, Row::default()));
            self.arena.retire(row.offset(), row.length());
            self.freed.rows.push(number);
        }
        for number in self.backends.unused() {
            self.withdraw(number, &mut changes);
        }
        changes
    }

    /// Gives a port and its rows the numbers that an adopted frontend has for them.
    pub(super) fn claim(&mut self, port: &PortKey, compiled: &CompiledFrontend) {
        let Some(frontend) = self.adopted.frontends.get(&compiled.key).copied() else { return };
        self.ports.adopt(port.clone(), frontend.service());
        for (verdict, kernel) in [(compiled.inside, frontend.inside()), (compiled.outside, frontend.outside())] {
            let (Verdict::Balance { policy, .. }, KernelVerdict::Balance(number)) = (verdict, kernel) else { continue };
            let key = RowKey { port: port.clone(), policy: policy.into() };
            if self.rows.get(&key).is_some() {
                continue;
            }
            if let Some((row, places)) = self.adopted.rows.remove(&number) {
                self.rows.assign(key, number);
                self.row_words.insert(number, row);
                self.row_places.insert(number, places);
            }
        }
    }
}

// === impl BackendAddress ===

impl BackendAddress {
    /// The identity of what is written in the kernel; nothing for a protocol that services do not have.
    fn of(backend: &Backend) -> Option<Self> {
        let all = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
        let protocol = all.into_iter().find(|protocol| IpProtocol::from(*protocol) == backend.protocol())?;
        Some(Self { address: backend.address().into(), port: backend.port(), protocol })
    }
}
