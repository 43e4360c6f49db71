//! What a peer wrote, made safe to show.

const SHOWN_MAX: usize = 512;

/// Bytes of a peer, safe on a terminal and in a log: escaped and cut.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let end = bytes.len().min(SHOWN_MAX);
    let mut shown: String = String::from_utf8_lossy(&bytes[..end]).chars().flat_map(char::escape_debug).collect();
    if end < bytes.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_are_escaped_and_long_lines_cut() {
        assert_eq!(shown(b"\x1b[31mred\x07"), "\\u{1b}[31mred\\u{7}");
        assert!(shown(&[b'a'; 600]).ends_with("a…"));
    }
}
