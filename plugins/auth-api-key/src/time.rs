//! Dates as RFC 3339 writes them.

/// Seconds since 1970 in UTC; nothing if this is no such date.
pub(crate) fn unix_seconds(rfc3339: &str) -> Option<u64> {
    let text = rfc3339.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.iter().try_fold(0, |sum, d| d.is_ascii_digit().then(|| sum * 10 + i64::from(d - b'0')))
    };
    let separated = [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")];
    if !separated.iter().all(|(at, any)| text.get(*at).is_some_and(|byte| any.as_bytes().contains(byte))) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let mut zone = 19;
    if text.get(zone) == Some(&b'.') {
        zone += 1 + text[zone + 1..].iter().take_while(|d| d.is_ascii_digit()).count();
        if zone == 20 {
            return None;
        }
    }
    let offset = match text.get(zone)? {
        b'Z' | b'z' if text.len() == zone + 1 => 0,
        sign @ (b'+' | b'-') if text.len() == zone + 6 && text[zone + 3] == b':' => {
            let (hours, minutes) = (number(zone + 1, zone + 3)?, number(zone + 4, zone + 6)?);
            let seconds = (hours * 60 + minutes) * 60;
            if hours > 23 || minutes > 59 {
                return None;
            }
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    let real = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    // A leap second is the next second: keys do not expire by halves.
    if !real || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = (days_since_1970(year, month, day) * 24 + hour) * 3600 + minute * 60 + second - offset;
    u64::try_from(seconds).ok()
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Years that begin in March put the leap day last, and every month's beginning on one line.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let before_year = year * 365 + year / 4 - year / 100 + year / 400;
    before_year + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-11-22T12:00:00+01:00", 1_795_345_200),
            ("2026-11-22t12:00:00.123456-05:30", 1_795_368_600),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("2016-12-31T23:59:60Z", 1_483_228_800),
        ] {
            assert_eq!(unix_seconds(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T12:00:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T12:00:00.Z",
            "2026-11-22T12:00:00Zx",
            "2026-11-22T12:00:00+1:00",
            "1969-12-31T23:59:59Z",
            "2026-11-22T12:00:00+24:00",
            "٢026-11-22T12:00:00Z",
        ] {
            assert_eq!(unix_seconds(text), None, "{text}");
        }
    }
}
