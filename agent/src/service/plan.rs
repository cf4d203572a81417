//! From what should be to the changes that bring it about, in an order that no packet can fall through.
//!
//! [`Tables`] knows what the kernel has and which numbers are taken. Every change of a service gives a list of
//! [`Change`]s: backends before the places that name them, places before their row, rows before frontends, and removal
//! in reverse, so that a packet that finds a frontend finds all behind it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use dataplane_common::{
    Backend, Frontend, FrontendKey, MaglevBackend, MaglevWalk, Row, Verdict as KernelVerdict, fill_maglev, maglev_size,
};

use super::adopt::Adopted;
use super::arena::Arena;
use super::compile::{BackendAddress, Compiled, CompiledFrontend, CompiledPort, PolicyOrder};
use super::frontend::Verdict;
use super::numbers::{Given, Numbers};
use super::spec::{Protocol, ServiceName};

/// How many entries the kernel's tables have room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Frontends.
    pub frontends: u32,
    /// Rows, those below [`KernelVerdict::FIRST_ROW`] included.
    pub rows: u32,
    /// Places of all rows together.
    pub places: u32,
    /// Backends; number 0 is nobody's.
    pub backends: u32,
}

/// One change of the kernel's tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Writes a backend.
    SetBackend(u32, Backend),
    /// Writes places that no row names yet.
    WritePlaces {
        /// The first place.
        offset: u32,
        /// The numbers of backends.
        backends: Vec<u32>,
    },
    /// Lets a row name other places, in one store.
    SetRow(u32, Row),
    /// Writes a frontend.
    SetFrontend(FrontendKey, Frontend),
    /// Removes a frontend.
    RemoveFrontend(FrontendKey),
}

/// A service that could not be brought into the kernel's tables as it should be. What was there stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A table is full.
    #[error(
        "{service}: the table of {table} is full ({capacity} entries): raise its size in the agent's configuration"
    )]
    Full {
        /// The service.
        service: ServiceName,
        /// The table.
        table: &'static str,
        /// How many entries it has room for.
        capacity: u32,
    },
    /// Another service has the same address and port.
    #[error("{service}: {} port {} belongs to {owner} already", .key.address(), .key.port())]
    Taken {
        /// The service.
        service: ServiceName,
        /// The address and port.
        key: FrontendKey,
        /// Who has it.
        owner: ServiceName,
    },
}

/// What the kernel has of services, and which numbers are taken.
#[derive(Debug)]
pub struct Tables {
    capacity: Capacity,
    pub(super) adopted: Adopted,
    services: HashMap<ServiceName, Compiled>,
    frontends: HashMap<FrontendKey, (Frontend, ServiceName)>,
    pub(super) backends: Numbers<BackendAddress>,
    /// What was last written under a number, so that its next backend gets another generation.
    pub(super) written: HashMap<u32, Backend>,
    pub(super) rows: Numbers<RowKey>,
    pub(super) row_words: HashMap<u32, Row>,
    /// What rows of an earlier agent say, until their service is known.
    pub(super) row_places: HashMap<u32, Vec<u32>>,
    pub(super) ports: Numbers<PortKey>,
    pub(super) arena: Arena,
    pub(super) freed: Freed,
}

/// A port of a service in one family, which has a number of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PortKey {
    service: ServiceName,
    name: Arc<str>,
    protocol: Protocol,
    is_ipv4: bool,
}

/// A row's identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RowKey {
    pub(super) port: PortKey,
    pub(super) policy: PolicyOrder,
}

/// Numbers and places that a list of changes frees: they may be used again once programs that run have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Freed {
    backends: Vec<u32>,
    pub(super) rows: Vec<u32>,
}

// === impl Tables ===

