//! How an API server is set up.

/// Settings of an API server.
#[derive(Clone, Debug, Default)]
pub struct Options {}
