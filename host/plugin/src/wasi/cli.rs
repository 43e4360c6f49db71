//! `wasi:cli`: nobody called with arguments, in no environment; what is printed becomes log lines.

use super::io::{InputStream, OutputStream};
use crate::{
    guest::Guest,
    plugin::Plugin,
    share::Place,
    v0_1::{bindings::sluice::filter::log::Level, log},
};
use sluice_chain::fault::Fault;
use wasmtime::component::{LinkerInstance, Resource};

/// A line longer than this is cut into several.
const LINE_BYTES_MAX: usize = 4096;

/// What a guest printed and did not yet end with a line break.
#[derive(Default)]
pub(crate) struct Stdio {
    pending: [Vec<u8>; 2],
}

impl Stdio {
    /// Bytes for standard output or error.
    pub(super) fn write(&mut self, plugin: &Plugin, share: Option<&Place>, stream: OutputStream, bytes: &[u8]) {
        let pending = &mut self.pending[usize::from(stream == OutputStream::Stderr)];
        for piece in bytes.split_inclusive(|b| *b == b'\n').flat_map(|line| line.chunks(LINE_BYTES_MAX)) {
            pending.extend_from_slice(piece);
            if piece.ends_with(b"\n") || pending.len() >= LINE_BYTES_MAX {
                print(plugin, share, stream, pending);
            }
        }
    }

    /// The call is over, so what is pending is a line.
    pub(crate) fn flush(&mut self, plugin: &Plugin, share: Option<&Place>) {
        for (pending, stream) in self.pending.iter_mut().zip([OutputStream::Stdout, OutputStream::Stderr]) {
            if !pending.is_empty() {
                print(plugin, share, stream, pending);
            }
        }
    }
}

fn print(plugin: &Plugin, share: Option<&Place>, stream: OutputStream, pending: &mut Vec<u8>) {
    let (level, name) = match stream {
        OutputStream::Stdout => (Level::Info, "stdout"),
        OutputStream::Stderr => (Level::Warn, "stderr"),
    };
    let text = String::from_utf8_lossy(pending);
    log::line(plugin, share, level, text.trim_end_matches(['\r', '\n']), &[("stream".into(), name.into())]);
    pending.clear();
}

/// Terminals, of which there are none.
pub(super) struct Terminal;

pub(super) fn environment(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.func_wrap("get-environment", |mut cx, (): ()| {
        cx.data_mut().entered_alike(0)?;
        Ok((Vec::<(String, String)>::new(),))
    })?;
    instance.func_wrap("get-arguments", |mut cx, (): ()| {
        cx.data_mut().entered_alike(0)?;
        Ok((Vec::<String>::new(),))
    })?;
    instance.func_wrap("initial-cwd", |mut cx, (): ()| {
        cx.data_mut().entered_alike(0)?;
        Ok((None::<String>,))
    })
}

/// A plugin has no process of its own to end.
pub(super) fn exit(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.func_wrap("exit", |_, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
        Err(Fault::Trap(format!("it called exit ({})", if status.is_ok() { "success" } else { "failure" })).into())
    })
}

pub(super) fn stdin(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.func_wrap("get-stdin", |mut cx, (): ()| {
        cx.data_mut().entered(0)?;
        Ok((Resource::<InputStream>::new_own(0),))
    })
}

pub(super) fn stdout(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.func_wrap("get-stdout", |mut cx, (): ()| {
        cx.data_mut().entered(0)?;
        Ok((OutputStream::Stdout.handle(),))
    })
}

pub(super) fn stderr(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.func_wrap("get-stderr", |mut cx, (): ()| {
        cx.data_mut().entered(0)?;
        Ok((OutputStream::Stderr.handle(),))
    })
}

pub(super) fn terminal_stdin(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    no_terminal(instance, "get-terminal-stdin")
}

pub(super) fn terminal_stdout(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    no_terminal(instance, "get-terminal-stdout")
}

pub(super) fn terminal_stderr(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    no_terminal(instance, "get-terminal-stderr")
}

fn no_terminal(instance: &mut LinkerInstance<'_, Guest>, name: &str) -> wasmtime::Result<()> {
    instance.func_wrap(name, |mut cx, (): ()| {
        cx.data_mut().entered_alike(0)?;
        Ok((None::<Resource<Terminal>>,))
    })
}
