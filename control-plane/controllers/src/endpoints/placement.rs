//! Fits endpoints into slices of bounded size while changing as few slices as possible.
//!
//! Every changed slice is sent to every node, so an endpoint stays in the slice that it is in, new ones first go where
//! something changes anyway, and slices are not evened out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use super::desired::{AddressType, Groups, Identity, Ports};

/// The changes to the slices of one Service.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Changes {
    pub(super) create: Vec<EndpointSlice>,
    pub(super) update: Vec<EndpointSlice>,
    pub(super) delete: Vec<Arc<EndpointSlice>>,
}

/// How slices are made.
pub(super) struct Mold<'a> {
    /// A slice with everything but its content; a created one has a generated name.
    pub(super) empty: &'a dyn Fn(AddressType) -> EndpointSlice,
    /// The most endpoints of one slice.
    pub(super) capacity: usize,
    /// Families that have a slice even without any endpoint, so that "no endpoints" can be told from "not yet known".
    pub(super) always: Vec<AddressType>,
}

/// A standing slice and what becomes of it.
struct Slot {
    standing: Arc<EndpointSlice>,
    endpoints: Vec<Endpoint>,
    changed: bool,
}

/// The changes that make `standing` hold exactly `desired`.
pub(super) fn plan(standing: &[Arc<EndpointSlice>], desired: Groups, mold: &Mold<'_>) -> Changes {
    let mut by_group = BTreeMap::<(AddressType, Ports), Vec<Arc<EndpointSlice>>>::new();
    let mut changes = Changes::default();
    for slice in standing {
        match AddressType::named(&slice.address_type) {
            Some(family) => {
                let group = (family, Ports::of_slice(slice.ports.as_ref()));
                by_group.entry(group).or_default().push(slice.clone());
            }
            None => changes.delete.push(slice.clone()),
        }
    }
    let mut present: Vec<AddressType> = desired.keys().map(|(family, _)| *family).collect();
    for (group, endpoints) in desired {
        let slices = by_group.remove(&group).unwrap_or_default();
        place(&group, slices, endpoints, mold, &mut changes);
    }
    present.dedup();
    for (group, mut slices) in by_group {
        let (family, ports) = &group;
        let keeps_one = mold.always.contains(family) && !present.contains(family) && *ports == Ports::default();
        if keeps_one {
            present.push(*family);
            let first = slices.remove(0);
            place(&group, vec![first], BTreeMap::new(), mold, &mut changes);
        }
        changes.delete.extend(slices);
    }
    for family in mold.always.iter().filter(|family| !present.contains(family)) {
        changes.create.push(slice(&(*family, Ports::default()), Vec::new(), mold));
    }
    recycle(&mut changes);
    changes
}

/// Fits the endpoints of one group into its slices.
fn place(
    group: &(AddressType, Ports),
    slices: Vec<Arc<EndpointSlice>>,
    mut missing: BTreeMap<Identity, Endpoint>,
    mold: &Mold<'_>,
    changes: &mut Changes,
) {
    let empty_group = missing.is_empty();
    let mut slots: Vec<Slot> = slices.into_iter().map(|slice| keep(slice, &mut missing, mold)).collect();
    let mut missing: VecDeque<Endpoint> = missing.into_values().collect();
    // What changes anyway is filled first, the fullest slice before the others.
    slots.sort_by_key(|slot| std::cmp::Reverse(slot.endpoints.len()));
    for slot in slots.iter_mut().filter(|slot| slot.changed && !slot.endpoints.is_empty()) {
        fill(&mut slot.endpoints, &mut missing, mold.capacity);
    }
    while !missing.is_empty() {
        let fits = |slot: &&mut Slot| !slot.changed && slot.endpoints.len() + missing.len() <= mold.capacity;
        let mut endpoints = Vec::new();
        match slots.iter_mut().find(fits) {
            Some(slot) => {
                slot.changed = true;
                fill(&mut slot.endpoints, &mut missing, mold.capacity);
            }
            None => {
                fill(&mut endpoints, &mut missing, mold.capacity);
                changes.create.push(slice(group, endpoints, mold));
            }
        }
    }
    for slot in slots {
        if slot.endpoints.is_empty() && !empty_group {
            changes.delete.push(slot.standing);
        } else if slot.changed {
            changes.update.push(updated(&slot.standing, group, slot.endpoints, mold));
        }
    }
}

