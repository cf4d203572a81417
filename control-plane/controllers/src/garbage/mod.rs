//! Garbage collection: an object whose owners are all gone goes too, in the way that the deletion asked for.
//!
//! ```text
//! watches of all kinds ──> Graph (who owns whom) ──UID──> decide ──> request
//! ```
//!
//! Kinds that other controllers watch anyway are heard through their caches; every other kind that discovery lists
//! gets a metadata-only watch here.

mod collector;
mod decision;
mod graph;
mod kinds;

pub(crate) use self::collector::register;
