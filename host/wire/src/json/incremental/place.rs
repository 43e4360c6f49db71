//! The containers that are open, and the way to where the pass stands.

use std::collections::HashSet;

use super::super::keys::Guard;

/// Where the pass stands.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub(super) frames: &'a [Frame],
}

impl<'a> Place<'a> {
    /// How many containers are open around this: 0 for the root, 1 for its members.
    pub fn depth(self) -> usize {
        self.frames.len()
    }

    /// The decoded name of the member at this depth, 1 for the root's own; none in an array.
    pub fn name(self, depth: usize) -> Option<&'a str> {
        match self.frames.get(depth.checked_sub(1)?)? {
            Frame { step: Step::Name(name), .. } => Some(name),
            Frame { step: Step::Item(_), .. } => None,
        }
    }

    /// The RFC 6901 pointer.
    pub fn pointer(self) -> String {
        let mut out = String::new();
        for frame in self.frames {
            out.push('/');
            match &frame.step {
                Step::Item(index) => out.push_str(&index.to_string()),
                Step::Name(name) if name.contains(['~', '/']) => out.push_str(&name.replace('~', "~0").replace('/', "~1")),
                Step::Name(name) => out.push_str(name),
            }
        }
        out
    }
}

/// An open container.
pub(super) struct Frame {
    pub(super) step: Step,
    pub(super) guard: Guard,
    pub(super) keys: Keys,
}

/// The child that the pass is in.
pub(super) enum Step {
    Item(u64),
    Name(String),
}

/// The keys of one open object, as hashes that nobody outside can aim at.
#[derive(Default)]
pub(super) struct Keys {
    few: Vec<u128>,
    many: HashSet<u128>,
}

/// Up to this many keys each new one is compared with all before it.
const FEW: usize = 16;

impl Keys {
    pub(super) fn len(&self) -> usize {
        self.few.len() + self.many.len()
    }

    /// False when it is there already.
    pub(super) fn add(&mut self, key: u128) -> bool {
        if self.many.is_empty() {
            if self.few.contains(&key) {
                return false;
            }
            if self.few.len() < FEW {
                self.few.push(key);
                return true;
            }
            self.many.extend(self.few.drain(..));
        }
        self.many.insert(key)
    }

    /// For another object. A large table goes: otherwise each depth could keep one.
    pub(super) fn clear(&mut self) {
        self.few.clear();
        self.many = HashSet::new();
    }
}
