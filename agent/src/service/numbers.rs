//! Numbers for things: each has one as long as somebody uses it.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// Gives numbers from a range, the lowest free one first, and counts who uses them.
#[derive(Clone, Debug)]
pub(super) struct Numbers<T> {
    of: HashMap<T, Used>,
    /// Below `next` and free.
    free: BTreeSet<u32>,
    next: u32,
    end: u32,
}

#[derive(Clone, Copy, Debug)]
struct Used {
    number: u32,
    users: u32,
}

/// A number that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// It had one already.
    Known(u32),
    /// It has one from now on.
    New(u32),
}

// === impl Numbers ===

impl<T: Eq + Hash + Clone> Numbers<T> {
    /// Numbers from `first` to before `end`.
    #[must_use]
    pub(super) fn new(first: u32, end: u32) -> Self {
        Self { of: HashMap::new(), free: BTreeSet::new(), next: first, end: end.max(first) }
    }

    /// The number of something, for one more user; nothing when all numbers are taken.
    pub(super) fn acquire(&mut self, it: &T) -> Option<Given> {
        if let Some(used) = self.of.get_mut(it) {
            used.users += 1;
            return Some(Given::Known(used.number));
        }
        let number = self.free.pop_first().or_else(|| self.fresh())?;
        self.of.insert(it.clone(), Used { number, users: 1 });
        Some(Given::New(number))
    }

    /// One user less; the number, if it was the last one. The number is not given out again before [`Numbers::recycle`].
    pub(super) fn release(&mut self, it: &T) -> Option<u32> {
        let used = self.of.get_mut(it)?;
        used.users = used.users.saturating_sub(1);
        if used.users > 0 {
            return None;
        }
        self.of.remove(it).map(|used| used.number)
    }

    /// A number may be given out again.
    pub(super) fn recycle(&mut self, number: u32) {
        self.free.insert(number);
    }

    /// Keeps a number from being given out; `false` when it is taken or out of range.
    pub(super) fn reserve(&mut self, number: u32) -> bool {
        if number >= self.end {
            return false;
        }
        while self.next <= number {
            self.free.insert(self.next);
            self.next += 1;
        }
        self.free.remove(&number)
    }

    /// Gives something a reserved number, without a user.
    pub(super) fn assign(&mut self, it: T, number: u32) {
        self.of.insert(it, Used { number, users: 0 });
    }

    /// Gives something the number that an earlier agent gave it, if both are free.
    pub(super) fn adopt(&mut self, it: T, number: u32) {
        if !self.of.contains_key(&it) && self.reserve(number) {
            self.assign(it, number);
        }
    }

    /// The number of something that has one.
    #[must_use]
    pub(super) fn get(&self, it: &T) -> Option<u32> {
        self.of.get(it).map(|used| used.number)
    }

    /// Takes back the numbers without a user.
    pub(super) fn unused(&mut self) -> Vec<u32> {
        self.of.extract_if(|_, used| used.users == 0).map(|(_, used)| used.number).collect()
    }

    /// How many could be had: those free and those never given.
    #[must_use]
    pub(super) fn room(&self) -> usize {
        self.free.len() + (self.end - self.next) as usize
    }

    /// How many things have one.
    #[must_use]
    pub(super) fn count(&self) -> usize {
        self.of.len()
    }

    fn fresh(&mut self) -> Option<u32> {
        if self.next == self.end {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_lasts_as_long_as_its_users() {
        let mut numbers = Numbers::new(1, 3);
        assert_eq!(numbers.acquire(&"a"), Some(Given::New(1)));
        assert_eq!(numbers.acquire(&"a"), Some(Given::Known(1)));
        assert_eq!(numbers.acquire(&"b"), Some(Given::New(2)));
        assert_eq!(numbers.acquire(&"c"), None);
        assert_eq!((numbers.release(&"a"), numbers.release(&"a"), numbers.release(&"a")), (None, Some(1), None));
        assert_eq!(numbers.acquire(&"c"), None, "not before it is recycled");
        numbers.recycle(1);
        assert_eq!(numbers.acquire(&"c"), Some(Given::New(1)));
    }

    #[test]
    fn numbers_of_an_earlier_agent_are_kept_and_those_nobody_claims_come_back() {
        let mut numbers = Numbers::new(1, 10);
        for (it, number) in [("a", 4), ("b", 2), ("c", 4), ("d", 10), ("e", 0), ("a", 7)] {
            numbers.adopt(it, number);
        }
        assert_eq!(numbers.acquire(&"a"), Some(Given::Known(4)));
        assert_eq!(numbers.acquire(&"c"), Some(Given::New(1)));
        assert_eq!(numbers.unused(), [2]);
        assert_eq!((numbers.get(&"b"), numbers.room(), numbers.count()), (None, 6, 2));
    }
}
