//! Fields that an applier would take from somebody else, in Kubernetes' words.

use std::collections::BTreeMap;

use crate::error::Cause;
use crate::fields::FieldPath;
use crate::managed::ManagerId;

/// A field that an applier would change and somebody else owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Who owns it.
    pub manager: ManagerId,
    /// The field.
    pub path: FieldPath,
}

// === impl Conflict ===

impl Conflict {
    pub(super) fn cause(&self) -> Cause {
        Cause {
            reason: "FieldManagerConflict",
            message: format!("conflict with {}", self.manager),
            field: self.path.to_string(),
        }
    }
}

/// The message of the status: one line for one conflict, else a list for each manager.
pub(super) fn message(conflicts: &[Conflict]) -> String {
    if let [conflict] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", conflict.manager, conflict.path);
    }
    let mut by_manager = BTreeMap::<_, Vec<_>>::new();
    for conflict in conflicts {
        by_manager.entry(&conflict.manager).or_default().push(&conflict.path);
    }
    let mut lines = Vec::new();
    for (manager, paths) in by_manager {
        lines.push(format!("conflicts with {manager}:"));
        lines.extend(paths.into_iter().map(|path| format!("- {path}")));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}
