//! What people see in the browser. Every word that came from elsewhere is escaped; there is no script, and nothing is loaded.

use alloc::format;
use alloc::string::String;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use sluice_sdk::prelude::*;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:4em auto;padding:0 1em}";

/// A page that only says something.
pub fn notice(status: u16, title: &str, text: &str) -> HttpResponse {
    let (title, text) = (escaped(title), escaped(text));
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><h1>{title}</h1><p>{text}</p></html>"
    );
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        STANDARD.encode(Sha256::digest(STYLE.as_bytes()))
    );
    HttpResponse::new("text/html; charset=utf-8", html)
        .status(status)
        .header("content-security-policy", &policy)
        .header("x-frame-options", "DENY")
        .header("cache-control", "no-store")
        .header("referrer-policy", "no-referrer")
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
