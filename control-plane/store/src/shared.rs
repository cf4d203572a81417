//! What the handles, the watches and the store's two threads share.

use parking_lot::{Mutex, RwLock};

use crate::fanout::Fanout;
use crate::view::View;
use crate::{Entry, Revision};

/// The published view and the watches. The commit thread writes it; everybody reads it.
pub(crate) struct Shared {
    /// What is durable. Held only to clone or to look up one key, and to put another view in its place.
    view: RwLock<View>,
    pub(crate) fanout: Fanout,
    /// Why there are no writes at present.
    trouble: Mutex<Option<String>>,
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(view: View) -> Self {
        let fanout = Fanout::new(view.revision());
        Self { view: RwLock::new(view), fanout, trouble: Mutex::new(None) }
    }

    pub(crate) fn view(&self) -> View {
        self.view.read().clone()
    }

    pub(crate) fn revision(&self) -> Revision {
        self.view.read().revision()
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    pub(crate) fn set_trouble(&self, reason: Option<&str>) {
        *self.trouble.lock() = reason.map(ToOwned::to_owned);
    }

    pub(crate) fn entry(&self, key: &str) -> Option<Entry> {
        self.view.read().entry(key).cloned()
    }

    /// Makes a view the one that readers get, then has its events delivered.
    pub(crate) fn publish(&self, view: View) {
        // The old view is dropped behind the lock's back: freeing what only it held takes time.
        let old = std::mem::replace(&mut *self.view.write(), view);
        drop(old);
        self.fanout.announce();
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("revision", &self.revision()).finish_non_exhaustive()
    }
}
