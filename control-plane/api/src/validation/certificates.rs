//! Certificate signing requests.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Place;
use crate::Document;
use crate::field::{Errors, FieldError, Path, quote};
use crate::names;
use crate::view::{View, equivalent};

const REQUEST_BLOCK: &str = "CERTIFICATE REQUEST";
const CERTIFICATE_BLOCK: &str = "CERTIFICATE";

/// The shortest time that a certificate can be asked for, in seconds.
const SHORTEST: i64 = 600;

/// What a key can be for, in the order of their names.
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// Conditions that, where they are there, are true.
const TRUE_CONDITIONS: [&str; 3] = ["Approved", "Denied", "Failed"];

/// Which part of a request an update may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Metadata alone.
    Metadata,
    /// The certificate and conditions that decide nothing.
    Status,
    /// Whether it is approved or denied.
    Approval,
}

/// A request, metadata apart. Whether its signature holds is for the signer to find out: that takes cryptography.
pub(crate) fn request(request: &Place<'_>, errors: &mut Errors) {
    let spec = request.child("spec");
    let body = spec.child("request");
    if let Err(reason) = request_block(body.text()) {
        errors.invalid(&body, reason);
    }
    usages(&spec.child("usages"), errors);
    let signer = spec.child("signerName");
    if signer.text() == "kubernetes.io/legacy-unknown" {
        errors.invalid_text(&signer, "the legacy signerName is not allowed via this API version");
    } else {
        signer_name(&signer, errors);
    }
    let expiration = spec.child("expirationSeconds");
    if expiration.int().is_some_and(|seconds| seconds < SHORTEST) {
        let detail = format!("may not specify a duration less than {SHORTEST} seconds (10 minutes)");
        errors.invalid_int(&expiration, detail);
    }
    conditions(&request.child("status.conditions"), errors);
}

/// An update of `part` of a request: decisions stay, and so does a certificate once it is there.
pub(crate) fn update(new: &Place<'_>, old: &Document, part: Part, errors: &mut Errors) {
    request(new, errors);
    let path = Path::new("status").child("conditions");
    for name in TRUE_CONDITIONS {
        let (before, after) = (of_type(old, name), of_type(new.value(), name));
        if after.len() < before.len() {
            let detail = format!("updates may not remove a condition of type {}", quote(name));
            errors.push(FieldError::forbidden(&path, detail));
        } else if part != Part::Approval && name != "Failed" && after != before {
            let verb = if after.len() > before.len() { "add" } else { "modify" };
            let detail = format!("updates may not {verb} a condition of type {}", quote(name));
            errors.push(FieldError::forbidden(&path, detail));
        }
    }
    let certificate = new.child("status.certificate");
    if equivalent(certificate.value(), old.at("status.certificate")) {
        return;
    }
    if part != Part::Status {
        errors.forbidden(&certificate, "updates may not set certificate content");
    } else if !old.text("status.certificate").is_empty() {
        errors.forbidden(&certificate, "updates may not modify existing certificate content");
    }
    if let Err(reason) = certificate_blocks(certificate.text()) {
        errors.invalid_as(&certificate, "<certificate data>", reason);
    }
}

fn of_type<'a>(request: &'a Document, name: &str) -> Vec<&'a Document> {
    request.list("status.conditions").iter().filter(|condition| condition.text("type") == name).collect()
}

fn usages(usages: &Place<'_>, errors: &mut Errors) {
    if usages.len() == 0 {
        errors.required(usages, "");
    }
    let mut seen = BTreeSet::new();
    for usage in usages.items() {
        if !USAGES.contains(&usage.text()) {
            errors.not_supported(&usage, &USAGES);
        }
        if !seen.insert(usage.text().to_owned()) {
            errors.duplicate(&usage);
        }
    }
}

fn signer_name(signer: &Place<'_>, errors: &mut Errors) {
    if signer.text().is_empty() {
        errors.required(signer, "");
        return;
    }
    let parts: Vec<&str> = signer.text().split('/').collect();
    let [domain, path] = parts[..] else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.invalid_text(signer, detail);
        return;
    };
    if domain.len() > names::SUBDOMAIN_LENGTH {
        errors.too_long(signer, names::SUBDOMAIN_LENGTH);
    }
    malformed_label(signer, domain, names::dns_label, errors);
    if !domain.contains('.') {
        errors.invalid_as(signer, domain, "should be a domain with at least two segments separated by dots");
    }
    malformed_label(signer, path, names::dns_subdomain, errors);
    let longest = 2 * names::SUBDOMAIN_LENGTH + names::LABEL_LENGTH + 2;
    if signer.text().len() > longest {
        errors.too_long(signer, longest);
    }
}

/// Refuses the first label that breaks `rule`.
fn malformed_label(signer: &Place<'_>, text: &str, rule: fn(&str) -> Vec<String>, errors: &mut Errors) {
    let first = text.split('.').map(|label| (label, rule(label))).find(|(_, reasons)| !reasons.is_empty());
    if let Some((label, reasons)) = first {
        for reason in reasons {
            errors.invalid_as(signer, text, format!("validating label {}: {reason}", quote(label)));
        }
    }
}

