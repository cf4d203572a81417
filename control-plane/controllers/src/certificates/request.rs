//! What a PKCS#10 request asks for.

use std::net::IpAddr;

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;

/// Subject and alternative names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) common_name: String,
    /// In order, as they stand there.
    pub(super) organizations: Vec<String>,
    pub(super) names: Vec<String>,
    pub(super) addresses: Vec<IpAddr>,
    /// Mail addresses, URIs and everything else.
    pub(super) has_other_names: bool,
}

/// Reads the request of an object; none for what is no PKCS#10.
pub(super) fn asked(request: &CertificateSigningRequest) -> Option<Asked> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(&request.spec.request.0).ok()?;
    let (_, parsed) = X509CertificationRequest::from_der(&pem.contents).ok()?;
    let subject = &parsed.certification_request_info.subject;
    let mut asked = Asked {
        common_name: subject.iter_common_name().next().and_then(|it| it.as_str().ok()).unwrap_or_default().to_owned(),
        organizations: subject.iter_organization().filter_map(|it| it.as_str().ok()).map(ToOwned::to_owned).collect(),
        ..Asked::default()
    };
    for extension in parsed.requested_extensions().into_iter().flatten() {
        let ParsedExtension::SubjectAlternativeName(names) = extension else { continue };
        names.general_names.iter().for_each(|name| asked.add(name));
    }
    Some(asked)
}

// === impl Asked ===

impl Asked {
    fn add(&mut self, name: &GeneralName<'_>) {
        let address = |bytes: &[u8]| {
            let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
        };
        match name {
            GeneralName::DNSName(name) => self.names.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match address(bytes) {
                Some(address) => self.addresses.push(address),
                None => self.has_other_names = true,
            },
            _ => self.has_other_names = true,
        }
    }

    pub(super) fn has_names(&self) -> bool {
        !self.names.is_empty() || !self.addresses.is_empty() || self.has_other_names
    }
}
