//! `on-http`: what a guest is shown of a request, and what it may answer.

use super::{
    bindings::exports::sluice::filter::on_http as wit,
    convert::{bad, is_header},
};
use sluice_chain::{
    fault::Fault,
    route::{RouteRequest, RouteResponse},
};

const HEADERS_MAX: usize = 64;
const BODY_BYTES_MAX: usize = 1 << 20;
const COOKIE_PATH_BYTES_MAX: usize = 1024;

/// All that a page or document needs and that speaks of itself only. What speaks of the connection, of the whole origin
/// (`strict-transport-security`, `clear-site-data`, `service-worker-allowed`) or of MCP is the host's.
const HEADERS: [&str; 27] = [
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "allow",
    "cache-control",
    "content-disposition",
    "content-language",
    "content-security-policy",
    "content-type",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "etag",
    "expires",
    "last-modified",
    "link",
    "location",
    "permissions-policy",
    "referrer-policy",
    "retry-after",
    "set-cookie",
    "vary",
    "www-authenticate",
    "x-frame-options",
    "x-robots-tag",
];

/// What stands before the names of a plugin's cookies outside: one name of ours serves the pages of all plugins, and maybe others'.
fn mark(plugin: &str) -> String {
    format!("{plugin}-")
}

/// The headers of a request; of its cookies those that the plugin has set.
pub(crate) fn headers(request: &RouteRequest, plugin: &str) -> Vec<(String, String)> {
    let seen = |(name, value): &(String, String)| match name.as_str() {
        "cookie" => own_cookies(value, &mark(plugin)).map(|own| (name.clone(), own)),
        _ => Some((name.clone(), value.clone())),
    };
    request.headers.iter().filter_map(seen).collect()
}

fn own_cookies(cookies: &str, mark: &str) -> Option<String> {
    let own: Vec<&str> = cookies.split(';').filter_map(|cookie| cookie.trim().strip_prefix(mark)).collect();
    (!own.is_empty()).then(|| own.join("; "))
}

pub(crate) fn request<'a>(request: &'a RouteRequest, headers: &'a [(&'a str, &'a str)]) -> wit::Request<'a> {
    wit::Request {
        method: &request.method,
        path: &request.path,
        query: request.query.as_deref(),
        headers,
        body: &request.body,
        base: &request.base,
    }
}

pub(crate) fn response(answer: wit::Response, plugin: &str) -> Result<RouteResponse, Fault> {
    if !(200..=599).contains(&answer.status) {
        return Err(bad("it answers with an HTTP status outside 200 to 599"));
    }
    if answer.body.len() > BODY_BYTES_MAX {
        return Err(bad(format!("it answers with more than {BODY_BYTES_MAX} bytes")));
    }
    if matches!(answer.status, 204 | 205 | 304) && !answer.body.is_empty() {
        return Err(bad(format!("it answers {} with a body", answer.status)));
    }
    if answer.headers.len() > HEADERS_MAX {
        return Err(bad(format!("it answers with more than {HEADERS_MAX} headers")));
    }
    let headers: Result<Vec<_>, _> = answer.headers.into_iter().map(|header| self::header(header, plugin)).collect();
    Ok(RouteResponse { status: answer.status, headers: headers?, body: answer.body.into() })
}

fn header((name, value): (String, String), plugin: &str) -> Result<(String, String), Fault> {
    let name = name.to_ascii_lowercase();
    if !is_header(&name, &value) {
        return Err(bad("it answers with a header that HTTP does not allow"));
    }
    if !HEADERS.contains(&name.as_str()) {
        return Err(bad(format!("it answers with the header {name:?}, which is not a plugin's")));
    }
    if name != "set-cookie" {
        return Ok((name, value));
    }
    if !stays_below(&value, &format!("/-/{plugin}/")) {
        return Err(bad(format!("it sets a cookie that is not kept below /-/{plugin}/")));
    }
    Ok((name, mark(plugin) + &value))
}

/// The browser gives the cookie to this path only, and to this host only. Of two paths it may pass over either (RFC 6265bis leaves
/// attributes of more than 1,024 bytes out), so there is one, and it is short.
fn stays_below(cookie: &str, path: &str) -> bool {
    let attributes = || cookie.split(';').skip(1).map(|part| part.split_once('=').unwrap_or((part, "")));
    let of = |wanted: &'static str| attributes().filter(move |(name, _)| name.trim().eq_ignore_ascii_case(wanted));
    let paths: Vec<&str> = of("path").map(|(_, value)| value.trim()).collect();
    matches!(paths[..], [own] if own.starts_with(path) && own.len() <= COOKIE_PATH_BYTES_MAX) && of("domain").next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, headers: &[(&str, &str)], body_bytes: usize) -> Result<RouteResponse, Fault> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        response(wit::Response { status, headers, body: vec![b'x'; body_bytes] }, "connect")
    }

    #[test]
    fn an_answer_speaks_of_itself_only() {
        let fine = answered(302, &[("Location", "/-/connect/done"), ("set-cookie", "s=1; Path=/-/connect/; HttpOnly")], 0).unwrap();
        assert_eq!(fine.headers[0], ("location".to_owned(), "/-/connect/done".to_owned()));
        assert_eq!(fine.headers[1].1, "connect-s=1; Path=/-/connect/; HttpOnly");
        for bad in [
            ("content-length", "1"),
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("upgrade", "h2c"),
            ("mcp-session-id", "x"),
            ("strict-transport-security", "max-age=0"),
            ("clear-site-data", "*"),
            ("service-worker-allowed", "/"),
            ("access-control-allow-credentials", "true"),
            ("x-accel-redirect", "/etc/passwd"),
            ("location", "/x\r\nset-cookie: a=b"),
            ("loca tion", "/x"),
            ("set-cookie", "s=1"),
            ("set-cookie", "s=1; path=/"),
            ("set-cookie", "s=1; path=/-/connect/; path=/"),
            ("set-cookie", "s=1; path=/; path=/-/connect/"),
            ("set-cookie", &format!("s=1; path=/-/connect/{}", "x".repeat(1024))),
            ("set-cookie", "s=1; Path=/-/connecting/"),
            ("set-cookie", "s=1; path=/-/connect/; Domain=example.com"),
        ] {
            assert!(matches!(answered(200, &[bad], 0), Err(Fault::BadReply(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_plugin_is_shown_the_cookies_that_it_set() {
        for (sent, seen) in [
            ("connect-s=1", Some("s=1")),
            ("sso=secret; connect-s=1;connect-t=a=b; other-s=2", Some("s=1; t=a=b")),
            ("sso=secret; other=connect-s=1", None),
            ("", None),
        ] {
            assert_eq!(own_cookies(sent, &mark("connect")).as_deref(), seen, "{sent}");
        }
    }

    #[test]
    fn an_answer_is_bounded() {
        assert!(answered(200, &[], BODY_BYTES_MAX).is_ok());
        assert!(answered(200, &[], BODY_BYTES_MAX + 1).is_err());
        assert!(answered(200, &[("vary", "a"); HEADERS_MAX + 1], 0).is_err());
        for status in [0, 100, 199, 600] {
            assert!(answered(status, &[], 0).is_err(), "{status}");
        }
        assert!(answered(204, &[], 0).is_ok() && answered(204, &[], 1).is_err());
    }
}
