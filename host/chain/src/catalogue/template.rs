//! Does a URI match an RFC 6570 template? Only the question, never the expansion.

/// A compiled URI template. Simple expressions (`{id}`) stop at `/`, `?` and `#`; `{+path}`, `{/x}`, `{?q}`, `{&q}`,
/// `{#f}`, `{.x}`, `{;x}` and exploded ones match any run.
#[derive(Clone, Debug)]
pub struct UriTemplate(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Literal(Box<str>),
    Segment,
    Rest,
}

impl UriTemplate {
    /// Compile; a brace that never closes is literal text.
    pub fn new(template: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((expression, tail)) = after.split_once('}') else { break };
            if !before.is_empty() {
                pieces.push(Piece::Literal(before.into()));
            }
            let simple = expression.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            pieces.push(if simple { Piece::Segment } else { Piece::Rest });
            rest = tail;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.into()));
        }
        Self(pieces)
    }

    /// Does the whole of `uri` match? A template without any expression matches only itself. Linear in
    /// pieces × length, so a hostile template costs nothing much.
    pub fn matches(&self, uri: &str) -> bool {
        // States: the set of byte offsets reachable after each piece.
        let mut reach = vec![false; uri.len() + 1];
        reach[0] = true;
        for piece in &self.0 {
            reach = step(piece, uri.as_bytes(), &reach);
        }
        reach[uri.len()]
    }
}

fn step(piece: &Piece, uri: &[u8], from: &[bool]) -> Vec<bool> {
    let mut to = vec![false; from.len()];
    match piece {
        Piece::Literal(text) => {
            for at in (0..from.len()).filter(|&i| from[i]) {
                if uri[at..].starts_with(text.as_bytes()) {
                    to[at + text.len()] = true;
                }
            }
        }
        Piece::Segment | Piece::Rest => {
            let any = matches!(piece, Piece::Rest);
            let mut open = false;
            for at in 0..from.len() {
                if open && at > 0 {
                    open = any || !matches!(uri[at - 1], b'/' | b'?' | b'#');
                    to[at] |= open;
                }
                // `{+path}` and its like may be empty, a simple expression may not.
                to[at] |= from[at] && any;
                open |= from[at];
            }
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_what_the_template_can_expand_to() {
        for (template, uri, expected) in [
            ("test://static", "test://static", true),
            ("test://static", "test://static2", false),
            ("test://template/{id}/data", "test://template/123/data", true),
            ("test://template/{id}/data", "test://template/1/2/data", false),
            ("test://template/{id}/data", "test://template//data", false),
            ("file:///{+path}", "file:///a/b/c", true),
            ("file:///{+path}", "file:///", true),
            ("x://{a}-{b}", "x://1-2-3", true),
            ("x://{a}{?q}", "x://1?q=2", true),
            ("x://{a", "x://{a", true),
        ] {
            assert_eq!(UriTemplate::new(template).matches(uri), expected, "{template} on {uri}");
        }
    }
}
