//! What an instance that has run `init` holds: its memories and globals, read through the accessors that `rewrite` has put in.

use crate::guest::Guest;
use wasmtime::{
    Store,
    component::{Component, Instance, Lift, Type, WasmList, types::ComponentItem},
};

/// The instance that an instrumented component exports besides its own; `wasmtime-wizer`'s name for it.
const ACCESS: &str = "wasmtime:wizer/access";
/// Of all memories together. More is better made by `init` itself.
const BYTES_MAX: usize = 16 << 20;

/// Each accessor's name with the value behind it: bytes of a memory, or a global's in little endian.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct State(Vec<(String, Vec<u8>)>);

impl State {
    /// Reads all there is. Each memory grows by a page for this, so the instance is no good for anything else afterwards.
    pub(super) async fn read(store: &mut Store<Guest>, instance: &Instance, component: &Component) -> wasmtime::Result<Self> {
        let engine = store.engine().clone();
        let exported = component.component_type().get_export(&engine, ACCESS).map(|export| export.ty);
        let Some(ComponentItem::ComponentInstance(accessors)) = exported else {
            return Err(wasmtime::Error::msg("the instrumented component has no accessors"));
        };
        let mut state = Self::default();
        for (name, accessor) in accessors.exports(&engine) {
            let ComponentItem::ComponentFunc(function) = accessor.ty else { continue };
            let value = match function.results().next() {
                Some(Type::List(_)) => memory(store, instance, name).await?,
                Some(Type::S32) => global(store, instance, name, i32::to_le_bytes).await?,
                Some(Type::S64) => global(store, instance, name, i64::to_le_bytes).await?,
                Some(Type::Float32) => global(store, instance, name, |f: f32| f.to_bits().to_le_bytes()).await?,
                Some(Type::Float64) => global(store, instance, name, |f: f64| f.to_bits().to_le_bytes()).await?,
                other => return Err(wasmtime::Error::msg(format!("an accessor of type {other:?}"))),
            };
            state.0.push((name.to_owned(), value));
        }
        if state.0.iter().map(|(_, value)| value.len()).sum::<usize>() > BYTES_MAX {
            return Err(wasmtime::Error::msg(format!("its init leaves more than {} MiB of memory", BYTES_MAX >> 20)));
        }
        Ok(state)
    }

    /// The value behind an accessor.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// For another process: each name and value behind its length.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        let mut put = |bytes: &[u8]| {
            into.extend((bytes.len() as u64).to_le_bytes());
            into.extend_from_slice(bytes);
        };
        for (name, value) in &self.0 {
            put(name.as_bytes());
            put(value);
        }
    }

    /// What `encode` wrote, and nothing else.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut state = Self::default();
        while !bytes.is_empty() {
            let name = take(&mut bytes)?;
            state.0.push((String::from_utf8(name.to_vec()).ok()?, take(&mut bytes)?.to_vec()));
        }
        Some(state)
    }
}

/// The next part, behind its length.
pub(crate) fn take<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (part, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    *bytes = rest;
    Some(part)
}

async fn memory(store: &mut Store<Guest>, instance: &Instance, name: &str) -> wasmtime::Result<Vec<u8>> {
    let list: WasmList<u8> = call(store, instance, name).await?;
    Ok(list.as_le_slice(&*store).to_vec())
}

async fn global<T, const N: usize>(
    store: &mut Store<Guest>,
    instance: &Instance,
    name: &str,
    bytes: fn(T) -> [u8; N],
) -> wasmtime::Result<Vec<u8>>
where
    T: Lift + Send + Sync + 'static,
{
    Ok(bytes(call(store, instance, name).await?).to_vec())
}

async fn call<T: Lift + Send + Sync + 'static>(store: &mut Store<Guest>, instance: &Instance, name: &str) -> wasmtime::Result<T> {
    let found = instance.get_export_index(&mut *store, None, ACCESS);
    let found = found.and_then(|access| instance.get_export_index(&mut *store, Some(&access), name));
    let Some(found) = found else {
        return Err(wasmtime::Error::msg(format!("no accessor {name}")));
    };
    let accessor = instance.get_typed_func::<(), (T,)>(&mut *store, found)?;
    Ok(accessor.call_async(&mut *store, ()).await?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_travels_whole_or_not_at_all() {
        let state = State(vec![("memory0".into(), vec![1, 2, 3]), ("global1".into(), vec![]), ("é".into(), vec![0; 1000])]);
        let mut bytes = Vec::new();
        state.encode(&mut bytes);
        assert_eq!(State::decode(&bytes), Some(state));
        for cut in 1..bytes.len() {
            assert!(State::decode(&bytes[..cut]).is_none_or(|less| less.0.len() < 3), "{cut}");
        }
        assert_eq!(State::decode(&[255; 16]), None);
        assert_eq!(State::decode(&[]), Some(State::default()));
    }
}
