//! The component with accessors to its memories, and the component with other memories. Runs in the compiler's process: what is read here is
//! a stranger's file, and `wasmtime-wizer` panics where it has not thought of something.

use super::state::State;
use futures_util::FutureExt;
use wasmparser::{CanonicalFunction, Parser, Payload};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

/// With an accessor for each memory and each global that changes.
pub(crate) fn instrumented(component: &[u8]) -> wasmtime::Result<Vec<u8>> {
    if makes_handles(component)? {
        return Err(wasmtime::Error::msg("it has resources of its own, whose handles are not in its memory"));
    }
    Ok(Wizer::new().instrument_component(component)?.1)
}

/// As it would be, had it always held what `state` says.
pub(crate) fn snapshot(component: &[u8], state: &State) -> wasmtime::Result<Vec<u8>> {
    let wizer = Wizer::new();
    let (parsed, _) = wizer.instrument_component(component)?;
    // Nothing is waited for: all values are here.
    let written = wizer.snapshot_component(&parsed, &mut Known(state)).now_or_never();
    written.unwrap_or_else(|| Err(wasmtime::Error::msg("the snapshot waits for something")))
}

/// Handles of a component's own resources live beside its memory.
fn makes_handles(component: &[u8]) -> wasmtime::Result<bool> {
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::ComponentCanonicalSection(functions) = payload? {
            for function in functions {
                if matches!(function?, CanonicalFunction::ResourceNew { .. }) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// Values that were read from an instance in another process.
struct Known<'s>(&'s State);

impl Known<'_> {
    /// A value that is missing would be one of another component's: the snapshot must not be.
    fn get(&self, name: &str) -> &[u8] {
        self.0.get(name).unwrap_or_else(|| panic!("no value for {name}"))
    }

    fn number<const N: usize>(&self, name: &str) -> [u8; N] {
        self.get(name).try_into().unwrap_or_else(|_| panic!("{name} has another length"))
    }
}

impl ComponentInstanceState for Known<'_> {
    async fn call_func_ret_list_u8(&mut self, _: &str, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        contents(self.get(name));
    }

    async fn call_func_ret_s32(&mut self, _: &str, name: &str) -> i32 {
        i32::from_le_bytes(self.number(name))
    }

    async fn call_func_ret_s64(&mut self, _: &str, name: &str) -> i64 {
        i64::from_le_bytes(self.number(name))
    }

    async fn call_func_ret_f32(&mut self, _: &str, name: &str) -> u32 {
        u32::from_le_bytes(self.number(name))
    }

    async fn call_func_ret_f64(&mut self, _: &str, name: &str) -> u64 {
        u64::from_le_bytes(self.number(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(canonical: &str) -> Vec<u8> {
        wat::parse_str(format!("(component (type $r (resource (rep i32))) (core func (canon {canonical})))")).unwrap()
    }

    #[test]
    fn handles_of_its_own_keep_a_component_from_being_copied() {
        let error = instrumented(&component("resource.new $r")).unwrap_err();
        assert!(error.to_string().contains("resources of its own"), "{error}");
        assert!(instrumented(&component("resource.drop $r")).is_ok(), "the control");
    }
}
