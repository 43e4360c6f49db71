//! What a component may import, and what each import lets it do: one list, from which components are linked and described.
//!
//! A component is linked with what it imports and nothing else, and each thing linked is an entry here, with its words. So what
//! `sluice plugin inspect` prints is all that a plugin can reach.

use crate::{guest::Guest, v0_1, wasi};
use wasmtime::{
    Engine,
    component::{Component, Linker, LinkerInstance, types::Component as ComponentType},
};

/// One interface that this host has.
pub struct Import {
    /// Of the contract by its own name, `payload`; of WASI with its package, `wasi:clocks/wall-clock`.
    pub interface: &'static str,
    /// What it lets a plugin do, in an operator's words. None: nothing.
    pub allows: Option<&'static str>,
    pub(crate) link: Link,
}

/// How it gets into a linker.
pub(crate) enum Link {
    /// Of the contract.
    Own(fn(&mut Linker<Guest>) -> wasmtime::Result<()>),
    /// Of WASI: what answers; the rest of the interface traps.
    Wasi(fn(&mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()>),
}

impl std::fmt::Debug for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.interface)
    }
}

/// Every interface that a plugin can be given.
pub fn all() -> impl Iterator<Item = &'static Import> {
    v0_1::IMPORTS.iter().chain(&wasi::IMPORTS)
}

/// One import of a component.
#[derive(Debug, Clone)]
pub struct Imported {
    /// As the component names it, with its version.
    pub name: Box<str>,
    /// What that is.
    pub import: &'static Import,
}

/// What a component imports, or what it imports in vain.
pub(crate) fn of(component: &ComponentType, engine: &Engine) -> Result<Vec<Imported>, String> {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for (name, _) in component.imports(engine) {
        match find(name) {
            Some(import) => known.push(Imported { name: name.into(), import }),
            None => unknown.push(crate::instance::one_line(name)),
        }
    }
    if unknown.is_empty() {
        return Ok(known);
    }
    let skewed = unknown.iter().any(|name| name.starts_with("sluice:filter/"));
    let advice = if skewed { "build it against that version" } else { "build it without" };
    Err(format!(
        "imports {}, which this host does not offer; it speaks sluice:filter {} and WASI 0.2: {advice}",
        unknown.join(", "),
        v0_1::VERSION
    ))
}

/// `sluice:filter/payload@0.1.0`, `wasi:clocks/wall-clock@0.2.3`: if this host has it, in that version.
fn find(name: &str) -> Option<&'static Import> {
    let (interface, version) = name.split_once('@')?;
    match interface.strip_prefix("sluice:filter/") {
        Some(own) if version == v0_1::VERSION => v0_1::IMPORTS.iter().find(|import| import.interface == own),
        Some(_) => None,
        None if version.starts_with("0.2.") && !version.contains('-') => wasi::IMPORTS.iter().find(|import| import.interface == interface),
        None => None,
    }
}

/// A linker with just these.
pub(crate) fn linker(imports: &[Imported], engine: &Engine, component: &Component) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    for Imported { name, import } in imports {
        match import.link {
            Link::Own(add) => add(&mut linker)?,
            Link::Wasi(define) => wasi::link(&mut linker, engine, component, name, define)?,
        }
    }
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, path::PathBuf};

    fn components() -> Vec<(PathBuf, Component)> {
        let folder = std::env::var_os("SLUICE_GUESTS").map(PathBuf::from).unwrap_or_else(|| {
            let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
            root.join("target/components/wasm32-wasip2/plugin")
        });
        let engine = engine();
        let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}: cargo xtask plugins", folder.display()));
        let files = files.flatten().map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "wasm"));
        let read = |path: PathBuf| {
            let component = Component::from_file(&engine, &path).ok()?;
            Some((path, component))
        };
        files.filter_map(read).collect()
    }

    fn engine() -> Engine {
        // Nothing of it runs, so the code need not be good.
        fn quick() -> Engine {
            Engine::new(crate::engine::config(crate::engine::Memory::OnDemand).cranelift_opt_level(wasmtime::OptLevel::None)).unwrap()
        }
        thread_local!(static ENGINE: Engine = quick());
        ENGINE.with(Engine::clone)
    }

    /// An import that were not in the list of a component's could not be reached: the component would not link. Taken away one by one, for
    /// every component of the tree, and every interface of the contract is among them.
    #[test]
    fn what_is_not_listed_is_not_linked() {
        let (engine, mut missed) = (engine(), HashSet::new());
        for (path, component) in components() {
            let Ok(imports) = of(&component.component_type(), &engine) else { continue };
            let all = linker(&imports, &engine, &component).unwrap();
            all.instantiate_pre(&component).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
            for at in 0..imports.len() {
                let mut fewer = imports.clone();
                let gone = fewer.remove(at);
                let linked = linker(&fewer, &engine, &component).unwrap().instantiate_pre(&component);
                match linked {
                    Err(error) => {
                        assert!(format!("{error:#}").contains(&*gone.name), "{error:#}");
                        missed.insert(gone.import.interface);
                    }
                    // It imports the interface for its types alone: there is nothing to call.
                    Ok(_) => assert!(!has_functions(&component, &gone.name), "{} links without {}", path.display(), gone.name),
                }
            }
        }
        for import in &v0_1::IMPORTS {
            assert!(missed.contains(import.interface), "no component of the tree calls {}", import.interface);
        }
    }

    fn has_functions(component: &Component, name: &str) -> bool {
        use wasmtime::component::types::ComponentItem;
        let (engine, kind) = (engine(), component.component_type());
        let found = kind.imports(&engine).find(|(import, _)| *import == name).map(|(_, item)| item.ty);
        match found {
            Some(ComponentItem::ComponentInstance(interface)) => {
                interface.exports(&engine).any(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
            }
            _ => true,
        }
    }

    #[test]
    fn each_interface_stands_once_and_is_of_one_version() {
        let names: HashSet<_> = all().map(|import| import.interface).collect();
        assert_eq!(names.len(), all().count());
        for good in ["sluice:filter/kv@0.1.0", "wasi:cli/stdout@0.2.0", "wasi:cli/stdout@0.2.12"] {
            assert!(find(good).is_some(), "{good}");
        }
        for bad in [
            "sluice:filter/kv",
            "sluice:filter/kv@0.2.0",
            "sluice:filter/kvs@0.1.0",
            "kv@0.1.0",
            "wasi:http/outgoing-handler@0.2.3",
            "wasi:cli/stdout@0.3.0",
            "wasi:cli/stdout@0.2.0-rc",
            "wasi:cli/stdout",
        ] {
            assert!(find(bad).is_none(), "{bad}");
        }
    }
}
