//! From the facts of a certificate to a principal.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use sluice_sdk::prelude::*;

use crate::config::{Config, Credentials, RuleConfig};
use crate::pattern::{Kind, Pattern, is_spiffe_id};

/// The caller's certificate is nobody's here, or could be two principals'.
pub const UNKNOWN_CERTIFICATE: i32 = 4015;

const TTL_MS: u32 = 60_000;
const SUBJECT_BYTES_MAX: usize = 512;
/// Names of claims that say something else already.
const CLAIMS: [&str; 2] = ["certificate", "role"];

/// The rules, in their order.
pub struct Rules {
    rules: Vec<Rule>,
    credentials: Credentials,
}

struct Rule {
    pattern: Pattern,
    subject: Words,
    tenant: Option<Words>,
    roles: Vec<Words>,
    scopes: Vec<String>,
    claims: Vec<(String, Words)>,
}

/// A text with gaps.
struct Words(Vec<Word>);

enum Word {
    Text(String),
    /// What the gap of this number stands for; 0 is the whole name.
    Gap(usize),
}

/// What the host says of the certificate that it has verified.
struct Certificate {
    fingerprint: String,
    subject: String,
    /// Kind and name.
    names: Vec<(String, String)>,
    /// There is a URI that the host does not show, so nobody can say of another that it is the only one.
    has_hidden_uri: bool,
}

impl Rules {
    /// Checks what a schema cannot say.
    pub fn new(config: Config) -> Result<Self, String> {
        if config.rules.is_empty() {
            return Err("rules is empty, so no certificate is anybody's; write one, or leave the plugin out".to_string());
        }
        let rule = |(at, rule)| Rule::new(rule).map_err(|why| format!("rules, entry {at}: {why}"));
        let rules = (1..).zip(config.rules).map(rule).collect::<Result<_, _>>()?;
        Ok(Rules { rules, credentials: config.credentials })
    }

    /// Says who shows this certificate.
    pub fn identify(&self, credential: &Credential, x: &impl Facts) -> Outcome {
        let Some(certificate) = Certificate::of(x) else { return Outcome::Abstain };
        if credential.scheme != "none" && self.credentials == Credentials::Next {
            return Outcome::Abstain;
        }
        for rule in &self.rules {
            let mut found: Vec<Principal> = Vec::new();
            for name in certificate.names(rule.pattern.kind) {
                if let Some(gaps) = rule.pattern.fit(&name) {
                    match rule.principal(&name, &gaps, &certificate) {
                        Some(principal) if found.contains(&principal) => {}
                        Some(principal) => found.push(principal),
                        None => return refused("a name in this client certificate is too long or not plain"),
                    }
                }
            }
            match found.len() {
                0 => {}
                1 => return found.remove(0).into(),
                _ => return refused("this client certificate could be that of several callers"),
            }
        }
        refused("this client certificate is not known here")
    }
}

/// Another one would help, a second try would not; there is nothing of a challenge to say about it in HTTP.
fn refused(message: &str) -> Outcome {
    Rejection::new(UNKNOWN_CERTIFICATE, message).status(403).into()
}

impl Certificate {
    fn of(x: &impl Facts) -> Option<Self> {
        let fingerprint = x.attr("transport.tls.fingerprint").filter(|text| !text.is_empty())?;
        let san = x.attr("transport.tls.san").unwrap_or_default();
        let name = |word: &str| word.split_once(':').map(|(kind, name)| (kind.to_string(), name.to_string()));
        let names = san.split(' ').filter_map(name).collect();
        let hidden = x.attr("transport.tls.san.hidden").unwrap_or_default();
        let has_hidden_uri = hidden.split(' ').any(|kind| kind == "URI");
        Some(Certificate { fingerprint, subject: x.attr("transport.tls.subject").unwrap_or_default(), names, has_hidden_uri })
    }

