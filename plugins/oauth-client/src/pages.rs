//! What people see in the browser. Every word that came from elsewhere is escaped; there is no script, and nothing is loaded.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use sluice_sdk::prelude::*;

use crate::flow::Flow;
use crate::url::Url;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:4em auto;padding:0 1em}\
                     dt{font-weight:bold}dd{margin:0 0 .6em}button{font:inherit;padding:.4em 1em;margin-right:.6em}";

/// A page that only says something.
pub fn notice(status: u16, title: &str, text: &str) -> HttpResponse {
    page(status, title, &format!("<p>{}</p>", escaped(text)))
}

/// Asks whether this account is to be connected, before the browser is sent to the authorization server.
pub fn consent(flow: &Flow, csrf: &str) -> HttpResponse {
    let host = flow.found.server.authorizes().map(|url: Url| url.origin).unwrap_or_default();
    let scopes: Vec<String> = flow.scopes.iter().map(|scope| format!("<li><code>{}</code></li>", escaped(scope))).collect();
    let scopes = if scopes.is_empty() {
        "<p>whatever that server grants without being asked</p>".into()
    } else {
        format!("<ul>{}</ul>", scopes.concat())
    };
    let body = format!(
        "<p>You are <b>{who}</b> here. If you go on, this gateway may use your account at <b>{host}</b> whenever you use <b>{upstream}</b>.</p>\
         <dl><dt>Server</dt><dd>{upstream} (<code>{resource}</code>)</dd><dt>You will be asked by</dt><dd><code>{host}</code></dd>\
         <dt>For</dt><dd>{scopes}</dd></dl>\
         <form method=\"post\"><input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\
         <button name=\"answer\" value=\"yes\">Continue</button><button name=\"answer\" value=\"no\">Cancel</button></form>",
        who = escaped(&flow.person.subject),
        host = escaped(&host),
        upstream = escaped(&flow.upstream),
        resource = escaped(&flow.found.resource),
        csrf = escaped(csrf),
    );
    page(200, "Connect an account", &body)
}

fn page(status: u16, title: &str, body: &str) -> HttpResponse {
    let title = escaped(title);
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><h1>{title}</h1>{body}</html>"
    );
    // No `form-action`: browsers apply it to the redirects behind a form as well, and an authorization server may send its own on to
    // anywhere. The one form here has no target of anybody's choosing.
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; frame-ancestors 'none'",
        STANDARD.encode(Sha256::digest(STYLE.as_bytes()))
    );
    HttpResponse::new("text/html; charset=utf-8", html)
        .status(status)
        .header("content-security-policy", &policy)
        .header("x-frame-options", "DENY")
        .header("cache-control", "no-store")
        // A form of a page with "no-referrer" comes with the origin "null", which the host refuses.
        .header("referrer-policy", "same-origin")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_text() {
        let page = notice(400, "<b>", "\"><script>alert('x')</script>\u{1b}&");
        let html = String::from_utf8(page.body).unwrap();
        assert!(html.contains("<h1>&lt;b&gt;</h1><p>&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;\u{fffd}&amp;</p>"), "{html}");
    }
}
