//! Puts a JSON text on one line without changing its meaning.

/// Appends `json` to `out` with every raw CR and LF replaced by a space.
///
/// A valid JSON text holds raw line ends only between tokens (inside strings they must be
/// escaped), so the replacement is lossless there; in anything else it stops a line end from
/// being read as the end of a frame.
pub(crate) fn flatten_into(out: &mut Vec<u8>, json: &[u8]) {
    let start = out.len();
    out.extend_from_slice(json);
    let mut at = start;
    while let Some(found) = memchr::memchr2(b'\n', b'\r', &out[at..]) {
        at += found;
        out[at] = b' ';
        at += 1;
    }
}
