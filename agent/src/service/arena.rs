//! Room in the array of places: which stretches are taken.

use std::collections::BTreeMap;

/// Gives stretches of an array out, and takes them back.
///
/// A stretch that was given back is not given out again before [`Arena::reclaim`], because programs that run may still
/// read it: the caller lets a grace period pass in between.
#[derive(Clone, Debug)]
pub(super) struct Arena {
    /// Free stretches: offset and length, never adjacent.
    free: BTreeMap<u32, u32>,
    /// Given back, perhaps still read.
    retired: Vec<(u32, u32)>,
}

// === impl Arena ===

impl Arena {
    /// An array of so many places, all free.
    #[must_use]
    pub(super) fn new(places: u32) -> Self {
        let free = if places == 0 { BTreeMap::new() } else { BTreeMap::from([(0, places)]) };
        Self { free, retired: Vec::new() }
    }

    /// Takes the first free stretch that is long enough; nothing when there is none.
    pub(super) fn take(&mut self, length: u32) -> Option<u32> {
        let (&offset, &room) = self.free.iter().find(|(_, room)| **room >= length)?;
        self.free.remove(&offset);
        if room > length {
            self.free.insert(offset + length, room - length);
        }
        Some(offset)
    }

    /// Whether stretches of these lengths can be taken one after the other.
    #[must_use]
    pub(super) fn fits(&mut self, lengths: &[u32]) -> bool {
        let taken: Vec<(u32, u32)> =
            lengths.iter().map_while(|length| self.take(*length).map(|offset| (offset, *length))).collect();
        let fits = taken.len() == lengths.len();
        taken.into_iter().for_each(|(offset, length)| self.free(offset, length));
        fits
    }

    /// Takes exactly this stretch, which another agent took; `false` when it is not free.
    pub(super) fn claim(&mut self, offset: u32, length: u32) -> bool {
        let Some((&start, &room)) = self.free.range(..=offset).next_back() else { return false };
        let (end, wanted) = (u64::from(start) + u64::from(room), u64::from(offset) + u64::from(length));
        if length == 0 || wanted > end {
            return false;
        }
        self.free.remove(&start);
        if offset > start {
            self.free.insert(start, offset - start);
        }
        if let Some(behind) = u32::try_from(end - wanted).ok().filter(|behind| *behind > 0) {
            self.free.insert(offset + length, behind);
        }
        true
    }

    /// Gives a stretch back, for after a grace period.
    pub(super) fn retire(&mut self, offset: u32, length: u32) {
        self.retired.push((offset, length));
    }

    /// Whether anything waits for a grace period.
    #[must_use]
    pub(super) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    /// A grace period has passed since the last [`Arena::retire`]: what was given back is free.
    pub(super) fn reclaim(&mut self) {
        for (offset, length) in std::mem::take(&mut self.retired) {
            self.free(offset, length);
        }
    }

    fn free(&mut self, mut offset: u32, mut length: u32) {
        if let Some((&before, &room)) =
            self.free.range(..offset).next_back().filter(|(start, room)| **start + **room == offset)
        {
            self.free.remove(&before);
            (offset, length) = (before, length + room);
        }
        if let Some(behind) = self.free.remove(&(offset + length)) {
            length += behind;
        }
        self.free.insert(offset, length);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_given_back_is_given_out_again_only_after_a_grace_period() {
        let mut arena = Arena::new(10);
        assert_eq!((arena.take(6), arena.take(4), arena.take(1)), (Some(0), Some(6), None));
        arena.retire(0, 6);
        assert_eq!((arena.has_retired(), arena.take(1)), (true, None));
        arena.reclaim();
        assert_eq!((arena.has_retired(), arena.take(6)), (false, Some(0)));
    }

    #[test]
    fn neighbours_become_one() {
        let mut arena = Arena::new(9);
        let taken: Vec<u32> = (0..3).filter_map(|_| arena.take(3)).collect();
        for offset in [taken[0], taken[2], taken[1]] {
            arena.retire(offset, 3);
        }
        arena.reclaim();
        assert_eq!(arena.take(9), Some(0));
    }

    #[test]
    fn a_stretch_of_another_agent_is_claimed_once() {
        let mut arena = Arena::new(10);
        assert!(arena.claim(4, 3) && !arena.claim(4, 3) && !arena.claim(3, 2) && !arena.claim(9, 2));
        assert_eq!((arena.take(4), arena.take(4), arena.take(3)), (Some(0), None, Some(7)));
    }

    proptest! {
        #[test]
        fn no_place_is_given_out_twice_and_none_is_lost(steps in prop::collection::vec((any::<bool>(), 1_u32..20), 0..200)) {
            let mut arena = Arena::new(100);
            let mut taken: Vec<(u32, u32)> = Vec::new();
            for (take, number) in steps {
                if take {
                    if let Some(offset) = arena.take(number) {
                        for (other, length) in &taken {
                            prop_assert!(offset + number <= *other || other + length <= offset);
                        }
                        prop_assert!(offset + number <= 100);
                        taken.push((offset, number));
                    }
                } else if !taken.is_empty() {
                    let (offset, length) = taken.swap_remove(number as usize % taken.len());
                    arena.retire(offset, length);
                    arena.reclaim();
                }
            }
            for (offset, length) in taken {
                arena.retire(offset, length);
            }
            arena.reclaim();
            prop_assert_eq!(arena.take(100), Some(0));
        }
    }
}
