//! The cluster's certificates: one authority, and what it signs.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::files::{self, Mode};

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS#8. Never logged.
    pub key: String,
}

/// The cluster's certificate authority, for servers and clients alike.
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a serving certificate is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerNames {
    /// DNS names.
    pub names: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
}

/// Authority: ten years.
const AUTHORITY_DAYS: i64 = 3650;
/// What it signs: one year, as kubeadm's.
const LEAF_DAYS: i64 = 365;
/// A serving certificate that ends sooner than this is made anew at start.
const RENEW_DAYS: i64 = 120;
/// Certificates begin a little in the past: clocks differ.
const LEEWAY_HOURS: i64 = 1;

// === impl Authority ===

impl Authority {
    /// The authority in `folder` (`ca.crt`, `ca.key`), made when it is not there.
    ///
    /// # Errors
    /// When the files cannot be read or written, or do not belong together.
    pub fn load_or_create(folder: &Path) -> Result<Self> {
        let (certificate, key) = (folder.join("ca.crt"), folder.join("ca.key"));
        if let (Some(certificate), Some(key)) = (read_text(&certificate)?, read_text(&key)?) {
            return Self::from_pem(certificate, &key).with_context(|| {
                format!("the authority in {} is damaged: bring it back from a backup", folder.display())
            });
        }
        let pair = new_authority()?;
        files::write(&key, pair.key.as_bytes(), Mode::Private)?;
        files::write(&certificate, pair.certificate.as_bytes(), Mode::Public)?;
        Self::from_pem(pair.certificate, &pair.key)
    }

    fn from_pem(certificate: String, key: &str) -> Result<Self> {
        let issuer = Issuer::from_ca_cert_pem(&certificate, KeyPair::from_pem(key)?)?;
        Ok(Self { certificate, issuer })
    }

    /// Its certificate in PEM, which clients trust.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// What signs.
    pub(crate) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// A client certificate: the common name is the user, each organization a group.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn client(&self, user: &str, groups: &[&str]) -> Result<Pair> {
        let mut parameters = leaf(ExtendedKeyUsagePurpose::ClientAuth)?;
        parameters.distinguished_name.push(DnType::CommonName, user);
        for group in groups {
            parameters.distinguished_name.push(DnType::OrganizationName, *group);
        }
        self.sign(&parameters)
    }

    /// The serving certificate in `folder` (`apiserver.crt`, `apiserver.key`), made anew when it is not there, does not
    /// carry `names`, ends soon, or was signed by somebody else.
    ///
    /// # Errors
    /// When the files cannot be read or written.
    pub fn server(&self, folder: &Path, names: &ServerNames) -> Result<Pair> {
        let (certificate_path, key_path) = (folder.join("apiserver.crt"), folder.join("apiserver.key"));
        if let (Some(certificate), Some(key)) = (read_text(&certificate_path)?, read_text(&key_path)?)
            && self.still_serves(&certificate, names)
        {
            return Ok(Pair { certificate, key });
        }
        let mut parameters = leaf(ExtendedKeyUsagePurpose::ServerAuth)?;
        parameters.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        parameters.subject_alt_names = names.alternatives()?;
        let pair = self.sign(&parameters)?;
        files::write(&key_path, pair.key.as_bytes(), Mode::Private)?;
        files::write(&certificate_path, pair.certificate.as_bytes(), Mode::Public)?;
        Ok(pair)
    }

    fn sign(&self, parameters: &CertificateParams) -> Result<Pair> {
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// Whether a certificate on disk still does; one that cannot be read does not.
    fn still_serves(&self, certificate: &str, names: &ServerNames) -> bool {
        let Ok(der) = CertificateDer::from_pem_slice(certificate.as_bytes()) else { return false };
        let Ok(authority) = CertificateDer::from_pem_slice(self.certificate.as_bytes()) else { return false };
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(&der) else { return false };
        let Ok((_, authority)) = x509_parser::parse_x509_certificate(&authority) else { return false };
        let remaining = parsed.validity().time_to_expiration().map_or(0, |left| left.whole_days());
        remaining > RENEW_DAYS
            && parsed.issuer() == authority.subject()
            && authority_key(&parsed) == subject_key(&authority)
            && ServerNames::of(&parsed).covers(names)
    }
}

