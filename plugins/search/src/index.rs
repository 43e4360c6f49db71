//! Which tools are about what is asked: BM25 over names, titles, descriptions and arguments.
//!
//! There is no inverted index. Words of all tools stand one after the other, and a question goes over them once: to make such an index
//! takes longer than a hundred questions do, and the list of a principal changes with every upstream of its.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::{alike, definition::Definition, words};

/// How much a word counts where it stands, in halves.
const IN_NAME: u8 = 6;
const IN_TITLE: u8 = 4;
const IN_DESCRIPTION: u8 = 2;
const OF_UPSTREAM: u8 = 2;
const IN_ARGUMENT: u8 = 1;

/// Words that are looked at of a name, of a description, and of all arguments together.
const NAME_WORDS_MAX: usize = 24;
const DESCRIPTION_WORDS_MAX: usize = 160;
const ARGUMENT_WORDS_MAX: usize = 64;
/// Words of all tools together: 8 MiB. Of tools beyond it only names are looked at.
const WORDS_MAX: usize = 1 << 20;
/// Tools that are looked at.
const TOOLS_MAX: usize = 20_000;
/// Words of a question that are looked at.
const QUESTION_WORDS_MAX: usize = 24;

/// Of BM25: how soon a word that repeats counts no more, and how much long descriptions lose.
const K1: f32 = 1.2;
const B: f32 = 0.5;
/// What a word that stands for the one asked for counts; more where no tool has that one.
const ALIKE: f32 = 0.4;
const IN_ITS_PLACE: f32 = 0.7;

/// Words that stand for each other, ready to be looked up.
#[derive(Debug, Default)]
pub struct Alike(Vec<(u32, u16)>);

impl Alike {
    /// From the table.
    pub fn new() -> Self {
        let mut members = Vec::new();
        for (group, line) in (0..).zip(alike::GROUPS) {
            words::each(line, |word| members.push((hash(word), group)));
        }
        members.sort_unstable();
        members.dedup();
        Alike(members)
    }

    /// Calls `each` with every word that stands for this one.
    fn each(&self, term: u32, mut each: impl FnMut(u32)) {
        let from = self.0.partition_point(|(known, _)| *known < term);
        for (_, group) in self.0[from..].iter().take_while(|(known, _)| *known == term) {
            self.0.iter().filter(|(other, of)| of == group && *other != term).for_each(|(other, _)| each(*other));
        }
    }
}

/// One word of one tool.
#[derive(Debug, Clone, Copy)]
struct Word {
    term: u32,
    counts: u8,
}

/// The tools of one list.
#[derive(Debug, Default)]
pub struct Index {
    names: Vec<Box<str>>,
    /// What stands for the texts of each tool, the same for the same texts.
    marks: Vec<u64>,
    words: Vec<Word>,
    /// Where the words of each tool end.
    ends: Vec<usize>,
    /// Of each tool, in halves.
    lengths: Vec<u32>,
}

/// One tool that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Its place in the list.
    pub at: usize,
    /// More is better. Of another question it says nothing.
    pub score: f32,
}

impl Index {
    /// Takes one tool in.
    pub fn add(&mut self, name: &str, upstream: &str, definition: &Definition<'_>) {
        if self.names.len() >= TOOLS_MAX {
            return;
        }
        let from = self.words.len();
        self.take(name, IN_NAME, NAME_WORDS_MAX);
        self.take(upstream, OF_UPSTREAM, NAME_WORDS_MAX);
        if self.words.len() < WORDS_MAX {
            self.take(&definition.title, IN_TITLE, NAME_WORDS_MAX);
            self.take(&definition.annotations.title, IN_TITLE, NAME_WORDS_MAX);
            self.take(&definition.description, IN_DESCRIPTION, DESCRIPTION_WORDS_MAX);
            let until = self.words.len() + ARGUMENT_WORDS_MAX;
            for argument in definition.arguments() {
                let left = until.saturating_sub(self.words.len());
                if left == 0 {
                    break;
                }
                self.take(argument, IN_ARGUMENT, left);
            }
        }
        self.lengths.push(self.words[from..].iter().map(|word| u32::from(word.counts)).sum());
        self.ends.push(self.words.len());
        self.marks.push(mark([name, &definition.description]));
        self.names.push(name.into());
    }

    fn take(&mut self, text: &str, counts: u8, words_max: usize) {
        // What is cut off is not cut into words first.
        let text = start(text, words_max * 32);
        let mut left = words_max;
        words::each(text, |word| {
            if left > 0 {
                left -= 1;
                self.words.push(Word { term: hash(word), counts });
            }
        });
    }

