//! How deep policies may go. Cedar reads and evaluates by recursion, and a component's stack is small: what went deeper would be a trap in the
//! middle of a call, where it can be a word at load.

use serde_json::Value;

/// Most brackets within one another. The reader's recursion: 100 were too many.
pub const BRACKETS_MAX: usize = 50;
/// Most levels of a policy in Cedar's JSON form, where each operator of a chain is two. The evaluator's recursion: 500 were too many.
pub const LEVELS_MAX: usize = 250;

/// The line in which brackets go too deep. Texts in quotes and comments have none.
pub fn too_many_brackets(text: &str) -> Option<usize> {
    let (mut depth, mut line) = (0_usize, 1);
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\n' => line += 1,
            b'(' | b'[' | b'{' => {
                depth += 1;
                if depth > BRACKETS_MAX {
                    return Some(line);
                }
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'/' if bytes.peek() == Some(&b'/') => while bytes.next_if(|byte| *byte != b'\n').is_some() {},
            b'"' => {
                while let Some(byte) = bytes.next().filter(|byte| *byte != b'"') {
                    let escaped = if byte == b'\\' { bytes.next() } else { None };
                    line += usize::from(byte == b'\n' || escaped == Some(b'\n'));
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether a policy, in its JSON form, has more levels than are evaluated.
pub fn has_too_many_levels(policy: &Value) -> bool {
    // Not by recursion.
    let mut left = vec![(policy, 1)];
    while let Some((value, level)) = left.pop() {
        if level > LEVELS_MAX {
            return true;
        }
        match value {
            Value::Array(items) => left.extend(items.iter().map(|item| (item, level + 1))),
            Value::Object(members) => left.extend(members.values().map(|member| (member, level + 1))),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_counted_where_they_mean_something() {
        let nested = |depth: usize| format!("\n{}1{}", "(".repeat(depth), ")".repeat(depth));
        assert_eq!(too_many_brackets(&nested(BRACKETS_MAX)), None);
        assert_eq!(too_many_brackets(&nested(BRACKETS_MAX + 1)), Some(2));
        assert_eq!(too_many_brackets(&"()".repeat(1000)), None);
        let many = "[".repeat(1000);
        for no in [format!("\"{many}\""), format!("\"\\\"{many}\""), format!("// {many}\n"), format!("\"// \" //{many}")] {
            assert_eq!(too_many_brackets(&no), None, "{no}");
        }
        assert_eq!(too_many_brackets(&format!("\"a\nb\" // c\n{many}")), Some(3));
        assert_eq!(too_many_brackets(&format!("\"a\\\\\"{many}")), Some(1));
    }
}
