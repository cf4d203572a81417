//! Who is asking.

mod identity;

pub use identity::{Identity, UserInfo};
