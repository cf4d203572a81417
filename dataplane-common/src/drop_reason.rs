//! Why a packet was dropped: the one list for kernel programs, metrics and documentation.

use crate::Malformed;

/// The reason of a drop. Every drop has exactly one, and each is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// The frame cannot be read.
    Malformed(Malformed),
}

// === impl DropReason ===

impl DropReason {
    /// Every reason, in the order of their codes.
    pub fn all() -> impl Iterator<Item = Self> {
        Malformed::ALL.into_iter().map(Self::Malformed)
    }

    /// The stable code, for events and counters.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Malformed(malformed) => malformed.code(),
        }
    }

    /// The name in metrics: lower case, words joined by `_`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed(malformed) => malformed.label(),
        }
    }

    /// One sentence for people.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Malformed(malformed) => malformed.description(),
        }
    }
}

impl From<Malformed> for DropReason {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_and_labels_are_unique() {
        let codes: BTreeSet<u8> = DropReason::all().map(DropReason::code).collect();
        let labels: BTreeSet<&str> = DropReason::all().map(DropReason::label).collect();
        assert_eq!((codes.len(), labels.len()), (DropReason::all().count(), DropReason::all().count()));
    }

    #[test]
    fn labels_are_metric_names_and_descriptions_are_sentences_without_a_full_stop() {
        for reason in DropReason::all() {
            assert!(reason.label().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{reason:?}");
            assert!(reason.description().contains(' ') && !reason.description().ends_with('.'), "{reason:?}");
        }
    }
}
