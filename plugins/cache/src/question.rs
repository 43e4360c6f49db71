//! What was asked, on whose behalf: two questions with one digest have one answer.

use alloc::string::String;
use alloc::vec::Vec;

use sha2::{Digest, Sha256};
use sluice_sdk::prelude::*;

use crate::config::Share;
use crate::json::{self, Member};

/// Who vouches for callers that nobody vouches for. They are others with each request, so an entry of theirs would never be read.
const NOBODY: &str = "host-anonymous";

/// Members of a request's `_meta` that say nothing about the answer: how to send word of progress, of traces and logs, and which client it is.
const BESIDE: [&str; 7] = [
    "progressToken",
    "traceparent",
    "tracestate",
    "baggage",
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/logLevel",
];

/// What is asked, without who asks.
pub struct Question(Sha256);

/// Whose answers are looked through: those of one caller, one tenant, or all.
#[derive(Clone)]
pub struct Context(Sha256);

/// Of a question in a context.
pub type Name = [u8; 32];

impl Question {
    /// Reads the `params` of a request; nothing if they hold more than a question, such as answers to what a server asked back.
    pub fn new(method: &str, upstream: &str, name: &str, params: &str) -> Option<Self> {
        let mut digest = Sha256::new();
        for part in [method, upstream, name] {
            add(&mut digest, part);
        }
        let params = json::members(params)?;
        let (mut arguments, mut meta) = (String::new(), String::new());
        for (key, value) in &params {
            match (key.as_ref(), value) {
                ("name", _) if method == "tools/call" => {}
                ("uri", _) if method == "resources/read" => {}
                ("arguments", value) if method == "tools/call" => json::append(value, true, &mut arguments),
                ("_meta", json::Value::Object(members)) => {
                    let telling: Vec<&Member<'_>> = members.iter().filter(|(key, _)| !BESIDE.contains(&key.as_ref())).collect();
                    json::append_members(&telling, true, &mut meta);
                }
                _ => return None,
            }
        }
        // No arguments are none.
        add(&mut digest, if arguments == "{}" { "" } else { &arguments });
        add(&mut digest, &meta);
        Some(Question(digest))
    }

    /// In a context.
    pub fn within(&self, context: &Context) -> Name {
        let mut digest = self.0.clone();
        digest.update(context.clone().0.finalize());
        digest.finalize().into()
    }
}

impl Context {
    /// Nothing if there is nobody whose answers could be told from those of others.
    pub fn of(share: Share, x: &impl Facts) -> Option<Self> {
        let mut digest = Sha256::new();
        match share {
            Share::All => add(&mut digest, "all"),
            Share::Tenant => {
                add(&mut digest, "tenant");
                add(&mut digest, &x.attr("principal.tenant")?);
            }
            Share::Principal => {
                x.attr("principal.id")?;
                if x.attr("principal.authority").as_deref() == Some(NOBODY) {
                    return None;
                }
                add(&mut digest, "principal");
                // All that a decision could rest on: somebody whose scopes or claims are others now is answered anew.
                let mut known = x.attrs("principal.");
                known.sort();
                for (key, value) in &known {
                    add(&mut digest, key);
                    add(&mut digest, value);
                }
            }
        }
        Some(Context(digest))
    }

    /// Where its entries are. They have so many places, and each has its own among them, so a caller takes room from nobody but itself.
    pub fn place(&self, name: &Name, places: u32) -> String {
        let context = self.0.clone().finalize();
        let at = u32::from_be_bytes([name[0], name[1], name[2], name[3]]) % places.max(1);
        alloc::format!("e{}-{at}", hex(&context[..16]))
    }
}

/// Each part says how long it is, so no two lists of parts are one text.
fn add(digest: &mut Sha256, part: &str) {
    digest.update((part.len() as u64).to_le_bytes());
    digest.update(part);
}

/// Lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect()
}
