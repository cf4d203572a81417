//! Bounds that keep a hostile patch from exhausting the stack.

use sheave_api::Document;
use thiserror::Error;

/// How deeply a document may be nested: what `serde_json` reads, so that no stored document is out of reach.
pub const MAX_DEPTH: usize = 128;

/// A document nested more deeply than [`MAX_DEPTH`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the document is nested more than {MAX_DEPTH} levels deep: flatten it")]
pub struct TooDeep;

/// Refuses a document nested more deeply than [`MAX_DEPTH`].
///
/// # Errors
/// [`TooDeep`].
pub fn check_depth(document: &Document) -> Result<(), TooDeep> {
    if is_within(document, MAX_DEPTH) { Ok(()) } else { Err(TooDeep) }
}

fn is_within(document: &Document, levels: usize) -> bool {
    match document {
        Document::Object(fields) => levels > 0 && fields.values().all(|value| is_within(value, levels - 1)),
        Document::Array(items) => levels > 0 && items.iter().all(|value| is_within(value, levels - 1)),
        Document::Null | Document::Bool(_) | Document::Number(_) | Document::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> Document {
        (0..levels).fold(Document::Null, |inner, _| Document::Array(vec![inner]))
    }

    #[test]
    fn a_document_may_be_as_deep_as_the_limit_and_no_deeper() {
        assert_eq!(check_depth(&nested(MAX_DEPTH)), Ok(()));
        assert_eq!(check_depth(&nested(MAX_DEPTH + 1)), Err(TooDeep));
    }
}
