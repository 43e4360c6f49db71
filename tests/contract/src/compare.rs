//! Which edits break plugins that are built already, with the reason for each.
//!
//! An interface that a world imports is the host's to give: it may grow, since a binary imports only what it calls. One that a world exports
//! is the plugin's: nothing can be asked of it that was not asked when the plugin was built. Types are compared whole on both sides.

use crate::{
    Contract,
    contract::{Side, function_name},
};
use std::{collections::BTreeSet, fmt};
use wit_parser::{Function, FunctionKind, Interface, InterfaceId, Type, TypeDefKind, TypeId, WorldId};

const NOT_OFFERED: &str = "a built plugin that imports it does not load";
const NOT_CALLED: &str = "a built plugin that exports it loads, and is never called there";
const NOT_EXPORTED: &str = "no built plugin exports it";
const NOT_FOUND: &str = "a built plugin has the old name in each import and export, and does not load";
const SIGNATURE: &str = "the engine compares signatures whole, so no built plugin that has it loads";
const RECORD: &str = "a record is laid out and compared whole, so no built plugin that has it loads";
const CASES: &str = "host and plugin must know the very same, so no built plugin that has it loads";
const TYPE: &str = "types are compared whole, so no built plugin that has it loads";
const RESOURCE: &str = "a resource is the one interface's that declares it, so no built plugin that holds one loads";
const SOURCES: &str = "built plugins do not notice, but what authors wrote against it does not build any more";
const NAME: &str = "a parameter's name belongs to the function's type: built plugins load, but tools that compose components refuse them";
const LOOSE: &str = "only interfaces are compared; put it into one";

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What is different.
    pub what: String,
    /// Why it is refused. None: every built plugin goes on working.
    pub breaks: Option<&'static str>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.breaks {
            Some(why) => write!(f, "refused: {}: {why}", self.what),
            None => write!(f, "fine: {}", self.what),
        }
    }
}

/// Every difference of an edited contract from a released one, in the order of the released one.
pub fn compare(released: &Contract, edited: &Contract) -> Vec<Change> {
    let mut pair = Pair { was: released, is: edited, changes: Vec::new() };
    pair.package();
    pair.interfaces();
    pair.worlds();
    pair.changes
}

struct Pair<'a> {
    was: &'a Contract,
    is: &'a Contract,
    changes: Vec<Change>,
}

