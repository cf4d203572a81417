//! Maglev hashing: which backend has which place in a service's table.
//!
//! Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer" (NSDI 2016), section 3.4. Each backend
//! walks the table in an order of its own, given by its identity alone, and takes the next free place in its turn. All
//! nodes therefore build the same table, and a change of one backend moves few other places.

/// A backend that takes part in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaglevBackend {
    /// What its order follows from: the same on every node, whatever the id.
    pub identity: u64,
    /// What is written into its places.
    pub id: u32,
}

/// Sizes of tables, all prime, so that every step visits every place. The largest serves 2,600 backends with a deviation
/// of a few per cent.
const SIZES: [u32; 11] = [1, 31, 61, 127, 251, 509, 1021, 4093, 16381, 32749, 65521];

/// Places per backend that keep every backend's share within a few per cent of the others'.
const PLACES_PER_BACKEND: usize = 25;

/// The number of places for so many backends: 0 for none, 1 for one.
#[must_use]
pub fn maglev_size(backends: usize) -> u32 {
    match backends {
        0 => 0,
        1 => 1,
        _ => {
            let wanted = backends.saturating_mul(PLACES_PER_BACKEND);
            let enough = SIZES.into_iter().find(|size| *size as usize >= wanted);
            enough.unwrap_or(SIZES[SIZES.len() - 1])
        }
    }
}

/// Fills a table whose length is [`maglev_size`] of the number of backends.
///
/// `walks` is scratch space with a place for each backend. The order of `backends` decides who chooses first, so callers
/// sort them by identity. Backends beyond the length of the table or of `walks` get no place; without backends the table
/// is filled with 0.
pub fn fill_maglev(table: &mut [u32], backends: &[MaglevBackend], walks: &mut [MaglevWalk]) {
    table.fill(0);
    let Ok(size) = u32::try_from(table.len()) else { return };
    if size == 0 || backends.is_empty() {
        return;
    }
    for (walk, backend) in walks.iter_mut().zip(backends) {
        *walk = MaglevWalk::new(backend.identity, size);
    }
    let mut free = size;
    while free > 0 {
        for (walk, backend) in walks.iter_mut().zip(backends) {
            walk.take(table, size, backend.id);
            free -= 1;
            if free == 0 {
                return;
            }
        }
        if walks.is_empty() {
            return;
        }
    }
}

/// How far a backend has come on its way through a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct MaglevWalk {
    next: u32,
    step: u32,
}

// === impl MaglevWalk ===

impl MaglevWalk {
    fn new(identity: u64, size: u32) -> Self {
        let (high, low) = (mix(identity), mix(identity ^ 0x9e37_79b9_7f4a_7c15));
        let within = |value: u64, bound: u32| u32::try_from(value % u64::from(bound.max(1))).unwrap_or_default();
        Self { next: within(high, size), step: 1 + within(low, size.saturating_sub(1)) }
    }

    /// Takes the next free place. There must be one: the size is prime, so the walk meets every place.
    fn take(&mut self, table: &mut [u32], size: u32, id: u32) {
        for _ in 0..size {
            let here = self.next;
            // Below 2^17, so that the sum does not overflow.
            self.next = (self.next + self.step) % size;
            if let Some(place) = table.get_mut(here as usize).filter(|place| **place == 0) {
                *place = id;
                return;
            }
        }
    }
}

/// The finalizer of MurmurHash3: every bit of the input moves every bit of the output.
const fn mix(mut value: u64) -> u64 {
    value ^= value >> 33;
    value = value.wrapping_mul(0xff51_afd7_ed55_8ccd);
    value ^= value >> 33;
    value = value.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ (value >> 33)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn backends(identities: impl IntoIterator<Item = u64>) -> Vec<MaglevBackend> {
        identities
            .into_iter()
            .map(|identity| MaglevBackend { identity, id: u32::try_from(identity).unwrap() })
            .collect()
    }

    fn table(backends: &[MaglevBackend]) -> Vec<u32> {
        let mut table = vec![0; maglev_size(backends.len()) as usize];
        fill_maglev(&mut table, backends, &mut vec![MaglevWalk::default(); backends.len()]);
        table
    }

    #[test]
    fn sizes_are_prime_and_grow_with_the_backends() {
        for size in SIZES {
            assert!((2..size).take_while(|it| it * it <= size).all(|it| size % it != 0), "{size}");
        }
        for (backends, size) in [(0, 0), (1, 1), (2, 61), (5, 127), (40, 1021), (1000, 32749), (100_000, 65521)] {
            assert_eq!(maglev_size(backends), size, "{backends}");
        }
    }

    #[test]
    fn every_place_is_taken_and_shares_are_even() {
        for count in [1, 2, 3, 5, 17, 100, 1000] {
            let table = table(&backends(1..=count));
            let mut shares = BTreeMap::new();
            for id in &table {
                *shares.entry(*id).or_insert(0_usize) += 1;
            }
            assert_eq!(shares.len() as u64, count, "everybody has a place, and none is free");
            // Turns are taken one by one, so that shares differ by one at most.
            let (least, most) = (shares.values().min().unwrap(), shares.values().max().unwrap());
            assert!(most - least <= 1, "{count}: {least} to {most}");
        }
    }

    #[test]
    fn a_backend_that_goes_moves_few_places_of_the_others() {
        let all = backends(1..=20);
        let before = table(&all);
        let rest: Vec<_> = all.iter().copied().filter(|it| it.identity != 7).collect();
        let mut after = vec![0; before.len()];
        fill_maglev(&mut after, &rest, &mut vec![MaglevWalk::default(); rest.len()]);
        let moved = before.iter().zip(&after).filter(|(before, after)| **before != 7 && before != after).count();
        assert!(moved * 5 < before.len(), "{moved} of {}", before.len());
    }

    #[test]
    fn the_table_depends_on_identities_and_not_on_ids() {
        let (one, mut other) = (backends(1..=9), backends(1..=9));
        other.iter_mut().for_each(|it| it.id += 1000);
        let shifted: Vec<u32> = table(&one).iter().map(|id| id + 1000).collect();
        assert_eq!(shifted, table(&other));
    }

    #[test]
    fn without_backends_or_places_nothing_happens() {
        fill_maglev(&mut [], &backends(1..=3), &mut [MaglevWalk::default(); 3]);
        let mut table = [7; 5];
        fill_maglev(&mut table, &[], &mut []);
        assert_eq!(table, [0; 5]);
        fill_maglev(&mut table, &backends(1..=3), &mut []);
        assert_eq!(table, [0; 5]);
    }
}