    /// How many tools there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The name at this place.
    pub fn name(&self, at: usize) -> &str {
        &self.names[at]
    }

    /// What stands for the texts at this place.
    pub fn mark(&self, at: usize) -> u64 {
        self.marks[at]
    }

    /// The tools that a question is about, best first, at most so many.
    pub fn search(&self, question: &str, alike: &Alike, most: usize) -> Vec<Found> {
        let asked = Asked::new(question, alike);
        if asked.terms.is_empty() || self.is_empty() {
            return Vec::new();
        }
        let mut hits: Vec<(u32, u16, u32)> = Vec::new();
        let mut with: Vec<u32> = alloc::vec![0; asked.terms.len()];
        let mut from = 0;
        for (tool, end) in (0..).zip(&self.ends) {
            let first = hits.len();
            for word in &self.words[from..*end] {
                let Ok(term) = asked.terms.binary_search(&word.term) else { continue };
                match hits[first..].iter_mut().find(|(_, known, _)| usize::from(*known) == term) {
                    Some((.., counts)) => *counts += u32::from(word.counts),
                    None => {
                        with[term] += 1;
                        hits.push((tool, term as u16, u32::from(word.counts)));
                    }
                }
            }
            from = *end;
        }
        let rarity: Vec<f32> = with.iter().map(|with| rarity(self.len(), *with)).collect();
        let total: u64 = self.lengths.iter().map(|length| u64::from(*length)).sum();
        let mean = total as f32 / self.len() as f32;
        let mut found: Vec<Found> = Vec::new();
        let mut best: Vec<f32> = alloc::vec![0.0; asked.words.len()];
        for of_tool in hits.chunk_by(|a, b| a.0 == b.0) {
            let at = of_tool[0].0 as usize;
            let length = 1.0 - B + B * self.lengths[at] as f32 / mean.max(1.0);
            best.fill(0.0);
            for (_, term, counts) in of_tool {
                let often = *counts as f32 / 2.0;
                let score = rarity[usize::from(*term)] * often * (K1 + 1.0) / (often + K1 * length);
                for (word, place) in asked.roles(usize::from(*term)) {
                    let share = match place {
                        Role::Itself => 1.0,
                        Role::Alike if with[usize::from(asked.words[word])] > 0 => ALIKE,
                        Role::Alike => IN_ITS_PLACE,
                    };
                    best[word] = best[word].max(share * score);
                }
            }
            found.push(Found { at, score: best.iter().sum() });
        }
        let order = |a: &Found, b: &Found| b.score.total_cmp(&a.score).then(a.at.cmp(&b.at));
        if found.len() > most {
            found.select_nth_unstable_by(most, order);
            found.truncate(most);
        }
        found.sort_unstable_by(order);
        found
    }
}

#[derive(Clone, Copy)]
enum Role {
    Itself,
    Alike,
}

/// A question as what is looked for.
struct Asked {
    /// Sorted.
    terms: Vec<u32>,
    /// Each word of the question: its place among the terms.
    words: Vec<u16>,
    /// Of which word each term is what: term, word, role.
    roles: Vec<(u16, u16, Role)>,
}

impl Asked {
    fn new(question: &str, alike: &Alike) -> Self {
        let mut own: Vec<u32> = Vec::new();
        words::each(question, |word| {
            let term = hash(word);
            if own.len() < QUESTION_WORDS_MAX && !own.contains(&term) {
                own.push(term);
            }
        });
        let mut pairs: Vec<(u32, u16, Role)> = Vec::new();
        for (word, term) in (0..).zip(&own) {
            pairs.push((*term, word, Role::Itself));
            alike.each(*term, |other| pairs.push((other, word, Role::Alike)));
        }
        let mut terms: Vec<u32> = pairs.iter().map(|(term, ..)| *term).collect();
        terms.sort_unstable();
        terms.dedup();
        let place = |term: u32| terms.binary_search(&term).unwrap_or_default() as u16;
        let words = own.iter().map(|term| place(*term)).collect();
        let mut roles: Vec<_> = pairs.iter().map(|(term, word, role)| (place(*term), *word, *role)).collect();
        roles.sort_unstable_by_key(|(term, ..)| *term);
        Asked { terms, words, roles }
    }

    fn roles(&self, term: usize) -> impl Iterator<Item = (usize, Role)> {
        let from = self.roles.partition_point(|(known, ..)| usize::from(*known) < term);
        let of_it = self.roles[from..].iter().take_while(move |(known, ..)| usize::from(*known) == term);
        of_it.map(|(_, word, role)| (usize::from(*word), *role))
    }
}

