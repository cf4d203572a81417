//! An engine that forgets: for tests of what is built on the store.

use super::{Change, Engine, EngineError, Group, Standing};
use crate::{OpenError, Revision};

/// Keeps nothing; the store's memory is all there is.
pub(crate) struct Volatile;

// === impl Volatile ===

impl Engine for Volatile {
    fn standing(&mut self) -> Result<Standing, OpenError> {
        Ok(Standing::default())
    }

    fn changes(&mut self, _each: &mut dyn FnMut(Change)) -> Result<(), OpenError> {
        Ok(())
    }

    fn append(&mut self, _group: &Group) -> Result<(), EngineError> {
        Ok(())
    }

    fn recover(&mut self) -> Result<Revision, EngineError> {
        Err(EngineError::Unknown("an engine that never fails cannot be recovered".to_owned()))
    }
}