    /// Those of one kind, as they are compared.
    fn names(&self, kind: Kind) -> Vec<String> {
        let of = |wanted: &str| -> Vec<String> {
            let those = self.names.iter().filter(|(kind, _)| kind == wanted);
            those.map(|(_, name)| kind.spelled(name)).collect()
        };
        match kind {
            // X.509-SVID, section 2: one URI, which is the ID. With two nobody can say which of them was meant.
            Kind::Spiffe => match of("URI") {
                uris if uris.len() == 1 && !self.has_hidden_uri && is_spiffe_id(&uris[0]) => uris,
                _ => Vec::new(),
            },
            Kind::Uri => of("URI"),
            Kind::Dns => of("DNS"),
            Kind::Email => of("email"),
            Kind::Ip => {
                let address = |text: String| text.parse::<IpAddr>().ok().map(|address| address.to_canonical().to_string());
                of("IP").into_iter().filter_map(address).collect()
            }
            Kind::Subject => [self.subject.clone()].into_iter().filter(|text| !text.is_empty()).collect(),
            Kind::Fingerprint => alloc::vec![kind.spelled(&self.fingerprint)],
        }
    }
}

impl Rule {
    fn new(config: RuleConfig) -> Result<Self, String> {
        let pattern = Pattern::new(&config.name).map_err(|why| format!("name: {why}"))?;
        let gaps = pattern.gaps();
        let words = |text: &str, of: &str| Words::new(text, gaps).map_err(|why| format!("{of}: {why}"));
        if let Some(name) = config.claims.keys().find(|name| name.is_empty() || CLAIMS.contains(&name.as_str()) || has_control(name)) {
            return Err(format!(
                "claims: {name:?} is no name of a further claim: roles stand under roles, and certificate is the plugin's own"
            ));
        }
        if let Some(scope) = config.scopes.iter().find(|scope| scope.is_empty() || scope.chars().any(|c| c.is_control() || c == ' ')) {
            return Err(format!("scopes: {scope:?} is none: a scope has no spaces"));
        }
        Ok(Rule {
            subject: words(&config.subject, "subject")?,
            tenant: config.tenant.as_ref().map(|text| words(text, "tenant")).transpose()?,
            roles: config.roles.iter().map(|text| words(text, "roles")).collect::<Result<_, _>>()?,
            scopes: config.scopes,
            claims: config.claims.iter().map(|(name, text)| Ok((name.clone(), words(text, "claims")?))).collect::<Result<_, String>>()?,
            pattern,
        })
    }

    /// Nothing if a text in it is longer than one may be, or cannot be read by people.
    fn principal(&self, name: &str, gaps: &[&str], certificate: &Certificate) -> Option<Principal> {
        let text = |words: &Words| {
            let text = words.filled(name, gaps);
            (!text.is_empty() && text.len() <= SUBJECT_BYTES_MAX && !has_control(&text)).then_some(text)
        };
        let mut principal = Principal::new(&text(&self.subject)?, TTL_MS);
        principal.tenant = match &self.tenant {
            Some(words) => Some(text(words)?),
            None => None,
        };
        principal.scopes = self.scopes.clone();
        principal.claims.push(("certificate".to_string(), certificate.fingerprint.clone()));
        for role in &self.roles {
            principal.claims.push(("role".to_string(), text(role)?));
        }
        for (name, words) in &self.claims {
            principal.claims.push((name.clone(), text(words)?));
        }
        Some(principal)
    }
}

/// A line feed tells the values of one claim apart, and no text that people read needs the others.
fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

impl Words {
    fn new(written: &str, gaps: usize) -> Result<Self, String> {
        let mut words = Vec::new();
        let mut rest = written;
        while let Some((before, after)) = rest.split_once('{') {
            let gap = after.split_once('}').and_then(|(number, after)| Some((number.parse::<usize>().ok()?, after)));
            let (gap, after) =
                gap.ok_or_else(|| format!("{written:?} has a {{ that begins no number: write {{0}} for the name, {{1}} for the first *"))?;
            if gap > gaps {
                return Err(format!("{written:?} asks for the * number {gap}, and the name has {gaps}"));
            }
            words.extend((!before.is_empty()).then(|| Word::Text(before.to_string())));
            words.push(Word::Gap(gap));
            rest = after;
        }
        words.extend((!rest.is_empty()).then(|| Word::Text(rest.to_string())));
        if words.is_empty() || has_control(written) {
            return Err(format!("{written:?} is empty or has a control character"));
        }
        Ok(Words(words))
    }

    fn filled(&self, name: &str, gaps: &[&str]) -> String {
        let word = |word: &Word| match word {
            Word::Text(text) => text.clone(),
            Word::Gap(0) => name.to_string(),
            Word::Gap(number) => gaps.get(number - 1).copied().unwrap_or_default().to_string(),
        };
        self.0.iter().map(word).collect()
    }
}