/// BM25's weight of a word that so many of all tools have; never negative.
fn rarity(tools: usize, with: u32) -> f32 {
    let (tools, with) = (tools as f32, with as f32);
    ln(1.0 + (tools - with + 0.5) / (with + 0.5))
}

/// The natural logarithm of 1 and more, which `core` lacks; to four digits.
fn ln(x: f32) -> f32 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let m = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
    // ln m = 2 artanh((m-1)/(m+1)), for 1 <= m < 2.
    let y = (m - 1.0) / (m + 1.0);
    let y2 = y * y;
    exponent as f32 * core::f32::consts::LN_2 + 2.0 * y * (1.0 + y2 * (1.0 / 3.0 + y2 * (0.2 + y2 / 7.0)))
}

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a.
fn mix(hash: u64, text: &str) -> u64 {
    text.bytes().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What stands for texts.
pub fn mark<'t>(texts: impl IntoIterator<Item = &'t str>) -> u64 {
    texts.into_iter().fold(OFFSET, |hash, text| mix(mix(hash, text), "\0"))
}

fn hash(word: &str) -> u32 {
    let hash = mix(OFFSET, word);
    (hash ^ (hash >> 32)) as u32
}

/// As much of the text as fits, in whole characters.
pub fn start(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// For the answer: what a tool that was found is called.
impl Found {
    /// Its name in this list.
    pub fn name(self, index: &Index) -> String {
        String::from(index.name(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn index(tools: &[(&str, &str)]) -> Index {
        let mut index = Index::default();
        for (name, description) in tools {
            let definition = format!(r#"{{"name":"x","description":"{description}"}}"#);
            index.add(name, "s", &Definition::read(&definition));
        }
        index
    }

    fn names(index: &Index, question: &str) -> Vec<String> {
        index.search(question, &Alike::new(), 5).into_iter().map(|found| found.name(index)).collect()
    }

    #[test]
    fn names_weigh_more_than_descriptions_and_rare_words_more_than_common_ones() {
        let index = index(&[
            ("list_files", "Lists what is there. An invoice may be among it."),
            ("create_invoice", "Makes one"),
            ("create_user", "Makes one"),
            ("create_group", "Makes one"),
        ]);
        assert_eq!(names(&index, "invoice")[0], "create_invoice");
        assert_eq!(names(&index, "create an invoice")[0], "create_invoice");
        assert_eq!(names(&index, "invoices, please").len(), 2);
        assert_eq!(names(&index, "the of"), [""; 0], "nothing is asked");
        assert_eq!(names(&index, "zebra"), [""; 0]);
    }

    #[test]
    fn words_that_stand_for_each_other_are_found_after_the_word_itself() {
        let index = index(&[("remove_item", "x"), ("delete_item", "x"), ("keep_item", "x")]);
        assert_eq!(names(&index, "delete")[..2], ["delete_item", "remove_item"]);
        assert_eq!(names(&index, "erase"), ["remove_item", "delete_item"], "no tool has the word, so those alike count");
    }

    #[test]
    fn arguments_upstreams_and_titles_count() {
        let mut index = Index::default();
        index.add("one", "github", &Definition::read(r#"{"inputSchema":{"properties":{"iban":{}}}}"#));
        index.add("two", "gitlab", &Definition::read(r#"{"title":"Pelican","annotations":{"title":"Heron"}}"#));
        for (question, name) in [("iban", "one"), ("github", "one"), ("pelicans", "two"), ("heron", "two")] {
            assert_eq!(names(&index, question), [name], "{question}");
        }
    }

    #[test]
    fn what_is_looked_at_has_bounds() {
        let long = "word ".repeat(100_000);
        let mut index = Index::default();
        let many: String = (0..5000).map(|at| format!(r#""a{at}":{{}},"#)).collect();
        let definition = format!(r#"{{"description":"{long}","inputSchema":{{"properties":{{{many}"z":1}}}}}}"#);
        index.add(&long, &long, &Definition::read(&definition));
        assert!(index.words.len() <= 2 * NAME_WORDS_MAX + DESCRIPTION_WORDS_MAX + ARGUMENT_WORDS_MAX, "{}", index.words.len());
        assert_eq!(index.search(&long, &Alike::new(), 3).len(), 1);
        assert_eq!(start("aßb", 2), "a");
    }

    #[test]
    fn logarithms_are_right_enough() {
        for x in [1.0f32, 1.01, 1.5, 1.999, 2.0, 3.7, 100.0, 4e4, 1e9] {
            assert!((ln(x) - x.ln()).abs() < 2e-3 * x.ln().max(1.0), "{x}: {} {}", ln(x), x.ln());
        }
    }
}
