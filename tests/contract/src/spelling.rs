//! Types in words: by name, for people, and whole, to see whether two are the same.

use crate::Contract;
use wit_parser::{Case, Handle, Type, TypeDefKind, TypeId, TypeOwner};

impl Contract {
    /// With types of this package by their names, which are compared where they stand.
    pub(crate) fn named(&self, ty: Option<Type>) -> String {
        ty.map_or_else(|| "nothing".to_owned(), |ty| self.spell(&ty, false))
    }

    /// Down to the last field, as binaries have it. Only resources have names there.
    pub(crate) fn whole(&self, ty: Option<Type>) -> String {
        ty.map_or_else(|| "nothing".to_owned(), |ty| self.spell(&ty, true))
    }

    /// Behind `use` and aliases of what has a name.
    pub(crate) fn target(&self, id: TypeId) -> TypeId {
        match self.resolve.types[id].kind {
            TypeDefKind::Type(Type::Id(next)) if self.resolve.types[next].name.is_some() => self.target(next),
            _ => id,
        }
    }

    pub(crate) fn type_name(&self, id: TypeId) -> Option<String> {
        let found = &self.resolve.types[id];
        let owner = match found.owner {
            TypeOwner::Interface(id) => self.interface_name(id),
            TypeOwner::World(id) => self.resolve.worlds[id].name.clone(),
            TypeOwner::None => return None,
        };
        Some(format!("{owner}.{}", found.name.as_ref()?))
    }

    fn is_own(&self, id: TypeId) -> bool {
        let TypeOwner::Interface(owner) = self.resolve.types[id].owner else { return false };
        self.resolve.interfaces[owner].package == Some(self.package)
    }

    fn spell(&self, ty: &Type, whole: bool) -> String {
        let Type::Id(id) = *ty else { return primitive(ty).to_owned() };
        let id = self.target(id);
        if !whole
            && self.is_own(id)
            && let Some(name) = self.type_name(id)
        {
            return name;
        }
        let one = |ty: &Type| self.spell(ty, whole);
        let maybe = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), one);
        let cases = |cases: &[Case]| list(cases.iter().map(|case| format!("{}({})", case.name, maybe(&case.ty))));
        match &self.resolve.types[id].kind {
            TypeDefKind::Resource | TypeDefKind::Unknown => self.type_name(id).unwrap_or_default(),
            TypeDefKind::Record(record) => {
                format!("record<{}>", list(record.fields.iter().map(|field| format!("{}: {}", field.name, one(&field.ty)))))
            }
            TypeDefKind::Variant(variant) => format!("variant<{}>", cases(&variant.cases)),
            TypeDefKind::Enum(all) => format!("enum<{}>", list(all.cases.iter().map(|case| case.name.clone()))),
            TypeDefKind::Flags(all) => format!("flags<{}>", list(all.flags.iter().map(|flag| flag.name.clone()))),
            TypeDefKind::Handle(Handle::Own(of)) => one(&Type::Id(*of)),
            TypeDefKind::Handle(Handle::Borrow(of)) => format!("borrow<{}>", one(&Type::Id(*of))),
            TypeDefKind::Tuple(tuple) => format!("tuple<{}>", list(tuple.types.iter().map(one))),
            TypeDefKind::Option(of) => format!("option<{}>", one(of)),
            TypeDefKind::Result(result) => format!("result<{}, {}>", maybe(&result.ok), maybe(&result.err)),
            TypeDefKind::List(of) => format!("list<{}>", one(of)),
            TypeDefKind::FixedLengthList(of, length) => format!("list<{}, {length}>", one(of)),
            TypeDefKind::Map(key, value) => format!("map<{}, {}>", one(key), one(value)),
            TypeDefKind::Future(of) => format!("future<{}>", maybe(of)),
            TypeDefKind::Stream(of) => format!("stream<{}>", maybe(of)),
            TypeDefKind::Type(of) => one(of),
        }
    }
}

fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn primitive(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext => "error-context",
        Type::Id(_) => "a type of its own",
    }
}
