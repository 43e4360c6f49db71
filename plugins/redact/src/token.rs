//! Tokens that stand for data and that the host's store can turn back.
//!
//! A token is a tag over the data (HMAC-SHA-256 under `salt`, 128 bits of it), the same for the same data as long as the same principal
//! sends it to the same server. What it stands for is kept in `kv`, for a while, under a name and a key that only the salt and the token
//! give: neither who has the token nor who reads the store has the data. What the store gives back must have the token's tag, so whatever
//! else is wrong, nobody gets what is somebody else's.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use sluice_sdk::kv::{Bucket, Op, Outcome};
use sluice_sdk::prelude::*;

/// Every token and hardly anything else: a detector's name, and 128 bits in base32 (RFC 4648, lower case).
pub(crate) const PATTERN: &str = r"\[[a-z0-9][a-z0-9-]{0,40}:[a-z2-7]{26}\]";
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const ID_BYTES: usize = 16;

/// Different values of one message that become tokens, and tokens of one message that are turned back: each is one or two host calls, and
/// the host allows a thousand by default.
pub const TOKENS_MAX: usize = 256;

const BUCKET: &str = "tokens";

/// Whose a token is.
#[derive(Debug, Clone)]
pub(crate) struct Whose {
    /// Which way the message went that it was made in: what was kept from a server is never turned back on the way to one.
    made: Direction,
    principal: String,
    /// Of the server.
    owner: String,
}

impl Whose {
    /// Of tokens made in a message of this direction in this exchange; nothing if nobody asks.
    pub(crate) fn of(made: Direction, head: &Head, x: &impl Facts) -> Option<Whose> {
        // What no server has, a plugin answers: two of its tools may be two APIs, and have no more to do with each other than two servers.
        // No server's name has the mark.
        let owner = x.upstream().unwrap_or_else(|| match &head.name {
            Some(name) => format!("\0tool {name}"),
            None => format!("\0exchange {}", head.exchange),
        });
        Some(Whose { made, principal: x.attr("principal.id")?, owner })
    }
}

/// Why data could not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotKept {
    /// Nobody asks, or the store does not answer.
    NoStore,
    /// More than [`TOKENS_MAX`] in one message, or more new ones than a principal ever has room for.
    TooMany,
    /// More than this principal has room for just now.
    TooOften,
}

/// Makes tokens and turns them back.
pub(crate) struct Tokens {
    mac: Hmac<Sha256>,
    ttl_ms: u32,
    per_principal: u32,
}

impl core::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tokens").field("ttl_ms", &self.ttl_ms).field("per_principal", &self.per_principal).finish_non_exhaustive()
    }
}

impl Tokens {
    pub(crate) fn new(salt: &str, ttl_s: u32, per_principal: u32) -> Self {
        let mac = Hmac::<Sha256>::new_from_slice(salt.as_bytes()).expect("HMAC takes keys of any length");
        Tokens { mac, ttl_ms: ttl_s.saturating_mul(1000), per_principal }
    }

