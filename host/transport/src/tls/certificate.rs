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
    let (names, hidden) = match certificate.tbs_certificate().get_extension::<SubjectAltName>() {
        Ok(Some((_, SubjectAltName(names)))) => listed(&names),
        _ => Default::default(),
    };
    facts.push(("transport.tls.san".into(), names.into()));
    if !hidden.is_empty() {
        facts.push(("transport.tls.san.hidden".into(), hidden.into()));
    }
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
/// could be read as two, and none of these kinds has one: it is left out, and its kind is among the second, since
/// who knows a certificate by its only name of a kind has to know that there is another.
fn listed(names: &[GeneralName]) -> (String, String) {
    let (mut list, mut hidden) = (String::new(), Vec::new());
    for (kind, name) in names.iter().filter_map(name) {
        let is_one_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        if is_one_word && list.len() + kind.len() + name.len() < FACT_BYTES_MAX {
            let space = if list.is_empty() { "" } else { " " };
            let _ = write!(list, "{space}{kind}:{name}");
        } else if !hidden.contains(&kind) {
            hidden.push(kind);
        }
    }
    (list, hidden.join(" "))
}

fn name(name: &GeneralName) -> Option<(&'static str, String)> {
    Some(match name {
        GeneralName::DnsName(name) => ("DNS", name.to_string()),
        GeneralName::UniformResourceIdentifier(name) => ("URI", name.to_string()),
        GeneralName::Rfc822Name(name) => ("email", name.to_string()),
        // Of no length that an address has, it is none that can be written.
        GeneralName::IpAddress(octets) => ("IP", address(octets.as_bytes()).map(|address| address.to_string()).unwrap_or_default()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use x509_cert::der::asn1::{Ia5String, OctetString};

    #[test]
    fn what_is_left_out_is_said_by_its_kind() {
        let text = |text: &str| Ia5String::new(text).unwrap();
        let uri = |name: &str| GeneralName::UniformResourceIdentifier(text(name));
        let dns = |name: &str| GeneralName::DnsName(text(name));
        let ip = |octets: &[u8]| GeneralName::IpAddress(OctetString::new(octets).unwrap());
        let both = |list: &str, hidden: &str| (list.to_owned(), hidden.to_owned());
        assert_eq!(listed(&[uri("spiffe://a/b"), dns("c"), ip(&[1, 2, 3, 4])]), both("URI:spiffe://a/b DNS:c IP:1.2.3.4", ""));
        for other in ["spiffe://a/x y", "", "spiffe://a/\u{1}", &"x".repeat(FACT_BYTES_MAX)] {
            assert_eq!(listed(&[uri(other), uri("spiffe://a/b")]), both("URI:spiffe://a/b", "URI"), "{other:?}");
        }
        assert_eq!(listed(&[dns("a b"), ip(&[1]), dns(""), GeneralName::RegisteredId("1.2.3".parse().unwrap())]), both("", "DNS IP"));
    }
}
