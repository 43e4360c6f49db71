//! From text to the words that are compared: cut, lower case, without most endings, and without those that are everywhere.

use alloc::string::String;

/// Longest word that is looked at, in bytes; what is longer is cut.
const WORD_BYTES_MAX: usize = 40;

/// Words that say nothing about a tool: the English list of Snowball, and words of asking. Sorted.
const STOP: [&str; 137] = [
    "a",
    "about",
    "above",
    "after",
    "again",
    "against",
    "all",
    "also",
    "am",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "be",
    "because",
    "been",
    "before",
    "being",
    "below",
    "between",
    "both",
    "but",
    "by",
    "can",
    "could",
    "did",
    "do",
    "does",
    "doing",
    "down",
    "during",
    "each",
    "few",
    "for",
    "from",
    "further",
    "had",
    "has",
    "have",
    "having",
    "he",
    "her",
    "here",
    "hers",
    "herself",
    "him",
    "himself",
    "his",
    "how",
    "i",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "itself",
    "just",
    "let",
    "like",
    "me",
    "more",
    "most",
    "must",
    "my",
    "myself",
    "need",
    "no",
    "nor",
    "not",
    "of",
    "on",
    "once",
    "only",
    "or",
    "other",
    "ought",
    "our",
    "ours",
    "ourselves",
    "out",
    "over",
    "please",
    "s",
    "same",
    "she",
    "should",
    "so",
    "some",
    "such",
    "t",
    "than",
    "that",
    "the",
    "their",
    "theirs",
    "them",
    "themselves",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "through",
    "to",
    "too",
    "tool",
    "under",
    "until",
    "up",
    "use",
    "used",
    "using",
    "very",
    "want",
    "was",
    "we",
    "were",
    "what",
    "when",
    "where",
    "which",
    "while",
    "who",
    "whom",
    "why",
    "will",
    "with",
    "would",
    "you",
    "your",
    "yours",
    "yourself",
    "yourselves",
];

/// Calls `each` with every word of a text, in order.
pub fn each(text: &str, mut each: impl FnMut(&str)) {
    let mut word = String::with_capacity(WORD_BYTES_MAX);
    let mut before = Kind::Gap;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let kind = Kind::of(c);
        let begins = match (before, kind) {
            (_, Kind::Gap) | (Kind::Gap, _) | (_, Kind::Alone) | (Kind::Alone, _) => true,
            // `userName`
            (Kind::Lower, Kind::Upper) => true,
            // `HTTPServer`: the last capital is of the word that follows. A plural like `URLs` is one word.
            (Kind::Upper, Kind::Upper) => chars.peek().is_some_and(|next| Kind::of(*next) == Kind::Lower && *next != 's'),
            _ => false,
        };
        if begins {
            end(&mut word, &mut each);
        }
        if kind != Kind::Gap && word.len() < WORD_BYTES_MAX {
            if c.is_ascii() { word.push(c.to_ascii_lowercase()) } else { word.extend(c.to_lowercase()) }
        }
        before = kind;
    }
    end(&mut word, &mut each);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gap,
    Lower,
    Upper,
    /// A word by itself: scripts that write no spaces.
    Alone,
}

impl Kind {
    fn of(c: char) -> Self {
        match c {
            'a'..='z' | '0'..='9' => Kind::Lower,
            'A'..='Z' => Kind::Upper,
            _ if c.is_ascii() => Kind::Gap,
            '\u{3040}'..='\u{30ff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{f900}'..='\u{faff}'
            | '\u{20000}'..='\u{3ffff}' => Kind::Alone,
            _ if c.is_uppercase() => Kind::Upper,
            _ if c.is_alphanumeric() => Kind::Lower,
            _ => Kind::Gap,
        }
    }
}

fn end(word: &mut String, each: &mut impl FnMut(&str)) {
    if !word.is_empty() && STOP.binary_search(&word.as_str()).is_err() {
        stem(word);
        each(word);
    }
    word.clear();
}

/// Takes the commonest English endings off, the same from a question as from a description; what is left need be no word.
pub fn stem(word: &mut String) {
    if !word.is_ascii() || word.len() < 4 || word.bytes().any(|b| b.is_ascii_digit()) {
        return;
    }
    if word.ends_with("ies") && word.len() > 4 {
        word.truncate(word.len() - 3);
        word.push('y');
    } else if ["sses", "xes", "ches", "shes"].iter().any(|end| word.ends_with(end)) {
        word.truncate(word.len() - 2);
    } else if word.ends_with('s') && !["ss", "us", "is"].iter().any(|end| word.ends_with(end)) {
        word.pop();
    }
    for (end, least) in [("ing", 6), ("ed", 5), ("ion", 7)] {
        let Some(rest) = word.strip_suffix(end).filter(|_| word.len() >= least) else { continue };
        let has_vowel = rest.bytes().any(|b| b"aeiouy".contains(&b));
        // `section` and `conversion`, not `million`.
        let fits = if end == "ion" { rest.ends_with('t') || rest.ends_with('s') } else { has_vowel };
        if fits {
            let (len, bytes) = (rest.len(), rest.as_bytes());
            // `running`, `planned`; not `calling`, `passed`.
            let doubled = len > 3 && bytes[len - 1] == bytes[len - 2] && !b"lsz".contains(&bytes[len - 1]);
            word.truncate(len - usize::from(doubled));
        }
        break;
    }
    if word.ends_with('e') && word.len() > 3 {
        word.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        each(text, |word| words.push(word.to_string()));
        words
    }

    #[test]
    fn stop_words_are_sorted() {
        assert!(STOP.is_sorted());
    }

    #[test]
    fn text_is_cut_where_words_begin() {
        for (text, expected) in [
            ("list_pull_requests", "list pull request"),
            ("getUserByID", "get user id"),
            ("HTTPServerConfig", "http server config"),
            ("fetch-URLs of oauth2/S3", "fetch url oauth2 s3"),
            ("Über die Straße", "über die straße"),
            ("ПолучитьСписок файлов", "получить список файлов"),
            ("検索する", "検 索 す る"),
            ("a tool to the", ""),
            ("\u{0}\u{7f}…!", ""),
        ] {
            assert_eq!(words(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn forms_of_a_word_are_one() {
        for same in [
            &["create", "creates", "creating", "created", "creation"][..],
            &["query", "queries"],
            &["branch", "branches"],
            &["delete", "deleting", "deleted", "deletion"],
            &["plan", "planning", "planned"],
            &["pass", "passes", "passed", "passing"],
            &["box", "boxes"],
            &["merge", "merging", "merged", "merges"],
        ] {
            let all: Vec<_> = same.iter().map(|word| words(word).join(" ")).collect();
            assert!(all.iter().all(|one| *one == all[0]), "{same:?}: {all:?}");
        }
        for different in [["status", "state"], ["million", "mill"], ["news", "newton"], ["bus", "bu"]] {
            assert_ne!(words(different[0]), words(different[1]), "{different:?}");
        }
    }

    #[test]
    fn a_word_is_cut_at_a_bound() {
        assert!(words(&"x".repeat(10_000))[0].len() <= WORD_BYTES_MAX + 4);
        assert!(words(&"ß".repeat(10_000))[0].len() <= WORD_BYTES_MAX + 4);
    }
}
