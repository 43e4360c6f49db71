//! `host.tools` and `host.tool.<name>`: the tools that a plugin's own calls may be of, as attributes (ADR 38).

use crate::grant::Grants;
use sluice_chain::catalogue::{Entry, View};
use sluice_wire::json::quote;

/// Another text for every other list.
const DIGEST: &str = "host.tools";
/// Before the name that who asks would call it by.
pub(super) const TOOL: &str = "host.tool.";

/// One attribute.
pub(super) fn find(view: &View, grants: &Grants, key: &str) -> Option<String> {
    if key == DIGEST {
        return Some(view.digest.iter().map(|byte| format!("{byte:02x}")).collect());
    }
    let entry = &view.find(key.strip_prefix(TOOL)?)?.entry;
    may_call(grants, entry).then(|| text(entry))
}

/// All of the tools whose attribute begins so, in the order of the list.
pub(super) fn with_prefix(view: &View, grants: &Grants, prefix: &str) -> Vec<(String, String)> {
    let entries = view.exposed.iter().map(|exposed| &exposed.entry).filter(|entry| may_call(grants, entry));
    let keyed = entries.map(|entry| (format!("{TOOL}{}", entry.name), entry));
    keyed.filter(|(key, _)| key.starts_with(prefix)).map(|(key, entry)| (key, text(entry))).collect()
}

/// What another filter answers is no upstream's, and is called by nobody but clients.
fn may_call(grants: &Grants, entry: &Entry) -> bool {
    entry.upstream.is_some() && grants.calls(&entry.owner, &entry.original)
}

fn text(entry: &Entry) -> String {
    let definition = String::from_utf8_lossy(&entry.definition);
    format!(r#"{{"upstream":{},"tool":{},"definition":{definition}}}"#, quote(&entry.owner), quote(&entry.original))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sluice_chain::catalogue::{Exposed, ListKind};
    use std::sync::Arc;

    fn exposed(name: &str, upstream: Option<usize>, owner: &str, original: &str) -> Exposed {
        let definition = Bytes::from(format!(r#"{{"name":"{name}"}}"#));
        let entry = Entry {
            name: name.into(),
            upstream,
            owner: owner.into(),
            original: original.into(),
            definition,
            digest: "".into(),
            task: None,
        };
        Exposed { entry, mirrored: Arc::default() }
    }

    #[test]
    fn tools_are_shown_to_whom_they_are_granted() {
        let list = vec![
            exposed("git_log", Some(0), "git", "log"),
            exposed("git_push", Some(0), "git", "push"),
            exposed("mail_send", Some(1), "mail", "send"),
            exposed("own", None, "git", "log"),
        ];
        let view = View::new(ListKind::Tools, list, Vec::new());
        let grants = Grants::read(&["upstream:git l*".into(), "upstream:mail *".into()]).unwrap();
        let shown = |prefix: &str| with_prefix(&view, &grants, prefix).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(shown(TOOL), ["host.tool.git_log", "host.tool.mail_send"]);
        assert_eq!(shown("host.tool.m"), ["host.tool.mail_send"]);
        let log = r#"{"upstream":"git","tool":"log","definition":{"name":"git_log"}}"#;
        assert_eq!(find(&view, &grants, "host.tool.git_log").as_deref(), Some(log));
        for none in ["host.tool.git_push", "host.tool.own", "host.tool.nothing", "host.tool.", "git_log"] {
            assert_eq!(find(&view, &grants, none), None, "{none}");
        }
        let other = View::new(ListKind::Tools, Vec::new(), Vec::new());
        assert_ne!(find(&view, &grants, DIGEST), find(&other, &grants, DIGEST));
        assert_eq!(with_prefix(&view, &Grants::default(), TOOL), []);
    }
}
