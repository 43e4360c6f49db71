//! HTML tags, read as browsers read them and no further.

/// `<name attributes>` or `</name>`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tag<'t> {
    pub(crate) name: &'t str,
    /// Everything behind the name.
    pub(crate) attributes: &'t str,
    /// Bytes, brackets included.
    pub(crate) len: usize,
}

/// Longer ones are no tags that anybody wrote by hand.
const LEN_MAX: usize = 16 << 10;

/// Reads the tags of one text. What is open may be read again from each `<` inside it, so there is a bound on all reading together.
#[derive(Debug)]
pub(crate) struct Tags<'t> {
    text: &'t str,
    fuel: usize,
}

/// Somebody has opened so many tags that it takes too long to see where they close. What cannot be read counts as found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

impl<'t> Tags<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        // Tags that close are read once or twice, whatever is in them.
        Tags { text, fuel: 8 * text.len() + (64 << 10) }
    }

    /// The tag at a `<`, if one is there.
    pub(crate) fn read(&mut self, at: usize) -> Result<Option<Tag<'t>>, Unreadable> {
        let text = &self.text[at..];
        let Some(inside) = text.strip_prefix('<') else { return Ok(None) };
        let inside = inside.strip_prefix('/').unwrap_or(inside);
        if !inside.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) {
            return Ok(None);
        }
        if self.fuel == 0 {
            return Err(Unreadable);
        }
        let name_len = inside.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')).count();
        let rest = &inside[name_len..];
        let (end, looked) = close(&rest.as_bytes()[..rest.len().min(LEN_MAX)]);
        self.burn(name_len + looked)?;
        let begin = text.len() - inside.len();
        Ok(end.map(|end| Tag { name: &inside[..name_len], attributes: &rest[..end], len: begin + name_len + end + 1 }))
    }

    /// Some bytes are looked at.
    pub(crate) fn burn(&mut self, bytes: usize) -> Result<(), Unreadable> {
        self.fuel = self.fuel.saturating_sub(bytes);
        if self.fuel == 0 { Err(Unreadable) } else { Ok(()) }
    }
}

/// Where the `>` is that ends a tag, and how many bytes were looked at. Quotes hide one only around a value; those that never end hide
/// none, since some readers know nothing of quotes.
fn close(rest: &[u8]) -> (Option<usize>, usize) {
    let mut at = 0;
    let mut is_value = false;
    let mut first = None;
    while let Some(byte) = rest.get(at) {
        match byte {
            b'>' => return (Some(at), at + 1),
            b'"' | b'\'' if is_value => {
                let value = &rest[at + 1..];
                let Some(len) = value.iter().position(|b| b == byte) else {
                    first = value.iter().position(|b| *b == b'>').map(|len| at + 1 + len);
                    at = rest.len();
                    break;
                };
                at += len + 1;
                is_value = false;
            }
            b'=' => is_value = true,
            _ => is_value &= byte.is_ascii_whitespace(),
        }
        at += 1;
    }
    (first, 2 * at)
}

impl<'t> Tag<'t> {
    pub(crate) fn is_one_of(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.name.eq_ignore_ascii_case(name))
    }

    /// The values of the attributes of these names, quotes taken off.
    pub(crate) fn values(self, names: &'static [&str]) -> impl Iterator<Item = &'t str> {
        Attributes(self.attributes).filter(move |(name, _)| names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted))).map(|(_, v)| v)
    }

    /// Whether there is an attribute of this name, with or without a value.
    pub(crate) fn has(self, name: &str) -> bool {
        Attributes(self.attributes).any(|(found, _)| found.eq_ignore_ascii_case(name))
    }
}

struct Attributes<'t>(&'t str);

impl<'t> Iterator for Attributes<'t> {
    type Item = (&'t str, &'t str);

    fn next(&mut self) -> Option<(&'t str, &'t str)> {
        let text = self.0.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if text.is_empty() {
            return None;
        }
        let name_len = text.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '/')).unwrap_or(text.len()).max(1);
        let (name, rest) = text.split_at_checked(name_len)?;
        let Some(value) = rest.trim_start_matches(|c: char| c.is_ascii_whitespace()).strip_prefix('=') else {
            self.0 = rest;
            return Some((name, ""));
        };
        let value = value.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let (value, rest) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
            _ => value.split_at(value.find(|c: char| c.is_ascii_whitespace()).unwrap_or(value.len())),
        };
        self.0 = rest;
        Some((name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn read(text: &str) -> Option<Tag<'_>> {
        Tags::of(text).read(0).unwrap()
    }

    #[test]
    fn a_tag_is_read_with_its_attributes() {
        let tag = read("<IMG alt='a>' src=\"//x/y\" hidden>rest").unwrap();
        assert!(tag.is_one_of(&["img"]) && tag.has("hidden"));
        assert_eq!(tag.values(&["src"]).collect::<Vec<_>>(), ["//x/y"]);
        // As a simple reader has it, where the quote never ends.
        assert_eq!(read("<img alt='a> src=x>").map(|tag| tag.len), Some(12));
        assert_eq!(read("<b it's><i it's>").map(|tag| tag.len), Some(8));
        let tag = read("<a href = https://x/y?z=1 hidden data-x='1'>").unwrap();
        assert_eq!(tag.values(&["href"]).collect::<Vec<_>>(), ["https://x/y?z=1"]);
        assert!(tag.has("hidden") && !tag.has("src"));
        for none in ["<", "< a>", "<1>", "</>", "<a", "a"] {
            assert!(read(none).is_none(), "{none}");
        }
    }

    #[test]
    fn reading_ends() {
        let text = "<a ".repeat(20_000);
        let mut tags = Tags::of(&text);
        let read = (0..text.len()).step_by(3).map(|at| tags.read(at)).take_while(Result::is_ok).count();
        assert!((10..10_000).contains(&read), "{read}");
    }
}
