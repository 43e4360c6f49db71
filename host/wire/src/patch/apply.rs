//! Turning edits into cuts, and cuts into the new text.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;

use super::{Edit, Op, PatchError};
use crate::json::{Document, Key, Kind, Value, decode_str};

/// Bytes of the original to leave out and what to write instead.
struct Cut {
    span: Range<usize>,
    text: Bytes,
}

/// The edited text of a document; `edits` is not empty.
pub(super) fn apply(document: &Document, mut edits: Vec<Edit>) -> Result<Bytes, PatchError> {
    // Stable: edits of one node keep the order of the calls.
    edits.sort_by_key(|edit| edit.node);
    let mut plan = Plan::default();
    plan.value(document.root(), &edits)?;
    write(document.bytes(), plan.cuts)
}

fn write(original: &Bytes, mut cuts: Vec<Cut>) -> Result<Bytes, PatchError> {
    // An insertion goes before a cut that starts at the same place.
    cuts.sort_by_key(|cut| (cut.span.start, cut.span.end));
    let added: usize = cuts.iter().map(|cut| cut.text.len()).sum();
    let mut out = Vec::with_capacity(original.len() + added);
    let mut at = 0;
    for cut in cuts {
        if cut.span.start < at {
            let offset = cut.span.start;
            return Err(PatchError::Overlap { offset });
        }
        out.extend_from_slice(&original[at..cut.span.start]);
        out.extend_from_slice(&cut.text);
        at = cut.span.end;
    }
    out.extend_from_slice(&original[at..]);
    Ok(out.into())
}

#[derive(Default)]
struct Plan {
    cuts: Vec<Cut>,
}

/// A child of a container and the edits at or below it.
struct Child<'d, 'e> {
    key: Option<Key<'d>>,
    value: Value<'d>,
    edits: &'e [Edit],
}

impl Child<'_, '_> {
    /// From the key, if there is one, to the end of the value.
    fn span(&self) -> Range<usize> {
        let value = self.value.span();
        self.key.map_or(value.start, |key| key.span().start)..value.end
    }

    /// Whether the child is removed; then it must not be edited besides.
    fn is_removed(&self) -> Result<bool, PatchError> {
        let node = self.value.node().index();
        let removes = |edit: &Edit| edit.node == node && matches!(edit.op, Op::Remove);
        let count = self.edits.iter().filter(|edit| removes(edit)).count();
        let offset = self.span().start;
        match count {
            0 => Ok(false),
            _ if count == self.edits.len() => Ok(true),
            _ => Err(PatchError::Overlap { offset }),
        }
    }
}

impl Plan {
    fn cut(&mut self, span: Range<usize>, text: impl Into<Bytes>) {
        let text = text.into();
        self.cuts.push(Cut { span, text });
    }

    /// Plans the edits at or below a value that stays; `edits` holds just those, in order.
    /// Recursion is bounded by the document's depth.
    fn value(&mut self, value: Value<'_>, edits: &[Edit]) -> Result<(), PatchError> {
        let offset = value.span().start;
        let node = value.node().index();
        let (own, below) = edits.split_at(edits.partition_point(|edit| edit.node <= node));
        if let Some(Edit { op: Op::Replace(text), .. }) = own.first() {
            if edits.len() > 1 {
                return Err(PatchError::Overlap { offset });
            }
            self.cut(value.span(), text.clone());
            return Ok(());
        }
        if matches!(value.kind(), Kind::Array | Kind::Object) {
            return self.container(value, own, below);
        }
        self.splices(own, offset)
    }

    /// Plans splices of one string or key.
    fn splices(&mut self, own: &[Edit], offset: usize) -> Result<(), PatchError> {
        for edit in own {
            let Op::Splice { start, end, text } = &edit.op else {
                return Err(PatchError::Overlap { offset });
            };
            self.cut(*start..*end, text.clone());
        }
        Ok(())
    }

    fn container(&mut self, container: Value<'_>, own: &[Edit], below: &[Edit]) -> Result<(), PatchError> {
        let mut names = Names::new(own);
        let mut commas = Commas::default();
        let mut rest = below;
        for (key, value) in children(container) {
            if rest.is_empty() && commas.run.is_none() {
                commas.stopped_early = true;
                break;
            }
            let after = value.after().index();
            let edits;
            (edits, rest) = rest.split_at(rest.partition_point(|edit| edit.node < after));
            let child = Child { key, value, edits };
            let is_removed = child.is_removed()?;
            names.child(&child, is_removed)?;
            if is_removed {
                commas.removed(child.span());
                continue;
            }
            self.cuts.extend(commas.kept(child.span()));
            self.child(&child)?;
        }
        names.check(container)?;
        self.additions(container, own, &commas)
    }

    fn child(&mut self, child: &Child<'_, '_>) -> Result<(), PatchError> {
        if child.edits.is_empty() {
            return Ok(());
        }
        let node = child.value.node().index();
        let on_key = child.edits.partition_point(|edit| edit.node < node);
        let (on_key, on_value) = child.edits.split_at(on_key);
        self.splices(on_key, child.span().start)?;
        self.value(child.value, on_value)
    }

