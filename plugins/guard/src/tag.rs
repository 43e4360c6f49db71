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

impl<'t> Tag<'t> {
    /// The tag that `text` begins with.
    pub(crate) fn read(text: &'t str) -> Option<Self> {
        let inside = text.strip_prefix('<')?;
        let inside = inside.strip_prefix('/').unwrap_or(inside);
        let name_len = inside.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')).count();
        if !inside.as_bytes().first()?.is_ascii_alphabetic() {
            return None;
        }
        let rest = &inside[name_len..];
        let end = rest.bytes().take(LEN_MAX).position(|b| b == b'>')?;
        let begin = text.len() - inside.len();
        Some(Tag { name: &inside[..name_len], attributes: &rest[..end], len: begin + name_len + end + 1 })
    }

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
        let Some(value) = rest.trim_start().strip_prefix('=') else {
            self.0 = rest;
            return Some((name, ""));
        };
        let value = value.trim_start();
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

    #[test]
    fn a_tag_is_read_with_its_attributes() {
        let tag = Tag::read("<IMG alt='a>' src=\"//x/y\" hidden>rest").unwrap();
        assert!(tag.is_one_of(&["img"]));
        // As a simple reader has it: the first bracket ends the tag.
        assert_eq!(tag.len, 12);
        let tag = Tag::read("<a href = https://x/y?z=1 hidden data-x='1'>").unwrap();
        assert_eq!(tag.values(&["href"]).collect::<Vec<_>>(), ["https://x/y?z=1"]);
        assert!(tag.has("hidden") && !tag.has("src"));
        for none in ["<", "< a>", "<1>", "</>", "<a", "a"] {
            assert!(Tag::read(none).is_none(), "{none}");
        }
    }
}
