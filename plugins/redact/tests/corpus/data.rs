//! Data as those who give it out describe it, not as the detectors look for it, and what stands around it: what results of tools look like.

use crate::dice::{ALNUM, BASE64, Dice, HEX, LOWER, URL64};
use std::fmt::Write as _;

/// What stands around: `^` is the data.
pub const AROUND: &[&str] = &[
    "^",
    "Please use ^ for this.",
    "The record says ^, as it did last year.",
    "{\"id\":7,\"value\":\"^\",\"ok\":true}",
    "value: ^\nnext: 1",
    "VALUE=^",
    "export VALUE=\"^\"",
    "| 12 | ^ | active |",
    "12;^;2026-01-02",
    "2026-03-01T10:00:00Z INFO worker[3]: got ^ from peer",
    "let value = '^'; // set by hand",
    "<td>^</td><td>open</td>",
    "- **^** (see above)",
    "Bitte verwenden Sie ^ für die Bestellung.",
    "Пожалуйста, используйте ^ для заказа.",
    "请使用 ^ 处理订单。",
    "ご注文には「^」をお使いください。",
    "يرجى استخدام ^ للطلب.",
    "(^)",
    "first line\n\t^\nlast line",
];

/// The data with something of that around it, and where it stands there.
pub fn around(dice: &mut Dice, data: &str) -> (String, std::ops::Range<usize>) {
    let frame = dice.of(AROUND);
    let at = frame.find('^').unwrap();
    (frame.replacen('^', data, 1), at..at + data.len())
}

pub fn luhn(mut digits: String) -> String {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let digit = u32::from(digit - b'0') * if at % 2 == 0 { 2 } else { 1 };
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    let _ = write!(digits, "{}", (10 - sum % 10) % 10);
    digits
}

pub fn grouped(digits: &str, sizes: &[usize], between: &str) -> String {
    let (mut groups, mut at) = (Vec::new(), 0);
    for size in sizes {
        if at < digits.len() {
            groups.push(&digits[at..(at + size).min(digits.len())]);
            at += size;
        }
    }
    if at < digits.len() {
        groups.push(&digits[at..]);
    }
    groups.join(between)
}

pub fn email(dice: &mut Dice) -> String {
    let (first, last) = (
        dice.of(&["joe", "ann-marie", "jürgen", "Olga", "li", "m", "o'brien", "Søren", "иван", "accounts", "no_reply", "x9"]),
        dice.of(&["smith", "garcia", "müller", "Petrova", "wei", "van.der.berg", "77", "Ng"]),
    );
    let local = match dice.roll(6) {
        0 => first.to_owned(),
        1 => format!("{first}.{last}"),
        2 => format!("{first}+{}@", dice.many(LOWER, 5)).trim_end_matches('@').to_owned(),
        3 => format!("{first}_{last}{}", dice.digits(2)),
        4 => format!("{}{last}", &first.chars().next().unwrap()),
        _ => format!("{first}-{last}"),
    };
    let domain = dice.of(&[
        "example.com",
        "mail.example.co.uk",
        "example.org",
        "bücher.example",
        "xn--bcher-kva.example",
        "EXAMPLE.NET",
        "a-b.example",
        "пример.рф",
        "sub.sub.example.museum",
    ]);
    match dice.roll(20) {
        0 => format!("{local} [at] {domain}"),
        1 => format!("\"{local} x\"@{domain}"),
        2 => format!("{local}@[192.0.2.{}]", dice.roll(255)),
        _ => format!("{local}@{domain}"),
    }
}

