//! Resource URIs that tool results handed to a principal as links: it may read those, listed or not.

use crate::principal::PrincipalKey;
use sluice_wire::json::{Document, Kind};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

/// Most links remembered in all; the oldest go first.
const LINKS_MAX: usize = 50_000;

/// (principal, URI) → upstream, bounded.
#[derive(Default)]
pub struct HandedLinks(Mutex<Links>);

#[derive(Default)]
struct Links {
    upstream_of: HashMap<(PrincipalKey, Box<str>), usize>,
    order: VecDeque<(PrincipalKey, Box<str>)>,
}

impl HandedLinks {
    /// Remember every `resource_link` and embedded resource in the content of a result.
    pub fn note(&self, principal: &PrincipalKey, upstream: usize, response: &Document) {
        // Nearly no result has links: one pass over the bytes is cheaper than walking the content.
        if !contains(response.bytes(), b"\"resource") {
            return;
        }
        let Ok(document) =
            Document::parse(response.bytes().clone(), &sluice_wire::json::Limits::RESPONSE, sluice_wire::json::IndexDepth::Levels(5))
        else {
            return;
        };
        let Some(content) = document.pointer("/result/content").filter(|c| c.kind() == Kind::Array) else { return };
        for item in content.items() {
            let uri = item.get("uri").or_else(|| item.get("resource").and_then(|r| r.get("uri")));
            if let Some(uri) = uri.and_then(|u| u.as_str()) {
                self.insert(principal.clone(), uri.into(), upstream);
            }
        }
    }

    /// Where a handed link leads.
    pub fn find(&self, principal: &PrincipalKey, uri: &str) -> Option<usize> {
        self.lock().upstream_of.get(&(principal.clone(), uri.into())).copied()
    }

    fn insert(&self, principal: PrincipalKey, uri: Box<str>, upstream: usize) {
        let mut links = self.lock();
        let key = (principal, uri);
        if links.upstream_of.insert(key.clone(), upstream).is_none() {
            links.order.push_back(key);
        }
        while links.order.len() > LINKS_MAX {
            if let Some(oldest) = links.order.pop_front() {
                links.upstream_of.remove(&oldest);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Links> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}
