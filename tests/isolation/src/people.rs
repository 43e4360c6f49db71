//! Who calls: tenants, and in each the same few names, so that a name alone is nobody.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::canary::{Canaries, Kind};

/// A caller, by its number.
pub type Who = usize;

pub const TENANTS: usize = 16;
const SUBJECTS: [&str; 3] = ["ada", "bob", "cyd"];
pub const CALLERS: usize = TENANTS * SUBJECTS.len();

const ADDRESSES: usize = 12;

pub struct People {
    pub keys: Vec<String>,
    /// What each one's client calls itself.
    pub clients: Vec<String>,
    /// The part before the `@` of addresses that each one writes.
    pub addresses: Vec<Vec<String>>,
    tenants: Vec<String>,
}

impl People {
    pub fn new(canaries: &Canaries) -> Self {
        Self {
            keys: (0..CALLERS).map(|who| format!("slk_{}{:032x}", canaries.make(Kind::Key, who), fastrand::u128(..))).collect(),
            clients: (0..CALLERS).map(|who| canaries.make(Kind::Client, who)).collect(),
            addresses: (0..CALLERS).map(|who| (0..ADDRESSES).map(|_| canaries.make(Kind::Value, who)).collect()).collect(),
            tenants: (0..TENANTS).map(|tenant| canaries.make(Kind::Tenant, tenant)).collect(),
        }
    }

    pub fn tenant(&self, who: Who) -> usize {
        who / SUBJECTS.len()
    }

    /// As `auth-api-key` knows them. `as_one`: as if all were the same caller.
    pub fn entries(&self, as_one: bool) -> Value {
        let entry = |(who, key): (Who, &String)| {
            let hash: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
            let mut entry = json!({"id": format!("key-{who}"), "hash": format!("sha256:{hash}"), "subject": "everybody"});
            if !as_one {
                entry["subject"] = json!(SUBJECTS[who % SUBJECTS.len()]);
                entry["tenant"] = json!(self.tenants[self.tenant(who)]);
            }
            entry
        };
        self.keys.iter().enumerate().map(entry).collect()
    }
}
