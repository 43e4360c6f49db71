//! What is known about a client, made once and shared by everything it sends alike.

use bytes::Bytes;
use sluice_chain::{exchange::Client, principal::Principal};
use sluice_wire::json::{Document, IndexDepth, Limits};
use std::sync::{Arc, Mutex, PoisonError};

/// Attributes as the chain shows them to filters.
pub(super) type Facts = Arc<Vec<(Box<str>, Box<str>)>>;

/// Longest name or version of a client that filters see; nobody vouches for it.
const CLAIM_BYTES_MAX: usize = 256;

/// A client before anything it said: over what it came, and who it is.
#[derive(Clone)]
pub(super) struct Caller {
    /// `transport.*` and `http.header.*`.
    pub transport: Facts,
    /// Whom the gate made of it.
    pub principal: Arc<Principal>,
}

impl Caller {
    /// The client with what it says of itself. Copies both texts: they are slices of a whole request.
    pub fn introduce(&self, info: Option<&[u8]>, capabilities: &[u8], session: Option<Arc<str>>) -> Arc<Client> {
        Arc::new(Client {
            facts: self.facts(info),
            info: info.map(Bytes::copy_from_slice),
            capabilities: Bytes::copy_from_slice(capabilities),
            session,
            log_level: Mutex::default(),
        })
    }

    /// The same client vouched for anew: its claims may have changed, its log level has not.
    pub fn vouch_again(&self, known: &Client) -> Arc<Client> {
        let level = known.log_level.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Arc::new(Client {
            facts: self.facts(known.info.as_deref()),
            info: known.info.clone(),
            capabilities: known.capabilities.clone(),
            session: known.session.clone(),
            log_level: Mutex::new(level),
        })
    }

    fn facts(&self, info: Option<&[u8]>) -> Facts {
        let mut facts: Vec<(Box<str>, Box<str>)> = self.transport.as_ref().clone();
        self.principal.push_facts(&mut facts);
        if let Some(info) = info {
            push_claims(&mut facts, info);
        }
        Arc::new(facts)
    }
}

fn push_claims(facts: &mut Vec<(Box<str>, Box<str>)>, info: &[u8]) {
    let info = Bytes::copy_from_slice(info);
    let Ok(document) = Document::parse_value(info, &Limits::REQUEST, IndexDepth::Levels(1)) else {
        return;
    };
    for (member, key) in [("name", "client.name"), ("version", "client.version")] {
        let claim = document.root().get(member).and_then(|value| value.as_str());
        if let Some(claim) = claim.filter(|claim| claim.len() <= CLAIM_BYTES_MAX) {
            facts.push((key.into(), claim.as_ref().into()));
        }
    }
}

/// Whether filters could tell the two apart.
pub(super) fn is_same(a: &Arc<Principal>, b: &Arc<Principal>) -> bool {
    Arc::ptr_eq(a, b) || (a.key == b.key && a.scopes == b.scopes && a.claims == b.claims)
}

/// The last modern client of a connection: its requests repeat the same words every time.
#[derive(Default)]
pub(super) struct LastSeen(Mutex<Option<Seen>>);

struct Seen {
    transport: Facts,
    principal: Arc<Principal>,
    client: Arc<Client>,
}

impl LastSeen {
    /// The client that says this of itself. Nothing is carried over from an earlier request but
    /// the memory that held the very same words.
    pub fn client(&self, caller: &Caller, info: Option<&[u8]>, capabilities: &[u8]) -> Arc<Client> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = last.as_ref().filter(|seen| {
            Arc::ptr_eq(&seen.transport, &caller.transport)
                && seen.client.capabilities == *capabilities
                && seen.client.info.as_deref() == info
                && is_same(&seen.principal, &caller.principal)
        });
        if let Some(seen) = same {
            return seen.client.clone();
        }
        let client = caller.introduce(info, capabilities, None);
        *last = Some(Seen { transport: caller.transport.clone(), principal: caller.principal.clone(), client: client.clone() });
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(principal: Principal) -> Caller {
        Caller { transport: Arc::new(vec![("transport.kind".into(), "http".into())]), principal: Arc::new(principal) }
    }

    #[test]
    fn facts_name_transport_principal_and_client() {
        let mut principal = Principal::new("auth", "u1", Some("acme"));
        principal.scopes = vec!["a".into(), "b".into()];
        principal.claims = vec![("role".into(), "x".into()), ("role".into(), "y".into())];
        let client = caller(principal).introduce(Some(br#"{"name":"c\u0061t","version":"1","title":"t"}"#), b"{}", None);
        let facts: Vec<_> = client.facts.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            facts,
            [
                "transport.kind=http",
                "principal.id=4:auth/4:acme/u1",
                "principal.subject=u1",
                "principal.authority=auth",
                "principal.tenant=acme",
                "principal.scopes=a b",
                "principal.claim.role=x\ny",
                "client.name=cat",
                "client.version=1",
            ]
        );
    }

    #[test]
    fn the_same_words_are_kept_once_and_other_words_never_reused() {
        let seen = LastSeen::default();
        let a = caller(Principal::local());
        let first = seen.client(&a, None, b"{}");
        assert!(Arc::ptr_eq(&first, &seen.client(&a, None, b"{}")));
        assert!(!Arc::ptr_eq(&first, &seen.client(&a, None, b"{\"roots\":{}}")));
        let first = seen.client(&a, None, b"{}");
        let b = Caller { transport: a.transport.clone(), principal: Arc::new(Principal::new("auth", "b", None)) };
        let other = seen.client(&b, None, b"{}");
        assert!(!Arc::ptr_eq(&first, &other));
        assert!(other.facts.iter().any(|(k, v)| **k == *"principal.subject" && **v == *"b"));
    }
}
