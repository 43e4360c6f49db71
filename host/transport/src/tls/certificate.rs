//! What a certificate says, as filters and operators read it.

use sha2::{Digest as _, Sha256};
use std::{fmt::Write as _, net::IpAddr, time::SystemTime};
use x509_cert::{
    Certificate,
    der::Decode as _,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

/// Longest fact about a certificate; names beyond it are left out.
const FACT_BYTES_MAX: usize = 4096;

/// `transport.tls.*` of a client whose certificate has been verified.
pub(crate) fn facts(certificate: &[u8]) -> Vec<(Box<str>, Box<str>)> {
    let mut facts = vec![("transport.tls.fingerprint".into(), fingerprint(certificate).into())];
    // Verified already, so this is for names that only this reader finds strange.
    let Ok(certificate) = Certificate::from_der(certificate) else { return facts };
    let subject = certificate.tbs_certificate().subject().to_string();
    if subject.len() <= FACT_BYTES_MAX {
        facts.push(("transport.tls.subject".into(), subject.into()));
    }
    facts.push(("transport.tls.san".into(), names(&certificate).into()));
    facts
}

/// `sha256:` and 64 hexadecimal digits, as `openssl x509 -fingerprint -sha256` without its colons.
fn fingerprint(certificate: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(certificate) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// `DNS:a URI:spiffe://b/c IP:1.2.3.4 email:d@e`. A name with a space or a control character in it
/// could be read as two, and none of these kinds has one: it is left out.
fn names(certificate: &Certificate) -> String {
    let Ok(Some((_, SubjectAltName(names)))) = certificate.tbs_certificate().get_extension::<SubjectAltName>() else {
        return String::new();
    };
    let mut list = String::new();
    for (kind, name) in names.iter().filter_map(name) {
        let is_one_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        if is_one_word && list.len() + kind.len() + name.len() < FACT_BYTES_MAX {
            let space = if list.is_empty() { "" } else { " " };
            let _ = write!(list, "{space}{kind}:{name}");
        }
    }
    list
}

fn name(name: &GeneralName) -> Option<(&'static str, String)> {
    Some(match name {
        GeneralName::DnsName(name) => ("DNS", name.to_string()),
        GeneralName::UniformResourceIdentifier(name) => ("URI", name.to_string()),
        GeneralName::Rfc822Name(name) => ("email", name.to_string()),
        GeneralName::IpAddress(octets) => ("IP", address(octets.as_bytes())?.to_string()),
        _ => return None,
    })
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let four = || <[u8; 4]>::try_from(octets).ok().map(IpAddr::from);
    four().or_else(|| <[u8; 16]>::try_from(octets).ok().map(IpAddr::from))
}

/// From when until when a certificate holds; `None`: it is no X.509.
pub(super) fn validity(certificate: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let validity = certificate.tbs_certificate().validity();
    Some((validity.not_before.to_system_time(), validity.not_after.to_system_time()))
}
