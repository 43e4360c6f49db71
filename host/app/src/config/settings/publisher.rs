//! Whose plugins are believed to be theirs.

use serde_json::{Value as Json, json};
use sluice_supply::PublicKey;

use crate::config::choice::choice;
use crate::config::reader::Reader;
use crate::config::setting::Setting;
use crate::config::tree::Node;

choice! {
    /// Whether a plugin needs a signature that one of the keys made.
    pub enum Signatures {
        /// It does.
        Required = "required",
        /// One that is there must be good; a plugin that was signed before stays signed.
        Optional = "optional",
    }
}

/// A publisher's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherKey(PublicKey);

impl PublisherKey {
    /// The key.
    pub fn get(&self) -> PublicKey {
        self.0
    }
}

impl Setting for PublisherKey {
    fn schema() -> Json {
        json!({"type": "string", "pattern": "^ed25519:[A-Za-z0-9+/]{43}=$"})
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<PublisherKey> {
        match String::read(node, reader)?.parse() {
            Ok(key) => Some(PublisherKey(key)),
            Err(error) => {
                reader.mismatch(node, "a publisher's public key", Some(error.to_string()));
                None
            }
        }
    }

    fn show(&self) -> Json {
        json!(self.0.to_string())
    }
}
