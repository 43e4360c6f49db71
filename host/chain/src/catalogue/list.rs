//! One page of a view as a `result` object, in canonical (modern) form.

use super::{CursorKey, ListKind, View};
use crate::{principal::Principal, rescue::Error};
use bytes::Bytes;
use std::time::Duration;

/// Most entries a page.
const PAGE_ENTRIES: usize = 500;

/// The page a cursor asks for; the first without one. `ttl`: how long it may be taken for fresh.
pub fn page(
    view: &View,
    kind: ListKind,
    cursor: Option<&str>,
    principal: &Principal,
    key: &CursorKey,
    ttl: Duration,
) -> Result<Bytes, Error> {
    let start = match cursor {
        None => 0,
        Some(cursor) => key.open(cursor, principal.key.as_str(), kind, &view.digest).ok_or(Error::BadCursor)? as usize,
    };
    let rest = view.exposed.get(start..).ok_or(Error::BadCursor)?;
    let page = &rest[..rest.len().min(PAGE_ENTRIES)];
    let size: usize = page.iter().map(|e| e.entry.definition.len() + 1).sum();
    let mut out = Vec::with_capacity(size + 160);
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(kind.member().as_bytes());
    out.extend_from_slice(b"\":[");
    for (i, exposed) in page.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&exposed.entry.definition);
    }
    out.push(b']');
    if page.len() < rest.len() {
        let next = u32::try_from(start + page.len()).map_err(|_| Error::BadCursor)?;
        let cursor = key.seal(principal.key.as_str(), kind, &view.digest, next).ok_or(Error::BadCursor)?;
        out.extend_from_slice(format!(r#","nextCursor":"{cursor}""#).as_bytes());
    }
    // The view depends on who asks, so it is private whatever the upstreams' lists are.
    out.extend_from_slice(format!(r#","resultType":"complete","ttlMs":{},"cacheScope":"private"}}"#, ttl.as_millis()).as_bytes());
    Ok(out.into())
}