pub fn phone(dice: &mut Dice) -> String {
    let (area, office, line) =
        (format!("{}{}", dice.roll(8) + 2, dice.digits(2)), format!("{}{}", dice.roll(8) + 2, dice.digits(2)), dice.digits(4));
    let (n8, n7) = (dice.number(8), dice.number(7));
    match dice.roll(20) {
        0 | 1 => format!("+1 {area} {office} {line}"),
        2 | 3 => format!("({area}) {office}-{line}"),
        4 => format!("{area}-{office}-{line}"),
        5 => format!("{area}.{office}.{line}"),
        6 => format!("1-{area}-{office}-{line}"),
        7 | 8 => format!("+49 30 {n8}"),
        9 => format!("+49 (0)30 {n7}"),
        10 => format!("+33 6 {}", grouped(&n8, &[2, 2, 2, 2], " ")),
        11 => format!("+44 20 {}", grouped(&n8, &[4, 4], " ")),
        12 => format!("+7 (9{}) {}-{}-{}", dice.digits(2), dice.digits(3), dice.digits(2), dice.digits(2)),
        13 => format!("+86 1{}", grouped(&dice.number(10), &[2, 4, 4], " ")),
        14 => format!("+{}{}", dice.of(&["351", "48", "81", "91", "55"]), dice.number(9)),
        15 => format!("tel:+1-{area}-{office}-{line}"),
        16 => format!("0049 30 {n7}"),
        17 => format!("030/{n7}"),
        18 => format!("Tel. 030 {n8}"),
        _ => format!("Phone: {area}{office}{line}"),
    }
}

pub fn card(dice: &mut Dice) -> String {
    let (prefix, length, sizes): (&str, usize, &[usize]) = match dice.roll(9) {
        0 | 1 => ("4", 16, &[4, 4, 4, 4]),
        2 | 3 => (dice.of(&["51", "53", "55", "2221", "2500", "2720"]), 16, &[4, 4, 4, 4]),
        4 => (dice.of(&["34", "37"]), 15, &[4, 6, 5]),
        5 => (dice.of(&["6011", "65", "644"]), 16, &[4, 4, 4, 4]),
        6 => (dice.of(&["3528", "3589"]), 16, &[4, 4, 4, 4]),
        7 => (dice.of(&["300", "36", "38"]), 14, &[4, 6, 4]),
        _ => ("62", 16, &[4, 4, 4, 4]),
    };
    let digits = luhn(format!("{prefix}{}", dice.digits(length - 1 - prefix.len())));
    let between = dice.of(&["", "", " ", " ", "-", "-", "\u{a0}", "\u{2011}", ".", "  "]);
    grouped(&digits, sizes, between)
}

pub fn iban(dice: &mut Dice) -> String {
    // Country, then what the registry says stands behind the two check digits: n digits, a capitals, c both.
    let (country, form) = [
        ("DE", "18n"),
        ("GB", "4a14n"),
        ("FR", "10n11c2n"),
        ("NL", "4a10n"),
        ("ES", "20n"),
        ("IT", "1a10n12c"),
        ("AT", "16n"),
        ("CH", "5n12c"),
        ("NO", "11n"),
        ("BE", "12n"),
        ("PL", "24n"),
        ("MT", "4a5n18c"),
        ("SA", "2n18c"),
        ("TR", "5n1n16c"),
        ("BR", "23n1a1c"),
        ("LC", "4a24c"),
        ("FO", "14n"),
        ("AE", "19n"),
    ][dice.roll(18)];
    let (mut account, mut count) = (String::new(), 0);
    for c in form.chars() {
        match c.to_digit(10) {
            Some(digit) => count = count * 10 + digit as usize,
            None => {
                account += &dice.many(
                    match c {
                        'n' => "0123456789",
                        'a' => "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                        _ => "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
                    },
                    count,
                );
                count = 0;
            }
        }
    }
    let rest = format!("{account}{country}00").bytes().fold(0_u32, |rest, sign| match sign {
        b'0'..=b'9' => (rest * 10 + u32::from(sign - b'0')) % 97,
        _ => (rest * 100 + u32::from(sign - b'A') + 10) % 97,
    });
    let iban = format!("{country}{:02}{account}", 98 - rest);
    match dice.roll(10) {
        0..=3 => iban,
        4..=6 => grouped(&iban, &[4; 8], " "),
        7 => grouped(&iban, &[4; 8], "-"),
        8 => iban.to_lowercase(),
        _ => grouped(&iban, &[4; 8], "\u{a0}"),
    }
}

