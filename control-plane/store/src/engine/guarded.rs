//! An engine whose panics are errors.
//!
//! redb takes a page that its own checksum did not cover for good and panics over what it finds there. A store must not end
//! its process, or leave its callers without an answer, because a disk has rotted.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use super::{Change, Engine, EngineError, Group, Standing};
use crate::{OpenError, Revision};

/// Turns the panics of the engine inside into errors. What a panic leaves behind is not used again: after a failed append
/// the store asks the engine to recover, which opens everything anew.
pub(crate) struct Guarded<E> {
    engine: E,
    path: PathBuf,
}

// === impl Guarded ===

impl<E: Engine> Guarded<E> {
    pub(crate) fn new(engine: E, path: PathBuf) -> Self {
        Self { engine, path }
    }
}

impl<E: Engine> Engine for Guarded<E> {
    fn standing(&mut self) -> Result<Standing, OpenError> {
        opening(&self.path, || self.engine.standing())
    }

    fn changes(&mut self, each: &mut dyn FnMut(Change)) -> Result<(), OpenError> {
        opening(&self.path, || self.engine.changes(each))
    }

    fn append(&mut self, group: &Group) -> Result<(), EngineError> {
        // Nobody knows how far it came.
        caught(|| self.engine.append(group)).unwrap_or_else(|reason| Err(EngineError::Damaged(reason)))
    }

    fn recover(&mut self) -> Result<Revision, EngineError> {
        caught(|| self.engine.recover()).unwrap_or_else(|reason| Err(EngineError::Damaged(reason)))
    }
}

/// Runs a part of opening the store at `path`.
pub(crate) fn opening<T>(path: &std::path::Path, work: impl FnOnce() -> Result<T, OpenError>) -> Result<T, OpenError> {
    caught(work).unwrap_or_else(|reason| Err(OpenError::Unreadable { path: path.to_owned(), reason }))
}

/// What `work` gives, or what it said when it panicked.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| format!("it is damaged: {}", said(&*panic)))
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An engine that panics at everything.
    struct Rotten;

    impl Engine for Rotten {
        fn standing(&mut self) -> Result<Standing, OpenError> {
            panic!("page {} is no page", 7)
        }

        fn changes(&mut self, _: &mut dyn FnMut(Change)) -> Result<(), OpenError> {
            panic!("no tree")
        }

        fn append(&mut self, _: &Group) -> Result<(), EngineError> {
            panic!("no root")
        }

        fn recover(&mut self) -> Result<Revision, EngineError> {
            panic!("no file")
        }
    }

    #[test]
    fn panics_become_errors_that_say_what_was_said() {
        let mut engine = Guarded::new(Rotten, "/data/store.redb".into());
        let refused = engine.standing().unwrap_err().to_string();
        assert_eq!(refused, "/data/store.redb is not a readable store: it is damaged: page 7 is no page");
        assert!(engine.changes(&mut |_| {}).is_err());
        assert_eq!(engine.append(&Group::default()).unwrap_err().to_string(), "it is damaged: no root");
        assert_eq!(engine.recover().unwrap_err().to_string(), "it is damaged: no file");
    }
}
