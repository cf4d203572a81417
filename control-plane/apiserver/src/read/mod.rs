//! Reads: one object, a collection, and what follows it.

mod get;
mod list;
mod object;
mod page;
mod rendering;
mod selection;
mod token;
mod watch;
mod watch_event;
mod watch_frames;

pub(crate) use get::get;
pub(crate) use list::{list, prefix};
pub(crate) use object::Object;
pub(crate) use page::Page;
pub(crate) use rendering::Rendering;
pub(crate) use selection::Selection;
pub(crate) use watch::watch;
pub(crate) use watch_event::EventCache;
