//! The order of changes, and what the tables say after any sequence of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use dataplane_common::{Backend, Frontend, FrontendKey, IpProtocol, Row, Verdict as KernelVerdict};
use proptest::prelude::*;

use super::*;

const CAPACITY: Capacity = Capacity { frontends: 100, rows: 100, places: 20_000, backends: 100 };

/// The kernel's tables, which refuse to be left with something that leads nowhere.
#[derive(Default)]
struct Kernel {
    backends: HashMap<u32, Backend>,
    places: BTreeMap<u32, u32>,
    rows: HashMap<u32, Row>,
    frontends: HashMap<FrontendKey, Frontend>,
}

impl Kernel {
    fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::SetBackend(number, backend) => drop(self.backends.insert(*number, *backend)),
                Change::WritePlaces { offset, backends } => {
                    let end = offset + u32::try_from(backends.len()).unwrap();
                    let read =
                        self.rows.values().find(|row| *offset < row.offset() + row.length() && row.offset() < end);
                    assert_eq!(read, None, "places that a row names are not written");
                    self.places.extend((*offset..end).zip(backends.iter().copied()));
                }
                Change::SetRow(number, row) => drop(self.rows.insert(*number, *row)),
                Change::SetFrontend(key, frontend) => drop(self.frontends.insert(*key, *frontend)),
                Change::RemoveFrontend(key) => assert!(self.frontends.remove(key).is_some(), "{key:?}"),
            }
            self.leads_everywhere();
        }
    }

    /// Every frontend leads to backends, after each single change.
    fn leads_everywhere(&self) {
        for frontend in self.frontends.values() {
            for verdict in [frontend.inside(), frontend.outside()] {
                if let KernelVerdict::Balance(row) = verdict {
                    assert!(!self.behind(row).is_empty());
                }
            }
        }
    }

    /// The addresses and ports behind a row.
    fn behind(&self, row: u32) -> BTreeSet<(IpAddr, u16)> {
        let row = self.rows[&row];
        (row.offset()..row.offset() + row.length())
            .map(|place| {
                let backend = self.backends[&self.places[&place]];
                assert!(backend.is_in_use());
                (backend.address().into(), backend.port())
            })
            .collect()
    }

    fn snapshot(&self) -> Snapshot {
        let in_use = self.rows.iter().filter(|(_, row)| row.length() > 0);
        let places = |row: &Row| (row.offset()..row.offset() + row.length()).map(|it| self.places[&it]).collect();
        Snapshot {
            backends: self.backends.iter().map(|(number, backend)| (*number, *backend)).collect(),
            rows: in_use.map(|(number, row)| (*number, *row, places(row))).collect(),
            frontends: self.frontends.iter().map(|(key, frontend)| (*key, *frontend)).collect(),
        }
    }

    fn inside(&self, key: FrontendKey) -> BTreeSet<(IpAddr, u16)> {
        match self.frontends.get(&key).map(Frontend::inside) {
            Some(KernelVerdict::Balance(row)) => self.behind(row),
            _ => BTreeSet::new(),
        }
    }
}

fn name(index: u8) -> ServiceName {
    ServiceName { namespace: "shop".into(), name: format!("s{index}").into() }
}

fn key(index: u8) -> FrontendKey {
    FrontendKey::new(IpAddr::from([10, 96, 0, index]).into(), 80, IpProtocol::TCP)
}

