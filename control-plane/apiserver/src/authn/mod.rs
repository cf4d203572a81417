//! Who is asking.

mod authenticator;
mod bearer;
mod identity;
mod impersonation;

pub use authenticator::RejectedCertificate;
pub use bearer::{TokenKeys, TokenKeysError};
pub use identity::{Identity, UserInfo};

pub(crate) use authenticator::Authenticator;
pub(crate) use bearer::{Claims, Private, Reference};
pub(crate) use identity::MASTERS;
pub(crate) use impersonation::Impersonation;