/// Keeps of a slice what is still wanted, in its current state, and takes it out of `missing`.
fn keep(standing: Arc<EndpointSlice>, missing: &mut BTreeMap<Identity, Endpoint>, mold: &Mold<'_>) -> Slot {
    let mut endpoints = Vec::new();
    let mut changed = labels_differ(&standing, mold);
    for known in &standing.endpoints {
        match missing.remove(&Identity::of(known)).filter(|_| endpoints.len() < mold.capacity) {
            Some(current) => {
                changed |= current != *known;
                endpoints.push(current);
            }
            None => changed = true,
        }
    }
    Slot { standing, endpoints, changed }
}

fn labels_differ(standing: &EndpointSlice, mold: &Mold<'_>) -> bool {
    let Some(family) = AddressType::named(&standing.address_type) else { return true };
    let fresh = (mold.empty)(family);
    standing.metadata.labels != fresh.metadata.labels
        || standing.metadata.owner_references != fresh.metadata.owner_references
}

fn fill(endpoints: &mut Vec<Endpoint>, missing: &mut VecDeque<Endpoint>, capacity: usize) {
    let room = capacity.saturating_sub(endpoints.len()).min(missing.len());
    endpoints.extend(missing.drain(..room));
}

/// A slice that would go takes the content of one that would come: one message to the nodes instead of two.
fn recycle(changes: &mut Changes) {
    let deleted = std::mem::take(&mut changes.delete);
    for old in deleted {
        match changes.create.iter().position(|new| new.address_type == old.address_type) {
            Some(index) => {
                let mut new = changes.create.remove(index);
                new.metadata.name = old.metadata.name.clone();
                new.metadata.generate_name = None;
                new.metadata.resource_version = old.metadata.resource_version.clone();
                changes.update.push(new);
            }
            None => changes.delete.push(old),
        }
    }
}

fn slice(group: &(AddressType, Ports), endpoints: Vec<Endpoint>, mold: &Mold<'_>) -> EndpointSlice {
    let (family, ports) = group;
    EndpointSlice { endpoints, ports: Some(ports.to_slice()), ..(mold.empty)(*family) }
}

