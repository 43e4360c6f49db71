//! Which methods a client may ask for here.

use sluice_chain::host::Host;
use sluice_era::answer::Asked;
use sluice_wire::{message::Message, method, revision::Revision};

/// What a client of this revision asks, if it is carried here: by the protocol, or because the operator serves a draft.
pub(super) fn asked(host: &Host, message: &Message, revision: Revision) -> Option<Asked> {
    let carried = Asked::of(message, revision).filter(|asked| is_carried(revision, asked.method));
    carried.or_else(|| host.serves_interceptors().then(|| Asked::of_draft(message, revision))?)
}

/// Whether a request of this name is carried for a client of this revision.
///
/// Handshakes and `ping` are the transport's own and not asked about. What is not carried is not advertised either.
fn is_carried(revision: Revision, name: &str) -> bool {
    let is_known = method::presence(revision, name).from_client() && !method::is_notification(name);
    is_known && name != method::INITIALIZE
}

#[cfg(test)]
mod tests {
    use super::*;
    use Revision::{V2025_06_18, V2025_11_25, V2026_07_28};

    #[test]
    fn what_is_carried_depends_on_the_revision() {
        for (revision, name, carried) in [
            (V2026_07_28, "tools/call", true),
            (V2026_07_28, "server/discover", true),
            (V2026_07_28, "ping", false),
            (V2026_07_28, "logging/setLevel", false),
            (V2026_07_28, "resources/subscribe", false),
            (V2026_07_28, "initialize", false),
            (V2026_07_28, "subscriptions/listen", true),
            (V2026_07_28, "tasks/get", true),
            (V2026_07_28, "tasks/result", false),
            (V2025_06_18, "tasks/get", false),
            (V2026_07_28, "sampling/createMessage", false),
            (V2026_07_28, "notifications/cancelled", false),
            (V2025_11_25, "resources/subscribe", true),
            (V2025_11_25, "logging/setLevel", true),
            (V2025_11_25, "server/discover", false),
            (V2025_11_25, "tasks/list", true),
            (V2025_11_25, "tasks/update", false),
            (V2025_11_25, "roots/list", false),
            (V2025_11_25, "TOOLS/CALL", false),
            (V2025_11_25, "", false),
        ] {
            assert_eq!(is_carried(revision, name), carried, "{revision} {name}");
        }
    }
}