fn conditions(conditions: &Place<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for condition in conditions.items() {
        let (condition_type, status) = (condition.child("type"), condition.child("status"));
        let name = condition_type.text();
        if name.is_empty() {
            errors.required(&condition_type, "");
        }
        let allowed: &[&str] = if TRUE_CONDITIONS.contains(&name) { &["True"] } else { &["False", "True", "Unknown"] };
        super::required_one_of(&status, allowed, errors);
        let other = match name {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !other.is_empty() && seen.contains(other) {
            errors.invalid_text(&condition_type, "Approved and Denied conditions are mutually exclusive");
        }
        if !seen.insert(name.to_owned()) {
            errors.duplicate(&condition_type);
        }
    }
}

/// The text must be base64 of one PEM block of a certificate request.
fn request_block(encoded: &str) -> Result<(), String> {
    let bytes = STANDARD.decode(encoded).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    match blocks(&text).next() {
        Some(Ok(REQUEST_BLOCK)) => Ok(()),
        _ => Err(format!("PEM block type must be {REQUEST_BLOCK}")),
    }
}

/// The text must be base64 of PEM blocks of certificates, or empty.
fn certificate_blocks(encoded: &str) -> Result<(), String> {
    if encoded.is_empty() {
        return Ok(());
    }
    let bytes = STANDARD.decode(encoded).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut count = 0;
    for block in blocks(&text) {
        match block {
            Ok(CERTIFICATE_BLOCK) => count += 1,
            Ok(other) => return Err(format!("only CERTIFICATE PEM blocks are allowed, found {}", quote(other))),
            Err(()) => return Err("x509: malformed certificate".to_owned()),
        }
    }
    if count == 0 {
        return Err("must contain at least one CERTIFICATE PEM block".to_owned());
    }
    Ok(())
}

/// The labels of the PEM blocks of a text (RFC 7468); an error for a block whose body is no base64.
fn blocks(text: &str) -> impl Iterator<Item = Result<&str, ()>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once("-----BEGIN ")?;
        let (label, after) = after.split_once("-----")?;
        let end = format!("-----END {label}-----");
        let (body, after) = after.split_once(end.as_str())?;
        rest = after;
        let body: String = body.split_whitespace().collect();
        let is_base64 = !body.is_empty() && STANDARD.decode(body).is_ok();
        Some(if is_base64 { Ok(label) } else { Err(()) })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::tests::{refusals_of_spec, refusals_of_status, refusals_of_subresource};
    use crate::view::Edit;

    const GROUP: &str = "certificates.k8s.io";
    const KIND: &str = "CertificateSigningRequest";

    fn pem(label: &str) -> String {
        STANDARD.encode(format!("-----BEGIN {label}-----\nMIIB\n-----END {label}-----\n"))
    }

    fn spec(fields: Document) -> Document {
        let mut spec =
            json!({"request": pem(REQUEST_BLOCK), "signerName": "example.com/signer", "usages": ["client auth"]});
        for (path, value) in fields.as_object().unwrap() {
            spec.put(path, value.clone());
        }
        spec
    }

    #[test]
    fn requests_are_refused_in_kubernetes_words() {
        let table = [
            (json!({}), String::new()),
            (
                json!({"request": pem("CERTIFICATE")}),
                format!("spec.request: Invalid value: \"{}\": PEM block type must be CERTIFICATE REQUEST", pem("CERTIFICATE")),
            ),
            (json!({"usages": []}), "spec.usages: Required value".to_owned()),
            (json!({"usages": ["any", "any"]}), "spec.usages[1]: Duplicate value: \"any\"".to_owned()),
            (
                json!({"signerName": "signer"}),
                "spec.signerName: Invalid value: \"signer\": must be a fully qualified domain and path of the form \
                 'example.com/signer-name'"
                    .to_owned(),
            ),
            (
                json!({"expirationSeconds": 60}),
                "spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 600 seconds (10 minutes)"
                    .to_owned(),
            ),
        ];
        for (fields, expected) in table {
            assert_eq!(refusals_of_spec(GROUP, KIND, &spec(fields.clone())), expected, "{fields}");
        }
    }

    #[test]
    fn a_request_is_decided_and_answered_once() {
        let old = json!({"spec": spec(json!({}))});
        let mut approved = old.clone();
        approved.put("status.conditions", json!([{"type": "Approved", "status": "True"}]));
        assert_eq!(refusals_of_subresource((GROUP, KIND, "approval"), &old, &approved), "");
        let mut both = approved.clone();
        both.put(
            "status.conditions",
            json!([{"type": "Approved", "status": "True"}, {"type": "Denied", "status": "True"}]),
        );
        assert_eq!(
            refusals_of_subresource((GROUP, KIND, "approval"), &approved, &both),
            "status.conditions[1].type: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive"
        );
        let mut issued = approved.clone();
        issued.put("status.certificate", pem(CERTIFICATE_BLOCK));
        assert_eq!(refusals_of_status(GROUP, KIND, &approved, &issued), "");
        let mut again = approved.clone();
        again.put("status.certificate", pem("EC PRIVATE KEY"));
        assert_eq!(
            refusals_of_status(GROUP, KIND, &issued, &again),
            "status.certificate: Forbidden: updates may not modify existing certificate content\n\
             status.certificate: Invalid value: \"<certificate data>\": only CERTIFICATE PEM blocks are allowed, found \
             \"EC PRIVATE KEY\""
        );
    }
}
