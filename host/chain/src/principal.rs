//! Who asks. Everything the host keeps between messages is keyed by principal.

use std::{
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Arc, LazyLock},
};

/// Who vouches for those that nobody vouches for.
const ANONYMOUS: &str = "host-anonymous";

/// An authenticated (or deliberately anonymous) caller.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Unique within its authority: a user id, a key id, `local`.
    pub subject: Arc<str>,
    /// The tenant, if there are tenants.
    pub tenant: Option<Arc<str>>,
    /// Granted scopes.
    pub scopes: Vec<Arc<str>>,
    /// Further claims; a name may repeat (`role`).
    pub claims: Vec<(Arc<str>, Arc<str>)>,
    /// What says so: the plugin's name, or `host`.
    pub authority: Arc<str>,
    /// The group it came by; none: `/mcp` itself.
    pub group: Option<Arc<str>>,
    /// Injective over (group, authority, tenant, subject); what caches, sessions and instances are keyed by.
    pub key: PrincipalKey,
}

/// Names one principal for as long as the process lives and beyond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalKey {
    text: Arc<str>,
    hash: u64,
    /// Where what names the caller begins, behind the group.
    id_at: usize,
}

impl PrincipalKey {
    fn new(text: String, id_at: usize) -> Self {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self { hash: HASHER.hash_one(&text), text: text.into(), id_at }
    }

    /// What names a caller begins with a digit, so none of a group is another's of none.
    fn within(group: Option<&Arc<str>>, id: &str) -> Self {
        let before = group.map_or_else(String::new, |group| format!("@{}:{group}/", group.len()));
        Self::new(format!("{before}{id}"), before.len())
    }

    /// Of one principal, or of all, as far as they come through these other gateways. It begins as no other key does.
    pub(crate) fn by_way_of(via: &str, key: Option<&Self>) -> Self {
        let before = format!("#{}:{via}/", via.len());
        let (rest, id_at) = key.map_or(("", 0), |key| (key.as_str(), key.id_at));
        Self::new(format!("{before}{rest}"), before.len() + id_at)
    }

    /// Who it is, by whichever group it came.
    fn id(&self) -> &str {
        &self.text[self.id_at..]
    }

    /// The same for the same key as long as the process lives, and unknown to clients. Made once, with the key.
    pub fn hash_code(&self) -> u64 {
        self.hash
    }

    /// The key's text: length-prefixed parts, so no two principals share one.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Hash for PrincipalKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Principal {
    /// A principal vouched for by `authority`.
    pub fn new(authority: &str, subject: &str, tenant: Option<&str>) -> Self {
        let tenant_part = tenant.map_or_else(|| "-".to_owned(), |t| format!("{}:{t}", t.len()));
        let key = format!("{}:{authority}/{tenant_part}/{subject}", authority.len());
        Self {
            subject: subject.into(),
            tenant: tenant.map(Into::into),
            scopes: Vec::new(),
            claims: Vec::new(),
            authority: authority.into(),
            group: None,
            key: PrincipalKey::new(key, 0),
        }
    }

    /// The same caller at a group's endpoint: another one to everything that is kept by principal, and the same one to filters.
    #[must_use]
    pub fn within(mut self, group: Option<&Arc<str>>) -> Self {
        if self.group.as_ref() != group {
            self.key = PrincipalKey::within(group, self.key.id());
            self.group = group.cloned();
        }
        self
    }

    /// The holder of the loopback token, or whoever started `sluice stdio`.
    pub fn local() -> Self {
        Self::new("host", "local", None)
    }

    /// Somebody the operator lets in unnamed; `unique` keeps two of them apart.
    pub fn anonymous(unique: &str) -> Self {
        Self::new(ANONYMOUS, unique, None)
    }

    /// Whose a thing is that is found by an id nobody can guess. Those without a name are others with each request, so whoever has
    /// the id is taken for the one it was given to.
    pub fn holder(&self) -> Option<PrincipalKey> {
        match (self.is_anonymous(), &self.group) {
            (false, _) => Some(self.key.clone()),
            // Not by another chain, at least.
            (true, Some(group)) => Some(PrincipalKey::within(Some(group), "")),
            (true, None) => None,
        }
    }

    /// What filters see of it.
    pub fn push_facts(&self, facts: &mut Vec<(Box<str>, Box<str>)>) {
        facts.push(("principal.id".into(), self.key.id().into()));
        facts.push(("principal.subject".into(), (&*self.subject).into()));
        facts.push(("principal.authority".into(), (&*self.authority).into()));
        if let Some(tenant) = &self.tenant {
            facts.push(("principal.tenant".into(), (&**tenant).into()));
        }
        if let Some(group) = &self.group {
            facts.push(("transport.group".into(), (&**group).into()));
        }
        if !self.scopes.is_empty() {
            facts.push(("principal.scopes".into(), self.scopes.join(" ").into()));
        }
        for (name, value) in &self.claims {
            let key = format!("principal.claim.{name}");
            // A name may repeat among claims but not among facts. No value has a line feed in it, while a space, say, would make two roles
            // of `team admin`.
            match facts.iter_mut().find(|(known, _)| **known == *key) {
                Some((_, values)) => *values = format!("{values}\n{value}").into(),
                None => facts.push((key.into(), (&**value).into())),
            }
        }
    }

    /// Let in unnamed. The same caller may be somebody else the next time.
    pub fn is_anonymous(&self) -> bool {
        *self.authority == *ANONYMOUS
    }
}
