//! `wasi:clocks`, coarse: a guest can tell milliseconds apart, and nothing finer.

use super::io::Pollable;
use crate::guest::Guest;
use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;
use wasmtime::component::{ComponentType, Lift, LinkerInstance, Lower};

const RESOLUTION_NS: u64 = 1_000_000;

#[derive(ComponentType, Lift, Lower, Clone, Copy)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

/// Where the monotonic clock starts: nothing about the machine can be read from it.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Whole milliseconds since the clock's start.
pub(super) fn now_ms() -> u64 {
    START.elapsed().as_millis() as u64
}

fn since_epoch_ms() -> Duration {
    let exact = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(exact.as_millis() as u64)
}

pub(super) fn monotonic(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.func_wrap("now", |mut cx, (): ()| {
        cx.data_mut().entered(8)?;
        Ok((now_ms() * RESOLUTION_NS,))
    })?;
    instance.func_wrap("resolution", |mut cx, (): ()| {
        cx.data_mut().entered_alike(8)?;
        Ok((RESOLUTION_NS,))
    })?;
    instance.func_wrap("subscribe-instant", |mut cx, (at,): (u64,)| {
        cx.data_mut().entered(8)?;
        Ok((Pollable::at_ms(at.div_ceil(RESOLUTION_NS)),))
    })?;
    instance.func_wrap("subscribe-duration", |mut cx, (after,): (u64,)| {
        cx.data_mut().entered(8)?;
        Ok((Pollable::at_ms(now_ms().saturating_add(after.div_ceil(RESOLUTION_NS)).saturating_add(1)),))
    })
}

pub(super) fn wall(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.func_wrap("now", |mut cx, (): ()| {
        cx.data_mut().entered(12)?;
        let now = since_epoch_ms();
        Ok((Datetime { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() },))
    })?;
    instance.func_wrap("resolution", |mut cx, (): ()| {
        cx.data_mut().entered_alike(12)?;
        Ok((Datetime { seconds: 0, nanoseconds: RESOLUTION_NS as u32 },))
    })
}

/// The instant of a reading of the monotonic clock; none: further away than any call lasts.
pub(super) fn instant(ms: u64) -> Option<Instant> {
    START.checked_add(Duration::from_millis(ms))
}
