//! How much of made-up data is found, and how much that only looks like it is taken for it: the figures of the page, which cannot say
//! anything else.
//!
//! Data is made as those who give it out describe it, not as the detectors look for it; what stands around it is what results of tools
//! look like. All of it is the same in every run.

use serde_json::json;
use sluice_plugin_redact::Redact;
use sluice_sdk::exchange::Edit;
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange};
use std::fmt::Write as _;

const EACH: usize = 160;
const EACH_HARMLESS: usize = 120;

/// Numbers that look random (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.roll(all.len())]
    }

    fn many(&mut self, alphabet: &str, count: usize) -> String {
        let all: Vec<char> = alphabet.chars().collect();
        (0..count).map(|_| all[self.roll(all.len())]).collect()
    }

    fn digits(&mut self, count: usize) -> String {
        self.many("0123456789", count)
    }

    /// Without a zero in front.
    fn number(&mut self, count: usize) -> String {
        self.many("123456789", 1) + &self.digits(count - 1)
    }
}

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const HEX: &str = "0123456789abcdef";
const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What stands around: `^` is the data.
const AROUND: &[&str] = &[
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

/// The same where the data ends with a line, as keys do.
fn around(dice: &mut Dice, data: &str) -> (String, std::ops::Range<usize>) {
    let frame = dice.of(AROUND);
    let at = frame.find('^').unwrap();
    (frame.replacen('^', data, 1), at..at + data.len())
}

fn luhn(mut digits: String) -> String {
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

fn grouped(digits: &str, sizes: &[usize], between: &str) -> String {
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

fn email(dice: &mut Dice) -> String {
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

fn phone(dice: &mut Dice) -> String {
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

fn card(dice: &mut Dice) -> String {
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

fn iban(dice: &mut Dice) -> String {
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

fn ssn(dice: &mut Dice) -> String {
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

fn ipv4(dice: &mut Dice) -> String {
    format!("{}.{}.{}.{}", dice.roll(223) + 1, dice.roll(256), dice.roll(256), dice.roll(255) + 1)
}

fn url64(text: &str) -> String {
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).for_each(|at| out.push(URL64.as_bytes()[(bits >> (18 - 6 * at)) as usize & 63].into()));
    }
    out
}

fn jwt(dice: &mut Dice) -> String {
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

fn private_key(dice: &mut Dice) -> String {
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
fn labelled(dice: &mut Dice, labels: &[&str], data: String) -> (String, String) {
    (dice.of(labels).to_owned(), data)
}

fn aws(dice: &mut Dice) -> (String, String) {
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

fn azure(dice: &mut Dice) -> (String, String) {
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
fn data(kind: &str, dice: &mut Dice) -> (String, String) {
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

/// What is no data and looks a little like it.
const HARMLESS: &[(&str, fn(&mut Dice) -> String)] = &[
    ("order and tracking numbers", |d| match d.roll(5) {
        0 => format!("order {}", d.number(12)),
        1 => format!("#{}-{}", d.number(3), d.digits(7)),
        2 => format!("1Z{}", d.many("ABCDEFGHJKLMNPRSTUVWXYZ0123456789", 16)),
        3 => format!("9400{}", d.digits(18)),
        _ => format!("INV-2026-{}", d.digits(6)),
    }),
    ("numbers of 13 to 19 digits", |d| {
        let count = 13 + d.roll(7);
        d.number(count)
    }),
    ("cards with a wrong digit", |d| {
        let digits: String = card(d).chars().filter(char::is_ascii_digit).collect();
        let last = u32::from(digits.as_bytes()[digits.len() - 1] - b'0');
        let wrong = (last + 1 + d.roll(9) as u32) % 10;
        grouped(&format!("{}{wrong}", &digits[..digits.len() - 1]), &[4, 4, 4, 4], " ")
    }),
    ("IBANs with a wrong digit", |d| {
        let iban: String = iban(d).to_uppercase().chars().filter(char::is_ascii_alphanumeric).collect();
        let check: u32 = iban[2..4].parse().unwrap();
        format!("{}{:02}{}", &iban[..2], 2 + (check - 2 + 1 + d.roll(95) as u32) % 97, &iban[4..])
    }),
    ("ISBN, EAN, IMEI", |d| match d.roll(3) {
        0 => format!("978-{}-{}-{}-{}", d.roll(9), d.number(4), d.digits(4), d.roll(10)),
        1 => format!("40{}", d.digits(11)),
        _ => {
            let tac = d.digits(12);
            luhn(format!("35{tac}"))
        }
    }),
    ("UUIDs", |d| format!("{}-{}-4{}-a{}-{}", d.many(HEX, 8), d.many(HEX, 4), d.many(HEX, 3), d.many(HEX, 3), d.many(HEX, 12))),
    ("hashes and commits", |d| {
        let count = [7, 12, 32, 40, 64][d.roll(5)];
        format!("{}{}", d.of(&["", "sha256:", "commit "]), d.many(HEX, count))
    }),
    ("versions", |d| match d.roll(4) {
        0 => format!("v{}.{}.{}", d.roll(20), d.roll(40), d.roll(90)),
        1 => format!("{}.{}.{}-rc.{}+build.{}", d.roll(9), d.roll(9), d.roll(9), d.roll(9), d.number(6)),
        2 => format!("10.0.{}.{}", 19_000 + d.roll(3000), d.roll(4000)),
        _ => format!("Chrome/{}.0.{}.{}", 100 + d.roll(40), d.number(4), d.number(3)),
    }),
    ("times and dates", |d| match d.roll(5) {
        0 => format!(
            "2026-{:02}-{:02}T{:02}:{:02}:{:02}.{}Z",
            1 + d.roll(12),
            1 + d.roll(28),
            d.roll(24),
            d.roll(60),
            d.roll(60),
            d.digits(6)
        ),
        1 => format!("17{}", d.digits(11)),
        2 => format!("17{}", d.digits(17)),
        3 => format!("{:02}.{:02}.2026 - {:02}.{:02}.2027", 1 + d.roll(28), 1 + d.roll(12), 1 + d.roll(28), 1 + d.roll(12)),
        _ => format!("2026{:02}{:02}{}", 1 + d.roll(12), 1 + d.roll(28), d.digits(6)),
    }),
    ("sums and measurements", |d| match d.roll(5) {
        0 => format!("+{}.{} %", d.roll(90), d.digits(4)),
        1 => format!("{}.{}, +13.{}", d.roll(80), d.digits(6), d.digits(6)),
        2 => format!("+{} {} {}", d.number(2), d.digits(3), d.digits(2)),
        3 => format!("{} 000 000 EUR", d.number(3)),
        _ => format!("3.14159{} x 10+{}", d.digits(12), d.roll(20)),
    }),
    ("at signs that are no addresses", |d| match d.roll(7) {
        0 => format!("@types/node@{}.{}.{}", d.roll(30), d.roll(9), d.roll(9)),
        1 => format!("user@localhost:{}", d.number(4)),
        2 => format!("image@sha256:{}", d.many(HEX, 64)),
        3 => "@media (min-width: 40em) { a { color: red } }".into(),
        4 => format!("@app.route('/{}')", d.many(LOWER, 6)),
        5 => format!("see @{} and @{}", d.many(LOWER, 7), d.many(LOWER, 5)),
        _ => format!("actions/checkout@v{}", d.roll(9)),
    }),
    ("git over SSH", |d| format!("git@github.com:{}/{}.git", d.many(LOWER, 6), d.many(LOWER, 8))),
    ("part numbers with hyphens", |d| match d.roll(4) {
        0 => format!("{}-{}-{}-{}", d.number(3), d.digits(3), d.digits(4), d.digits(2)),
        1 => format!("{}-{}", d.number(3), d.digits(4)),
        2 => format!("PN {}-{}-{}", d.number(2), d.digits(5), d.digits(3)),
        _ => format!("{}.{}.{}", d.number(4), d.digits(4), d.digits(4)),
    }),
    ("public keys and certificates", |d| {
        let kind = d.of(&["CERTIFICATE", "PUBLIC KEY", "RSA PUBLIC KEY", "PGP SIGNATURE"]);
        format!("-----BEGIN {kind}-----\n{}\n{}\n-----END {kind}-----", d.many(BASE64, 64), d.many(BASE64, 64))
    }),
    ("base64 and data URLs", |d| match d.roll(3) {
        0 => format!("data:image/png;base64,iVBORw0KGgo{}", d.many(BASE64, 120)),
        1 => url64(&format!(r#"{{"page":{},"after":"{}"}}"#, d.roll(99), d.digits(9))),
        _ => format!("{}=", d.many(BASE64, 43)),
    }),
    ("keys that are examples", |d| {
        d.of(&[
            "AKIA",
            "ghp_your_token_here",
            "sk-your-key-here",
            "sk-ant-...",
            "xoxb-...",
            "glpat-<token>",
            "AIza...",
            "Bearer <jwt>",
            "sk_live_...",
            "eyJ...",
            "AccountKey=...",
            "aws_secret_access_key = <secret>",
            "ghp_****",
            "-----BEGIN PRIVATE KEY----- (paste it here)",
            "password: ********",
        ])
        .to_owned()
    }),
    ("names of code", |d| match d.roll(5) {
        0 => format!("sk_live_mode_{}", d.many(LOWER, 6)),
        1 => format!("fn get_{}(id: u{}) -> Result<(), E>", d.many(LOWER, 8), d.roll(64)),
        2 => format!("const DE{}_MAX: usize = {};", d.digits(2), d.number(6)),
        3 => format!("arr[{}][{}] += {};", d.roll(99), d.roll(99), d.number(9)),
        _ => format!("https://example.com/{}/{}?page={}", d.many(LOWER, 5), d.number(9), d.roll(99)),
    }),
    ("prose, in ten languages", |d| {
        d.of(&[
            "The meeting is at 10:30 in room 4-120; bring two copies.",
            "Version 2 was 35 % faster on 1,000 requests, and 12 times on 100,000.",
            "Der Vertrag läuft vom 1.1.2026 bis 31.12.2027 und kostet 1.234.567,89 EUR.",
            "La réunion aura lieu le 14 juillet à 9 h 30, salle 12.",
            "El pedido número 45 llegó el 3 de mayo de 2026 con 2 000 piezas.",
            "Встреча состоится 12 марта 2026 года в 15:00, кабинет 312.",
            "会议定于2026年3月12日下午3点在312会议室举行。",
            "会議は2026年3月12日15時から312号室で行います。",
            "سيعقد الاجتماع في 12 مارس 2026 الساعة 15:00.",
            "बैठक 12 मार्च 2026 को 15:00 बजे कमरा 312 में होगी।",
        ])
        .to_owned()
    }),
    ("rows of numbers", |d| (0..8).map(|_| d.number(3)).collect::<Vec<_>>().join(" ")),
    ("tables and logs", |d| match d.roll(3) {
        0 => format!("| {} | {} | {:.3} |", d.number(5), d.number(4), d.roll(1000) as f64 / 1000.0),
        1 => format!("[{}.{}] eth0: link up, {} Mbps, rx {} tx {}", d.number(5), d.digits(6), d.number(4), d.number(11), d.number(10)),
        _ => format!("pid={} rss={} vms={} fd={}", d.number(5), d.number(9), d.number(11), d.roll(900)),
    }),
];

/// Of these two each is a table of its own: they are off unless asked for.
const QUIET: [&str; 2] = ["ssn", "ipv4"];

/// Bytes of a text that are taken out.
fn taken(plugin: &Redact, text: &str) -> Vec<std::ops::Range<usize>> {
    let x = FakeExchange::new(&json!({"result": {"content": [{"type": "text", "text": text}]}}).to_string());
    assert_eq!(plugin.on_response(&testing::head("tools/call").answered(), &x), Verdict::Next);
    x.staged()
        .into_iter()
        .map(|edit| if let Edit::Splice((_, a, b, _)) = edit { a as usize..b as usize } else { panic!("{edit:?}") })
        .collect()
}

fn percent(part: usize, of: usize) -> String {
    format!("{:.1} %", 100.0 * part as f64 / of as f64)
}

fn shown(what: &str, text: &str) {
    if std::env::var_os("REDACT_SHOWS").is_some() {
        println!("{what}: {text:?}");
    }
}

#[test]
fn the_page_has_the_figures() {
    let all: Vec<_> = sluice_plugin_redact::detectors::ALL.iter().map(|detector| detector.name).collect();
    let (by_default, with_all): (Redact, Redact) =
        (testing::plugin("{}").unwrap(), testing::plugin(&json!({"detectors": all}).to_string()).unwrap());
    let mut table = String::from("| data | found | |\n|---|---|---|\n");
    let (mut found_all, mut of_all) = (0, 0);
    for (at, kind) in all.iter().enumerate() {
        let mut dice = Dice(at as u64 + 1);
        let mut found = 0;
        for _ in 0..EACH {
            let (label, data) = data(kind, &mut dice);
            let (text, mut range) = around(&mut dice, &format!("{label}{data}"));
            range.start += label.len();
            // What names the data, or only leads to it, may stay.
            let kept =
                ["tel:", "Tel. ", "Phone: ", "SSN ", "https://"].iter().find(|kept| data.starts_with(**kept)).map_or(0, |kept| kept.len());
            let parts = taken(&with_all, &text);
            let is_taken = |byte: usize| parts.iter().any(|part| part.contains(&byte));
            let is_found = text[range.clone()]
                .bytes()
                .enumerate()
                .skip(kept)
                .all(|(at, byte)| !byte.is_ascii_alphanumeric() || is_taken(range.start + at));
            if !is_found {
                shown(kind, &text);
            }
            found += usize::from(is_found);
        }
        let _ = writeln!(table, "| `{kind}` | {found} of {EACH} | {} |", percent(found, EACH));
        (found_all, of_all) = (found_all + found, of_all + EACH);
    }
    let _ = writeln!(table, "| **together** | **{found_all} of {of_all}** | **{}** |", percent(found_all, of_all));

    let _ = write!(table, "\n| harmless | taken for data | | with `ssn` and `ipv4` |\n|---|---|---|---|\n");
    let (mut wrong_all, mut wrong_with_all, mut of_all) = (0, 0, 0);
    for (at, (name, make)) in HARMLESS.iter().enumerate() {
        let mut dice = Dice(1000 + at as u64);
        let (mut wrong, mut with) = (0, 0);
        for _ in 0..EACH_HARMLESS {
            let one = make(&mut dice);
            let (text, _) = around(&mut dice, &one);
            if !taken(&by_default, &text).is_empty() {
                wrong += 1;
                shown(name, &text);
            }
            with += usize::from(!taken(&with_all, &text).is_empty());
        }
        let _ = writeln!(table, "| {name} | {wrong} of {EACH_HARMLESS} | {} | {with} |", percent(wrong, EACH_HARMLESS));
        (wrong_all, wrong_with_all, of_all) = (wrong_all + wrong, wrong_with_all + with, of_all + EACH_HARMLESS);
    }
    let _ = writeln!(table, "| **together** | **{wrong_all} of {of_all}** | **{}** | **{wrong_with_all}** |", percent(wrong_all, of_all));
    println!("{table}");
    assert!(QUIET.iter().all(|quiet| all.contains(quiet)) && of_all >= 2_000);
    assert!(include_str!("../README.md").contains(&table), "the page says something else; it has to say:\n\n{table}");
}