/// A service with one port whose backends are numbered.
fn compiled(index: u8, backends: &[u8]) -> Compiled {
    let service = Service {
        name: name(index),
        cluster_ips: vec![IpAddr::from([10, 96, 0, index])],
        external_ips: vec![],
        load_balancer_ips: vec![],
        ports: vec![ServicePort { name: "".into(), protocol: Protocol::Tcp, port: 80, node_port: None }],
        affinity: Affinity::None,
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
        source_ranges: vec![],
        health_check_node_port: None,
    };
    let endpoint = |number: &u8| SliceEndpoint {
        address: IpAddr::from([10, 244, 0, *number]),
        node: None,
        state: EndpointState::Ready,
        zones: [].into(),
        nodes: [].into(),
    };
    let slice = Slice {
        name: "a".into(),
        service: name(index),
        ports: vec![SlicePort { name: "".into(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints: backends.iter().map(endpoint).collect(),
    };
    compile(&service, [&slice], &Place { node: "here".into(), zone: None })
}

/// A change as a word.
fn kind(change: &Change) -> &'static str {
    match change {
        Change::SetBackend(_, backend) if backend.is_in_use() => "backend",
        Change::SetBackend(..) => "no backend",
        Change::WritePlaces { .. } => "places",
        Change::SetRow(_, row) if row.length() > 0 => "row",
        Change::SetRow(..) => "no row",
        Change::SetFrontend(..) => "frontend",
        Change::RemoveFrontend(_) => "no frontend",
    }
}

#[test]
fn what_is_behind_comes_first_and_goes_last() {
    let mut tables = Tables::new(CAPACITY);
    let mut kinds = |compiled: Option<Compiled>| -> Vec<&str> {
        tables.update(&name(1), compiled).unwrap().iter().map(kind).collect()
    };
    let service = compiled(1, &[1, 2]);
    assert_eq!(kinds(Some(service.clone())), ["backend", "backend", "places", "row", "frontend"]);
    assert_eq!(kinds(Some(service)), [] as [&str; 0]);
    // One endpoint more touches its backend and the row, and nothing else; one less likewise.
    assert_eq!(kinds(Some(compiled(1, &[1, 2, 3]))), ["backend", "places", "row"]);
    assert_eq!(kinds(Some(compiled(1, &[1, 3]))), ["places", "row", "no backend"]);
    assert_eq!(kinds(Some(compiled(1, &[]))), ["frontend", "no row", "no backend", "no backend"]);
    assert_eq!(kinds(None), ["no frontend"]);
}

#[test]
fn a_number_gets_its_next_backend_only_after_a_grace_period_and_in_another_generation() {
    let mut tables = Tables::new(CAPACITY);
    let mut kernel = Kernel::default();
    kernel.apply(&tables.update(&name(1), Some(compiled(1, &[1]))).unwrap());
    kernel.apply(&tables.update(&name(1), Some(compiled(1, &[2]))).unwrap());
    assert_eq!((kernel.backends[&1].is_in_use(), kernel.backends[&2].is_in_use()), (false, true));
    assert!(tables.waits_for_grace_period());
    tables.grace_period_passed();
    let before = kernel.backends[&1].generation();
    kernel.apply(&tables.update(&name(1), Some(compiled(1, &[3]))).unwrap());
    assert!(kernel.backends[&1].is_in_use() && kernel.backends[&1].generation() > before);
}

#[test]
fn a_full_table_says_which_and_keeps_what_works() {
    for (capacity, table) in [
        (Capacity { frontends: 1, ..CAPACITY }, "frontends"),
        (Capacity { backends: 2, ..CAPACITY }, "backends"),
        (Capacity { rows: 3, ..CAPACITY }, "rows"),
        (Capacity { places: 1, ..CAPACITY }, "places"),
    ] {
        let (mut tables, mut kernel) = (Tables::new(capacity), Kernel::default());
        kernel.apply(&tables.update(&name(1), Some(compiled(1, &[1]))).unwrap());
        let refused = tables.update(&name(2), Some(compiled(2, &[2]))).unwrap_err();
        assert!(matches!(refused, Refused::Full { table: full, .. } if full == table), "{refused}");
        assert!(refused.to_string().starts_with("shop/s2: "), "{refused}");
        assert_eq!(kernel.inside(key(1)).len(), 1);
        // Once there is room, it goes in.
        kernel.apply(&tables.update(&name(1), None).unwrap());
        tables.grace_period_passed();
        kernel.apply(&tables.update(&name(2), Some(compiled(2, &[2]))).unwrap());
        assert_eq!(kernel.inside(key(2)).len(), 1);
    }
}

#[test]
fn an_address_stays_with_the_service_that_had_it_first() {
    let mut tables = Tables::new(CAPACITY);
    tables.update(&name(1), Some(compiled(1, &[1]))).unwrap();
    let refused = tables.update(&name(2), Some(compiled(1, &[2]))).unwrap_err();
    assert_eq!(refused.to_string(), "shop/s2: 10.96.0.1 port 80 belongs to shop/s1 already");
}

#[test]
fn an_agent_that_starts_again_keeps_all_numbers_and_changes_only_what_changed_meanwhile() {
    let (mut tables, mut kernel) = (Tables::new(CAPACITY), Kernel::default());
    for (index, backends) in [(1, &[1, 2][..]), (2, &[2, 3]), (3, &[4])] {
        kernel.apply(&tables.update(&name(index), Some(compiled(index, backends))).unwrap());
    }
    let mut tables = Tables::new(CAPACITY);
    tables.adopt(kernel.snapshot());
    let changes = tables.update(&name(2), Some(compiled(2, &[2, 3]))).unwrap();
    assert_eq!(changes, [], "nothing to do");
    let changes = tables.update(&name(1), Some(compiled(1, &[1, 5]))).unwrap();
    assert_eq!(changes.iter().map(kind).collect::<Vec<_>>(), ["backend", "places", "row"]);
    kernel.apply(&changes);
    assert_eq!(kernel.inside(key(3)).len(), 1, "nothing is removed before every watch has synced");
    let changes = tables.prune();
    assert_eq!(changes.iter().map(kind).collect::<Vec<_>>(), ["no frontend", "no row", "no backend"]);
    kernel.apply(&changes);
    tables.grace_period_passed();
    kernel.apply(&tables.update(&name(4), Some(compiled(4, &[7, 8]))).unwrap());
    for (index, count) in [(1, 2), (2, 2), (3, 0), (4, 2)] {
        assert_eq!(kernel.inside(key(index)).len(), count, "{index}");
    }
}

proptest! {
    #[test]
    fn after_any_changes_the_kernel_has_what_is_wanted(
        steps in prop::collection::vec((0_u8..4, prop::option::of(prop::collection::btree_set(0_u8..12, 0..6))), 1..60),
        grace in prop::collection::vec(any::<bool>(), 60),
        restarts in prop::collection::vec(any::<bool>(), 60),
    ) {
        let (mut tables, mut kernel) = (Tables::new(CAPACITY), Kernel::default());
        let mut wanted: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
        for (step, (service, backends)) in steps.into_iter().enumerate() {
            let update = backends.as_ref().map(|it| compiled(service, &it.iter().copied().collect::<Vec<_>>()));
            kernel.apply(&tables.update(&name(service), update).unwrap());
            match backends {
                Some(backends) => drop(wanted.insert(service, backends)),
                None => drop(wanted.remove(&service)),
            }
            if grace[step] {
                tables.grace_period_passed();
            } else if restarts[step] {
                tables = Tables::new(CAPACITY);
                tables.adopt(kernel.snapshot());
                for (service, backends) in &wanted {
                    let again = compiled(*service, &backends.iter().copied().collect::<Vec<_>>());
                    prop_assert_eq!(tables.update(&name(*service), Some(again)).unwrap(), []);
                }
                prop_assert_eq!(tables.prune(), []);
            }
            prop_assert_eq!(kernel.frontends.len(), wanted.len());
            for (service, backends) in &wanted {
                let expected = backends.iter().map(|it| (IpAddr::from([10, 244, 0, *it]), 8080)).collect::<BTreeSet<_>>();
                prop_assert_eq!(kernel.inside(key(*service)), expected);
            }
            let in_use: BTreeSet<_> = wanted.values().flatten().collect();
            prop_assert_eq!(kernel.backends.values().filter(|it| it.is_in_use()).count(), in_use.len());
            prop_assert_eq!(tables.used().backends as usize, in_use.len());
        }
    }
}

#[test]
fn endpoints_behind_two_policies_have_one_number() {
    let mut service = compiled(1, &[1]);
    let local: Arc<[BackendAddress]> = service.ports[0].backends[&PolicyOrder::Cluster].clone();
    service.ports[0].backends.insert(PolicyOrder::Local, local);
    let mut tables = Tables::new(CAPACITY);
    let changes = tables.update(&name(1), Some(service)).unwrap();
    assert_eq!(changes.iter().map(kind).collect::<Vec<_>>(), ["backend", "places", "row", "places", "row", "frontend"]);
    assert_eq!(
        tables.update(&name(1), None).unwrap().iter().map(kind).collect::<Vec<_>>(),
        ["no frontend", "no row", "no row", "no backend"]
    );
}