fn read_text(path: &Path) -> Result<Option<String>> {
    let contents = files::read(path)?;
    contents.map(String::from_utf8).transpose().with_context(|| format!("{} is not PEM", path.display()))
}

fn new_authority() -> Result<Pair> {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "sheave-ca");
    set_validity(&mut parameters, AUTHORITY_DAYS);
    let key = KeyPair::generate()?;
    Ok(Pair { certificate: parameters.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

fn leaf(usage: ExtendedKeyUsagePurpose) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(Vec::<String>::new())?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![usage];
    parameters.use_authority_key_identifier_extension = true;
    set_validity(&mut parameters, LEAF_DAYS);
    Ok(parameters)
}

fn set_validity(parameters: &mut CertificateParams, days: i64) {
    let now = x509_parser::time::ASN1Time::now().to_datetime();
    parameters.not_before = now.saturating_sub(time_hours(LEEWAY_HOURS));
    parameters.not_after = now.saturating_add(time_hours(days * 24));
}

/// From a moment ago until so many seconds from now, but never beyond what clocks can tell.
pub(crate) fn set_seconds(parameters: &mut CertificateParams, seconds: u64) {
    let now = x509_parser::time::ASN1Time::now().to_datetime();
    let seconds = time::Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
    parameters.not_before = now.saturating_sub(time_hours(LEEWAY_HOURS));
    parameters.not_after = now.saturating_add(seconds);
}

fn time_hours(hours: i64) -> time::Duration {
    time::Duration::hours(hours)
}

fn authority_key<'a>(certificate: &'a x509_parser::certificate::X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier(identifier) => {
            identifier.key_identifier.as_ref().map(|key| key.0)
        }
        _ => None,
    })
}

fn subject_key<'a>(certificate: &'a x509_parser::certificate::X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0),
        _ => None,
    })
}

// === impl ServerNames ===

impl ServerNames {
    fn alternatives(&self) -> Result<Vec<SanType>> {
        let names = self.names.iter().map(|name| Ok(SanType::DnsName(name.as_str().try_into()?)));
        let addresses = self.addresses.iter().map(|address| Ok(SanType::IpAddress(*address)));
        names.chain(addresses).collect()
    }

    /// The names that a certificate carries.
    fn of(certificate: &x509_parser::certificate::X509Certificate<'_>) -> Self {
        use x509_parser::extensions::GeneralName;
        let mut names = Self { names: Vec::new(), addresses: Vec::new() };
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        for alternative in alternatives.iter().flat_map(|extension| &extension.value.general_names) {
            match alternative {
                GeneralName::DNSName(name) => names.names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
                _ => {}
            }
        }
        names
    }

    fn covers(&self, others: &Self) -> bool {
        others.names.iter().all(|name| self.names.contains(name))
            && others.addresses.iter().all(|address| self.addresses.contains(address))
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(..)")
    }
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(addresses: &[&str]) -> ServerNames {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        ServerNames { names: vec!["kubernetes".to_owned()], addresses }
    }

    #[test]
    fn the_authority_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::load_or_create(folder.path()).unwrap();
        let second = Authority::load_or_create(folder.path()).unwrap();
        assert_eq!(first.certificate(), second.certificate());
    }

    #[test]
    fn the_serving_certificate_is_kept_until_its_names_change() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(folder.path()).unwrap();
        let first = authority.server(folder.path(), &names(&["127.0.0.1", "fd00::1"])).unwrap();
        let fewer = authority.server(folder.path(), &names(&["127.0.0.1"])).unwrap();
        assert_eq!(first.certificate, fewer.certificate);
        let moved = authority.server(folder.path(), &names(&["192.0.2.1"])).unwrap();
        assert_ne!(first.certificate, moved.certificate);
    }

    #[test]
    fn a_certificate_of_another_authority_is_replaced() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let stranger = Authority::load_or_create(other.path()).unwrap();
        let before = stranger.server(folder.path(), &names(&[])).unwrap();
        let authority = Authority::load_or_create(folder.path()).unwrap();
        assert_ne!(authority.server(folder.path(), &names(&[])).unwrap().certificate, before.certificate);
    }
}
