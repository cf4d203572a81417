//! The real kubectl at a terminal: each installed version, run by a shell as a person would type.

mod kubectl;
mod terminal;

pub use kubectl::Kubectl;
pub use terminal::{Outcome, Terminal};
