//! One call at a time for each attachment: a DEL that comes while ADD still runs waits for it.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, PoisonError};

use sheave_cni::protocol::Attachment;

/// The attachments that a call is about at present.
#[derive(Debug, Default)]
pub(super) struct Busy {
    now: Mutex<HashSet<Attachment>>,
    freed: Condvar,
}

/// The right to work on one attachment, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    busy: &'a Busy,
    attachment: Attachment,
}

// === impl Busy ===

impl Busy {
    /// Waits until nobody else works on the attachment.
    pub(super) fn wait_for(&self, attachment: &Attachment) -> Turn<'_> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        while now.contains(attachment) {
            now = self.freed.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        now.insert(attachment.clone());
        Turn { busy: self, attachment: attachment.clone() }
    }
}

// === impl Turn ===

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.busy.now.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.attachment);
        self.busy.freed.notify_all();
    }
}
