//! What an upstream is told about the client it serves.

use bytes::Bytes;
use sluice_chain::exchange::Client;
use sluice_era::capability::{Peer, declarable};
use sluice_wire::{
    json::{Document, IndexDepth, Kind, Limits},
    revision::{Era, Revision},
};

/// A client's own words, as a handshake or a modern request repeats them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Speaker {
    /// The client's name and version, JSON text of an object.
    pub(crate) info: Option<Bytes>,
    /// What may be declared for it, JSON text of an object.
    pub(crate) capabilities: Bytes,
    /// The legacy revision to offer on its behalf.
    pub(crate) offered: Revision,
}

impl Speaker {
    /// Reads what the downstream kept of a client of `era`.
    pub(crate) fn of(client: &Client, era: Era) -> Self {
        let peer = if era == Era::Legacy { Peer::SameEra } else { Peer::OtherEra };
        let (info, version) = client.info.as_ref().map_or((None, None), read);
        Self {
            info,
            capabilities: declarable(&client.capabilities, peer),
            // Offering what the client speaks lets the server shape its answers for it.
            offered: version.filter(|_| era == Era::Legacy).unwrap_or(Revision::LEGACY[0]),
        }
    }
}

/// The client's identity alone, for a modern request.
pub(crate) fn client_info(client: &Client) -> Option<Bytes> {
    read(client.info.as_ref()?).0
}

/// Takes `initialize` params or a bare identity.
fn read(text: &Bytes) -> (Option<Bytes>, Option<Revision>) {
    let Ok(document) = Document::parse_value(text.clone(), &Limits::REQUEST, IndexDepth::Levels(2)) else {
        return (None, None);
    };
    let root = document.root();
    if root.kind() != Kind::Object {
        return (None, None);
    }
    let version = root.get("protocolVersion");
    let revision = version.and_then(|version| Revision::LEGACY.into_iter().find(|known| version.is_str(known.as_str())));
    let info = root.get("clientInfo").filter(|info| info.kind() == Kind::Object);
    match (info, version) {
        (None, None) => (Some(text.clone()), None),
        (info, _) => (info.map(|info| info.to_bytes()), revision),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn client(info: &'static str) -> Client {
        Client {
            info: Some(Bytes::from_static(info.as_bytes())),
            capabilities: Bytes::from_static(br#"{"roots":{}}"#),
            session: None,
            facts: Arc::default(),
            log_level: Mutex::default(),
        }
    }

    #[test]
    fn reads_initialize_params_and_a_bare_identity() {
        let params = client(r#"{"protocolVersion":"2025-06-18","clientInfo":{"name":"c"},"capabilities":{}}"#);
        let speaker = Speaker::of(&params, Era::Legacy);
        assert_eq!(speaker.info.unwrap(), r#"{"name":"c"}"#);
        assert_eq!((speaker.offered, &*speaker.capabilities), (Revision::V2025_06_18, br#"{"roots":{}}"#.as_slice()));

        let speaker = Speaker::of(&client(r#"{"name":"m"}"#), Era::Modern);
        assert_eq!((speaker.info.unwrap(), speaker.offered), (Bytes::from_static(br#"{"name":"m"}"#), Revision::V2025_11_25));
    }
}
