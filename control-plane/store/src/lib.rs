//! Revisioned key-value store with ordered watch.
//!
//! The model is etcd's. One counter, the [`Revision`], goes up by one with every committed transaction. Each key knows the
//! revision that made it, the one that last wrote it and how often it was written; a transaction happens only if its
//! expectations about keys hold. Any revision since compaction can be read, and every change since then can be watched, in
//! order and without gaps. A key may hang on a lease, whose end deletes it.
//!
//! Reads, lists and watches are served from memory. A write is durable before it is acknowledged or visible; all writes
//! that wait share one flush of the disk.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use sheave_store::{Operation, Options, Range, Store};
//!
//! let store = Store::in_memory(Options::default())?;
//! let mut watch = store.watch("/registry/pods/", store.revision())?;
//! let created = store.commit(vec![Operation::create("/registry/pods/default/web", "{}")]).await?;
//! assert_eq!(watch.next().await?[0].revision, created.revision);
//! assert_eq!(store.range(&Range::prefix("/registry/pods/"))?.entries.len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! | module | keeps |
//! |---|---|
//! | `view` | the keys and the history at one revision, immutable |
//! | `draft` | transactions that are decided and not yet durable |
//! | `committer` | the thread that writes |
//! | `fanout`, `watch` | the thread that delivers, and those it delivers to |
//! | `engine`, `disk` | what is durable |

mod committer;
mod disk;
mod draft;
mod engine;
mod entry;
mod fanout;
mod lease;
mod load;
mod operation;
mod options;
mod presented;
mod range;
mod shared;
mod store;
mod view;
mod watch;

pub use self::committer::CompactError;
pub use self::disk::Disk;
pub use self::entry::{Entry, Event, EventKind, LeaseId, Revision};
pub use self::lease::LeaseError;
pub use self::load::OpenError;
pub use self::operation::{CommitError, Committed, Expect, Operation};
pub use self::options::{History, Limits, Options};
pub use self::presented::Present;
pub use self::range::{Range, RangeError, RangeResult};
pub use self::store::Store;
pub use self::watch::{Watch, WatchError};
