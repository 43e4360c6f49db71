//! From settings to a ruling on one message.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::json::{self, decode_string};
use sluice_sdk::patterns::Pattern;
use sluice_sdk::prelude::*;

use crate::clean::{join, strip};
use crate::config::{Action, Actions, Config, Messages};
use crate::detectors::{Detector, Family, Find, Look};
use crate::phrases::Phrases;
use crate::rename::{name_at, rename};
use crate::{places, walk};

/// The message holds what must not pass.
pub const BLOCKED: i32 = 4033;
/// The message could not be looked through, so it does not pass either.
pub const NOT_EXAMINED: i32 = 4034;

/// What becomes of a message. Edits are staged by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It goes on.
    Pass,
    /// It does not.
    Refuse(Rejection),
}

/// Bytes of texts with hits that are read of one message: more than that takes longer than the host waits.
pub const READ_BYTES_MAX: usize = 4 << 20;

/// Texts that are asked for at once.
const BATCH: usize = 128;

/// The settings for messages, ready for use.
#[derive(Debug)]
pub struct Policy {
    actions: Messages,
    families: Vec<Family>,
    hosts: Vec<String>,
    phrases: Phrases,
    patterns: Vec<Pattern>,
    /// Of each pattern, the family that looks at texts with its hits.
    owners: Vec<Family>,
}

/// Why a text is worth a look.
#[derive(Debug, Default)]
struct Hits {
    families: BTreeSet<Family>,
    rare: Vec<usize>,
}

/// What was found in a message, and what is to change.
#[derive(Debug, Default)]
struct Outcome {
    counts: BTreeMap<Detector, usize>,
    edits: Vec<Edit>,
    /// Names that members were given.
    given: BTreeSet<String>,
    /// Members that got another name, of whose value only parts can be changed beside that.
    renamed: BTreeSet<String>,
}

/// Part of the message could not be looked at, or not be changed.
struct NotExamined;

impl Policy {
    /// The patterns for what the settings look for.
    pub fn new(config: &Config) -> Self {
        let families = Family::of(&config.messages.on());
        let (mut patterns, mut owners) = (Vec::new(), Vec::new());
        for family in &families {
            for regex in family.candidates() {
                patterns.push(Pattern { regex, case_insensitive: false });
                owners.push(*family);
            }
        }
        Policy { actions: config.messages, families, hosts: config.hosts.clone(), phrases: Phrases::default(), patterns, owners }
    }

    /// What the host is to look for; nothing if nothing is.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Looks through a message to the client, stages what is to change, and rules.
    pub fn rule(&self, head: &Head, x: &(impl Scan + Payload + Facts), set: &str) -> Ruling {
        if head.direction == Direction::ToServer || self.patterns.is_empty() {
            return Ruling::Pass;
        }
        let examined = match x.scan(set, &[]) {
            Ok(hits) if hits.is_empty() => return Ruling::Pass,
            Ok(hits) => self.examine(hits, x),
            // There are more hits than the host gives out: a long table, or a log in colours.
            Err(_) => self.examine_all(head, x),
        };
        let Ok(outcome) = examined else {
            return refuse(head, NOT_EXAMINED, "this message could not be looked through for hidden text and injected instructions");
        };
        note(x, &outcome.counts);
        let worst = outcome.counts.keys().max_by_key(|detector| self.actions.action(**detector));
        if let Some(detector) = worst.filter(|detector| self.actions.action(**detector) == Action::Block) {
            return refuse(head, BLOCKED, &format!("this message holds what is not let through: {}", detector.as_str()));
        }
        if outcome.edits.is_empty() || x.stage(&outcome.edits).is_ok() {
            return Ruling::Pass;
        }
        refuse(head, NOT_EXAMINED, "hidden text in this message could not be taken out")
    }

    /// Reads the texts in which something was hit.
    fn examine(&self, hits: Vec<Hit>, x: &impl Payload) -> Result<Outcome, NotExamined> {
        let mut places: BTreeMap<(String, bool), Hits> = BTreeMap::new();
        for hit in hits {
            let Some(family) = self.owners.get(hit.pattern as usize) else { continue };
            let place = places.entry((hit.pointer, hit.in_key)).or_default();
            place.families.insert(*family);
            if *family == Family::Injection {
                place.rare.push(hit.start as usize);
            }
        }
        places.retain(|(pointer, in_key), _| !places::is_protocol(pointer, *in_key));
        let (names, texts): (Vec<_>, Vec<_>) = places.into_iter().partition(|((_, in_key), _)| *in_key);
        let (mut outcome, mut read) = (Outcome::default(), 0);
        for ((pointer, _), hits) in names {
            let found = self.found_near(&name_at(&pointer).ok_or(NotExamined)?, hits);
            self.note_name(&pointer, &found, x, &mut outcome)?;
        }
        let mut texts = texts.into_iter().peekable();
        while texts.peek().is_some() {
            let (pointers, hits): (Vec<_>, Vec<_>) = texts.by_ref().take(BATCH).map(|((pointer, _), hits)| (pointer, hits)).unzip();
            let values = x.get_many(&pointers.iter().map(String::as_str).collect::<Vec<_>>());
            read += values.iter().flatten().map(String::len).sum::<usize>();
            if read > READ_BYTES_MAX {
                return Err(NotExamined);
            }
            for ((pointer, hits), value) in pointers.iter().zip(hits).zip(values) {
                let text = value.and_then(|json| decode_string(&json)).ok_or(NotExamined)?;
                self.note_text(pointer, &text, &self.found_near(&text, hits), &mut outcome);
            }
        }
        Ok(outcome)
    }

