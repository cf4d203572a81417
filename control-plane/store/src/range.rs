//! Reading many keys at one revision.

use crate::view::View;
use crate::{Entry, Revision};

/// What to read. `Range::default()` is everything, at the current revision.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Range {
    /// What the keys begin with. A prefix that is meant as a folder ends in `/`.
    pub prefix: String,
    /// Continue behind this key.
    pub after: Option<String>,
    /// Give at most so many entries and count the rest. `Some(0)` only counts.
    pub limit: Option<usize>,
    /// Read at this revision rather than the current one.
    pub at: Option<Revision>,
}

/// What a range found: all of it belongs to one revision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RangeResult {
    /// The entries, in the order of their keys' bytes.
    pub entries: Vec<Entry>,
    /// The revision that was read: what to continue at, and where a watch continues.
    pub revision: Revision,
    /// How many more keys there are behind the last entry.
    pub remaining: usize,
}

/// A range that cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RangeError {
    /// The revision has been compacted away; start over at the current one.
    #[error("the revision has been compacted: the oldest that can be read is {oldest}")]
    Compacted {
        /// The oldest revision that can be read.
        oldest: Revision,
    },
    /// The store has not got that far: the revision is another store's.
    #[error("the revision lies in the future: the current one is {current}")]
    Future {
        /// The current revision.
        current: Revision,
    },
}

// === impl Range ===

impl Range {
    /// Everything that begins with a prefix, at the current revision.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..Self::default() }
    }

    pub(crate) fn read(&self, view: &View) -> Result<RangeResult, RangeError> {
        let revision = self.at.unwrap_or(view.revision());
        let mut found = view.range(&self.prefix, self.after.as_deref(), revision)?;
        let limit = self.limit.unwrap_or(usize::MAX);
        let entries = found.by_ref().take(limit).cloned().collect();
        Ok(RangeResult { entries, revision, remaining: found.count() })
    }
}
