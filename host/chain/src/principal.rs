//! Who asks. Everything the host keeps between messages is keyed by principal.

use std::sync::Arc;

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
    /// Injective over (authority, tenant, subject); what caches, sessions and instances are keyed by.
    pub key: PrincipalKey,
}

/// Names one principal for as long as the process lives and beyond.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PrincipalKey(Arc<str>);

impl PrincipalKey {
    /// The key's text: length-prefixed parts, so no two principals share one.
    pub fn as_str(&self) -> &str {
        &self.0
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
            key: PrincipalKey(key.into()),
        }
    }

    /// The holder of the loopback token, or whoever started `sluice stdio`.
    pub fn local() -> Self {
        Self::new("host", "local", None)
    }

    /// Somebody the operator lets in unnamed; `unique` keeps two of them apart.
    pub fn anonymous(unique: &str) -> Self {
        Self::new("host-anonymous", unique, None)
    }
}
