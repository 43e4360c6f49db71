//! Credential to principal: the filters with `authenticate`, or the host's own rule when there is none.

use crate::{
    attributes::Attributes,
    fault::Fault,
    filter::{Authentication, Credential, Hook},
    generation::{Generation, Link, OnFault},
    principal::Principal,
    record::Observer,
    verdict::Rejection,
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use subtle::ConstantTimeEq;

/// Who gets in when no filter authenticates.
#[derive(Clone)]
pub enum Access {
    /// Whoever presents the loopback token is `local`; whoever shows a client certificate instead is who it names.
    Token(Arc<str>),
    /// Everybody, unnamed: the operator said so.
    Anonymous,
    /// Whoever holds the other end: `sluice stdio`.
    Local,
}

/// Turned away before any exchange.
#[derive(Debug, Clone)]
pub struct Denied {
    /// 401, 403 or 503.
    pub http_status: u16,
    /// `www-authenticate` and what a filter adds.
    pub http_headers: Vec<(String, String)>,
    /// JSON-RPC code.
    pub code: i64,
    /// For the client.
    pub message: String,
}

/// JSON-RPC code of "who are you": ours, since the protocol has none.
const UNAUTHENTICATED: i64 = 4010;
/// Who vouches for a client that shows a certificate and nothing else.
const CERTIFICATE: &str = "host-certificate";
/// Longest reuse of an authenticator's answer.
const REUSE_MAX: Duration = Duration::from_secs(60);
/// Most remembered answers; beyond it the oldest half goes.
const REMEMBERED_MAX: usize = 20_000;

/// Who was vouched for until when, by the digest of what was asked.
type Remembered = HashMap<[u8; 32], (Instant, Arc<Principal>)>;

/// Answers kept by an HMAC of what was presented, so the table holds no credential.
pub struct Gate {
    access: Access,
    /// Keyed already: one more block for each caller would be spent on the key.
    mac: Hmac<Sha256>,
    local: Arc<Principal>,
    remembered: Mutex<Remembered>,
}

impl Gate {
    /// A gate with this rule for chains without an authenticator.
    pub fn new(access: Access) -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        let mac = Hmac::new_from_slice(&key).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        Ok(Self { access, mac, local: Arc::new(Principal::local()), remembered: Mutex::default() })
    }

    /// Who is this? `facts` are `transport.*` and `http.header.*`, shared by everything this caller sends alike.
    pub async fn authenticate(
        &self,
        generation: &Generation,
        credential: Option<Credential>,
        facts: Attributes,
        observer: &dyn Observer,
    ) -> Result<Arc<Principal>, Denied> {
        let group = generation.group.as_ref();
        if matches!(self.access, Access::Local) {
            return Ok(within(self.local.clone(), group));
        }
        let credential = credential.unwrap_or_else(|| Credential { scheme: "none".into(), value: String::new() });
        if !generation.authenticates() {
            return Ok(within(self.without_filter(&credential, &facts)?, group));
        }
        let slot = self.slot(generation, &credential, &facts);
        let now = Instant::now();
        if let Some((until, principal)) = self.lock().get(&slot).filter(|(until, _)| now < *until) {
            let _ = until;
            return Ok(principal.clone());
        }
        self.ask(generation, &credential, facts, observer, slot).await
    }

    async fn ask(
        &self,
        generation: &Generation,
        credential: &Credential,
        mut facts: Attributes,
        observer: &dyn Observer,
        slot: [u8; 32],
    ) -> Result<Arc<Principal>, Denied> {
        for link in generation.links.iter().filter(|l| l.exports(Hook::Authenticate)) {
            match call(link, credential, &mut facts, observer).await {
                Ok(Authentication::Abstain) => {}
                Ok(Authentication::Challenge(rejection)) => return Err(challenge(rejection)),
                Ok(Authentication::Identified(principal, ttl)) => {
                    let principal = Arc::new(principal.within(generation.group.as_ref()));
                    self.remember(slot, principal.clone(), ttl.min(REUSE_MAX));
                    return Ok(principal);
                }
                // An authenticator that cannot answer lets nobody in: skipping it would be a bypass.
                Err(_) if link.policy.on_fault == OnFault::Refuse => return Err(unavailable()),
                Err(_) => {}
            }
        }
        Err(unauthenticated("no credential that this gateway knows was presented"))
    }

    fn without_filter(&self, credential: &Credential, facts: &Attributes) -> Result<Arc<Principal>, Denied> {
        let certified = || (credential.scheme == "none").then(|| certified(facts)).flatten();
        match &self.access {
            Access::Local => Ok(self.local.clone()),
            Access::Anonymous => Ok(Arc::new(certified().unwrap_or_else(|| Principal::anonymous(&anonymous_name())))),
            Access::Token(token) => {
                let right = credential.scheme == "bearer" && bool::from(credential.value.as_bytes().ct_eq(token.as_bytes()));
                if right {
                    return Ok(self.local.clone());
                }
                certified().map(Arc::new).ok_or_else(|| unauthenticated("the loopback token is missing or wrong"))
            }
        }
    }

    fn slot(&self, generation: &Generation, credential: &Credential, facts: &Attributes) -> [u8; 32] {
        let mut mac = self.mac.clone();
        mac.update(&generation.number.to_le_bytes());
        // No group has an empty name.
        for part in [generation.group.as_deref().unwrap_or_default(), &credential.scheme, &credential.value] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        for (key, value) in facts.with_prefix("") {
            // `transport.peer` is the address without its port, so an authenticator that looks at it is not answered for another.
            for part in [key, value] {
                mac.update(&(part.len() as u64).to_le_bytes());
                mac.update(part.as_bytes());
            }
        }
        mac.finalize().into_bytes().into()
    }

    fn remember(&self, slot: [u8; 32], principal: Arc<Principal>, ttl: Duration) {
        if ttl.is_zero() {
            return;
        }
        let now = Instant::now();
        let mut remembered = self.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, (until, _)| now < *until);
            if remembered.len() >= REMEMBERED_MAX {
                remembered.clear();
            }
        }
        remembered.insert(slot, (now + ttl, principal));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn within(principal: Arc<Principal>, group: Option<&Arc<str>>) -> Arc<Principal> {
    if group.is_none() { principal } else { Arc::new(Principal::clone(&principal).within(group)) }
}

