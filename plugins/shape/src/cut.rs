//! Texts and arrays that are cut, and what is said of it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use crate::json::{self, Value};

/// Of the note: places that it names, and its length. What is left out is a server's to name, and names can be long.
const PLACES_MAX: usize = 8;
const NOTE_BYTES_MAX: usize = 600;

/// A text of at most so many bytes, cut between two characters, and behind it how much is missing; nothing if it is short enough.
pub fn text(text: &str, bytes_max: usize) -> Option<String> {
    if text.len() <= bytes_max {
        return None;
    }
    let end = text.floor_char_boundary(bytes_max);
    Some(format!("{}[… {} of {} bytes left out]", &text[..end], text.len() - end, text.len()))
}

/// What was left out of a result.
#[derive(Debug, Default)]
pub struct Notes {
    members: bool,
    texts: usize,
    blocks: Option<(usize, usize)>,
    arrays: Vec<String>,
    more: usize,
}

impl Notes {
    /// Nothing was.
    pub fn is_empty(&self) -> bool {
        !self.members && self.texts == 0 && self.blocks.is_none() && self.arrays.is_empty()
    }

    /// Members of data.
    pub fn members(&mut self) {
        self.members = true;
    }

    /// The end of a text, which says so itself.
    pub fn text(&mut self) {
        self.texts += 1;
    }

    /// Blocks of content.
    pub fn blocks(&mut self, out: usize, all: usize) {
        self.blocks = Some((out, all));
    }

    fn array(&mut self, pointer: &str, out: usize, all: usize) {
        match self.arrays.len() {
            PLACES_MAX => self.more += 1,
            _ => self.arrays.push(format!("{out} of {all} items of {}", if pointer.is_empty() { "the list" } else { pointer })),
        }
    }

    /// And what was left out of a part.
    pub fn add(&mut self, part: Notes) {
        self.members |= part.members;
        self.texts += part.texts;
        self.more += part.more;
        for said in part.arrays {
            match self.arrays.len() {
                PLACES_MAX => self.more += 1,
                _ => self.arrays.push(said),
            }
        }
    }

    /// For the model; nothing if texts alone were cut.
    pub fn for_the_model(&self) -> Option<String> {
        let mut parts = self.arrays.clone();
        if self.more > 0 {
            parts.push(format!("items of {} more arrays", self.more));
        }
        if let Some((out, all)) = self.blocks {
            parts.push(format!("{out} of {all} blocks of this content"));
        }
        if self.members {
            parts.push("members that are not needed here".to_string());
        }
        if parts.is_empty() {
            return None;
        }
        let said = format!("[left out of this result: {}]", parts.join("; "));
        Some(text(&said, NOTE_BYTES_MAX).unwrap_or(said))
    }

    /// For the audit log.
    pub fn label(&self) -> String {
        let blocks = self.blocks.map_or(0, |(out, _)| out);
        format!("texts={} arrays={} blocks={blocks} members={}", self.texts, self.arrays.len() + self.more, u8::from(self.members))
    }
}

/// Cuts the arrays and strings of data. `pointer` says where the value is, and does so again afterwards.
pub fn data(value: &mut Value<'_>, items_max: Option<usize>, bytes_max: Option<usize>, pointer: &mut String, notes: &mut Notes) {
    let above = pointer.len();
    match value {
        Value::String(whole) => {
            if let Some(cut) = bytes_max.and_then(|max| text(whole, max)) {
                *value = json::string(cut);
                notes.text();
            }
        }
        Value::Array(items) => {
            let all = items.len();
            if let Some(max) = items_max.filter(|max| *max < all) {
                items.truncate(max);
                notes.array(pointer, all - max, all);
            }
            for (at, item) in items.iter_mut().enumerate() {
                let _ = write!(pointer, "/{at}");
                data(item, items_max, bytes_max, pointer, notes);
                pointer.truncate(above);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                pointer.push('/');
                for c in name.chars() {
                    match c {
                        '~' => pointer.push_str("~0"),
                        '/' => pointer.push_str("~1"),
                        c => pointer.push(c),
                    }
                }
                data(member, items_max, bytes_max, pointer, notes);
                pointer.truncate(above);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_says_how_much_is_missing() {
        assert_eq!(text("abc", 3), None);
        assert_eq!(text("abcd", 3).as_deref(), Some("abc[… 1 of 4 bytes left out]"));
        assert_eq!(text("añb", 2).as_deref(), Some("a[… 3 of 4 bytes left out]"));
        assert_eq!(text("🦀🦀", 5).as_deref(), Some("🦀[… 4 of 8 bytes left out]"));
        assert_eq!(text("🦀", 1).as_deref(), Some("[… 4 of 4 bytes left out]"));
    }

    #[test]
    fn what_is_said_is_bounded_whatever_the_server_calls_its_members() {
        let arrays: Vec<String> = (0..40).map(|at| format!(r#""{}{at}":[1,2]"#, "x".repeat(200))).collect();
        let text = format!("{{{}}}", arrays.join(","));
        let mut value = json::read(&text).unwrap();
        let mut notes = Notes::default();
        let mut pointer = String::new();
        data(&mut value, Some(1), None, &mut pointer, &mut notes);
        assert_eq!(pointer, "");
        let said = notes.for_the_model().unwrap();
        assert!(said.len() < NOTE_BYTES_MAX + 60 && said.starts_with("[left out of this result: 1 of 2 items of /xxx"), "{said}");
        assert_eq!(notes.label(), "texts=0 arrays=40 blocks=0 members=0");
    }
}
