//! Another name for a member whose name has something in it.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;

use sluice_sdk::prelude::*;

use crate::clean::strip;
use crate::detectors::Find;

/// The name of the member at a pointer.
pub(crate) fn name_at(pointer: &str) -> Option<String> {
    let (_, escaped) = pointer.rsplit_once('/')?;
    Some(escaped.replace("~1", "/").replace("~0", "~"))
}

/// One that none beside it has, since most parsers would lose one of two; nothing if there is none.
pub(crate) fn rename(x: &impl Payload, pointer: &str, finds: &[Find], given: &mut BTreeSet<String>) -> Option<Edit> {
    let (object, _) = pointer.rsplit_once('/')?;
    let name = name_at(pointer)?;
    let wanted = strip(&name, finds);
    let mut unique = wanted.clone();
    let mut number = 2;
    loop {
        let place = format!("{object}/{}", unique.replace('~', "~0").replace('/', "~1"));
        if x.get(&place).is_none() && given.insert(place) {
            return Some(Edit::splice_key(pointer, 0..name.len() as u32, &unique));
        }
        unique = format!("{wanted}#{number}");
        number += 1;
        if number > 100 {
            return None;
        }
    }
}