impl Pair<'_> {
    fn refuse(&mut self, what: String, why: &'static str) {
        self.changes.push(Change { what, breaks: Some(why) });
    }

    fn note(&mut self, what: String) {
        self.changes.push(Change { what, breaks: None });
    }

    fn package(&mut self) {
        let (was, is) = (self.was.name(), self.is.name());
        let what = format!("the package is called {is}, was {was}");
        if self.is.continues(self.was) {
            self.note(what);
        } else if was != is {
            self.refuse(what, NOT_FOUND);
        }
    }

    /// On this side of any world, before or after.
    fn stands(&self, interface: &str, side: Side) -> bool {
        self.was.anywhere(side).contains(interface) || self.is.anywhere(side).contains(interface)
    }

    fn interfaces(&mut self) {
        for (name, was) in self.was.interfaces() {
            match self.is.interface(name) {
                Some(is) => self.interface(name, was, is),
                None => {
                    let is_only_exported = self.stands(name, Side::Exports) && !self.stands(name, Side::Imports);
                    let why = if is_only_exported { NOT_CALLED } else { NOT_OFFERED };
                    self.refuse(format!("the interface {name} is gone"), why);
                }
            }
        }
        for (name, _) in self.is.interfaces() {
            if self.was.interface(name).is_none() {
                self.note(format!("the interface {name} is new"));
            }
        }
    }

    fn interface(&mut self, name: &str, was: InterfaceId, is: InterfaceId) {
        let is_exported = self.stands(name, Side::Exports);
        let (was, is) = (&self.was.resolve.interfaces[was], &self.is.resolve.interfaces[is]);
        for (ty, was) in &was.types {
            match is.types.get(ty) {
                Some(is) => self.ty(&format!("{name}.{ty}"), *was, *is),
                None if is_resource(self.was, *was) => self.refuse(format!("the resource {name}.{ty} is gone"), NOT_OFFERED),
                None => self.refuse(format!("the type {name}.{ty} is gone"), SOURCES),
            }
        }
        for (ty, id) in is.types.iter().filter(|(ty, _)| !was.types.contains_key(*ty)) {
            let what = format!("the type {name}.{ty} is new");
            if is_exported && is_resource(self.is, *id) { self.refuse(what, NOT_EXPORTED) } else { self.note(what) }
        }
        let (before, after) = (functions(was), functions(is));
        for (function, was) in &before {
            let of = was.kind.resource().and_then(|id| self.was.resolve.types[id].name.as_ref());
            match after.iter().find(|(other, _)| other == function) {
                Some((_, is)) => self.function(&format!("{name}.{function}"), was, is),
                // What went with its resource was said.
                None if of.is_some_and(|resource| !is.types.contains_key(resource)) => {}
                None => self.refuse(format!("the function {name}.{function} is gone"), if is_exported { NOT_CALLED } else { NOT_OFFERED }),
            }
        }
        for (function, _) in after.iter().filter(|(function, _)| !before.iter().any(|(other, _)| other == function)) {
            let what = format!("the function {name}.{function} is new");
            if is_exported { self.refuse(what, NOT_EXPORTED) } else { self.note(what) }
        }
    }

    /// By name, since a named type is compared where it stands; or, where it is called otherwise now, as binaries have it.
    fn is_same(&self, was: Option<Type>, is: Option<Type>) -> bool {
        self.was.named(was) == self.is.named(is) || self.was.whole(was) == self.is.whole(is)
    }

    fn function(&mut self, name: &str, was: &Function, is: &Function) {
        if kind(was) != kind(is) {
            return self.refuse(format!("{name} is {}, was {}", kind(is), kind(was)), SIGNATURE);
        }
        let pairs = || was.params.iter().zip(&is.params);
        let is_other = was.params.len() != is.params.len() || pairs().any(|(was, is)| !self.is_same(Some(was.ty), Some(is.ty)));
        if is_other || pairs().any(|(was, is)| was.name != is.name) {
            let what = format!("{name} takes ({}), took ({})", parameters(self.is, is), parameters(self.was, was));
            self.refuse(what, if is_other { SIGNATURE } else { NAME });
        }
        if !self.is_same(was.result, is.result) {
            let what = format!("{name} returns {}, returned {}", self.is.named(is.result), self.was.named(was.result));
            self.refuse(what, SIGNATURE);
        }
    }

    fn ty(&mut self, name: &str, was: TypeId, is: TypeId) {
        let (before, after) = (self.was.target(was), self.is.target(is));
        let (kind, kind_now) = (&self.was.resolve.types[before].kind, &self.is.resolve.types[after].kind);
        // What an alias stands for is compared in its own place.
        if before != was {
            if !self.is_same(Some(Type::Id(was)), Some(Type::Id(is))) {
                self.other(name, before, after, TYPE);
            }
        } else if matches!(kind, TypeDefKind::Resource) {
            if !matches!(kind_now, TypeDefKind::Resource) || self.was.type_name(before) != self.is.type_name(after) {
                self.other(name, before, after, RESOURCE);
            }
        } else if let (Some((noun, why, was)), Some((noun_now, _, is))) = (members(kind), members(kind_now))
            && noun == noun_now
        {
            self.members(name, noun, why, &was, &is);
        } else if self.was.whole(Some(Type::Id(was))) != self.is.whole(Some(Type::Id(is))) {
            self.other(name, before, after, TYPE);
        }
    }

    /// It is something else altogether.
    fn other(&mut self, name: &str, was: TypeId, is: TypeId, why: &'static str) {
        let word = |contract: &Contract, id: TypeId| match &contract.resolve.types[id].kind {
            TypeDefKind::Type(of) => contract.named(Some(*of)),
            kind => match contract.type_name(id).filter(|target| target != name) {
                Some(target) => format!("{} {target}", kind.as_str()),
                None => kind.as_str().to_owned(),
            },
        };
        let what = format!("{name} is {}, was {}", word(self.is, is), word(self.was, was));
        self.refuse(what, why);
    }

    /// Fields, cases or flags: which there are, their order, and what is in them.
    fn members(&mut self, name: &str, noun: &str, why: &'static str, was: &[Member], is: &[Member]) {
        let find = |all: &[Member], name: &str| all.iter().find(|(other, _)| *other == name).map(|(_, ty)| *ty);
        let mut is_whole = true;
        for (member, ty) in was {
            match find(is, member) {
                None => {
                    is_whole = false;
                    self.refuse(format!("the {noun} {member} of {name} is gone"), why);
                }
                Some(now) if !self.is_same(*ty, now) => {
                    let what = format!("the {noun} {member} of {name} has {}, had {}", self.is.named(now), self.was.named(*ty));
                    self.refuse(what, why);
                }
                Some(_) => {}
            }
        }
        for (member, _) in is.iter().filter(|(member, _)| find(was, member).is_none()) {
            is_whole = false;
            let advice = if noun == "case" && find(was, "other").is_some() { ", and `other` is there for it" } else { "" };
            self.refuse(format!("the {noun} {member} of {name} is new{advice}"), why);
        }
        if is_whole && was.iter().zip(is).any(|((was, _), (is, _))| was != is) {
            self.refuse(format!("the {noun}s of {name} are in another order"), why);
        }
    }

    fn worlds(&mut self) {
        for (side, verb, why) in [(Side::Imports, "imports", NOT_OFFERED), (Side::Exports, "exports", NOT_CALLED)] {
            let is = self.is.anywhere(side);
            for name in self.was.anywhere(side) {
                // An interface that is gone altogether was said to be.
                if !is.contains(&name) && self.is.interface(&name).is_some() {
                    self.refuse(format!("no world {verb} {name} any more"), why);
                }
            }
        }
        // Without one of the worlds the rest have more in common, and nothing new is asked of anybody.
        if self.was.worlds().all(|(name, _)| self.is.world(name).is_some()) {
            for name in &required(self.is, self.was) - &required(self.was, self.was) {
                self.refuse(format!("every world exports {name} now, so every plugin must"), NOT_EXPORTED);
            }
        }
        for (name, was) in self.was.worlds() {
            let Some(is) = self.is.world(name) else {
                self.refuse(format!("the world {name} is gone"), SOURCES);
                continue;
            };
            self.world(name, was, is);
        }
        for (name, world) in self.is.worlds() {
            if self.was.world(name).is_none() {
                self.note(format!("the world {name} is new"));
            }
            for loose in self.is.loose(world) {
                self.refuse(format!("the world {name} has {loose} in no interface"), LOOSE);
            }
        }
    }

    fn world(&mut self, name: &str, was: WorldId, is: WorldId) {
        for (side, verb) in [(Side::Imports, "imports"), (Side::Exports, "exports")] {
            let (before, after) = (self.was.side(was, side), self.is.side(is, side));
            for gone in before.difference(&after) {
                // Where no world has it, that was said.
                if self.is.anywhere(side).contains(gone) {
                    self.refuse(format!("the world {name} no longer {verb} {gone}"), SOURCES);
                }
            }
            for new in after.difference(&before) {
                self.note(format!("the world {name} {verb} {new}"));
            }
        }
    }
}

