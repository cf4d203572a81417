//! The cluster's authority as the controllers see it: it signs requests that they have approved.

use rcgen::{CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};
use sheave_controllers::{Grant, SignCertificates};

use crate::pki::Authority;

impl SignCertificates for Authority {
    fn sign(&self, request: &str, grant: &Grant) -> Result<String, String> {
        // This checks the request's own signature, and refuses extensions that it does not know.
        let mut request = CertificateSigningRequestParams::from_pem(request)
            .map_err(|error| format!("the certificate request cannot be signed: {error}"))?;
        let parameters = &mut request.params;
        parameters.is_ca = IsCa::NoCa;
        // What the request says of its use does not count: the object's `spec.usages` was looked at.
        parameters.key_usages = grant.usages.iter().filter_map(|usage| key_usage(usage)).collect();
        parameters.extended_key_usages = grant.usages.iter().filter_map(|usage| extended_usage(usage)).collect();
        parameters.use_authority_key_identifier_extension = true;
        crate::pki::set_seconds(parameters, grant.seconds);
        let signed = request.signed_by(self.issuer()).map_err(|error| format!("the authority cannot sign: {error}"))?;
        Ok(signed.pem())
    }
}

/// A usage of the key, by its name in `certificates.k8s.io/v1`.
fn key_usage(usage: &str) -> Option<KeyUsagePurpose> {
    match usage {
        "digital signature" | "signing" => Some(KeyUsagePurpose::DigitalSignature),
        "key encipherment" => Some(KeyUsagePurpose::KeyEncipherment),
        _ => None,
    }
}

/// A usage of the certificate, by its name in `certificates.k8s.io/v1`.
fn extended_usage(usage: &str) -> Option<ExtendedKeyUsagePurpose> {
    match usage {
        "client auth" => Some(ExtendedKeyUsagePurpose::ClientAuth),
        "server auth" => Some(ExtendedKeyUsagePurpose::ServerAuth),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;

    use super::*;

    fn request(parameters: &CertificateParams) -> String {
        parameters.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
    }

    #[test]
    fn a_certificate_has_the_requests_names_and_the_grants_usages_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(folder.path()).unwrap();
        let mut wished = CertificateParams::new(vec!["n1".to_owned()]).unwrap();
        wished.distinguished_name.push(DnType::CommonName, "system:node:n1");
        wished.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let grant = Grant { usages: vec!["server auth".to_owned()], seconds: 600 };
        let signed = authority.sign(&request(&wished), &grant).unwrap();
        let der = CertificateDer::from_pem_slice(signed.as_bytes()).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
        let usage = parsed.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.client_auth && !parsed.is_ca());
        assert_eq!(parsed.subject().iter_common_name().last().unwrap().as_str().unwrap(), "system:node:n1");
        let left = parsed.validity().time_to_expiration().unwrap();
        assert!(left.whole_seconds() <= 600 && left.whole_seconds() > 500, "{left}");
    }

    #[test]
    fn nobody_becomes_an_authority_and_nonsense_is_not_signed() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(folder.path()).unwrap();
        let grant = Grant { usages: vec!["client auth".to_owned()], seconds: 600 };
        assert!(
            authority
                .sign("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", &grant)
                .is_err()
        );
        let mut wished = CertificateParams::default();
        wished.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        // Whether such a request can be written at all is the library's business; signed as an authority it is never.
        if let Ok(request) = wished.serialize_request(&KeyPair::generate().unwrap()).and_then(|request| request.pem())
            && let Ok(signed) = authority.sign(&request, &grant)
        {
            let der = CertificateDer::from_pem_slice(signed.as_bytes()).unwrap();
            assert!(!x509_parser::parse_x509_certificate(&der).unwrap().1.is_ca());
        }
    }
}
