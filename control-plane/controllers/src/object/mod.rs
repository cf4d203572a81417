//! What several controllers know about objects: owners, pods, templates, percentages. Pure functions.

pub(crate) mod claim;
pub(crate) mod history;
pub(crate) mod owner;
pub(crate) mod percent;
pub(crate) mod pod;
pub(crate) mod revisioned;
pub(crate) mod template;