/// What all worlds export of those that `known` has: what the host may ask of any plugin.
fn required(contract: &Contract, known: &Contract) -> BTreeSet<String> {
    let worlds = contract.worlds().filter(|(name, _)| known.world(name).is_some());
    worlds.map(|(_, world)| contract.side(world, Side::Exports)).reduce(|all, one| &all & &one).unwrap_or_default()
}

/// A field, a case or a flag, and what is in it.
type Member = (String, Option<Type>);

/// What they are called, why they are frozen, and they.
fn members(kind: &TypeDefKind) -> Option<(&'static str, &'static str, Vec<Member>)> {
    Some(match kind {
        TypeDefKind::Record(all) => ("field", RECORD, all.fields.iter().map(|one| (one.name.clone(), Some(one.ty))).collect()),
        TypeDefKind::Variant(all) => ("case", CASES, all.cases.iter().map(|one| (one.name.clone(), one.ty)).collect()),
        TypeDefKind::Enum(all) => ("value", CASES, all.cases.iter().map(|one| (one.name.clone(), None)).collect()),
        TypeDefKind::Flags(all) => ("flag", CASES, all.flags.iter().map(|one| (one.name.clone(), None)).collect()),
        _ => return None,
    })
}

fn is_resource(contract: &Contract, id: TypeId) -> bool {
    matches!(contract.resolve.types[id].kind, TypeDefKind::Resource)
}

fn functions(interface: &Interface) -> Vec<(String, &Function)> {
    interface.functions.values().map(|function| (function_name(&function.name), function)).collect()
}

fn kind(function: &Function) -> &'static str {
    match function.kind {
        FunctionKind::Freestanding => "a function",
        FunctionKind::AsyncFreestanding => "an async function",
        FunctionKind::Method(_) => "a method",
        FunctionKind::AsyncMethod(_) => "an async method",
        FunctionKind::Static(_) => "a static function",
        FunctionKind::AsyncStatic(_) => "an async static function",
        FunctionKind::Constructor(_) => "a constructor",
    }
}

fn parameters(contract: &Contract, function: &Function) -> String {
    let own = function.params.iter().filter(|one| one.name != "self");
    own.map(|one| format!("{}: {}", one.name, contract.named(Some(one.ty)))).collect::<Vec<_>>().join(", ")
}