fn updated(
    standing: &EndpointSlice,
    group: &(AddressType, Ports),
    endpoints: Vec<Endpoint>,
    mold: &Mold<'_>,
) -> EndpointSlice {
    let mut new = slice(group, endpoints, mold);
    new.metadata.name = standing.metadata.name.clone();
    new.metadata.generate_name = None;
    new.metadata.resource_version = standing.metadata.resource_version.clone();
    new
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CAPACITY: usize = 3;

    fn empty(family: AddressType) -> EndpointSlice {
        serde_json::from_value(json!({
            "addressType": family.as_str(), "endpoints": [],
            "metadata": {"generateName": "web-", "labels": {"kubernetes.io/service-name": "web"}},
        }))
        .unwrap()
    }

    fn endpoint(number: u8, ready: bool) -> Endpoint {
        serde_json::from_value(json!({"addresses": [format!("10.0.0.{number}")], "conditions": {"ready": ready}}))
            .unwrap()
    }

    fn group() -> (AddressType, Ports) {
        (AddressType::IPv4, Ports::new(vec![("http".into(), "TCP".into(), Some(80), None)]))
    }

    fn standing(name: &str, numbers: &[u8]) -> Arc<EndpointSlice> {
        let mut slice = empty(AddressType::IPv4);
        slice.metadata.name = Some(name.into());
        slice.metadata.generate_name = None;
        slice.ports = Some(group().1.to_slice());
        slice.endpoints = numbers.iter().map(|number| endpoint(*number, true)).collect();
        Arc::new(slice)
    }

    fn desired(endpoints: &[Endpoint]) -> Groups {
        let endpoints: BTreeMap<_, _> =
            endpoints.iter().map(|endpoint| (Identity::of(endpoint), endpoint.clone())).collect();
        if endpoints.is_empty() { Groups::new() } else { Groups::from([(group(), endpoints)]) }
    }

    /// What becomes of the slices, in words: `+` created, `~` updated, `-` deleted, with the addresses' last numbers.
    fn placed(standing: &[Arc<EndpointSlice>], wanted: &[Endpoint]) -> Vec<String> {
        let mold = Mold { empty: &empty, capacity: CAPACITY, always: vec![AddressType::IPv4] };
        let changes = plan(standing, desired(wanted), &mold);
        let name = |slice: &EndpointSlice| slice.metadata.name.clone().unwrap_or_default();
        let numbers = |slice: &EndpointSlice| {
            let number = |endpoint: &Endpoint| endpoint.addresses[0].rsplit('.').next().unwrap().to_owned();
            let mut numbers: Vec<_> = slice.endpoints.iter().map(number).collect();
            numbers.sort();
            numbers.join(",")
        };
        let created = changes.create.iter().map(|slice| format!("+ {}", numbers(slice)));
        let updated = changes.update.iter().map(|slice| format!("~{} {}", name(slice), numbers(slice)));
        let deleted = changes.delete.iter().map(|slice| format!("-{}", name(slice)));
        created.chain(updated).chain(deleted).collect()
    }

    fn all(numbers: &[u8]) -> Vec<Endpoint> {
        numbers.iter().map(|number| endpoint(*number, true)).collect()
    }

    #[test]
    fn as_few_slices_change_as_can_be() {
        for (what, slices, wanted, expected) in [
            ("the first slices", vec![], all(&[1, 2, 3, 4]), vec!["+ 1,2,3", "+ 4"]),
            ("nothing to do", vec![standing("a", &[1, 2])], all(&[1, 2]), vec![]),
            ("one more fits", vec![standing("a", &[1, 2])], all(&[1, 2, 3]), vec!["~a 1,2,3"]),
            ("one more does not fit", vec![standing("a", &[1, 2, 3])], all(&[1, 2, 3, 4]), vec!["+ 4"]),
            (
                "one goes and one comes",
                vec![standing("a", &[1, 2]), standing("b", &[3])],
                all(&[1, 3, 4]),
                vec!["~a 1,4"],
            ),
            ("a slice that becomes empty goes", vec![standing("a", &[1]), standing("b", &[2])], all(&[2]), vec!["-a"]),
            ("the last endpoint goes", vec![standing("a", &[1])], vec![], vec!["~a "]),
            ("a new state", vec![standing("a", &[1, 2])], vec![endpoint(1, false), endpoint(2, true)], vec!["~a 1,2"]),
            ("no endpoints at all", vec![], vec![], vec!["+ "]),
            ("slices are not evened out", vec![standing("a", &[1]), standing("b", &[2])], all(&[1, 2]), vec![]),
            ("all are replaced", vec![standing("a", &[1, 2])], all(&[5, 6]), vec!["~a 5,6"]),
        ] {
            assert_eq!(placed(&slices, &wanted), expected, "{what}");
        }
    }

    #[test]
    fn a_slice_of_other_ports_is_reused_rather_than_deleted() {
        let mut other = standing("a", &[1]).as_ref().clone();
        other.ports = Some(Ports::new(vec![("http".into(), "TCP".into(), Some(81), None)]).to_slice());
        assert_eq!(placed(&[Arc::new(other)], &all(&[1])), ["~a 1"]);
    }

    #[test]
    fn a_slice_with_other_labels_is_updated() {
        let mut stale = standing("a", &[1]).as_ref().clone();
        stale.metadata.labels.get_or_insert_default().insert("old".into(), "label".into());
        assert_eq!(placed(&[Arc::new(stale)], &all(&[1])), ["~a 1"]);
    }

    proptest::proptest! {
        #[test]
        fn afterwards_each_endpoint_is_in_exactly_one_slice(
            before in proptest::collection::vec(proptest::collection::btree_set(0..60u8, 0..=CAPACITY), 0..8),
            wanted in proptest::collection::btree_set(0..60u8, 0..30),
        ) {
            let slices: Vec<_> = before.iter().enumerate()
                .map(|(n, numbers)| standing(&format!("s{n}"), &numbers.iter().copied().collect::<Vec<_>>())).collect();
            let wanted: Vec<u8> = wanted.into_iter().collect();
            let mold = Mold { empty: &empty, capacity: CAPACITY, always: vec![AddressType::IPv4] };
            let changes = plan(&slices, desired(&all(&wanted)), &mold);
            let touched: Vec<_> = changes.update.iter().map(|slice| slice.metadata.name.clone())
                .chain(changes.delete.iter().map(|slice| slice.metadata.name.clone())).collect();
            let untouched = slices.iter().filter(|slice| !touched.contains(&slice.metadata.name)).map(AsRef::as_ref);
            let after: Vec<&EndpointSlice> = changes.create.iter().chain(&changes.update).chain(untouched).collect();
            let mut found: Vec<String> = after.iter().flat_map(|slice| &slice.endpoints).map(|e| e.addresses[0].clone()).collect();
            let mut expected: Vec<String> = wanted.iter().map(|n| format!("10.0.0.{n}")).collect();
            found.sort();
            expected.sort();
            proptest::prop_assert_eq!(found, expected);
            proptest::prop_assert!(after.iter().all(|slice| slice.endpoints.len() <= CAPACITY));
            proptest::prop_assert!(!after.is_empty());
        }
    }
}