    /// Reads every text there is, as it does of definitions.
    fn examine_all(&self, head: &Head, x: &impl Payload) -> Result<Outcome, NotExamined> {
        if head.body_bytes as usize > READ_BYTES_MAX {
            return Err(NotExamined);
        }
        let json = x.text().ok().filter(|json| json.len() <= READ_BYTES_MAX).ok_or(NotExamined)?;
        let (mut outcome, mut noted) = (Outcome::default(), Ok(()));
        let read = walk::each_text(&json, |text, path, in_key| {
            let is_envelope = path.depth() < 2 || !path.first().is_some_and(|first| ["params", "result", "error"].contains(&first));
            if noted.is_err() || is_envelope {
                return;
            }
            // Most texts have nothing in them, and need no pointer.
            let found = self.found(text, &self.families, None);
            if found.is_empty() {
                return;
            }
            let pointer = path.pointer();
            match in_key {
                _ if places::is_protocol(&pointer, in_key) => {}
                true => noted = self.note_name(&pointer, &found, x, &mut outcome),
                false => self.note_text(&pointer, text, &found, &mut outcome),
            }
        });
        noted?;
        read.map(|()| outcome).map_err(|_| NotExamined)
    }

    /// What is in a text that had such hits.
    fn found_near(&self, text: &str, mut hits: Hits) -> Vec<Find> {
        // Where something is hidden, what the host found does not say what else there is.
        if hits.families.iter().any(|family| family.is_unseen()) {
            return self.found(text, &self.families, None);
        }
        hits.rare.sort_unstable();
        self.found(text, &hits.families.into_iter().collect::<Vec<_>>(), Some(&hits.rare))
    }

    fn found(&self, text: &str, families: &[Family], rare: Option<&[usize]>) -> Vec<Find> {
        let mut found = Look { families, hosts: &self.hosts, phrases: &self.phrases, rare }.at(text);
        found.retain(|find| self.actions.action(find.detector) != Action::Off);
        found
    }

    fn note_text(&self, pointer: &str, text: &str, found: &[Find], outcome: &mut Outcome) {
        let finds = self.stripped(found, outcome);
        if finds.len() > 1 && !outcome.renamed.contains(pointer) {
            // The host takes so many edits of a message, and a log in colours needs more.
            outcome.edits.push(Edit::set(pointer, json::string(&strip(text, &finds))));
            return;
        }
        let splice = |find: &Find| Edit::splice(pointer, find.range.start as u32..find.range.end as u32, find.instead);
        outcome.edits.extend(finds.iter().map(splice));
    }

    fn note_name(&self, pointer: &str, found: &[Find], x: &impl Payload, outcome: &mut Outcome) -> Result<(), NotExamined> {
        let finds = self.stripped(found, outcome);
        if !finds.is_empty() {
            outcome.edits.push(rename(x, pointer, &finds, &mut outcome.given).ok_or(NotExamined)?);
            outcome.renamed.insert(pointer.to_string());
        }
        Ok(())
    }

    /// Counts what was found; what of it is to go.
    fn stripped(&self, found: &[Find], outcome: &mut Outcome) -> Vec<Find> {
        for find in found {
            *outcome.counts.entry(find.detector).or_default() += 1;
        }
        join(found.iter().filter(|find| self.actions.action(find.detector) >= Action::Strip))
    }
}

/// Labels, for filters that come after and for the audit log: how often each detector found something in this exchange.
fn note(x: &impl Facts, counts: &BTreeMap<Detector, usize>) {
    for (detector, count) in counts {
        let before = x.attr(&format!("guard.{}", detector.as_str())).and_then(|count| count.parse().ok()).unwrap_or(0_usize);
        // Losing the note is not worth losing the message.
        let _ = x.set_attr(detector.as_str(), &(before + count).to_string());
    }
}

fn refuse(head: &Head, code: i32, message: &str) -> Ruling {
    let no = Rejection::new(code, message);
    let is_of_a_call = head.method == Method::ToolsCall && head.kind == Kind::Response;
    Ruling::Refuse(if is_of_a_call { no.tool_result() } else { no })
}
