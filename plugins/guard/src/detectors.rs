//! What is looked for, and where the host finds candidates for it.
//!
//! Each detector is a function over one text, the same for messages and for definitions. Of a message it gets only the parts that a
//! pattern of the host's took out; of a definition, where there are no patterns, the whole text.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

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
    /// Hosts whose URLs may carry data.
    pub hosts: &'a [String],
    /// The text is of a script that runs from right to left, at least in part.
    pub is_bidi: bool,
    /// What instructions are known by.
    pub phrases: &'a Phrases,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// All that some of these detectors belong to.
    pub fn of(detectors: &[Detector]) -> Vec<Family> {
        FAMILIES.into_iter().filter(|family| detectors.iter().any(|detector| detector.family() == *family)).collect()
    }

    /// Regular expressions of the host's for all that could be a find.
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

    /// Everything in a text, by place.
    pub fn find(self, text: &str, look: Look<'_>, found: &mut Vec<Find>) {
        match self {
            Family::Hidden => hidden::find(text, look.is_bidi, found),
            Family::Terminal => terminal::find(text, found),
            Family::Links => links::find(text, look.hosts, found),
            Family::Markup => markup::find(text, found),
            Family::Markers => markers::find(text, found),
            Family::Injection => look.phrases.find(text, found),
        }
    }
}
