//! What somebody may do: role-based access control, evaluated from memory.

mod attributes;
mod cover;
mod escalation;
mod index;
mod rbac;
mod rules;

pub(crate) use attributes::{Attributes, Subject};
pub(crate) use cover::uncovered;
pub(crate) use escalation::{Refusal, confirm_no_escalation};
pub(crate) use rbac::{Authorizer, Decision};
pub(crate) use rules::Rule;
