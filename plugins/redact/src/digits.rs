//! Checks of data that is mostly digits. All get a candidate and say which parts of it are the data.

use alloc::vec::Vec;
use core::ops::Range;

/// Windows of whole digit groups that are a card number: an issuer's prefix, its length, and Luhn.
///
/// Only whole groups, so that a number inside a longer run of digits is left alone; and none of fewer than four digits but the last, so
/// that a row of small numbers is.
pub(crate) fn cards(text: &str) -> Vec<Range<usize>> {
    let groups = groups(text);
    let mut found = Vec::new();
    let mut first = 0;
    while first < groups.len() {
        let longest = (first..groups.len())
            .take_while(|last| digits_between(&groups, first, *last) <= 19)
            .take_while(|last| groups[first..*last].iter().all(|group| group.len() >= 4))
            .filter(|last| is_card(&digits(&text[groups[first].start..groups[*last].end])))
            .last();
        match longest {
            Some(last) => {
                found.push(groups[first].start..groups[last].end);
                first = last + 1;
            }
            None => first += 1,
        }
    }
    found
}

fn groups(text: &str) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (i, byte) in text.bytes().enumerate() {
        match groups.last_mut() {
            _ if !byte.is_ascii_digit() => {}
            Some(group) if group.end == i => group.end = i + 1,
            _ => groups.push(i..i + 1),
        }
    }
    groups
}

fn digits_between(groups: &[Range<usize>], first: usize, last: usize) -> usize {
    groups[first..=last].iter().map(ExactSizeIterator::len).sum()
}

fn digits(text: &str) -> Vec<u8> {
    text.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect()
}

