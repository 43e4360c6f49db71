//! `sluice-sdk-c WIT-FOLDER OUT-FOLDER` writes `contract.h` and `contract.c`: what wit-bindgen makes of the world `everything`, with
//! every hook behind a macro, and the types of the component as sections of the C file.
//!
//! A component must export all of the worlds it was built from, so there is one world of what every plugin has and may import,
//! and one of each hook. Imports that are never called are dropped by the linker.

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use std::{fmt::Write as _, fs, path::Path};
use wit_bindgen_core::{
    Files,
    wit_parser::{PackageId, Resolve, WorldId, WorldItem, WorldKey},
};

/// Exported by every plugin, so not behind a macro.
const ALWAYS: [&str; 2] = ["describe", "lifecycle"];
const EXPORTED: &str = "// Exported Functions from `";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [wit, out] = arguments.as_slice() else { bail!("usage: sluice-sdk-c WIT-FOLDER OUT-FOLDER") };
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit)?;
    let everything = resolve.select_world(&[package], Some("everything"))?;
    let version = resolve.packages[package].name.version.clone().context("the contract has a version")?.to_string();
    let (imports, hooks) = interfaces(&resolve, everything);
    let sections = sections(wit, &imports, &hooks, &version)?;
    let mut files = Files::default();
    let options = wit_bindgen_c::Opts {
        no_object_file: true,
        autodrop_borrows: wit_bindgen_c::Enabled::Yes,
        rename_world: Some("sluice".into()),
        ..Default::default()
    };
    options.build().generate(&mut resolve, everything, &mut files)?;
    let text = |name: &str| -> Result<String> {
        let bytes = files.iter().find(|(file, _)| *file == name).with_context(|| format!("wit-bindgen wrote no {name}"))?.1;
        Ok(String::from_utf8(bytes.to_vec())?)
    };
    let stamp = format!("// Of the contract with the sha256 {}\n", digest(Path::new(wit))?);
    // What follows names the object file that we do without.
    let source = text("sluice.c")?;
    let source = source.split("\n// Ensure that").next().unwrap_or(&source);
    let source = guarded(source, &hooks)?.replace("#include \"sluice.h\"", "#include \"contract.h\"");
    fs::write(Path::new(out).join("contract.h"), format!("{stamp}{}", text("sluice.h")?))?;
    fs::write(Path::new(out).join("contract.c"), format!("{stamp}{source}\n{sections}"))?;
    Ok(())
}

/// Of all files of the folder in the order of their names.
fn digest(wit: &Path) -> Result<String> {
    let mut paths: Vec<_> = fs::read_dir(wit)?.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wit"));
    paths.sort();
    let mut hash = Sha256::new();
    for path in paths {
        hash.update(fs::read(path)?);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Names of the interfaces that the world imports, and of the hooks that it exports.
fn interfaces(resolve: &Resolve, world: WorldId) -> (Vec<String>, Vec<String>) {
    let names = |items: Vec<(&WorldKey, &WorldItem)>| -> Vec<String> {
        let ids = items.into_iter().filter_map(|(_, item)| if let WorldItem::Interface { id, .. } = item { Some(*id) } else { None });
        ids.filter_map(|id| resolve.interfaces[id].name.clone()).collect()
    };
    let world = &resolve.worlds[world];
    let mut hooks = names(world.exports.iter().collect());
    hooks.retain(|hook| !ALWAYS.contains(&hook.as_str()));
    (names(world.imports.iter().collect()), hooks)
}

/// `SLUICE_ON_REQUEST`
fn guard(hook: &str) -> String {
    format!("SLUICE_{}", hook.to_uppercase().replace('-', "_"))
}

/// The C file with every exported function of a hook between `#ifdef` and `#endif`.
fn guarded(source: &str, hooks: &[String]) -> Result<String> {
    let mut out = String::with_capacity(source.len() + 4096);
    let mut open: Option<&str> = None;
    let mut seen = 0;
    for line in source.lines() {
        let starts = line.starts_with("// ") || line.contains("__export_name__(\"");
        if starts {
            let hook = hooks.iter().find(|hook| line.contains(&format!("sluice:filter/{hook}@")) && !line.starts_with("// Imported"));
            if open.is_some() && hook.map(String::as_str) != open {
                out.push_str("#endif\n");
                open = None;
            }
            if let Some(hook) = hook
                && open.is_none()
            {
                writeln!(out, "#ifdef {}", guard(hook))?;
                open = Some(hook);
                seen += usize::from(line.starts_with(EXPORTED));
            }
        }
        out.push_str(line);
        out.push('\n');
    }
    if open.is_some() {
        out.push_str("#endif\n");
    }
    if seen != hooks.len() {
        bail!("found {seen} of {} hooks in what wit-bindgen wrote: its layout has changed", hooks.len());
    }
    Ok(out)
}

/// The component's types, as sections that `wasm-tools component new` puts together.
fn sections(wit: &str, imports: &[String], hooks: &[String], version: &str) -> Result<String> {
    let line = |kind: &str, name: &str| format!("{kind} sluice:filter/{name}@{version};");
    let mut base: Vec<String> = imports.iter().map(|name| line("import", name)).collect();
    base.extend(ALWAYS.map(|name| line("export", name)));
    let mut out = String::from("#ifdef __wasm__\n");
    out += &section("base", &encode(wit, "base", &base)?);
    for hook in hooks {
        let bytes = encode(wit, &format!("{hook}-hook"), &[line("export", hook)])?;
        write!(out, "#ifdef {}\n{}#endif\n", guard(hook), section(hook, &bytes))?;
    }
    Ok(out + "#endif\n")
}

fn encode(wit: &str, name: &str, items: &[String]) -> Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    resolve.push_dir(wit)?;
    let text = format!("package sluice:sdk;\nworld {name} {{\n{}\n}}\n", items.join("\n"));
    let package: PackageId = resolve.push_str("world.wit", &text)?;
    let world = resolve.select_world(&[package], Some(name))?;
    wit_component::metadata::encode(&resolve, world, wit_component::StringEncoding::UTF8, None)
}

/// Names are apart, because the linker puts sections of one name into one.
fn section(name: &str, bytes: &[u8]) -> String {
    let mut out = format!("__asm__(\".section \\\".custom_section.component-type:sluice-{name}\\\",\\\"\\\",@\\n\"\n");
    for row in bytes.chunks(24) {
        let values: Vec<String> = row.iter().map(u8::to_string).collect();
        let _ = writeln!(out, "  \".byte {}\\n\"", values.join(","));
    }
    out + "  \".text\\n\");\n"
}
