//! One version of the contract, read.

use anyhow::{Context as _, Result};
use std::{collections::BTreeSet, path::Path};
use wit_parser::{InterfaceId, PackageId, PackageName, Resolve, WorldId, WorldItem, WorldKey};

/// A contract: one WIT package.
pub struct Contract {
    pub(crate) resolve: Resolve,
    pub(crate) package: PackageId,
}

/// One half of a world.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// What the host gives.
    Imports,
    /// What the plugin gives.
    Exports,
}

impl Contract {
    /// From the `.wit` files of a folder.
    ///
    /// # Errors
    /// There are none, or they are no package.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut resolve = Resolve::new();
        let (package, _) = resolve.push_dir(folder).with_context(|| format!("{} holds no contract", folder.display()))?;
        Ok(Self { resolve, package })
    }

    /// From its text.
    ///
    /// # Errors
    /// It is no package; the message shows the line.
    pub fn parse(text: &str) -> Result<Self> {
        let mut resolve = Resolve::new();
        let package = resolve.push_str("contract.wit", text).map_err(|error| anyhow::anyhow!("{}", resolve.render_error(&error)))?;
        Ok(Self { resolve, package })
    }

    /// As binaries name it: `sluice:filter@0.1.0`.
    pub fn name(&self) -> String {
        self.resolve.packages[self.package].name.to_string()
    }

    /// A later version of the same line: plugins built against the earlier one go on working with it.
    pub(crate) fn continues(&self, earlier: &Self) -> bool {
        let name = |contract: &Self| contract.resolve.packages[contract.package].name.clone();
        let (was, is) = (name(earlier), name(self));
        let line = |name: &PackageName| name.version.as_ref().map(PackageName::version_compat_track);
        (&was.namespace, &was.name, line(&was)) == (&is.namespace, &is.name, line(&is)) && was.version < is.version
    }

    /// Every function that a plugin can import or export, as `interface.function`.
    pub fn functions(&self) -> BTreeSet<String> {
        let all = self.interfaces().flat_map(|(interface, id)| {
            let functions = self.resolve.interfaces[id].functions.keys();
            functions.map(move |function| format!("{interface}.{}", function_name(function)))
        });
        all.collect()
    }

    pub(crate) fn interfaces(&self) -> impl Iterator<Item = (&str, InterfaceId)> {
        self.resolve.packages[self.package].interfaces.iter().map(|(name, id)| (name.as_str(), *id))
    }

    pub(crate) fn interface(&self, name: &str) -> Option<InterfaceId> {
        self.resolve.packages[self.package].interfaces.get(name).copied()
    }

    pub(crate) fn worlds(&self) -> impl Iterator<Item = (&str, WorldId)> {
        self.resolve.packages[self.package].worlds.iter().map(|(name, id)| (name.as_str(), *id))
    }

    pub(crate) fn world(&self, name: &str) -> Option<WorldId> {
        self.resolve.packages[self.package].worlds.get(name).copied()
    }

    /// Names of the interfaces on one side of a world, those included that others use.
    pub(crate) fn side(&self, world: WorldId, side: Side) -> BTreeSet<String> {
        self.items(world, side).filter_map(|(key, _)| self.key(key).ok()).collect()
    }

    /// Names of what stands in a world and in no interface.
    pub(crate) fn loose(&self, world: WorldId) -> BTreeSet<String> {
        let both = self.items(world, Side::Imports).chain(self.items(world, Side::Exports));
        both.filter_map(|(key, _)| self.key(key).err()).collect()
    }

    /// The interfaces on one side of any world.
    pub(crate) fn anywhere(&self, side: Side) -> BTreeSet<String> {
        self.worlds().flat_map(|(_, world)| self.side(world, side)).collect()
    }

    fn items(&self, world: WorldId, side: Side) -> impl Iterator<Item = (&WorldKey, &WorldItem)> {
        let world = &self.resolve.worlds[world];
        match side {
            Side::Imports => world.imports.iter(),
            Side::Exports => world.exports.iter(),
        }
    }

    /// An interface of this package by its own name, another by its whole one; else what is none.
    fn key(&self, key: &WorldKey) -> Result<String, String> {
        match key {
            WorldKey::Name(name) => Err(name.clone()),
            WorldKey::Interface(id) => Ok(self.interface_name(*id)),
        }
    }

    pub(crate) fn interface_name(&self, id: InterfaceId) -> String {
        let interface = &self.resolve.interfaces[id];
        let own = interface.name.clone().filter(|_| interface.package == Some(self.package));
        own.or_else(|| self.resolve.id_of(id)).unwrap_or_default()
    }
}

/// `[method]bucket.get` without what kind it is.
pub(crate) fn function_name(name: &str) -> String {
    match name.strip_prefix("[constructor]") {
        Some(resource) => format!("{resource}.constructor"),
        None => name.rsplit_once(']').map_or(name, |(_, name)| name).to_owned(),
    }
}
