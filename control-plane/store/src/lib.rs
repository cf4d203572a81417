//! Revisioned key-value store with ordered watch.