    /// Plans what is added after the last child, and a run removed there.
    fn additions(&mut self, container: Value<'_>, own: &[Edit], commas: &Commas) -> Result<(), PatchError> {
        let offset = container.span().start;
        let mut text = Vec::new();
        let is_any_kept = commas.last_kept.is_some() || commas.stopped_early;
        let mut needs_comma = is_any_kept || container.is_shallow();
        for edit in own {
            let Op::Add { text: added, .. } = &edit.op else {
                return Err(PatchError::Overlap { offset });
            };
            if needs_comma {
                text.push(b',');
            }
            text.extend_from_slice(added);
            needs_comma = true;
        }
        match &commas.run {
            Some(run) => self.cut(run.clone(), text),
            None if own.is_empty() => {}
            None => {
                let at = end_of_children(container);
                self.cut(at..at, text);
            }
        }
        Ok(())
    }
}

/// The offset after the last child, or after the opening bracket when there is none.
fn end_of_children(container: Value<'_>) -> usize {
    let span = container.span();
    let inside = &container.raw_bytes()[..span.len() - 1];
    span.start + inside.trim_ascii_end().len()
}

/// The direct children of an object or array, with their keys.
fn children<'d>(container: Value<'d>) -> impl Iterator<Item = (Option<Key<'d>>, Value<'d>)> {
    let members = container.members().map(|member| (Some(member.key), member.value));
    members.chain(container.items().map(|item| (None, item)))
}

/// Which bytes go when children are removed, so that commas stay between the kept ones.
#[derive(Default)]
struct Commas {
    /// End of the last kept child.
    last_kept: Option<usize>,
    /// The removed children since then, with the comma before them if a kept child has one.
    run: Option<Range<usize>>,
    /// No edits were left, so the remaining children were not looked at: all are kept.
    stopped_early: bool,
}

impl Commas {
    fn removed(&mut self, child: Range<usize>) {
        let start = match &self.run {
            Some(run) => run.start,
            None => self.last_kept.unwrap_or(child.start),
        };
        self.run = Some(start..child.end);
    }

    /// The cut for the run that ends at this kept child, if one does.
    fn kept(&mut self, child: Range<usize>) -> Option<Cut> {
        let run = self.run.take();
        let is_first = self.last_kept.replace(child.end).is_none();
        let run = run?;
        // At the front there is no comma before the run; the one after it goes instead.
        let end = if is_first { child.start } else { run.end };
        Some(Cut { span: run.start..end, text: Bytes::new() })
    }
}

/// Finds out whether an object would hold a key twice.
struct Names {
    /// Keys this patch gives to members.
    given: HashSet<String>,
    /// Key nodes that are removed or renamed.
    gone: HashSet<u32>,
    is_twice: bool,
}

impl Names {
    fn new(own: &[Edit]) -> Names {
        let mut names = Names { given: HashSet::new(), gone: HashSet::new(), is_twice: false };
        for edit in own {
            if let Op::Add { key: Some(key), .. } = &edit.op {
                names.give(key.clone());
            }
        }
        names
    }

    fn give(&mut self, key: String) {
        self.is_twice |= !self.given.insert(key);
    }

    fn child(&mut self, child: &Child<'_, '_>, is_removed: bool) -> Result<(), PatchError> {
        let Some(key) = child.key.filter(|_| !child.edits.is_empty()) else {
            return Ok(());
        };
        let node = key.node().index();
        let on_key = child.edits.partition_point(|edit| edit.node <= node);
        if is_removed {
            self.gone.insert(node);
        } else if on_key > 0 {
            self.gone.insert(node);
            self.give(renamed(key, &child.edits[..on_key])?);
        }
        Ok(())
    }

    fn check(&self, object: Value<'_>) -> Result<(), PatchError> {
        let is_taken = || {
            object
                .members()
                .any(|member| !self.gone.contains(&member.key.node().index()) && self.given.contains(member.key.decoded().as_ref()))
        };
        if self.is_twice || (!self.given.is_empty() && is_taken()) {
            let offset = object.span().start;
            return Err(PatchError::DuplicateKey { offset });
        }
        Ok(())
    }
}

/// The decoded key after its splices.
fn renamed(key: Key<'_>, edits: &[Edit]) -> Result<String, PatchError> {
    let base = key.span().start;
    let mut cuts = Vec::with_capacity(edits.len());
    for edit in edits {
        let Op::Splice { start, end, text } = &edit.op else {
            return Err(PatchError::Overlap { offset: base });
        };
        let span = start - base..end - base;
        let text = text.clone().into();
        cuts.push(Cut { span, text });
    }
    let raw = Bytes::copy_from_slice(key.raw().as_bytes());
    let written = write(&raw, cuts).map_err(|_| PatchError::Overlap { offset: base })?;
    Ok(decode_str(&String::from_utf8_lossy(&written)).into_owned())
}
