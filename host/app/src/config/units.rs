//! Numbers carry their unit in the name of the key. Somebody who writes "30s" gets the number.

/// What to write instead of `text` under a key whose name ends in a unit.
pub(super) fn suggest(path: &str, text: &str) -> Option<String> {
    let key = path.rsplit('.').next().unwrap_or(path);
    let (amount, unit) = split(text)?;
    let number = if unit.is_empty() {
        return Some(format!("write {amount}, without quotes"));
    } else if key.ends_with("_ms") || key.ends_with("_ms_max") {
        amount.checked_mul(milliseconds(unit)?)?
    } else if key.ends_with("_bytes_max") {
        amount.checked_mul(bytes(unit)?)?
    } else if key.ends_with("_mib") || key.ends_with("_mib_max") {
        amount.checked_mul(bytes(unit)?)? >> 20
    } else if key.ends_with("_kib") {
        amount.checked_mul(bytes(unit)?)? >> 10
    } else {
        return None;
    };
    Some(format!("write {number}"))
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (amount, unit) = text.split_at(digits);
    Some((amount.parse().ok()?, unit.trim()))
}

fn milliseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ms" => 1,
        "s" | "sec" | "seconds" => 1_000,
        "m" | "min" | "minutes" => 60_000,
        "h" | "hours" => 3_600_000,
        _ => return None,
    })
}

fn bytes(unit: &str) -> Option<u64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_becomes_a_number() {
        for (key, text, number) in [
            ("a.call_timeout_ms", "30s", Some("write 30000")),
            ("drain_timeout_ms", "5 min", Some("write 300000")),
            ("request_bytes_max", "4MiB", Some("write 4194304")),
            ("memory_mib", "1 GiB", Some("write 1024")),
            ("stack_kib", "1mb", Some("write 1024")),
            ("children_max", "7", Some("write 7, without quotes")),
            ("children_max", "7s", None),
            ("call_timeout_ms", "soon", None),
            ("call_timeout_ms", "99999999999999999h", None),
        ] {
            assert_eq!(suggest(key, text).as_deref(), number, "{key} {text}");
        }
    }
}
