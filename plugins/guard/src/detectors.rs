//! What is looked for, and where the host finds candidates for it.
//!
//! Each detector is a function over one whole text, the same for messages and for definitions. In messages the host's patterns say which
//! texts are worth a look, and for what; of definitions, where there are no patterns, all are looked at.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

use crate::clean::Clean;
use crate::phrases::Phrases;
use crate::{hidden, links, markers, markup, phrases, terminal};

/// A kind of thing that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detector {
    /// Text in characters that nobody sees: tags, runs of variation selectors.
    Smuggled,
    /// Other invisible characters, and those that turn the direction of text.
    Hidden,
    /// Escape sequences and control characters of terminals.
    Terminal,
    /// Images, and whatever else is loaded without a click, whose URL carries data.
    Images,
    /// Links whose URL carries data.
    Links,
    /// HTML comments and elements that are not shown.
    Markup,
    /// Turns, roles and results that only a client should write.
    Markers,
    /// Instructions to a model.
    Injection,
    /// A name that looks like another's. Of definitions only.
    Confusable,
}

/// All that are looked for in text, in the order in which they are named.
pub const IN_TEXT: [Detector; 8] = [
    Detector::Smuggled,
    Detector::Hidden,
    Detector::Terminal,
    Detector::Images,
    Detector::Links,
    Detector::Markup,
    Detector::Markers,
    Detector::Injection,
];

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Find {
    /// Bytes of it.
    pub range: Range<usize>,
    /// What found it.
    pub detector: Detector,
    /// What stands there once it is stripped.
    pub instead: &'static str,
}

/// What stands where something was that a reader could see.
pub const NOTE: &str = "[removed]";

impl Find {
    /// Nobody misses it.
    pub(crate) fn unseen(range: Range<usize>, detector: Detector) -> Self {
        Find { range, detector, instead: "" }
    }

    /// A reader is told that something was there.
    pub(crate) fn seen(range: Range<usize>, detector: Detector) -> Self {
        Find { range, detector, instead: NOTE }
    }
}

/// What a look needs to know beside the text.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// What is looked for; [`Family::Hidden`] and [`Family::Terminal`] always are, whatever becomes of it.
    pub families: &'a [Family],
    /// Hosts whose URLs may carry data.
    pub hosts: &'a [String],
    /// What instructions are known by.
    pub phrases: &'a Phrases,
    /// Where the host found rare words of phrases, in a text with nothing hidden in it.
    pub rare: Option<&'a [usize]>,
}

impl Look<'_> {
    /// All that is in a whole text, by place in it. What is hidden is taken out first, and the rest looked for in what is left.
    pub fn at(self, text: &str) -> Vec<Find> {
        // Where the host says so there is nothing to take out, and a long text need not be read for it.
        let clean = if self.rare.is_some() { Clean::whole(text) } else { Clean::of(text) };
        let mut found = Vec::new();
        for family in self.families {
            match family {
                Family::Hidden | Family::Terminal => {}
                Family::Links => links::find(&clean.text, self.hosts, &mut found),
                Family::Markup => markup::find(&clean.text, &mut found),
                Family::Markers => markers::find(&clean.text, &mut found),
                Family::Injection => match self.rare {
                    Some(rare) => self.phrases.find_near(&clean.text, rare, &mut found),
                    None => self.phrases.find(&clean.text, &mut found),
                },
            }
        }
        found.iter_mut().for_each(|find| find.range = clean.raw(&find.range));
        found.extend(clean.finds);
        found
    }
}

impl Detector {
    /// Its name in settings, labels and refusals.
    pub fn as_str(self) -> &'static str {
        match self {
            Detector::Smuggled => "smuggled",
            Detector::Hidden => "hidden",
            Detector::Terminal => "terminal",
            Detector::Images => "images",
            Detector::Links => "links",
            Detector::Markup => "markup",
            Detector::Markers => "markers",
            Detector::Injection => "injection",
            Detector::Confusable => "confusable",
        }
    }

    /// Those that share a look with this one, and the look.
    fn family(self) -> Family {
        match self {
            Detector::Smuggled | Detector::Hidden => Family::Hidden,
            Detector::Terminal => Family::Terminal,
            Detector::Images | Detector::Links => Family::Links,
            Detector::Markup => Family::Markup,
            Detector::Markers => Family::Markers,
            Detector::Injection | Detector::Confusable => Family::Injection,
        }
    }
}

/// Detectors that look for the same things and judge them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// `smuggled`, `hidden`
    Hidden,
    /// `terminal`
    Terminal,
    /// `images`, `links`
    Links,
    /// `markup`
    Markup,
    /// `markers`
    Markers,
    /// `injection`
    Injection,
}

const FAMILIES: [Family; 6] = [Family::Hidden, Family::Terminal, Family::Links, Family::Markup, Family::Markers, Family::Injection];

impl Family {
    /// What is to be looked for, so that these detectors find what they are for.
    pub fn of(detectors: &[Detector]) -> Vec<Family> {
        let is_of_use = |family: &Family| family.is_unseen() || detectors.iter().any(|detector| detector.family() == *family);
        if detectors.is_empty() { Vec::new() } else { FAMILIES.into_iter().filter(is_of_use).collect() }
    }

    /// It takes apart what the others look for.
    pub fn is_unseen(self) -> bool {
        matches!(self, Family::Hidden | Family::Terminal)
    }

    /// Regular expressions of the host's, one of which matches in every text in which there is a find.
    pub fn candidates(self) -> Vec<String> {
        match self {
            Family::Hidden => hidden::candidates(),
            Family::Terminal => terminal::CANDIDATES.iter().map(ToString::to_string).collect(),
            Family::Links => links::CANDIDATES.iter().map(ToString::to_string).collect(),
            Family::Markup => markup::CANDIDATES.iter().map(ToString::to_string).collect(),
            Family::Markers => markers::candidates(),
            Family::Injection => phrases::candidates(),
        }
    }
}
