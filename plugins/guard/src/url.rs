//! What a URL carries to whom.

use alloc::borrow::Cow;
use alloc::string::String;

/// Text behind an encoding has no words; as much of it as nobody writes by hand.
const BLOB_MIN: usize = 32;
/// Of paths, where names of files and digests of versions are longer.
const PATH_BLOB_MIN: usize = 40;

/// Whether a URL leads elsewhere than to these hosts and has data in it, or room for it.
pub(crate) fn carries(url: &str, hosts: &[String]) -> bool {
    // Browsers read one as the other, and pass over the ends of lines.
    let plain: Cow<'_, str> = if url.contains(['\\', '\t', '\r', '\n']) {
        let kept = url.chars().filter(|c| !matches!(c, '\t' | '\r' | '\n'));
        Cow::Owned(kept.map(|c| if c == '\\' { '/' } else { c }).collect())
    } else {
        Cow::Borrowed(url)
    };
    let Some(parts) = Parts::of(&plain) else { return false };
    !parts.is_of(hosts)
        && (parts.authority.contains('@')
            || [parts.authority, parts.path, parts.query].into_iter().any(is_blank)
            || parts.host().split('.').any(|label| is_blob(label, BLOB_MIN, true))
            || parts.path.split('/').any(|part| is_blob(part, PATH_BLOB_MIN, false) || is_prose(part))
            || parts.query.split(SEPARATORS).any(is_loaded))
}

/// The same behind the path alone.
pub(crate) fn carries_behind(url: &str, hosts: &[String]) -> bool {
    Parts::of(url).is_some_and(|parts| {
        let is_loaded = parts.authority.contains('@') || is_blank(parts.query) || parts.query.split(SEPARATORS).any(is_loaded);
        is_loaded && !parts.is_of(hosts)
    })
}

/// What parts of a query stand between.
const SEPARATORS: [char; 4] = ['?', '&', ';', '#'];

/// Of a URL that leads to another host.
struct Parts<'u> {
    authority: &'u str,
    path: &'u str,
    /// With its question mark, and the fragment.
    query: &'u str,
}

impl<'u> Parts<'u> {
    fn of(url: &'u str) -> Option<Self> {
        let (scheme, behind) = url.split_at(url.find(['/', '\\', ':'])?);
        let rest = match behind.strip_prefix(':') {
            // However many slashes there are, none included.
            Some(rest) if ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) => rest,
            None if scheme.is_empty() && behind.bytes().take_while(|b| matches!(b, b'/' | b'\\')).count() > 1 => behind,
            _ => return None,
        };
        let rest = rest.trim_start_matches(['/', '\\']);
        let (authority, behind) = rest.split_at(rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len()));
        let (path, query) = behind.split_at(behind.find(['?', '#']).unwrap_or(behind.len()));
        Some(Parts { authority, path, query })
    }

    fn host(&self) -> &'u str {
        let host = self.authority.rsplit('@').next().unwrap_or_default();
        host.split(':').next().unwrap_or_default()
    }

    fn is_of(&self, hosts: &[String]) -> bool {
        hosts.iter().any(|listed| is_below(self.host(), listed))
    }
}

/// `listed` is a host, or `*.` and a domain for every host below it.
fn is_below(host: &str, listed: &str) -> bool {
    match listed.strip_prefix("*.") {
        None => host.eq_ignore_ascii_case(listed),
        Some(domain) => {
            let at = host.len().wrapping_sub(domain.len());
            at > 1
                && at < host.len()
                && host.as_bytes()[at - 1] == b'.'
                && host.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(domain))
        }
    }
}

/// A place that a model is to fill in.
fn is_blank(url: &str) -> bool {
    let url = url.as_bytes();
    let has = |part: &[u8]| url.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
    url.iter().any(|b| matches!(b, b'{' | b'<' | b'[' | b'$')) || has(b"%7b") || has(b"%3c") || has(b"%5b") || has(b"...")
}

fn is_loaded(parameter: &str) -> bool {
    match parameter.split_once('=') {
        // Left open at the end, for what is to be appended.
        Some((_, "")) => true,
        Some((_, value)) => is_blob(value, BLOB_MIN, true) || is_prose(value),
        None => is_blob(parameter, BLOB_MIN, true) || is_prose(parameter),
    }
}

/// Base64, base64url, hex: long, of their letters only, with digits among them.
fn is_blob(text: &str, min: usize, hex_counts: bool) -> bool {
    let count = |is: fn(&u8) -> bool| text.bytes().filter(is).count();
    let is_of_it = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'_' | b'-' | b'%');
    let mixed = count(u8::is_ascii_digit) >= 2 && count(u8::is_ascii_alphabetic) >= 4;
    let is_hex = text.bytes().all(|b| b.is_ascii_hexdigit());
    text.len() >= min && text.bytes().all(is_of_it) && mixed && (hex_counts || (!is_hex && count(u8::is_ascii_uppercase) >= 4))
}

/// Several words in one part of a URL.
fn is_prose(text: &str) -> bool {
    let pluses = text.bytes().filter(|b| matches!(b, b'+' | b' ')).count();
    let spaces = text.match_indices("%20").count();
    pluses + spaces >= 4
}