impl Tables {
    /// Tables with nothing in them.
    #[must_use]
    pub fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            adopted: Adopted::default(),
            services: HashMap::new(),
            frontends: HashMap::new(),
            backends: Numbers::new(1, capacity.backends),
            written: HashMap::new(),
            rows: Numbers::new(KernelVerdict::FIRST_ROW, capacity.rows),
            row_words: HashMap::new(),
            row_places: HashMap::new(),
            ports: Numbers::new(1, u32::MAX),
            arena: Arena::new(capacity.places),
            freed: Freed::default(),
        }
    }

    /// The changes that make the kernel's tables say this of a service, and nothing any more with `None`.
    ///
    /// # Errors
    ///
    /// [`Refused`] when there is no room or an address belongs to another service; then nothing changes.
    pub fn update(&mut self, name: &ServiceName, compiled: Option<Compiled>) -> Result<Vec<Change>, Refused> {
        let wanted = compiled.unwrap_or_default();
        let had = self.services.get(name).cloned().unwrap_or_default();
        if had == wanted {
            return Ok(Vec::new());
        }
        for port in &wanted.ports {
            let key = PortKey::of(name, port);
            port.frontends.values().for_each(|frontend| self.claim(&key, frontend));
        }
        self.check(name, &had, &wanted)?;
        let mut changes = Vec::new();
        let claimed = self.add(name, &wanted, &mut changes);
        self.remove(name, &had, &wanted, &claimed, &mut changes);
        if wanted.ports.is_empty() {
            self.services.remove(name);
        } else {
            self.services.insert(name.clone(), wanted);
        }
        Ok(changes)
    }

    /// Whether numbers or places wait for a grace period.
    #[must_use]
    pub fn waits_for_grace_period(&self) -> bool {
        self.arena.has_retired() || self.freed != Freed::default()
    }

    /// A grace period has passed since the changes so far were made: what they freed may be used again.
    pub fn grace_period_passed(&mut self) {
        self.arena.reclaim();
        let Freed { backends, rows } = std::mem::take(&mut self.freed);
        backends.into_iter().for_each(|number| self.backends.recycle(number));
        rows.into_iter().for_each(|number| self.rows.recycle(number));
    }

    /// How many entries of each table are in use.
    #[must_use]
    pub fn used(&self) -> Capacity {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Capacity {
            frontends: count(self.frontends.len()),
            rows: count(self.rows.count()),
            places: self.row_words.values().map(|row| row.length()).sum(),
            backends: count(self.backends.count()),
        }
    }

    /// Whether there is room for what is wanted beside what is there, before anything is changed.
    fn check(&mut self, name: &ServiceName, had: &Compiled, wanted: &Compiled) -> Result<(), Refused> {
        let had_keys: HashSet<FrontendKey> = keys(had).collect();
        let mut new_keys = 0;
        for key in keys(wanted).filter(|key| !had_keys.contains(key)) {
            match self.frontends.get(&key) {
                Some((_, owner)) if owner != name => {
                    return Err(Refused::Taken { service: name.clone(), key, owner: owner.clone() });
                }
                _ => new_keys += 1,
            }
        }
        let full = |table, capacity| Err(Refused::Full { service: name.clone(), table, capacity });
        if self.frontends.len() + new_keys > self.capacity.frontends as usize {
            return full("frontends", self.capacity.frontends);
        }
        let backends: HashSet<BackendAddress> =
            addresses(wanted).filter(|it| self.backends.get(it).is_none()).collect();
        if backends.len() > self.backends.room() {
            return full("backends", self.capacity.backends);
        }
        let rows = self.rows_to_write(name, wanted);
        if rows.iter().filter(|(key, _)| self.rows.get(key).is_none()).count() > self.rows.room() {
            return full("rows", self.capacity.rows);
        }
        let lengths: Vec<u32> = rows.iter().map(|(_, backends)| maglev_size(backends.len())).collect();
        if self.arena.fits(&lengths) { Ok(()) } else { full("places", self.capacity.places) }
    }

    /// The rows whose backends are not what is in the kernel.
    fn rows_to_write<'a>(&self, name: &ServiceName, wanted: &'a Compiled) -> Vec<(RowKey, &'a [BackendAddress])> {
        let had = self.services.get(name);
        let mut rows = Vec::new();
        for port in &wanted.ports {
            let before = had.and_then(|had| had.ports.iter().find(|it| it.is_same_port(port)));
            for (policy, backends) in &port.backends {
                if before.and_then(|before| before.backends.get(policy)) != Some(backends) {
                    rows.push((RowKey { port: PortKey::of(name, port), policy: *policy }, &**backends));
                }
            }
        }
        rows
    }

    /// Backends, places, rows and frontends that are new or changed, in this order.
    fn add(&mut self, name: &ServiceName, wanted: &Compiled, changes: &mut Vec<Change>) -> HashSet<FrontendKey> {
        let rows: Vec<(RowKey, Vec<BackendAddress>)> =
            self.rows_to_write(name, wanted).into_iter().map(|(key, backends)| (key, backends.to_vec())).collect();
        for address in addresses(wanted) {
            self.acquire_backend(&address, changes);
        }
        let had = self.services.get(name).cloned().unwrap_or_default();
        for (key, backends) in rows {
            let is_new = !had
                .ports
                .iter()
                .any(|port| key.port == PortKey::of(name, port) && port.backends.contains_key(&key.policy));
            self.write_row(&key, &backends, is_new, changes);
        }
        let mut claimed = HashSet::new();
        for port in &wanted.ports {
            let port_key = PortKey::of(name, port);
            let number = match self.ports.acquire(&port_key) {
                Some(Given::Known(number) | Given::New(number)) => number,
                None => continue,
            };
            for compiled in port.frontends.values() {
                let frontend = self.frontend(number, &port_key, compiled);
                claimed.insert(compiled.key);
                let known = self.frontends.insert(compiled.key, (frontend, name.clone())).map(|(known, _)| known);
                if known.or_else(|| self.adopted.frontends.remove(&compiled.key)) != Some(frontend) {
                    changes.push(Change::SetFrontend(compiled.key, frontend));
                }
            }
        }
        claimed
    }

    /// Frontends, rows and backends that are no longer wanted, in this order.
    fn remove(
        &mut self,
        name: &ServiceName,
        had: &Compiled,
        wanted: &Compiled,
        claimed: &HashSet<FrontendKey>,
        changes: &mut Vec<Change>,
    ) {
        for key in keys(had).filter(|key| !claimed.contains(key)) {
            self.frontends.remove(&key);
            changes.push(Change::RemoveFrontend(key));
        }
        for port in &had.ports {
            let port_key = PortKey::of(name, port);
            let now = wanted.ports.iter().find(|it| it.is_same_port(port));
            for policy in port.backends.keys() {
                if now.is_none_or(|now| !now.backends.contains_key(policy)) {
                    self.remove_row(&RowKey { port: port_key.clone(), policy: *policy }, changes);
                }
            }
            if let Some(number) = self.ports.release(&port_key) {
                // No program reads it but to count.
                self.ports.recycle(number);
            }
        }
        for address in addresses(had) {
            self.release_backend(&address, changes);
        }
    }

    fn acquire_backend(&mut self, address: &BackendAddress, changes: &mut Vec<Change>) {
        let Some(Given::New(number)) = self.backends.acquire(address) else { return };
        let generation = self.written.get(&number).map_or(1, |before| before.generation().wrapping_add(1));
        let backend = Backend::new(address.address.into(), address.port, address.protocol.into(), generation);
        self.written.insert(number, backend);
        changes.push(Change::SetBackend(number, backend));
    }

    fn release_backend(&mut self, address: &BackendAddress, changes: &mut Vec<Change>) {
        if let Some(number) = self.backends.release(address) {
            self.withdraw(number, changes);
        }
    }

    /// Takes a backend out of the kernel; its number waits for a grace period.
    pub(super) fn withdraw(&mut self, number: u32, changes: &mut Vec<Change>) {
        let Some(backend) = self.written.get_mut(&number) else { return };
        *backend = backend.gone();
        changes.push(Change::SetBackend(number, *backend));
        self.freed.backends.push(number);
    }

    /// Writes a table elsewhere and lets the row name it.
    ///
    /// A row that an earlier agent wrote may say what is wanted already.
    fn write_row(&mut self, key: &RowKey, backends: &[BackendAddress], is_new: bool, changes: &mut Vec<Change>) {
        let length = maglev_size(backends.len());
        let mut table = vec![0; length as usize];
        let backends: Vec<MaglevBackend> = backends
            .iter()
            .filter_map(|it| Some(MaglevBackend { identity: it.identity(), id: self.backends.get(it)? }))
            .collect();
        fill_maglev(&mut table, &backends, &mut vec![MaglevWalk::default(); backends.len()]);
        if is_new {
            self.rows.acquire(key);
        }
        let Some(number) = self.rows.get(key) else { return };
        if self.row_places.remove(&number).is_some_and(|places| places == table) {
            return;
        }
        // There is room: `check` has looked.
        let Some(offset) = self.arena.take(length) else { return };
        changes.push(Change::WritePlaces { offset, backends: table });
        let row = Row::new(offset, length);
        changes.push(Change::SetRow(number, row));
        if let Some(before) = self.row_words.insert(number, row) {
            self.arena.retire(before.offset(), before.length());
        }
    }

    fn remove_row(&mut self, key: &RowKey, changes: &mut Vec<Change>) {
        let Some(number) = self.rows.release(key) else { return };
        changes.push(Change::SetRow(number, Row::default()));
        if let Some(row) = self.row_words.remove(&number) {
            self.arena.retire(row.offset(), row.length());
        }
        self.freed.rows.push(number);
    }

    fn frontend(&self, number: u32, port: &PortKey, compiled: &CompiledFrontend) -> Frontend {
        let verdict = |verdict: Verdict| match verdict {
            Verdict::Reject => KernelVerdict::Reject,
            Verdict::Drop => KernelVerdict::Drop,
            Verdict::Balance { policy, .. } => {
                let row = self.rows.get(&RowKey { port: port.clone(), policy: policy.into() });
                row.map_or(KernelVerdict::Reject, KernelVerdict::Balance)
            }
        };
        let masquerades = matches!(compiled.outside, Verdict::Balance { masquerade: true, .. });
        Frontend::new(number, verdict(compiled.inside), verdict(compiled.outside))
            .with_affinity(compiled.affinity_seconds)
            .with_masquerade(masquerades)
            .with_filter(compiled.is_filtered)
            .with_local_policy(compiled.is_local_outside)
    }
}

/// The frontends of a service.
fn keys(compiled: &Compiled) -> impl Iterator<Item = FrontendKey> {
    compiled.ports.iter().flat_map(|port| port.frontends.values().map(|frontend| frontend.key))
}

/// The backends of a service, once for each row that names them.
fn addresses(compiled: &Compiled) -> impl Iterator<Item = BackendAddress> {
    compiled.ports.iter().flat_map(|port| port.backends.values().flat_map(|backends| backends.iter().copied()))
}

// === impl PortKey ===

impl PortKey {
    fn of(service: &ServiceName, port: &CompiledPort) -> Self {
        let CompiledPort { name, protocol, is_ipv4, .. } = port;
        Self { service: service.clone(), name: name.clone(), protocol: *protocol, is_ipv4: *is_ipv4 }
    }
}
