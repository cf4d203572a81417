//! Stored bytes and the bytes that are served in their place.
//!
//! The API server stores objects without `metadata.resourceVersion` and serves them with it. The hook that splices it in
//! runs once per write, not once per reader. A delete must run it again, on the stored bytes, because the object that a
//! watch reports as deleted carries the deletion's revision; so the stored bytes must be had back without being kept twice.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::Revision;

/// Turns the stored bytes of a key into the bytes that are served for it at a revision.
///
/// # Assumptions
/// The function is pure: the store calls it at commit, at load and at deletion and mixes the results. It is fast: it runs
/// on the thread that commits.
pub type Present = Arc<dyn Fn(&str, Revision, &Bytes) -> Bytes + Send + Sync>;

/// How to get the stored bytes back from the presented ones.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Presented {
    /// The hook changed nothing.
    Same,
    /// The hook put `length` bytes in at `at`; without them the value is what is stored.
    Inserted { at: u32, length: u32 },
    /// The hook did something else; the stored bytes are kept beside.
    Replaced(Bytes),
}

// === impl Presented ===

impl Presented {
    /// Runs the hook; gives the bytes to serve and the way back.
    pub(crate) fn new(present: &Present, key: &str, revision: Revision, stored: Bytes) -> (Bytes, Self) {
        let value = present(key, revision, &stored);
        let way_back = Self::way_back(&value, stored);
        (value, way_back)
    }

    fn way_back(value: &Bytes, stored: Bytes) -> Self {
        let Some(length) = value.len().checked_sub(stored.len()) else { return Self::Replaced(stored) };
        let at = value.iter().zip(&stored).take_while(|(served, kept)| served == kept).count();
        if value[at + length..] != stored[at..] {
            return Self::Replaced(stored);
        }
        match (u32::try_from(at), u32::try_from(length)) {
            (Ok(_), Ok(0)) => Self::Same,
            (Ok(at), Ok(length)) => Self::Inserted { at, length },
            (Err(_), _) | (_, Err(_)) => Self::Replaced(stored),
        }
    }

    /// The stored bytes of what `value` presents.
    pub(crate) fn stored(&self, value: &Bytes) -> Bytes {
        match self {
            Self::Same => value.clone(),
            Self::Inserted { at, length } => {
                let (at, length) = (*at as usize, *length as usize);
                let mut stored = BytesMut::with_capacity(value.len() - length);
                stored.extend_from_slice(&value[..at]);
                stored.extend_from_slice(&value[at + length..]);
                stored.freeze()
            }
            Self::Replaced(stored) => stored.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hook: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static, stored: &'static str, served: &str, kept: bool) {
        let present: Present = Arc::new(move |_, _, stored| hook(stored).into());
        let (value, way_back) = Presented::new(&present, "/key", Revision(7), Bytes::from_static(stored.as_bytes()));
        assert_eq!(value, served);
        assert_eq!(way_back.stored(&value), stored);
        assert_eq!(matches!(way_back, Presented::Replaced(_)), kept, "{way_back:?}");
    }

    #[test]
    fn stored_bytes_come_back_whatever_the_hook_did() {
        let insert = |stored: &[u8]| [&stored[..3], b"7,", &stored[3..]].concat();
        check(<[u8]>::to_vec, "{}", "{}", false);
        check(insert, "{a:1}", "{a:7,1}", false);
        check(insert, "7,7,7,7", "7,77,,7,7", false);
        check(|stored| [stored, b"tail"].concat(), "", "tail", false);
        check(|stored| [b"head", stored].concat(), "er", "header", false);
        check(|_| b"other".to_vec(), "1234", "other", true);
        check(|_| Vec::new(), "1234", "", true);
    }
}