fn is_card(digits: &[u8]) -> bool {
    let prefix = |length: usize| digits.iter().take(length).fold(0_u32, |sum, d| sum * 10 + u32::from(*d));
    let n = digits.len();
    if !(13..=19).contains(&n) {
        return false;
    }
    let issued = match (prefix(1), prefix(2), prefix(3), prefix(4)) {
        (4, ..) => matches!(n, 13 | 16 | 18 | 19),                       // Visa
        (_, 34 | 37, ..) => n == 15,                                     // American Express
        (_, 51..=55, ..) | (.., 2221..=2720) => n == 16,                 // Mastercard
        (_, 36 | 38 | 39, ..) | (_, _, 300..=305, _) => n >= 14,         // Diners
        (.., 3528..=3589) => n >= 16,                                    // JCB
        (_, 62 | 65, ..) | (_, _, 644..=649, _) | (.., 6011) => n >= 16, // UnionPay, Discover
        (_, 50 | 56..=58 | 60..=69, ..) => true,                         // Maestro and others
        (.., 2200..=2204) => n >= 16,                                    // Mir
        _ => false,
    };
    issued && luhn(digits)
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| {
            let doubled = u32::from(*d) * if i % 2 == 1 { 2 } else { 1 };
            doubled / 10 + doubled % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whatever has the check digit of ISO/IEC 7812.
pub(crate) fn checked(text: &str) -> Vec<Range<usize>> {
    let digits = digits(text);
    whole_if(text, digits.len() > 1 && luhn(&digits))
}

/// Account numbers: a country, its length, and the remainder of 97. They start where a group starts.
pub(crate) fn ibans(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut free = 0;
    for (start, _) in text.char_indices() {
        let fresh = start == 0 || !text[..start].ends_with(|c: char| c.is_ascii_alphanumeric());
        if start >= free
            && fresh
            && let Some(end) = iban_end(text, start)
        {
            found.push(start..end);
            free = end;
        }
    }
    found
}

fn iban_end(text: &str, start: usize) -> Option<usize> {
    let country = text.get(start..start + 2)?;
    let length = iban_length(&country.to_ascii_uppercase())?;
    let signs: Vec<(usize, u8)> = text
        .bytes()
        .enumerate()
        .skip(start)
        .filter(|(_, byte)| byte.is_ascii_alphanumeric())
        .take(length)
        .map(|(i, byte)| (i, byte.to_ascii_uppercase()))
        .collect();
    let end = signs.last()?.0 + 1;
    let ends_there = !text[end..].starts_with(|c: char| c.is_ascii_alphanumeric());
    let moved = signs.iter().cycle().skip(4).take(length);
    let remainder = moved.fold(0_u32, |rest, (_, sign)| match sign {
        b'0'..=b'9' => (rest * 10 + u32::from(sign - b'0')) % 97,
        _ => (rest * 100 + u32::from(sign - b'A') + 10) % 97,
    });
    (signs.len() == length && ends_there && remainder == 1).then_some(end)
}

/// From the registry of ISO 13616.
fn iban_length(country: &str) -> Option<usize> {
    let by_length: &[(usize, &str)] = &[
        (15, "NO"),
        (16, "BE"),
        (18, "DK FI FK FO GL NL SD"),
        (19, "MK SI"),
        (20, "AT BA EE KZ LT LU MN XK"),
        (21, "CH HR LI LV"),
        (22, "BG BH CR DE GB GE IE ME RS VA"),
        (23, "AE GI IL IQ OM SO TL"),
        (24, "AD CZ DJ ES MD PK RO SA SE SK TN VG"),
        (25, "LY PT ST"),
        (26, "IS TR"),
        (27, "BI FR GR IT MC MR SM"),
        (28, "AL AZ BY CY DO GT HN HU LB NI PL SV"),
        (29, "BR EG PS QA UA"),
        (30, "JO KW MU YE"),
        (31, "MT SC"),
        (32, "LC"),
        (33, "RU"),
    ];
    by_length.iter().find(|(_, countries)| countries.split(' ').any(|c| c == country)).map(|(length, _)| *length)
}

/// Without the word before it. Seven to fifteen digits (E.164), eight with a country; more is some other number.
pub(crate) fn phones(text: &str) -> Vec<Range<usize>> {
    let Some(start) = text.find(|c: char| c.is_ascii_digit() || matches!(c, '+' | '(')) else { return Vec::new() };
    let number = &text[start..];
    let count = digits(number).len();
    let is_decimal = number
        .split_once('.')
        .is_some_and(|(whole, rest)| whole.len() <= 4 && whole.starts_with('+') && rest.bytes().all(|byte| byte.is_ascii_digit()));
    let fits = match number.as_bytes() {
        _ if start > 0 => (7..=15).contains(&count),
        [b'+', ..] => (8..=15).contains(&count) && !is_decimal,
        [b'0', b'0', ..] => (10..=17).contains(&count),
        _ => (10..=11).contains(&count),
    };
    if fits { alloc::vec![start..text.len()] } else { Vec::new() }
}

/// What the administration never gave out is no number of anyone.
pub(crate) fn social_security(text: &str) -> Vec<Range<usize>> {
    let never = text.starts_with("000") || text.starts_with("666") || text.starts_with('9');
    whole_if(text, !never && &text[4..6] != "00" && &text[7..] != "0000")
}

/// Four numbers up to 255.
pub(crate) fn ipv4(text: &str) -> Vec<Range<usize>> {
    whole_if(text, text.split('.').all(|part| part.parse::<u8>().is_ok()))
}

fn whole_if(text: &str, is: bool) -> Vec<Range<usize>> {
    if is { alloc::vec![0..text.len()] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(by: fn(&str) -> Vec<Range<usize>>, text: &str, expected: &[&str]) {
        let found: Vec<_> = by(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, expected, "in {text}");
    }

    #[test]
    fn cards_have_an_issuer_a_length_and_luhn() {
        for card in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "3782 822463 10005",
            "6011111111111117",
            "30569309025904",
            "3530111333300000",
            "6200000000000005",
            "4222222222222",
        ] {
            check(cards, card, &[card]);
        }
        for other in ["4111111111111112", "0000000000000000", "1234567890123452", "41111111111111111111"] {
            check(cards, other, &[]);
        }
    }

    #[test]
    fn a_card_is_found_among_other_groups() {
        check(cards, "1234 4111 1111 1111 1111", &["4111 1111 1111 1111"]);
        check(cards, "4111 1111 1111 1111 5555 5555 5555 4444", &["4111 1111 1111 1111", "5555 5555 5555 4444"]);
        check(cards, "4111111111111111 737", &["4111111111111111"]);
    }

    #[test]
    fn a_row_of_small_numbers_is_no_card() {
        check(cards, "411 111 111 111 111 1", &[]);
        check(cards, "4111.1111.1111.1111", &["4111.1111.1111.1111"]);
    }

    #[test]
    fn a_number_inside_a_longer_run_is_no_card() {
        check(cards, "94111111111111111", &[]);
        check(cards, "41111111111111110", &[]);
    }

    #[test]
    fn accounts_have_a_country_a_length_and_a_remainder() {
        for iban in [
            "DE89370400440532013000",
            "DE89 3704 0044 0532 0130 00",
            "GB29 NWBK 6016 1331 9268 19",
            "FR1420041010050500013M02606",
            "NO93 8601 1117 947",
            "AT61-1904-3002-3457-3201",
            "gb29nwbk60161331926819",
        ] {
            check(ibans, iban, &[iban]);
        }
        for other in ["DE89370400440532013001", "XX89370400440532013000", "DE8937040044053201300", "AB12 some more text"] {
            check(ibans, other, &[]);
        }
        let two = "AT61 1904 3002 3457 3201 DE89 3704 0044 0532 0130 00";
        check(ibans, two, &["AT61 1904 3002 3457 3201", "DE89 3704 0044 0532 0130 00"]);
        check(ibans, "BE68 5390 0754 7034 paid over", &["BE68 5390 0754 7034"]);
    }

    #[test]
    fn the_rest_is_bounded_too() {
        check(phones, "+49 30 901820", &["+49 30 901820"]);
        check(phones, "+1234567890123456", &[]);
        check(phones, "Tel.: 030 901820", &["030 901820"]);
        check(phones, "0049 30 901820", &["0049 30 901820"]);
        check(phones, "+13.404954", &[]);
        check(social_security, "219-09-9999", &["219-09-9999"]);
        check(social_security, "666-09-9999", &[]);
        check(ipv4, "10.0.0.255", &["10.0.0.255"]);
        check(ipv4, "10.0.0.256", &[]);
    }
}
