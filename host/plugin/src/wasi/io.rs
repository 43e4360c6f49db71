//! `wasi:io`: handles need no table here. A pollable is a time, carried in its handle; a stream is one of three.

use super::clocks;
use crate::guest::Guest;
use std::future;
use tokio::time::sleep_until;
use wasmtime::component::{ComponentType, Lift, LinkerInstance, Lower, Resource};

/// Something ready at a time of the monotonic clock, in milliseconds; 0 is always.
pub(super) struct Pollable;

impl Pollable {
    /// Times past the handle's range (49 days) are never, as far as a call can tell.
    pub(super) fn at_ms(ms: u64) -> Resource<Self> {
        Resource::new_own(u32::try_from(ms).unwrap_or(u32::MAX))
    }

    fn is_ready(handle: &Resource<Self>) -> bool {
        u64::from(handle.rep()) <= clocks::now_ms()
    }
}

/// Only standard input, which is at its end.
pub(super) struct InputStream;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutputStream {
    Stdout,
    Stderr,
}

impl OutputStream {
    pub(super) fn handle(self) -> Resource<Self> {
        Resource::new_own(u32::from(self == Self::Stderr))
    }

    fn of(handle: &Resource<Self>) -> Self {
        if handle.rep() == 0 { Self::Stdout } else { Self::Stderr }
    }
}

/// Never made: our streams fail by being closed.
pub(super) struct IoError;

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

/// Room in an output stream. Everything is taken at once, so it is always this much.
const ROOM: u64 = 64 * 1024;

pub(super) fn poll(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.func_wrap("[method]pollable.ready", |mut cx, (handle,): (Resource<Pollable>,)| {
        cx.data_mut().entered(0)?;
        Ok((Pollable::is_ready(&handle),))
    })?;
    instance.func_wrap_async("[method]pollable.block", |mut cx, (handle,): (Resource<Pollable>,)| {
        Box::new(async move {
            cx.data_mut().entered(0)?;
            wait(cx.data_mut(), handle.rep()).await
        })
    })?;
    instance.func_wrap_async("poll", |mut cx, (handles,): (Vec<Resource<Pollable>>,)| {
        Box::new(async move {
            cx.data_mut().entered(handles.len() * 4)?;
            let Some(first) = handles.iter().map(Resource::rep).min() else {
                return Err(super::trapped("wasi:io/poll#poll with nothing to wait for").into());
            };
            wait(cx.data_mut(), first).await?;
            let ready = handles.iter().enumerate().filter(|(_, handle)| Pollable::is_ready(handle));
            Ok((ready.map(|(i, _)| i as u32).collect::<Vec<_>>(),))
        })
    })
}

/// Wait for a time, at most as long as the call has left.
async fn wait(guest: &mut Guest, at_ms: u32) -> wasmtime::Result<()> {
    if u64::from(at_ms) <= clocks::now_ms() {
        return Ok(());
    }
    match clocks::instant(u64::from(at_ms)).filter(|_| at_ms != u32::MAX) {
        Some(at) => guest.budget.wait(sleep_until(at)).await?,
        None => guest.budget.wait(future::pending()).await?,
    }
    Ok(())
}

pub(super) fn streams(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    for name in ["[method]input-stream.read", "[method]input-stream.blocking-read"] {
        instance.func_wrap(name, |mut cx, _: (Resource<InputStream>, u64)| {
            cx.data_mut().entered(0)?;
            Ok((Err::<Vec<u8>, _>(StreamError::Closed),))
        })?;
    }
    for name in ["[method]input-stream.skip", "[method]input-stream.blocking-skip"] {
        instance.func_wrap(name, |mut cx, _: (Resource<InputStream>, u64)| {
            cx.data_mut().entered(0)?;
            Ok((Err::<u64, _>(StreamError::Closed),))
        })?;
    }
    instance.func_wrap("[method]input-stream.subscribe", |mut cx, _: (Resource<InputStream>,)| {
        cx.data_mut().entered(0)?;
        Ok((Pollable::at_ms(0),))
    })?;
    output(instance)
}

fn output(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.func_wrap("[method]output-stream.check-write", |mut cx, _: (Resource<OutputStream>,)| {
        cx.data_mut().entered(0)?;
        Ok((Ok::<_, StreamError>(ROOM),))
    })?;
    for name in ["[method]output-stream.write", "[method]output-stream.blocking-write-and-flush"] {
        instance.func_wrap(name, |mut cx, (handle, bytes): (Resource<OutputStream>, Vec<u8>)| {
            let guest = cx.data_mut();
            guest.entered(bytes.len())?;
            guest.stdio.write(&guest.plugin, guest.share.as_ref(), OutputStream::of(&handle), &bytes);
            Ok((Ok::<_, StreamError>(()),))
        })?;
    }
    for name in ["[method]output-stream.write-zeroes", "[method]output-stream.blocking-write-zeroes-and-flush"] {
        instance.func_wrap(name, |mut cx, _: (Resource<OutputStream>, u64)| {
            cx.data_mut().entered(0)?;
            Ok((Ok::<_, StreamError>(()),))
        })?;
    }
    for name in ["[method]output-stream.flush", "[method]output-stream.blocking-flush"] {
        instance.func_wrap(name, |mut cx, _: (Resource<OutputStream>,)| {
            cx.data_mut().entered(0)?;
            Ok((Ok::<_, StreamError>(()),))
        })?;
    }
    for name in ["[method]output-stream.splice", "[method]output-stream.blocking-splice"] {
        instance.func_wrap(name, |mut cx, _: (Resource<OutputStream>, Resource<InputStream>, u64)| {
            cx.data_mut().entered(0)?;
            Ok((Err::<u64, _>(StreamError::Closed),))
        })?;
    }
    instance.func_wrap("[method]output-stream.subscribe", |mut cx, _: (Resource<OutputStream>,)| {
        cx.data_mut().entered(0)?;
        Ok((Pollable::at_ms(0),))
    })
}