pub fn ssn(dice: &mut Dice) -> String {
    let area = loop {
        let area = dice.roll(899) + 1;
        if area != 666 {
            break area;
        }
    };
    let (group, serial) = (dice.roll(99) + 1, dice.roll(9999) + 1);
    match dice.roll(8) {
        0 => format!("{area:03} {group:02} {serial:04}"),
        1 => format!("SSN {area:03}{group:02}{serial:04}"),
        _ => format!("{area:03}-{group:02}-{serial:04}"),
    }
}

pub fn ipv4(dice: &mut Dice) -> String {
    format!("{}.{}.{}.{}", dice.roll(223) + 1, dice.roll(256), dice.roll(256), dice.roll(255) + 1)
}

pub fn url64(text: &str) -> String {
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).for_each(|at| out.push(URL64.as_bytes()[(bits >> (18 - 6 * at)) as usize & 63].into()));
    }
    out
}

pub fn jwt(dice: &mut Dice) -> String {
    let header = dice.of(&[
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"typ":"JWT","alg":"RS256","kid":"a1"}"#,
        r#"{"alg":"ES256"}"#,
        r#"{ "alg": "RS256" }"#,
        r#"{"alg":"none"}"#,
        "{\n  \"alg\": \"EdDSA\"\n}",
    ]);
    let claims = format!(r#"{{"sub":"{}","exp":{}}}"#, dice.digits(8), dice.number(10));
    match dice.roll(8) {
        0 => [
            url64(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#),
            dice.many(URL64, 342),
            dice.many(URL64, 16),
            dice.many(URL64, 80),
            dice.many(URL64, 22),
        ]
        .join("."),
        _ if header.contains("none") => format!("{}.{}.", url64(header), url64(&claims)),
        _ => format!("{}.{}.{}", url64(header), url64(&claims), dice.many(URL64, 43)),
    }
}

pub fn private_key(dice: &mut Dice) -> String {
    let kind = dice.of(&["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "DSA "]);
    let line = dice.of(&["\n", "\n", "\r\n", "\\n", " "]);
    let body: Vec<_> = (0..3 + dice.roll(6)).map(|_| dice.many(BASE64, 64)).collect();
    let body = body.join(line);
    match dice.roll(8) {
        0 => format!(
            "-----BEGIN PGP PRIVATE KEY BLOCK-----{line}Version: 1{line}{line}{body}{line}=abcd{line}-----END PGP PRIVATE KEY BLOCK-----"
        ),
        1 => format!("-----BEGIN {kind}PRIVATE KEY-----{line}{body}"),
        2 => format!(
            "-----BEGIN {kind}PRIVATE KEY-----{line}Proc-Type: 4,ENCRYPTED{line}DEK-Info: AES-128-CBC,AA00{line}{line}{body}{line}-----END {kind}PRIVATE KEY-----"
        ),
        _ => format!("-----BEGIN {kind}PRIVATE KEY-----{line}{body}{line}-----END {kind}PRIVATE KEY-----"),
    }
}

/// What stands before the data counts as context: a label.
pub fn labelled(dice: &mut Dice, labels: &[&str], data: String) -> (String, String) {
    (dice.of(labels).to_owned(), data)
}

pub fn aws(dice: &mut Dice) -> (String, String) {
    if dice.roll(2) == 0 {
        return (String::new(), format!("{}{}", dice.of(&["AKIA", "ASIA"]), dice.many("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)));
    }
    let secret = dice.many(BASE64, 40);
    labelled(
        dice,
        &[
            "aws_secret_access_key = ",
            "AWS_SECRET_ACCESS_KEY=",
            "\"SecretAccessKey\": \"",
            "secretAccessKey: ",
            "aws_secret_key: '",
            "AWS secret key: ",
            "export AWS_SECRET_ACCESS_KEY='",
            "secret_key=",
        ],
        secret,
    )
}

pub fn azure(dice: &mut Dice) -> (String, String) {
    match dice.roll(4) {
        0 => ("AccountName=x;AccountKey=".into(), format!("{}==", dice.many(BASE64, 86))),
        1 => ("SharedAccessKeyName=Root;SharedAccessKey=".into(), format!("{}=", dice.many(BASE64, 43))),
        2 => ("https://x.blob.core.windows.net/c?sv=2022-11-02&se=2026-01-01&sig=".into(), format!("{}%3D", dice.many(ALNUM, 43))),
        _ => (
            "client_secret: ".into(),
            format!(
                "{}{}Q~{}",
                dice.many(ALNUM, 3),
                dice.roll(10),
                dice.many("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~-", 33) + "a"
            ),
        ),
    }
}

/// The label, if the data has one, and the data.
pub fn data(kind: &str, dice: &mut Dice) -> (String, String) {
    let bare = |data: String| (String::new(), data);
    bare(match kind {
        "email" => email(dice),
        "phone" => phone(dice),
        "credit-card" => card(dice),
        "iban" => iban(dice),
        "ssn" => ssn(dice),
        "ipv4" => ipv4(dice),
        "jwt" => jwt(dice),
        "private-key" => private_key(dice),
        "aws-key" => return aws(dice),
        "azure-key" => return azure(dice),
        "gcp-key" => match dice.roll(3) {
            0 => format!("AIza{}", dice.many(URL64, 35)),
            1 => format!("GOCSPX-{}", dice.many(URL64, 28)),
            _ => format!("ya29.a0{}", dice.many(URL64, 120)),
        },
        "github-token" => match dice.roll(3) {
            0 => format!("github_pat_11{}_{}", dice.many("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 20), dice.many(ALNUM, 59)),
            _ => format!("{}{}", dice.of(&["ghp_", "gho_", "ghu_", "ghs_", "ghr_"]), dice.many(ALNUM, 36)),
        },
        "gitlab-token" => match dice.roll(4) {
            0 => format!("glrt-t1_{}", dice.many(URL64, 20)),
            1 => format!("gldt-{}", dice.many(ALNUM, 20)),
            2 => format!("GR1348941{}", dice.many(ALNUM, 20)),
            _ => format!("glpat-{}", dice.many(ALNUM, 20)),
        },
        "slack-token" => match dice.roll(4) {
            0 => format!("xoxp-{}-{}-{}-{}", dice.number(12), dice.number(12), dice.number(13), dice.many(HEX, 32)),
            1 => format!("xapp-1-A{}-{}-{}", dice.many("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 10), dice.number(13), dice.many(HEX, 64)),
            2 => format!("https://hooks.slack.com/services/T{}/B{}/{}", dice.digits(8), dice.digits(8), dice.many(ALNUM, 24)),
            _ => format!("xoxb-{}-{}-{}", dice.number(12), dice.number(13), dice.many(ALNUM, 24)),
        },
        "stripe-key" => match dice.roll(4) {
            0 => format!("whsec_{}", dice.many(ALNUM, 32)),
            1 => format!("rk_live_51{}", dice.many(ALNUM, 97)),
            2 => format!("sk_test_{}", dice.many(ALNUM, 24)),
            _ => format!("sk_live_51{}", dice.many(ALNUM, 97)),
        },
        "openai-key" => match dice.roll(3) {
            0 => format!("sk-{}T3BlbkFJ{}", dice.many(ALNUM, 20), dice.many(ALNUM, 20)),
            1 => format!("sk-svcacct-{}T3BlbkFJ{}", dice.many(URL64, 58), dice.many(URL64, 58) + "a"),
            _ => format!("sk-proj-{}T3BlbkFJ{}", dice.many(URL64, 74), dice.many(URL64, 73) + "a"),
        },
        "anthropic-key" => format!("sk-ant-{}-{}AA", dice.of(&["api03", "admin01", "oat01"]), dice.many(URL64, 93)),
        other => panic!("no data of the kind {other}"),
    })
}
