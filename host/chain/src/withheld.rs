//! What is withheld from plugins in every request that they have a hand in: those they send themselves (`fetch`), and those that leave for
//! an upstream through them (`on-outbound`).

use memchr::memmem;

/// What belongs to the connection or to the host.
const OWNED: [&str; 14] = [
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// What servers take for another method or path than the request's, or for what a proxy knows.
const PRETENDS: [&str; 5] = ["proxy-", "x-forwarded-", "x-http-method", "x-original-", "x-rewrite-"];

/// Is a header no plugin's to set? `name` is in lower case. A server that speaks CGI reads `_` as `-`.
pub fn is_the_hosts(name: &str) -> bool {
    OWNED.contains(&name) || name.contains('_') || name == "x-method-override" || PRETENDS.iter().any(|start| name.starts_with(start))
}

/// A shorter secret stands in many an answer by chance.
const TELLING_BYTES: usize = 8;

/// Does a text of an answer hold a secret that was sent, as it is? A server that echoes would show it to whom it is not to be shown; in
/// another form nobody knows it.
pub fn repeats(secret: &[u8], text: &[u8]) -> bool {
    secret.len() >= TELLING_BYTES && memmem::find(text, secret).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_the_connection_or_pretends_is_no_plugins() {
        for owned in ["host", "te", "via", "forwarded", "proxy-x", "x-forwarded-for", "x-http-method-override", "x-original-url", "x_user"]
        {
            assert!(is_the_hosts(owned), "{owned}");
        }
        for free in ["authorization", "x-user", "x-amz-date", "user-agent", "x-original"] {
            assert!(!is_the_hosts(free), "{free}");
        }
    }

    #[test]
    fn a_secret_is_found_unless_it_is_too_short_to_tell() {
        assert!(repeats(b"12345678", b"<12345678>") && !repeats(b"1234567", b"<1234567>") && !repeats(b"12345678", b"<1234567>"));
    }
}
