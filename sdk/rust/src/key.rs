//! Keys of what is counted, made of what is known of a call. Two different lists of parts never make the same key: each part says how long it is.

use alloc::format;
use alloc::string::{String, ToString};

use sha2::{Digest, Sha256};

use crate::exchange::{Facts, Head};

/// Longer keys become digests: names and URIs are the caller's, a store's patience is not.
const KEY_BYTES_MAX: usize = 200;

/// One part of a key, as settings of plugins name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// `principal`: who asks, within a tenant.
    Principal,
    /// `tenant`.
    Tenant,
    /// `tool`: also a prompt or a URI, as the client sees it.
    Tool,
    /// `upstream`, once it is known.
    Upstream,
    /// `method`.
    Method,
    /// `label:` and an attribute, such as `label:client.name`.
    Label(String),
}

impl Part {
    /// From a setting; the error says what cannot be a part.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "principal" => Part::Principal,
            "tenant" => Part::Tenant,
            "tool" => Part::Tool,
            "upstream" => Part::Upstream,
            "method" => Part::Method,
            _ => match text.strip_prefix("label:") {
                Some(attr) if !attr.is_empty() => Part::Label(attr.to_string()),
                _ => return Err(format!("a key cannot be made of {text}")),
            },
        })
    }

    /// As settings name it.
    pub fn name(&self) -> String {
        match self {
            Part::Principal => "principal".to_string(),
            Part::Tenant => "tenant".to_string(),
            Part::Tool => "tool".to_string(),
            Part::Upstream => "upstream".to_string(),
            Part::Method => "method".to_string(),
            Part::Label(attr) => format!("label:{attr}"),
        }
    }
}

/// Whose limit it is, for refusals: `per tenant, tool`, or `for everyone` where there are no parts.
pub fn whose(parts: &[Part]) -> String {
    if parts.is_empty() {
        return "for everyone".to_string();
    }
    let mut said = String::from("per ");
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            said.push_str(", ");
        }
        said.push_str(&part.name());
    }
    said
}

/// The key of what this limit counts for this call; at most 200 bytes. Each part that is not in the head costs one read of an attribute.
pub fn key(limit: &str, parts: &[Part], head: &Head, x: &impl Facts) -> String {
    let mut key = String::with_capacity(64);
    push(&mut key, Some(limit));
    for part in parts {
        match part {
            // Not the subject, which is someone only within a tenant.
            Part::Principal => push(&mut key, x.attr("principal.id").as_deref()),
            Part::Tenant => push(&mut key, x.attr("principal.tenant").as_deref()),
            Part::Tool => push(&mut key, head.name.as_deref()),
            Part::Upstream => push(&mut key, x.upstream().as_deref()),
            Part::Method => push(&mut key, Some(head.method.as_str())),
            Part::Label(attr) => push(&mut key, x.attr(attr).as_deref()),
        }
    }
    if key.len() <= KEY_BYTES_MAX {
        return key;
    }
    // No short key begins like this: they begin with a length.
    let mut digest = String::from("sha256:");
    for byte in Sha256::digest(key.as_bytes()) {
        for nibble in [byte >> 4, byte & 15] {
            digest.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
        }
    }
    digest
}

/// What is not known is another thing than what is empty.
fn push(key: &mut String, part: Option<&str>) {
    match part {
        None => key.push('-'),
        Some(text) => {
            push_number(key, text.len());
            key.push(':');
            key.push_str(text);
        }
    }
}

fn push_number(key: &mut String, number: usize) {
    if number >= 10 {
        push_number(key, number / 10);
    }
    key.push(char::from(b'0' + (number % 10) as u8));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeExchange, head};

    fn key_of(tenant: &Option<String>, id: &Option<String>, tool: &Option<String>) -> String {
        let mut x = FakeExchange::default();
        for (name, value) in [("principal.tenant", tenant), ("principal.id", id)] {
            if let Some(value) = value {
                x = x.with_attr(name, value);
            }
        }
        let mut head = head("tools/call");
        head.name = tool.clone();
        key("l", &[Part::Tenant, Part::Principal, Part::Tool], &head, &x)
    }

    #[test]
    fn parts_are_named_as_they_were_written() {
        let names = ["principal", "tenant", "tool", "upstream", "method", "label:client.name"];
        let parts = names.map(|name| Part::parse(name).unwrap());
        assert_eq!(parts.each_ref().map(Part::name), names);
        assert_eq!(whose(&parts[..2]), "per principal, tenant");
        assert_eq!(whose(&[]), "for everyone");
    }

    #[test]
    fn a_key_reads_like_its_parts() {
        assert_eq!(key_of(&None, &Some("alice".into()), &Some("search".into())), "1:l-5:alice6:search");
        let long = key_of(&None, &Some("x".repeat(300)), &None);
        assert!(long.starts_with("sha256:") && long.len() == 71);
    }

    #[test]
    fn different_parts_make_different_keys() {
        let texts = ["", "-", "1:", "1:a", "a", "a1:", "0:", "-0:", "|"].map(|text| Some(text.to_string()));
        let long = ["b".repeat(100), "b".repeat(101)].map(Some);
        let parts: alloc::vec::Vec<_> = [None].into_iter().chain(texts).chain(long).collect();
        let mut keys = alloc::collections::BTreeSet::new();
        for tenant in &parts {
            for id in &parts {
                for tool in &parts {
                    let key = key_of(tenant, id, tool);
                    assert!(key.len() <= KEY_BYTES_MAX && keys.insert(key), "{tenant:?} {id:?} {tool:?}");
                }
            }
        }
        assert_eq!(keys.len(), parts.len().pow(3));
    }
}
