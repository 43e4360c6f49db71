//! `wasi:random`: the system's own, in small portions.

use crate::guest::Guest;
use sluice_chain::fault::Fault;
use wasmtime::component::LinkerInstance;

const BYTES_MAX: u64 = 64 * 1024;

fn bytes(guest: &mut Guest, count: u64) -> wasmtime::Result<Vec<u8>> {
    if count > BYTES_MAX {
        return Err(Fault::Limit(format!("more than {BYTES_MAX} random bytes at once")).into());
    }
    guest.entered(count as usize)?;
    let mut bytes = vec![0; count as usize];
    getrandom::fill(&mut bytes).map_err(|error| Fault::Trap(format!("no random numbers: {error}")))?;
    Ok(bytes)
}

fn number(guest: &mut Guest) -> wasmtime::Result<u64> {
    guest.entered(8)?;
    draw()
}

fn draw() -> wasmtime::Result<u64> {
    Ok(getrandom::u64().map_err(|error| Fault::Trap(format!("no random numbers: {error}")))?)
}

pub(super) fn random(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.func_wrap("get-random-bytes", |mut cx, (count,): (u64,)| Ok((bytes(cx.data_mut(), count)?,)))?;
    instance.func_wrap("get-random-u64", |mut cx, (): ()| Ok((number(cx.data_mut())?,)))
}

/// As secure as the other: one source is one thing to get right.
pub(super) fn insecure(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.func_wrap("get-insecure-random-bytes", |mut cx, (count,): (u64,)| Ok((bytes(cx.data_mut(), count)?,)))?;
    instance.func_wrap("get-insecure-random-u64", |mut cx, (): ()| Ok((number(cx.data_mut())?,)))
}

/// For tables that strangers must not be able to fill badly: a seed that all instances of a plugin share is as unknown to them (ADR 33).
pub(super) fn insecure_seed(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    for name in ["insecure-seed", "get-insecure-seed"] {
        instance.func_wrap(name, |mut cx, (): ()| {
            cx.data_mut().entered_alike(16)?;
            Ok(((draw()?, draw()?),))
        })?;
    }
    Ok(())
}
