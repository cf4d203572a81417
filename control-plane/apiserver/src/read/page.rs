//! One page of a collection at one revision.

use sheave_store::{Entry, Range, RangeError, Revision, Store};

use super::object::Object;
use super::selection::Selection;
use super::token::ContinueToken;
use crate::query::{ListOptions, VersionMatch};
use crate::status::StatusError;

/// The entries of a page, and where the next one starts.
pub(crate) struct Page {
    pub(crate) entries: Vec<Entry>,
    /// The revision that the whole list shows.
    pub(crate) revision: Revision,
    /// The token of the next page; none on the last.
    pub(crate) continue_token: Option<String>,
    /// How many objects follow, where that is known: not with a selector.
    pub(crate) remaining: Option<usize>,
}

/// Where in time and in the collection a page starts.
struct Start {
    at: Option<Revision>,
    after: Option<String>,
}

/// With a selector, so many entries are looked at per step.
const STEP: usize = 1024;

const GONE: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new \
    list without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
    results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, \
    or deleted between the time the first chunk was returned and now may show up in the list.";

// === impl Page ===

impl Page {
    /// Collects a page below `prefix`. The selection is applied here only where there is a limit, because only then does
    /// it decide where the page ends.
    pub(crate) fn collect(
        store: &Store,
        prefix: &str,
        selection: &Selection,
        options: &ListOptions,
    ) -> Result<Self, StatusError> {
        let start = Start::find(store, prefix, options)?;
        match options.limit {
            Some(limit) if !selection.is_everything() => Self::selected(store, prefix, selection, start, limit),
            limit => Self::everything(store, prefix, start, limit),
        }
    }

    fn everything(store: &Store, prefix: &str, start: Start, limit: Option<usize>) -> Result<Self, StatusError> {
        let found = range(store, prefix, &start, limit)?;
        let more = found.remaining > 0;
        let continue_token = found.entries.last().filter(|_| more).map(|last| token(prefix, last, found.revision));
        let remaining = more.then_some(found.remaining);
        Ok(Self { entries: found.entries, revision: found.revision, continue_token, remaining })
    }

    fn selected(
        store: &Store,
        prefix: &str,
        selection: &Selection,
        mut start: Start,
        limit: usize,
    ) -> Result<Self, StatusError> {
        let mut entries = Vec::new();
        loop {
            let found = range(store, prefix, &start, Some(STEP))?;
            start.at = Some(found.revision);
            start.after = found.entries.last().map(|last| last.key.to_string());
            let scanned = found.entries.len();
            for (index, entry) in found.entries.into_iter().enumerate() {
                if !selection.matches(&Object::new(entry.value.clone())) {
                    continue;
                }
                let full = entries.len() + 1 == limit;
                let more = found.remaining > 0 || index + 1 < scanned;
                let continue_token = (full && more).then(|| token(prefix, &entry, found.revision));
                entries.push(entry);
                if full {
                    return Ok(Self { entries, revision: found.revision, continue_token, remaining: None });
                }
            }
            if found.remaining == 0 {
                return Ok(Self { entries, revision: found.revision, continue_token: None, remaining: None });
            }
        }
    }
}

// === impl Start ===

impl Start {
    fn find(store: &Store, prefix: &str, options: &ListOptions) -> Result<Self, StatusError> {
        if let Some(token) = &options.continue_token {
            if options.resource_version.is_some_and(|version| version != 0) {
                return Err(StatusError::bad_request("specifying resource version is not allowed when using continue"));
            }
            let token = ContinueToken::decode(token)?;
            return Ok(Self { at: token.revision.map(Revision), after: Some(format!("{prefix}{}", token.after)) });
        }
        let exact = options.version_match == Some(VersionMatch::Exact)
            // A limit without a match has always meant exact (KEP-2340's table).
            || (options.version_match.is_none() && options.limit.is_some());
        let at = match options.resource_version {
            None | Some(0) => None,
            Some(version) => {
                require_seen(store, version)?;
                exact.then_some(Revision(version))
            }
        };
        Ok(Self { at, after: None })
    }
}

/// 504 for a version from the future: this server cannot know what it will hold.
pub(crate) fn require_seen(store: &Store, version: u64) -> Result<(), StatusError> {
    let current = store.revision().0;
    if version > current { Err(StatusError::too_large_resource_version(version, current)) } else { Ok(()) }
}

fn range(
    store: &Store,
    prefix: &str,
    start: &Start,
    limit: Option<usize>,
) -> Result<sheave_store::RangeResult, StatusError> {
    let range = Range { prefix: prefix.to_owned(), after: start.after.clone(), limit, at: start.at };
    store.range(&range).map_err(|error| match error {
        RangeError::Future { current } => {
            StatusError::too_large_resource_version(start.at.unwrap_or_default().0, current.0)
        }
        RangeError::Compacted { oldest } => gone(prefix, start, oldest),
    })
}

/// 410: with the token of an inconsistent continuation where the request continued a list.
fn gone(prefix: &str, start: &Start, oldest: Revision) -> StatusError {
    let Some(after) = start.after.as_deref().and_then(|after| after.strip_prefix(prefix)) else {
        return StatusError::expired(format!(
            "The resourceVersion for the provided list is too old: {} ({oldest})",
            start.at.unwrap_or_default(),
        ));
    };
    StatusError::expired(GONE).with_continue(ContinueToken { revision: None, after: after.to_owned() }.encode())
}

fn token(prefix: &str, last: &Entry, revision: Revision) -> String {
    let after = last.key.strip_prefix(prefix).unwrap_or(&last.key).to_owned();
    ContinueToken { revision: Some(revision.0), after }.encode()
}
