//! Characters that nobody sees.
//!
//! What is invisible is mostly also of use somewhere: joiners make Persian, Hindi and families of emoji what they are, variation
//! selectors choose between a heart and a red heart, marks keep punctuation beside Hebrew words. So most of it is judged by what stands
//! beside it; what stands first or last in a text, with nothing beside it, stays. Several in a row are judged as one.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::detectors::{Detector, Find};

type Ranges = &'static [(u32, u32)];

/// Of no use in what a model reads, wherever they stand: soft hyphen, grapheme joiner, overrides of direction, word joiner and invisible
/// operators, deprecated formats, fillers, byte-order mark, annotations, shorthand, music, what is not assigned and never seen.
const ALWAYS: Ranges = &[
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x180E, 0x180E),
    (0x202D, 0x202E),
    (0x2060, 0x2065),
    (0x206A, 0x206F),
    (0x3164, 0x3164),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0080, 0xE00FF),
    (0xE01F0, 0xE0FFF),
];

/// Of use between letters of scripts that join, and some of them between emoji: zero-width space and joiners, jamo fillers, inherent
/// vowels of Khmer, selectors of Mongolian.
const JOINERS: Ranges = &[(0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180D), (0x180F, 0x180F), (0x200B, 0x200D)];

/// Those scripts: Arabic to Nko and its neighbours, Indic, Thai to Myanmar, jamo, Khmer, Mongolian, and what was added later.
const JOINING: Ranges = &[
    (0x600, 0x61B),
    (0x61D, 0x109F),
    (0x1100, 0x115E),
    (0x1161, 0x11FF),
    (0x1780, 0x17B3),
    (0x17B6, 0x180A),
    (0x1810, 0x18AF),
    (0x1A20, 0x1CFF),
    (0xA800, 0xABFF),
    (0xD7B0, 0xD7FF),
    (0xFB50, 0xFDFF),
    (0xFE70, 0xFEFC),
    (0x10A00, 0x10A5F),
    (0x10AC0, 0x10AFF),
    (0x10D00, 0x10D3F),
    (0x10EC0, 0x10FFF),
    (0x11000, 0x11FFF),
    (0x1E900, 0x1E95F),
];

/// What a joiner may follow besides: emoji, their presentation and their skin.
const PICTURES: Ranges =
    &[(0x2190, 0x21FF), (0x2300, 0x23FF), (0x2600, 0x27BF), (0x2934, 0x2935), (0x2B00, 0x2BFF), (0xFE0F, 0xFE0F), (0x1F000, 0x1FBFF)];

const SELECTORS: Ranges = &[(0xFE00, 0xFE0F)];
/// Of ideographs.
const MORE_SELECTORS: Ranges = &[(0xE0100, 0xE01EF)];
/// What has no other form to select: spaces, and letters of Latin, Greek and Cyrillic.
const WITHOUT_FORMS: Ranges = &[(0, 0x20), (0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x370, 0x52F)];
const IDEOGRAPHS: Ranges =
    &[(0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3029), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)];

const TAGS: Ranges = &[(0xE0000, 0xE007F)];
/// The flags that are spelled in tags, behind a black flag: England, Scotland, Wales.
const FLAGS: [&str; 3] = ["gbeng", "gbsct", "gbwls"];
const BLACK_FLAG: char = '\u{1F3F4}';

/// Marks, embeddings and isolates: of use in text that runs both ways.
const TURNS: Ranges = &[(0x61C, 0x61C), (0x200E, 0x200F), (0x202A, 0x202C), (0x2066, 0x2069)];
const RIGHT_TO_LEFT: Ranges = &[(0x590, 0x61B), (0x61D, 0x8FF), (0xFB1D, 0xFDFF), (0xFE70, 0xFEFC), (0x10800, 0x10FFF), (0x1E800, 0x1EFFF)];

/// Marks and isolates that begin or end together; more in a row are a text of their own.
const TURNS_MAX: usize = 4;
/// What joins a picture in its coloured form to the next.
const EMOJI_LINK: &str = "\u{FE0F}\u{200D}";

