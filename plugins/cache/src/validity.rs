//! What entries are true of. Each hangs on a few tokens: one of its upstream, one of all upstreams, one of its resource. Who says that something
//! has changed removes a token, and whatever hung on it is never read again, also if it is put there later by a call that was under way.
//! Removing needs no room, so it works in a store that is full.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sha2::{Digest, Sha256};
use sluice_sdk::kv::{Bucket, Op, Outcome};
use sluice_sdk::random;

use crate::question::hex;

/// Resources share so many tokens, so that the URIs callers think of take no room without end.
const RESOURCES: u16 = 1024;
/// Folders of a URI that are looked at. One that lies deeper is in all of them.
const FOLDERS_MAX: usize = 32;

/// What kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Answers of tools.
    Tools,
    /// Resources.
    Resources,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Kind::Tools => 't',
            Kind::Resources => 'r',
        }
    }
}

/// The tokens that an answer hangs on.
pub fn keys(kind: Kind, upstream: &str, name: &str) -> Vec<String> {
    let mut keys = Vec::from([of_all(kind), of_upstream(kind, upstream)]);
    if kind == Kind::Resources {
        keys.push(of_resource(name));
    }
    keys
}

fn of_all(kind: Kind) -> String {
    format!("all-{}", kind.letter())
}

fn of_upstream(kind: Kind, upstream: &str) -> String {
    // Names are the operator's, and may be long.
    format!("up-{}-{}", kind.letter(), hex(&Sha256::digest(upstream)[..16]))
}

fn of_resource(uri: &str) -> String {
    let digest = Sha256::digest(uri);
    format!("uri-{}", u16::from_be_bytes([digest[0], digest[1]]) % RESOURCES)
}

/// The tokens as they were found, one text; those that are missing are made. Nothing if that does not work.
pub fn tokens(bucket: &Bucket, keys: &[String], found: &[Option<Vec<u8>>]) -> Option<String> {
    let mut tokens = String::new();
    for (key, found) in keys.iter().zip(found) {
        match found {
            Some(token) => tokens.push_str(core::str::from_utf8(token).ok()?),
            None => {
                let token = hex(&random::bytes::<8>());
                // Of two that make it at once one does, and the other keeps nothing this time.
                if !bucket.swap(key, None, token.as_bytes(), None).ok()? {
                    return None;
                }
                tokens.push_str(&token);
            }
        }
        tokens.push('.');
    }
    Some(tokens)
}

/// Something may have changed: everything of this kind, of this upstream if it is known which.
pub fn changed(bucket: &Bucket, kind: Kind, upstream: Option<&str>) -> bool {
    let key = upstream.map_or_else(|| of_all(kind), |upstream| of_upstream(kind, upstream));
    remove(bucket, &[key])
}

/// Everything of this upstream may have changed.
pub fn written(bucket: &Bucket, upstream: &str) -> bool {
    remove(bucket, &[Kind::Tools, Kind::Resources].map(|kind| of_upstream(kind, upstream)))
}

/// A resource has changed, and with it what it is a part of: servers may tell of a part of what is followed (2026-07-28 server/resources).
pub fn updated(bucket: &Bucket, uri: &str) -> bool {
    let mut keys = Vec::from([of_resource(uri)]);
    let mut folders = uri.match_indices(['/', '?', '#']).map(|(at, _)| at);
    for at in folders.by_ref().take(FOLDERS_MAX) {
        keys.extend([of_resource(&uri[..at]), of_resource(&uri[..=at])]);
    }
    if folders.next().is_some() {
        return changed(bucket, Kind::Resources, None);
    }
    remove(bucket, &keys)
}

fn remove(bucket: &Bucket, keys: &[String]) -> bool {
    let ops: Vec<Op> = keys.iter().map(|key| Op::Delete(key.to_string())).collect();
    let done = bucket.batch(&ops);
    done.is_ok_and(|done| done.iter().all(|outcome| matches!(outcome, Ok(Outcome::Done))))
}
