//! What a built plugin has of the contract.

use crate::contract::function_name;
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use wit_parser::{WorldItem, WorldKey, decoding::DecodedWasm};

/// The contract's functions that a component imports and exports, as `interface.function`. A component's imports list the functions that it
/// calls, and no others.
///
/// # Errors
/// It is no component.
pub fn uses(component: &[u8]) -> Result<BTreeSet<String>> {
    let DecodedWasm::Component(resolve, world) = wit_parser::decoding::decode(component)? else { bail!("a package, and no component") };
    let world = &resolve.worlds[world];
    let mut found = BTreeSet::new();
    for (key, item) in world.imports.iter().chain(&world.exports) {
        let (WorldKey::Interface(id), WorldItem::Interface { .. }) = (key, item) else { continue };
        let interface = &resolve.interfaces[*id];
        let is_ours = interface.package.is_some_and(|package| {
            let name = &resolve.packages[package].name;
            (name.namespace.as_str(), name.name.as_str()) == ("sluice", "filter")
        });
        let Some(name) = interface.name.as_ref().filter(|_| is_ours) else { continue };
        found.extend(interface.functions.keys().map(|function| format!("{name}.{}", function_name(function))));
    }
    Ok(found)
}