    /// Keeps values, each with its detector's name; their tokens, in the order of the set.
    pub(crate) fn keep(&self, whose: &Whose, values: &BTreeSet<(String, String)>) -> Result<Vec<String>, NotKept> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        if values.len() > TOKENS_MAX {
            return Err(NotKept::TooMany);
        }
        let ids: Vec<_> = values.iter().map(|(name, value)| self.id(whose, name, value)).collect();
        let named: Vec<_> = values.iter().zip(&ids).map(|((name, value), id)| (token(name, id), value)).collect();
        let bucket = Bucket::open(BUCKET).map_err(|_| NotKept::NoStore)?;
        let run = |ops: &[Op]| bucket.batch(ops).map_err(|_| NotKept::NoStore);
        let places: Vec<_> = named.iter().map(|(token, _)| self.place(whose, token)).collect();
        let known = run(&places.iter().map(|place| Op::get(place)).collect::<Vec<_>>())?;
        let new = known.iter().filter(|outcome| !matches!(outcome, Ok(Outcome::Value(Some(_))))).count() as u32;
        if new > self.per_principal {
            return Err(NotKept::TooMany);
        }
        if new > 0 {
            let (burst, per_second) = (self.per_principal, f64::from(self.per_principal) * 1000.0 / f64::from(self.ttl_ms));
            let purse = format!("new:{}", hex(&self.tag(b'n', &[&whose.principal])[..ID_BYTES]));
            if bucket.take(&purse, new, burst, per_second).map_err(|_| NotKept::NoStore)? > 0 {
                return Err(NotKept::TooOften);
            }
        }
        // What is known is made once more, too: its time begins again. Turning it back writes nothing.
        let sets = places.iter().zip(&named).map(|(place, (token, value))| {
            let mut bytes = value.as_bytes().to_vec();
            self.seal(whose, token, &mut bytes);
            Op::set(place, &bytes, Some(self.ttl_ms))
        });
        let written = run(&sets.collect::<Vec<_>>())?;
        if written.iter().any(Result::is_err) {
            return Err(NotKept::NoStore);
        }
        Ok(named.into_iter().map(|(token, _)| token).collect())
    }

    /// What these tokens stand for, as far as that is theirs to see and still kept.
    pub(crate) fn open(&self, whose: &Whose, tokens: &BTreeSet<&str>) -> BTreeMap<String, String> {
        let mut opened = BTreeMap::new();
        let asked: Vec<&str> = tokens.iter().copied().take(TOKENS_MAX).collect();
        if asked.is_empty() {
            return opened;
        }
        let gets: Vec<_> = asked.iter().map(|token| Op::get(&self.place(whose, token))).collect();
        // Without a store an answer keeps its tokens, which give nothing away.
        let outcomes = Bucket::open(BUCKET).and_then(|bucket| bucket.batch(&gets)).unwrap_or_default();
        for (token, outcome) in asked.into_iter().zip(outcomes) {
            let Ok(Outcome::Value(Some(mut bytes))) = outcome else { continue };
            self.seal(whose, token, &mut bytes);
            let Some((name, id)) = parts(token) else { continue };
            if let Ok(value) = String::from_utf8(bytes)
                && self.id(whose, name, &value) == id
            {
                opened.insert(token.to_string(), value);
            }
        }
        opened
    }

    /// The tag that a token is known by.
    fn id(&self, whose: &Whose, name: &str, value: &str) -> String {
        base32(&self.of_token(b'i', whose, &[name, value])[..ID_BYTES])
    }

    fn place(&self, whose: &Whose, token: &str) -> String {
        hex(&self.of_token(b'p', whose, &[token])[..ID_BYTES])
    }

    /// Over data once, it is sealed, and twice, it is open again. Each token has a key of its own, and seals one value.
    fn seal(&self, whose: &Whose, token: &str, bytes: &mut [u8]) {
        let key = self.of_token(b'k', whose, &[token]);
        let mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
        for (block, bytes) in bytes.chunks_mut(32).enumerate() {
            let pad = mac.clone().chain_update((block as u64).to_le_bytes()).finalize().into_bytes();
            bytes.iter_mut().zip(pad).for_each(|(byte, pad)| *byte ^= pad);
        }
    }

    fn of_token(&self, what: u8, whose: &Whose, more: &[&str]) -> [u8; 32] {
        let made = if whose.made == Direction::ToServer { "to-server" } else { "to-client" };
        self.tag(what, &[&[made, &whose.principal, &whose.owner], more].concat())
    }

    /// Each part with its length, so that no two lists read the same.
    fn tag(&self, what: u8, parts: &[&str]) -> [u8; 32] {
        // `hash` has the bare data under the same salt.
        let mut mac = self.mac.clone().chain_update(b"\0token").chain_update([what]);
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

fn token(name: &str, id: &str) -> String {
    format!("[{name}:{id}]")
}

fn parts(token: &str) -> Option<(&str, &str)> {
    token.strip_prefix('[')?.strip_suffix(']')?.rsplit_once(':')
}

fn base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(BASE32[(held >> bits) as usize & 31]));
        }
    }
    if bits > 0 {
        out.push(char::from(BASE32[(held << (5 - bits)) as usize & 31]));
    }
    out
}

/// Lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.map(|nibble| char::from_digit(nibble.into(), 16).unwrap_or('0')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_sdk::testing;

    fn whose(made: Direction, principal: &str, owner: &str) -> Whose {
        Whose { made, principal: principal.into(), owner: owner.into() }
    }

    fn values(all: &[&str]) -> BTreeSet<(String, String)> {
        all.iter().map(|value| ("email".to_string(), value.to_string())).collect()
    }

    const SALT: &str = "0123456789abcdef";

    #[test]
    fn only_its_owner_gets_the_data_back() {
        testing::reset();
        let tokens = Tokens::new(SALT, 60, 10);
        let ada = whose(Direction::ToServer, "ada", "crm");
        let kept = tokens.keep(&ada, &values(&["joe@example.com"])).unwrap();
        let asked: BTreeSet<&str> = kept.iter().map(String::as_str).collect();
        assert_eq!(tokens.open(&ada, &asked)[&kept[0]], "joe@example.com");
        for other in [
            whose(Direction::ToServer, "bob", "crm"),
            whose(Direction::ToServer, "ada", "mail"),
            whose(Direction::ToClient, "ada", "crm"),
            whose(Direction::ToServer, "adac", "rm"),
        ] {
            assert!(tokens.open(&other, &asked).is_empty(), "{other:?}");
            assert_ne!(tokens.keep(&other, &values(&["joe@example.com"])).unwrap(), kept, "no two owners have one token");
        }
        assert!(Tokens::new("fedcba9876543210", 60, 10).open(&ada, &asked).is_empty(), "another salt");
        // Its time begins when it is made, and turning it back makes none.
        testing::advance_ms(59_999);
        assert_eq!(tokens.open(&ada, &asked).len(), 1);
        testing::advance_ms(1);
        assert!(tokens.open(&ada, &asked).is_empty(), "its time is over");
        tokens.keep(&ada, &values(&["joe@example.com"])).unwrap();
        testing::advance_ms(59_999);
        assert_eq!(tokens.keep(&ada, &values(&["joe@example.com"])).unwrap(), kept);
        testing::advance_ms(59_999);
        assert_eq!(tokens.open(&ada, &asked).len(), 1, "it was made once more");
    }

    /// Even if the store mixes entries up, what comes out of it is not told.
    #[test]
    fn what_the_store_says_is_checked() {
        testing::reset();
        let tokens = Tokens::new(SALT, 60, 10);
        let ada = whose(Direction::ToServer, "ada", "crm");
        let kept = tokens.keep(&ada, &values(&["ann@example.com", "joe@example.com"])).unwrap();
        let bucket = Bucket::open(BUCKET).unwrap();
        let of_joe = bucket.get(&tokens.place(&ada, &kept[1])).unwrap().unwrap();
        assert!(!of_joe.windows(3).any(|bytes| bytes == b"joe"), "it is sealed");
        bucket.set(&tokens.place(&ada, &kept[0]), &of_joe, None).unwrap();
        let asked = BTreeSet::from([kept[0].as_str()]);
        assert!(tokens.open(&ada, &asked).is_empty());
    }

    #[test]
    fn a_principal_has_room_for_so_many_and_others_have_their_own() {
        testing::reset();
        let tokens = Tokens::new(SALT, 60, 2);
        let (ada, bob) = (whose(Direction::ToServer, "ada", "crm"), whose(Direction::ToServer, "bob", "crm"));
        let two = values(&["a@example.com", "b@example.com"]);
        tokens.keep(&ada, &two).unwrap();
        assert!(tokens.keep(&ada, &two).is_ok(), "what is kept already takes no more room");
        assert_eq!(tokens.keep(&ada, &values(&["c@example.com"])), Err(NotKept::TooOften));
        assert_eq!(tokens.keep(&bob, &values(&["a@example.com", "b@example.com", "c@example.com"])), Err(NotKept::TooMany));
        assert!(tokens.keep(&bob, &two).is_ok(), "what did not pass took no room");
        testing::advance_ms(30_000);
        assert!(tokens.keep(&ada, &values(&["c@example.com"])).is_ok(), "half the time, half the room");
        let many: Vec<_> = (0..=TOKENS_MAX).map(|at| format!("{at}@example.com")).collect();
        assert_eq!(tokens.keep(&ada, &values(&many.iter().map(String::as_str).collect::<Vec<_>>())), Err(NotKept::TooMany));
        testing::break_kv("down");
        assert_eq!(tokens.keep(&bob, &two), Err(NotKept::NoStore));
        assert!(tokens.open(&bob, &BTreeSet::from(["[email:aaaaaaaaaaaaaaaaaaaaaaaaaa]"])).is_empty());
    }

    #[test]
    fn base32_is_that_of_the_rfc() {
        for (bytes, text) in
            [("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foob", "mzxw6yq"), ("fooba", "mzxw6ytb"), ("foobar", "mzxw6ytboi")]
        {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
        assert_eq!(base32(&[0; ID_BYTES]).len(), 26);
    }
}
