//! Errors as the specification wants them: a code that runtimes act on, and sentences for people.

use serde::{Deserialize, Serialize};

use crate::version::CniVersion;

/// What a runtime may act on (specification, section "Error"). Codes from 100 are this plugin's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u32", from = "u32")]
pub enum Code {
    /// 1: the version of the configuration is not spoken, or does not have the verb.
    IncompatibleVersion,
    /// 2: a field of the configuration that the plugin cannot honour.
    UnsupportedField,
    /// 3: the container does not exist; the runtime need not clean up.
    UnknownContainer,
    /// 4: a `CNI_*` variable is missing or wrong.
    InvalidVariable,
    /// 5: something could not be read or written.
    Io,
    /// 6: a document is no JSON of the expected form.
    Decode,
    /// 7: the configuration says something that cannot be.
    InvalidConfiguration,
    /// 11: the same call may succeed later.
    TryAgainLater,
    /// 50: no ADD can succeed at present.
    NotAvailable,
    /// 100: the kernel or the agent could not do it.
    Failed,
    /// 101: all addresses of the node are in use.
    NoAddress,
    /// 102: what CHECK found is not what ADD made.
    Changed,
    /// 103: the container has an interface of that name already.
    InterfaceExists,
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct CniError {
    /// What a runtime may act on.
    pub code: Code,
    /// What went wrong, and what to do about it.
    pub message: String,
}

// === impl Code ===

const CODES: [(Code, u32); 13] = [
    (Code::IncompatibleVersion, 1),
    (Code::UnsupportedField, 2),
    (Code::UnknownContainer, 3),
    (Code::InvalidVariable, 4),
    (Code::Io, 5),
    (Code::Decode, 6),
    (Code::InvalidConfiguration, 7),
    (Code::TryAgainLater, 11),
    (Code::NotAvailable, 50),
    (Code::Failed, 100),
    (Code::NoAddress, 101),
    (Code::Changed, 102),
    (Code::InterfaceExists, 103),
];

impl From<Code> for u32 {
    fn from(code: Code) -> Self {
        CODES.iter().find(|(named, _)| *named == code).map_or(100, |(_, number)| *number)
    }
}

impl From<u32> for Code {
    /// A number that this version does not know means a failure without a special meaning.
    fn from(number: u32) -> Self {
        CODES.iter().find(|(_, known)| *known == number).map_or(Self::Failed, |(code, _)| *code)
    }
}

// === impl CniError ===

impl CniError {
    /// An error with this code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The document for standard output.
    pub fn document(&self, version: CniVersion) -> String {
        let code = u32::from(self.code);
        serde_json::json!({ "cniVersion": version.as_str(), "code": code, "msg": self.message }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_one_number_and_comes_back_from_it() {
        for (code, number) in CODES {
            assert_eq!((u32::from(code), Code::from(number)), (number, code));
        }
        assert_eq!(Code::from(9999), Code::Failed);
    }

    #[test]
    fn an_error_is_the_document_of_the_specification() {
        let error = CniError::new(Code::TryAgainLater, "no agent");
        let document: serde_json::Value = serde_json::from_str(&error.document(CniVersion::V0_4_0)).unwrap();
        assert_eq!(document, serde_json::json!({ "cniVersion": "0.4.0", "code": 11, "msg": "no agent" }));
    }
}
