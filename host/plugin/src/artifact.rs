//! A file's bytes before they are compiled: what they are, and what they ask for.

use crate::v0_1;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use wasmtime::component::types::Component as ComponentType;

/// Largest file taken.
pub const BYTES_MAX: usize = 64 << 20;

const MAGIC: &[u8] = b"\0asm";
const MODULE: &[u8] = &[1, 0, 0, 0];
const COMPONENT: &[u8] = &[0x0d, 0, 1, 0];

/// sha256, hex.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Refuse what is no component, saying what it is and what to do.
pub(crate) fn recognize(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > BYTES_MAX {
        return Err(format!("is {} bytes long; at most {} MiB are taken", bytes.len(), BYTES_MAX >> 20));
    }
    if bytes.is_empty() {
        return Err("is empty; build it again".into());
    }
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return Err(other(bytes).into());
    };
    match rest.get(..4) {
        Some(COMPONENT) if is_whole(&rest[4..]) => Ok(()),
        Some(COMPONENT) => Err("is cut short; copy or build it again".into()),
        Some(MODULE) => Err("is a core module; build for wasm32-wasip2 or run `wasm-tools component new`".into()),
        Some(_) => Err("is wasm of a version this host does not know; build for wasm32-wasip2".into()),
        None => Err("is cut short; copy or build it again".into()),
    }
}

/// Whether each section of a component has its length (component model, binary format: an id, a LEB128 length, the content). The parser
/// behind this does not miss the rest of a component inside that ends between two sections of its own.
fn is_whole(mut sections: &[u8]) -> bool {
    while let Some((_, rest)) = sections.split_first() {
        let Some(end) = rest.iter().position(|byte| byte & 0x80 == 0).filter(|end| *end < 5) else { return false };
        let length = rest[..=end].iter().rev().fold(0, |length, byte| length << 7 | u64::from(byte & 0x7f));
        let after = usize::try_from(length).ok().and_then(|length| rest.get(end + 1..)?.get(length..));
        let Some(after) = after else { return false };
        sections = after;
    }
    true
}

fn other(bytes: &[u8]) -> &'static str {
    let text = std::str::from_utf8(&bytes[..bytes.len().min(256)]).unwrap_or_default().trim_start();
    if MAGIC.starts_with(bytes) {
        "is cut short; copy or build it again"
    } else if text.starts_with("(component") || text.starts_with("(module") {
        "is WebAssembly text; turn it into a binary with `wasm-tools parse`"
    } else if text.starts_with("version https://git-lfs") {
        "is a Git LFS pointer; run `git lfs pull`"
    } else if text.starts_with('<') {
        "is a web page; download the file itself"
    } else if bytes.starts_with(b"\x7fELF") {
        "is machine code; plugins are .wasm components built for wasm32-wasip2"
    } else {
        "is not WebAssembly; plugins are .wasm components built for wasm32-wasip2"
    }
}

/// What is said when one of the two required interfaces is not exported.
pub(crate) fn missing_exports(component: &ComponentType, engine: &wasmtime::Engine) -> Option<String> {
    let exported = |interface: &str| {
        let full = format!("sluice:filter/{interface}@{}", v0_1::VERSION);
        component.get_export(engine, &full).is_some()
    };
    for interface in ["describe", "lifecycle"] {
        if !exported(interface) {
            let seen: Vec<_> = component.exports(engine).map(|(name, _)| crate::instance::one_line(name)).take(8).collect();
            let seen = if seen.is_empty() { "nothing".to_owned() } else { seen.join(", ") };
            return Some(format!(
                "does not export sluice:filter/{interface}@{}; it exports {seen}. Use an SDK, or include the world `plugin`",
                v0_1::VERSION
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_wrong_file_is_named() {
        for (bytes, says) in [
            (&b""[..], "empty"),
            (b"\0as", "cut short"),
            (b"\0asm\x0d\0", "cut short"),
            (b"\0asm\x0d\0\x01\0\x04", "cut short"),
            (b"\0asm\x0d\0\x01\0\x04\x80", "cut short"),
            (b"\0asm\x0d\0\x01\0\x04\x09\0asm\x0d\0\x01\0", "cut short"),
            (b"\0asm\x01\0\0\0rest", "core module"),
            (b"\0asm\x02\0\0\0", "version"),
            (b"  (module)", "text"),
            (b"<!doctype html>", "web page"),
            (b"\x7fELF\x02", "machine code"),
            (b"MZ", "not WebAssembly"),
        ] {
            let error = recognize(bytes).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        assert_eq!(recognize(b"\0asm\x0d\0\x01\0"), Ok(()));
    }
}
