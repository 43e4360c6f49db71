//! What is looked for by name.
//!
//! A regex only finds candidates: it has no look-around, so where data must end is told with ASCII word boundaries
//! (Unicode ones would slow the host's engine down on any text that is not ASCII) and where more is known, a check
//! says which part of a candidate is the data.

use alloc::vec::Vec;
use core::ops::Range;

use crate::digits;

/// One built-in detector.
#[derive(Debug)]
pub struct Detector {
    /// Its name, in settings, replacements and refusals.
    pub name: &'static str,
    /// Whether it runs if the settings name none.
    pub by_default: bool,
    /// What the host looks for; each alone, since one that begins with a literal is many times faster alone.
    pub regexes: &'static [&'static str],
    /// Which parts of a candidate are the data, in bytes, in order.
    pub check: fn(&str) -> Vec<Range<usize>>,
}

const fn secret(name: &'static str, regexes: &'static [&'static str]) -> Detector {
    Detector { name, by_default: true, regexes, check: all }
}

/// Every built-in detector, in the order in which they win ties.
pub const ALL: &[Detector] = &[
    Detector {
        name: "email",
        by_default: true,
        regexes: &[
            r"[\p{L}\p{N}_][\p{L}\p{N}._%+'-]*@(?:[\p{L}\p{N}-]+\.)+\p{L}[\p{L}\p{N}-]*[\p{L}\p{N}]",
            r"[\p{L}\p{N}_][\p{L}\p{N}._%+'-]*@\[[0-9.]{7,15}\]",
            // As people write it for people.
            r"[\p{L}\p{N}_][\p{L}\p{N}._%+'-]* ?[\[(](?i-u:at)[\])] ?(?:[\p{L}\p{N}-]+\.)+\p{L}[\p{L}\p{N}-]*[\p{L}\p{N}]",
        ],
        check: address,
    },
    Detector {
        name: "phone",
        by_default: true,
        regexes: &[
            // International: a plus, then groups.
            r"\+[1-9](?:[ ().\x{a0}-]{0,2}[0-9]){6,}(?-u:\b)",
            r"(?-u:\b)00[1-9][0-9]{0,2}[ ().\x{a0}/-]{1,2}[0-9](?:[ ().\x{a0}/-]{0,2}[0-9]){5,}(?-u:\b)",
            // North American, only with its separators: ten bare digits are more often something else.
            r"(?-u:\b)(?:1[ .-])?[2-9][0-9]{2}[ .-][2-9][0-9]{2}[ .-][0-9]{4}(?-u:\b)",
            r"\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[ .-][0-9]{4}(?-u:\b)",
            // Any, behind a word that says so.
            r"(?-u:\b)(?i-u:tel|phone|telephone|telefon|telefono|fon|mobil|mobile|handy|fax)[ .:=#-]{1,4}\(?[0-9](?:[ ().\x{a0}/-]{0,2}[0-9]){5,}(?-u:\b)",
        ],
        check: digits::phones,
    },
    Detector {
        name: "credit-card",
        by_default: true,
        // Whole runs of digits, however long: where in a run the card is, only Luhn can say.
        regexes: &[r"(?-u:\b)[0-9](?:[ .\x{a0}\x{2010}-\x{2013}-]{0,2}[0-9]){12,}(?-u:\b)"],
        check: digits::cards,
    },
    Detector {
        name: "iban",
        by_default: true,
        // The countries are literals to be searched for; any two letters would be tried at every word.
        regexes: &[concat!(
            r"(?-u:\b)(?i-u:A[DELTZ]|B[AEGHIRY]|C[HRYZ]|D[EJKO]|E[EGS]|F[IKOR]|G[BEILRT]|H[NRU]|I[ELQST]|JO|K[WZ]|L[BCITUVY]",
            r"|M[CDEKNRTU]|N[ILO]|OM|P[KLST]|QA|R[OSU]|S[ACDEIKMOTV]|T[LNR]|UA|V[AG]|XK|YE)[0-9]{2}",
            r"(?:[A-Za-z0-9]{11,30}|(?:[ \x{a0}-][A-Z0-9]{4}){2,}(?:[ \x{a0}-][A-Z0-9]{1,3})?)(?-u:\b)",
        )],
        check: digits::ibans,
    },
    Detector {
        name: "ssn",
        by_default: false,
        regexes: &[r"(?-u:\b)[0-9]{3}[ -][0-9]{2}[ -][0-9]{4}(?-u:\b)"],
        check: digits::social_security,
    },
    Detector { name: "ipv4", by_default: false, regexes: &[r"(?-u:\b)(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?-u:\b)"], check: digits::ipv4 },
    // Three parts signed, five encrypted; so base64url begins for `{"`, `{ "` and a brace at the end of a line.
    secret("jwt", &[r"(?-u:\b)(?:eyJ|eyAi|ewog|ew0K)[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){1,3}"]),
    secret(
        "private-key",
        &[concat!(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:",
            r"(?:[^-]|-[^-])*-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
            // Cut off before its end, it is still a key.
            r"|(?:(?:\s|\\[nr])*[A-Za-z0-9+/=]{16,})+)",
        )],
    ),
    Detector {
        name: "aws-key",
        by_default: true,
        regexes: &[
            r"(?-u:\b)(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?-u:\b)",
            // The secret half has no shape of its own: forty characters after its label.
            r"(?:aws|AWS|[Ss]ecret|SECRET)[A-Za-z_ -]{0,24}(?i:key|secret)[^A-Za-z0-9/+]{1,6}[A-Za-z0-9/+]{40,}",
        ],
        check: aws,
    },
    secret("gcp-key", &[r"(?-u:\b)AIza[A-Za-z0-9_-]{35}", r"(?-u:\b)GOCSPX-[A-Za-z0-9_-]{20,}", r"(?-u:\b)ya29\.[A-Za-z0-9_-]{20,}"]),
    Detector {
        name: "azure-key",
        by_default: true,
        regexes: &[
            r"(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{42,86}={1,2}",
            r"(?-u:\b)sig=[A-Za-z0-9%]{43,}%3[Dd]",
            r"[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}",
        ],
        check: after_equals,
    },
    secret("github-token", &[r"(?-u:\b)(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})"]),
    secret(
        "gitlab-token",
        &[
            r"(?-u:\b)(?:gl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|oas|ffct)-[A-Za-z0-9_=.-]{19,}[A-Za-z0-9_-]|GR1348941[A-Za-z0-9_-]{20,})",
        ],
    ),
    secret(
        "slack-token",
        &[
            r"(?-u:\b)xox[abceoprs]-[A-Za-z0-9-]{10,}",
            r"(?-u:\b)xapp-[0-9]-[A-Za-z0-9-]{10,}",
            r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{20,}",
        ],
    ),
    secret("stripe-key", &[r"(?-u:\b)(?:[rs]k_(?:live|test)|whsec)_[A-Za-z0-9]{20,}"]),
    secret("openai-key", &[r"(?-u:\b)sk-(?:proj-|svcacct-|admin-|None-)?[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,}"]),
    secret("anthropic-key", &[r"(?-u:\b)sk-ant-[A-Za-z0-9_-]{20,}"]),
];

/// The detector of this name.
pub fn named(name: &str) -> Option<&'static Detector> {
    ALL.iter().find(|detector| detector.name == name)
}

/// The candidate is the data.
pub fn all(text: &str) -> Vec<Range<usize>> {
    alloc::vec![0..text.len()]
}

/// Nobody is called `git`: what follows is where a repository is.
fn address(text: &str) -> Vec<Range<usize>> {
    if text.starts_with("git@") { Vec::new() } else { all(text) }
}

/// The forty characters, neither more nor fewer; the label before them may stay.
fn aws(text: &str) -> Vec<Range<usize>> {
    if text.len() <= 40 {
        return all(text);
    }
    let run = text.bytes().rev().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+')).count();
    if run == 40 { alloc::vec![text.len() - 40..text.len()] } else { Vec::new() }
}

fn after_equals(text: &str) -> Vec<Range<usize>> {
    let labelled = ["AccountKey=", "SharedAccessKey=", "sig="];
    let start = labelled.iter().find(|label| text.starts_with(**label)).map_or(0, |label| label.len());
    alloc::vec![start..text.len()]
}
