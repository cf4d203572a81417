//! Security contexts, as CRI wants them.
