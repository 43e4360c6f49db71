//! What is written down of a legacy session, so that another process can go on with it: after a restart or a hand-off, or where a balancer
//! sends its client elsewhere (ADR 49).
//!
//! Written when it is opened, when what its client follows or how much it wants to hear changes, and once in a while for as long as it is
//! used. What is on its way at the moment (answers, questions, events of streams) is a process's own and ends with it.

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sluice_chain::principal::Principal;
use sluice_state::{Bucket, StateError};
use sluice_wire::revision::Revision;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// Sessions of this gateway and of others that share the bucket.
pub(super) struct Records {
    bucket: Arc<dyn Bucket>,
    /// How long one is kept that nobody uses.
    idle: Duration,
}

/// One session.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    /// What was agreed on.
    pub revision: Revision,
    /// `clientInfo`, as the client wrote it.
    pub info: Option<Bytes>,
    /// `capabilities`, likewise.
    pub capabilities: Bytes,
    /// Key of its principal; none for those without a name, to whom the id alone belongs.
    pub owner: Option<String>,
    /// How much it wants to hear of what servers log.
    pub level: Option<String>,
    /// URIs of resources that it follows.
    pub follows: BTreeSet<String>,
}

impl Record {
    /// Whose a session of this principal is.
    pub fn owner_of(principal: &Principal) -> Option<String> {
        (!principal.is_anonymous()).then(|| principal.key.as_str().to_owned())
    }

    fn to_text(&self) -> String {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        json!({
            "revision": self.revision.as_str(),
            "info": self.info.as_ref().map(text),
            "capabilities": text(&self.capabilities),
            "owner": self.owner,
            "level": self.level,
            "follows": self.follows,
        })
        .to_string()
    }

    fn read(text: &[u8]) -> Option<Record> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        Some(Record {
            revision: value["revision"].as_str()?.parse().ok()?,
            info: text("info").map(Bytes::from),
            capabilities: text("capabilities")?.into(),
            owner: text("owner"),
            level: text("level"),
            follows: value["follows"].as_array()?.iter().filter_map(|uri| uri.as_str().map(str::to_owned)).collect(),
        })
    }
}

impl Records {
    /// In this bucket, each for so long after its last use.
    pub fn new(bucket: Arc<dyn Bucket>, idle: Duration) -> Records {
        Records { bucket, idle }
    }

    /// Between two times that a session which is used is written down again.
    pub fn refresh_after(&self) -> Duration {
        self.idle / 4
    }

    /// Writes it down. Where that cannot be, the session is this process's alone, and the log says so.
    pub async fn keep(&self, name: &str, record: &Record) {
        // Longer than it lives, by as much as it may have been used since.
        let kept = self.bucket.set(&key(name), record.to_text().into_bytes(), Some(self.idle + self.refresh_after())).await;
        if let Err(error) = kept {
            tracing::warn!(%error, "a session is not written down: it ends with this process");
        }
    }

    /// The session of that name.
    ///
    /// # Errors
    /// Nobody can say.
    pub async fn find(&self, name: &str) -> Result<Option<Record>, StateError> {
        Ok(self.bucket.get(&key(name)).await?.as_deref().and_then(Record::read))
    }

    /// It has ended.
    pub async fn forget(&self, name: &str) {
        if let Err(error) = self.bucket.delete(&key(name)).await {
            tracing::warn!(%error, "a session that has ended stays written down until it is old");
        }
    }
}

/// Whoever reads the store is told no id that he could use.
fn key(name: &str) -> String {
    Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let record = Record {
            revision: Revision::V2025_06_18,
            info: Some(Bytes::from_static(br#"{"name":"a","version":"1.0"}"#)),
            capabilities: Bytes::from_static(br#"{"roots":{"listChanged":true}}"#),
            owner: Some("@3:ops/4:auth/-/ada".to_owned()),
            level: Some("debug".to_owned()),
            follows: ["test://a", "test://b"].map(str::to_owned).into(),
        };
        assert_eq!(Record::read(record.to_text().as_bytes()), Some(record.clone()));
        let bare = Record { info: None, owner: None, level: None, follows: BTreeSet::new(), ..record };
        assert_eq!(Record::read(bare.to_text().as_bytes()), Some(bare));
        for wrong in ["", "{}", r#"{"revision":"1999-01-01","capabilities":"{}","follows":[]}"#, r#"{"revision":"2025-06-18"}"#] {
            assert_eq!(Record::read(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!((key("a").len(), key("a") == key("b")), (64, false));
    }
}