/// Whom a verified client certificate names: its subject, or its names where that is empty. Only the transport writes
/// these facts.
fn certified(facts: &Attributes) -> Option<Principal> {
    let named = ["transport.tls.subject", "transport.tls.san"].into_iter().filter_map(|key| facts.find(key));
    named.into_iter().find(|name| !name.is_empty()).map(|name| Principal::new(CERTIFICATE, name, None))
}

async fn call(link: &Link, credential: &Credential, facts: &mut Attributes, observer: &dyn Observer) -> Result<Authentication, Fault> {
    let started = Instant::now();
    let result = match link.breaker.admit() {
        Ok(()) => link.filter.authenticate(credential, facts).await,
        Err(retry_after) => Err(Fault::Open { retry_after }),
    };
    link.filter.identity().calls.count(Hook::Authenticate, started.elapsed());
    match &result {
        Ok(_) => link.breaker.succeeded(),
        Err(fault) => {
            if !fault.is_want_of_room() {
                link.breaker.failed();
            }
            observer.faulted(link.filter.identity(), Hook::Authenticate, fault.kind(), &fault.to_string());
        }
    }
    result
}

/// Unguessable, so that one anonymous caller cannot be taken for another.
pub fn anonymous_name() -> String {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Without randomness nobody may share an identity by accident: count instead.
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        bytes[..8].copy_from_slice(&NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_le_bytes());
    }
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn challenge(rejection: Rejection) -> Denied {
    let http_status = match rejection.http_status {
        Some(status @ (403 | 503)) => status,
        _ => 401,
    };
    Denied { http_status, http_headers: rejection.http_headers, code: rejection.code, message: rejection.message }
}

fn unauthenticated(message: &str) -> Denied {
    Denied {
        http_status: 401,
        http_headers: vec![("www-authenticate".into(), "Bearer realm=\"sluice\"".into())],
        code: UNAUTHENTICATED,
        message: message.into(),
    }
}

fn unavailable() -> Denied {
    Denied {
        http_status: 503,
        http_headers: vec![("retry-after".into(), "1".into())],
        code: sluice_wire::code::INTERNAL_ERROR,
        message: "the authenticator of this gateway cannot run right now; its operator finds the reason in the log".into(),
    }
}
