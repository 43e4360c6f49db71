//! What is in force: a generation for `/mcp` and one for each `/mcp/<group>`, put in place in one step.
//!
//! A group is a view: some of the servers, behind a chain of its own. Servers are shared, what is kept of a caller is not: whoever comes by
//! another group is another principal to everything that is keyed by principal (sessions, children, warm instances, lists, parked calls,
//! links), since another chain vouched for it and other filters stand between it and the servers.

use crate::{
    estate::Estate,
    generation::{Generation, Link},
    principal::Principal,
};
use std::sync::Arc;

/// A view to be put in force.
pub struct Group {
    /// None: the one of `/mcp`.
    pub name: Option<Arc<str>>,
    /// Configured names of its servers; none: all.
    pub upstreams: Option<Vec<String>>,
    /// In config order.
    pub links: Vec<Link>,
}

impl Group {
    /// All servers behind this chain, at `/mcp`.
    pub fn of_all(links: Vec<Link>) -> Self {
        Self { name: None, upstreams: None, links }
    }
}

/// All views there are to be. One chain alone is that of `/mcp`, and there is no other.
pub struct Chains(Vec<Group>);

impl From<Vec<Group>> for Chains {
    fn from(groups: Vec<Group>) -> Self {
        Self(groups)
    }
}

impl From<Vec<Link>> for Chains {
    fn from(links: Vec<Link>) -> Self {
        Self(vec![Group::of_all(links)])
    }
}

/// Immutable, like the generations in it, which have one number.
pub struct Groups {
    /// All servers, whoever sees them.
    pub(crate) estate: Arc<Estate>,
    default: Arc<Generation>,
    named: Vec<Arc<Generation>>,
    /// For those who came by a group that is no more: no server, no chain.
    nothing: Arc<Generation>,
}

impl Groups {
    pub(crate) fn new(number: u64, estate: Arc<Estate>, chains: Chains) -> Self {
        let nothing = Arc::new(estate.only(&[]));
        let (mut default, mut named) = (None, Vec::new());
        for Group { name, upstreams, links } in chains.0 {
            let estate = upstreams.map_or_else(|| estate.clone(), |names| Arc::new(estate.only(&names)));
            let generation = Arc::new(Generation::of_group(number, name.clone(), estate, links));
            match name {
                Some(_) => named.push(generation),
                None => default = Some(generation),
            }
        }
        let nothing = Arc::new(Generation::new(number, nothing, Vec::new()));
        Self { estate, default: default.unwrap_or_else(|| nothing.clone()), named, nothing }
    }

    /// Of `/mcp`.
    pub fn default(&self) -> &Arc<Generation> {
        &self.default
    }

    /// Of `/mcp/<name>`; none where there is no such group.
    pub fn named(&self, name: &str) -> Option<&Arc<Generation>> {
        self.named.iter().find(|generation| generation.group.as_deref() == Some(name))
    }

    /// Of whoever came by it. Its group may be gone since.
    pub fn of(&self, principal: &Principal) -> &Arc<Generation> {
        match &principal.group {
            None => &self.default,
            Some(group) => self.named(group).unwrap_or(&self.nothing),
        }
    }

    /// The one of `/mcp` first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Generation>> {
        std::iter::once(&self.default).chain(&self.named)
    }
}
