//! What is no data and looks a little like it.

use crate::data::{card, grouped, iban, luhn, url64};
use crate::dice::{BASE64, Dice, HEX, LOWER};

/// Makers of it, by what they make.
pub const HARMLESS: &[(&str, fn(&mut Dice) -> String)] = &[
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