fn is_in(c: char, ranges: Ranges) -> bool {
    let c = c as u32;
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// Whether some of it runs from right to left.
pub(crate) fn is_bidi(text: &str) -> bool {
    !text.is_ascii() && text.chars().any(|c| is_in(c, RIGHT_TO_LEFT))
}

/// Something of these is in every text in which [`find`] finds something. They spare the rest of the world's texts a look; which of
/// what they find is hidden depends on what stands around it.
pub(crate) fn candidates() -> Vec<String> {
    let class = |ranges: &[Ranges], inverted: &str| {
        let parts = ranges.iter().flat_map(|ranges| ranges.iter());
        let inside: String = parts.map(|(first, last)| format!(r"\x{{{first:X}}}-\x{{{last:X}}}")).collect();
        format!("[{inverted}{inside}]")
    };
    const UNSEEN: [Ranges; 6] = [ALWAYS, JOINERS, SELECTORS, MORE_SELECTORS, TAGS, TURNS];
    let unseen = class(&UNSEEN, "");
    let with = |more: &[Ranges]| class(&[&UNSEEN[..], more].concat(), "^");
    let (joiners, selectors, more_selectors) = (class(&[JOINERS], ""), class(&[SELECTORS], ""), class(&[MORE_SELECTORS], ""));
    Vec::from([
        format!("{}+", class(&[ALWAYS, TAGS, TURNS], "")),
        // Two in a row, but for what holds an emoji together.
        format!(r"[{unseen}--\x{{FE0F}}]{unseen}+|\x{{FE0F}}[{unseen}--\x{{200D}}]|{}{EMOJI_LINK}", class(&[PICTURES], "^")),
        format!("{}{joiners}{}", with(&[JOINING, PICTURES]), with(&[JOINING])),
        format!("{}{selectors}|{}{more_selectors}", class(&[WITHOUT_FORMS], ""), with(&[IDEOGRAPHS])),
    ])
}

/// First bytes of characters that may be unseen: all others are passed over without a look at the character.
fn may_be_unseen(first: u8) -> bool {
    matches!(first, 0xC2 | 0xCD | 0xD8 | 0xE1 | 0xE2 | 0xE3 | 0xEF | 0xF0 | 0xF3)
}

/// All that is hidden in a whole text, in order.
pub(crate) fn find(text: &str, found: &mut Vec<Find>) {
    if text.is_ascii() {
        return;
    }
    let mut bidi = None;
    let mut at = 0;
    while let Some(step) = text.as_bytes()[at..].iter().position(|byte| may_be_unseen(*byte)) {
        let here = at + step;
        let run = &text[here..];
        let run = &run[..run.find(|c| Kind::of(c).is_none()).unwrap_or(run.len())];
        let Some(last) = run.chars().next_back() else {
            at = here + text[here..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        at = here + run.len();
        let (before, behind) = (text[..here].chars().next_back(), text[at..].chars().next());
        let mut is_bidi_here = || *bidi.get_or_insert_with(|| is_bidi(text));
        let detector = if last.len_utf8() == run.len() {
            judge_one(last, before, behind, &mut is_bidi_here)
        } else {
            judge_run(run, before, &mut is_bidi_here)
        };
        found.extend(detector.map(|detector| Find::unseen(here..at, detector)));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Always,
    Joiner,
    Selector,
    Tag,
    Turn,
}

impl Kind {
    fn of(c: char) -> Option<Kind> {
        if c.is_ascii() {
            return None;
        }
        let is = |ranges| is_in(c, ranges);
        match () {
            () if is(JOINERS) => Some(Kind::Joiner),
            () if is(SELECTORS) || is(MORE_SELECTORS) => Some(Kind::Selector),
            () if is(TURNS) => Some(Kind::Turn),
            () if is(ALWAYS) => Some(Kind::Always),
            () if is(TAGS) => Some(Kind::Tag),
            () => None,
        }
    }
}

/// One by itself, with what can be seen on both sides.
fn judge_one(c: char, before: Option<char>, behind: Option<char>, is_bidi: &mut impl FnMut() -> bool) -> Option<Detector> {
    match Kind::of(c)? {
        Kind::Always => Some(Detector::Hidden),
        Kind::Joiner => {
            let (before, behind) = (before?, behind?);
            let is_used = is_in(before, JOINING) || is_in(before, PICTURES) || is_in(behind, JOINING);
            (!is_used).then_some(Detector::Hidden)
        }
        Kind::Selector if is_in(c, SELECTORS) => is_in(before?, WITHOUT_FORMS).then_some(Detector::Hidden),
        Kind::Selector => (!is_in(before?, IDEOGRAPHS)).then_some(Detector::Smuggled),
        Kind::Tag => Some(Detector::Smuggled),
        Kind::Turn => (!is_bidi()).then_some(Detector::Hidden),
    }
}

/// Several in a row, of whatever kinds, are one thing: else each would be an alibi for the next. Few such things are of use.
fn judge_run(run: &str, before: Option<char>, is_bidi: &mut impl FnMut() -> bool) -> Option<Detector> {
    let count = |kind: Kind| run.chars().filter(|c| Kind::of(*c) == Some(kind)).count();
    let (all, selectors, tags) = (run.chars().count(), count(Kind::Selector), count(Kind::Tag));
    let is_of_use = match () {
        () if run == EMOJI_LINK => before.is_none_or(|c| is_in(c, PICTURES)),
        () if tags == all => before == Some(BLACK_FLAG) && is_flag(run),
        () if count(Kind::Turn) == all => all <= TURNS_MAX && is_bidi(),
        () => false,
    };
    let detector = if tags > 0 || selectors > 1 { Detector::Smuggled } else { Detector::Hidden };
    (!is_of_use).then_some(detector)
}

/// Letters in tags, and the tag that ends them.
fn is_flag(tags: &str) -> bool {
    let spelled: String = tags.chars().filter_map(|tag| char::from_u32((tag as u32).checked_sub(0xE0000)?)).collect();
    spelled.strip_suffix('\u{7F}').is_some_and(|flag| FLAGS.contains(&flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, left: &str) {
        let mut found = Vec::new();
        find(text, &mut found);
        let mut out = String::from(text);
        found.iter().rev().for_each(|find| out.replace_range(find.range.clone(), find.instead));
        assert_eq!(out, left, "{text:?}");
    }

    #[test]
    fn what_hides_goes() {
        for (text, left) in [
            ("ig\u{200B}no\u{AD}re\u{2060} this", "ignore this"),
            ("a\u{E0068}\u{E0069}b", "ab"),
            ("a\u{200D}b\u{200D}c", "abc"),
            ("x\u{FE0F}y", "xy"),
            ("\u{1F600}\u{FE01}\u{FE02}\u{FE03}!", "\u{1F600}!"),
            ("total \u{202E}001\u{202C} EUR", "total 001 EUR"),
            ("\u{FEFF}first", "first"),
            ("\u{1F3F4}\u{E0068}\u{E0069}\u{E007F}", "\u{1F3F4}"),
            ("a\u{E0101}b", "ab"),
            // Of each kind one, so that none is a run of its kind.
            ("b\u{E0101}\u{E0102}c", "bc"),
            ("b\u{FE0F}\u{E0101}c", "bc"),
            ("a\u{200B}\u{FE01}\u{200B}\u{FE02}b", "ab"),
            ("ig\u{FE0F}\u{200B}nore", "ignore"),
            ("א\u{200F}\u{200E}\u{200F}\u{200E}\u{200F}ב", "אב"),
            ("漢\u{FE0F}\u{200D}字", "漢字"),
            ("❤\u{FE0F}\u{200D}\u{FE0F}x", "❤x"),
        ] {
            check(text, left);
        }
    }

    #[test]
    fn what_is_of_use_stays() {
        for text in [
            "می‌خواهم کتاب‌ها را ببینم؛ PDF‌ها هم",
            "क्‍ष और क्‌ष, श्रीमान्‌",
            "👩‍👩‍👧‍👦 ❤️‍🔥 🏳️‍🌈 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣ ©️ 🧑🏽‍🚀",
            "עברית (RTL)\u{200F}, ועוד \u{2067}English\u{2069}!",
            "葛\u{E0100}城市 と 辻\u{E0101}",
            "ภาษา\u{200B}ไทย",
            "ᠪᠠᠭ\u{180B}ᠠ",
            "plain ASCII, naïve café, 漢字",
        ] {
            check(text, text);
        }
    }

    /// One of each kind that is judged otherwise, and every row of up to four: the host finds something wherever there is something.
    #[test]
    fn the_host_misses_nothing() {
        let kinds: Vec<char> = "a1م漢❤🏴\u{AD}\u{200D}\u{FE0F}\u{FE01}\u{E0101}\u{E0067}\u{200F}\u{202E}".chars().collect();
        let host: Vec<_> = candidates().iter().map(|candidate| regex::Regex::new(candidate).unwrap()).collect();
        let (mut all, mut hidden) = (0, 0);
        for number in 0..kinds.len().pow(4) {
            let row: String = (0..4).map(|place| kinds[number / kinds.len().pow(place) % kinds.len()]).collect();
            for text in row.char_indices().map(|(at, _)| &row[at..]) {
                let mut found = Vec::new();
                find(text, &mut found);
                assert!(found.is_empty() || host.iter().any(|candidate| candidate.is_match(text)), "{text:?}");
                (all, hidden) = (all + 1, hidden + usize::from(!found.is_empty()));
            }
        }
        assert!(hidden > all / 2 && hidden < all, "{hidden} of {all}");
    }
}
