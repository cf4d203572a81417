//! Which objects a watch has told of: what is missing when it begins anew is gone.

use std::collections::BTreeSet;

use kube::runtime::watcher;

/// The keys of the objects of one watch.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    known: BTreeSet<String>,
    /// What the running list has brought so far.
    listing: BTreeSet<String>,
    synced: bool,
}

impl Inventory {
    /// Whether a list has been completed.
    pub(super) fn is_synced(&self) -> bool {
        self.synced
    }

    /// Takes an event in; the keys of the objects that are gone by it.
    pub(super) fn take<K>(&mut self, event: &watcher::Event<K>, key: impl Fn(&K) -> String) -> Vec<String> {
        match event {
            watcher::Event::Init => self.listing.clear(),
            watcher::Event::InitApply(object) => drop(self.listing.insert(key(object))),
            watcher::Event::Apply(object) => drop(self.known.insert(key(object))),
            watcher::Event::Delete(object) => {
                let key = key(object);
                self.known.remove(&key);
                return vec![key];
            }
            watcher::Event::InitDone => {
                self.synced = true;
                let listed = std::mem::take(&mut self.listing);
                let before = std::mem::replace(&mut self.known, listed);
                return before.difference(&self.known).cloned().collect();
            }
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_new_list_does_not_bring_is_gone() {
        let mut inventory = Inventory::default();
        let mut take = |event| (inventory.take(&event, |key: &&str| (*key).to_owned()), inventory.synced);
        use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
        for (event, gone, synced) in [
            (Init, &[][..], false),
            (InitApply("a"), &[], false),
            (InitDone, &[], true),
            (Apply("b"), &[], true),
            (Apply("c"), &[], true),
            (Delete("c"), &["c"], true),
            (Init, &[], true),
            (InitApply("b"), &[], true),
            (InitDone, &["a"], true),
        ] {
            assert_eq!(take(event), (gone.iter().map(|key| (*key).to_owned()).collect(), synced));
        }
    }
}
