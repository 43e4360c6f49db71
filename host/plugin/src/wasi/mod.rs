//! WASI 0.2 as every toolchain imports it, giving nothing away.
//!
//! Rust's std, Python and JS import environment, files, sockets and streams whether they use them or not.
//! Here the environment and the list of directories are empty, a socket is `access-denied`, standard input
//! is closed, standard output and error are log lines, clocks tick in milliseconds, waits end with the
//! call's wall time, and random numbers are real. Everything else (say, reading a file, which needs a
//! handle that cannot be had) traps. There are no files and no sockets behind this, not even closed ones:
//! `wasmtime-wasi` is not linked.

mod cli;
mod clocks;
mod closed;
mod io;
mod random;

pub(crate) use cli::Stdio;

use crate::{
    guest::Guest,
    import::{Import, Link},
};
use wasmtime::{
    Engine,
    component::{Component, Linker, LinkerInstance, ResourceType, types::ComponentItem},
};

/// Adds what answers to an interface that was filled with traps.
type Define = fn(&mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()>;

fn nothing(_: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    Ok(())
}

const fn wasi(interface: &'static str, allows: Option<&'static str>, define: Define) -> Import {
    Import { interface, allows, link: Link::Wasi(define) }
}

const LOG: Option<&str> = Some("write to the log, as text");
const TIME: Option<&str> = Some("tell the time, to the millisecond");
const RANDOM: Option<&str> = Some("draw random numbers");
/// What it could do in another host, it cannot do here.
const NOTHING: Option<&str> = None;

/// The interfaces a component may import, without their version.
pub(crate) static IMPORTS: [Import; 27] = [
    wasi("wasi:cli/environment", NOTHING, cli::environment),
    wasi("wasi:cli/exit", NOTHING, cli::exit),
    wasi("wasi:cli/stdin", NOTHING, cli::stdin),
    wasi("wasi:cli/stdout", LOG, cli::stdout),
    wasi("wasi:cli/stderr", LOG, cli::stderr),
    wasi("wasi:cli/terminal-input", NOTHING, nothing),
    wasi("wasi:cli/terminal-output", NOTHING, nothing),
    wasi("wasi:cli/terminal-stdin", NOTHING, cli::terminal_stdin),
    wasi("wasi:cli/terminal-stdout", NOTHING, cli::terminal_stdout),
    wasi("wasi:cli/terminal-stderr", NOTHING, cli::terminal_stderr),
    wasi("wasi:clocks/monotonic-clock", TIME, clocks::monotonic),
    wasi("wasi:clocks/wall-clock", TIME, clocks::wall),
    wasi("wasi:filesystem/preopens", NOTHING, closed::preopens),
    wasi("wasi:filesystem/types", NOTHING, nothing),
    wasi("wasi:io/error", NOTHING, nothing),
    wasi("wasi:io/poll", Some("wait, within its time"), io::poll),
    wasi("wasi:io/streams", NOTHING, io::streams),
    wasi("wasi:random/random", RANDOM, random::random),
    wasi("wasi:random/insecure", RANDOM, random::insecure),
    wasi("wasi:random/insecure-seed", RANDOM, random::insecure_seed),
    wasi("wasi:sockets/instance-network", NOTHING, closed::instance_network),
    wasi("wasi:sockets/ip-name-lookup", NOTHING, closed::name_lookup),
    wasi("wasi:sockets/network", NOTHING, nothing),
    wasi("wasi:sockets/tcp", NOTHING, nothing),
    wasi("wasi:sockets/tcp-create-socket", NOTHING, closed::tcp_create),
    // Has no function that can be reached.
    wasi("wasi:sockets/udp", NOTHING, nothing),
    wasi("wasi:sockets/udp-create-socket", NOTHING, closed::udp_create),
];

/// Define one WASI interface as `component` imports it, under the name and version it has there.
pub(crate) fn link(linker: &mut Linker<Guest>, engine: &Engine, component: &Component, name: &str, define: Define) -> wasmtime::Result<()> {
    let imported = component.component_type().imports(engine).find(|(import, _)| *import == name).map(|(_, import)| import.ty);
    let Some(ComponentItem::ComponentInstance(interface)) = imported else { return Ok(()) };
    // First everything traps, then what answers goes over it.
    linker.allow_shadowing(true);
    let mut instance = linker.instance(name)?;
    for (item, kind) in interface.exports(engine) {
        let full = format!("{name}#{item}");
        match kind.ty {
            ComponentItem::ComponentFunc(_) => {
                instance.func_new(item, move |_, _, _, _| Err(trapped(&full).into()))?;
            }
            ComponentItem::Resource(_) => instance.resource(item, resource(item), |_, _| Ok(()))?,
            _ => {}
        }
    }
    define(&mut instance)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn trapped(what: &str) -> sluice_chain::fault::Fault {
    sluice_chain::fault::Fault::Trap(format!("it called {what}, which plugins have not"))
}

/// A resource that does nothing, or of which no handle ever exists.
struct Closed;

/// The type behind a resource's name. Interfaces that use a resource of another name it again, so a name is one
/// type wherever it stands; WASI has no two resources of one name.
fn resource(name: &str) -> ResourceType {
    match name {
        "pollable" => ResourceType::host::<io::Pollable>(),
        "input-stream" => ResourceType::host::<io::InputStream>(),
        "output-stream" => ResourceType::host::<io::OutputStream>(),
        "error" => ResourceType::host::<io::IoError>(),
        "terminal-input" | "terminal-output" => ResourceType::host::<cli::Terminal>(),
        _ => ResourceType::host::<Closed>(),
    }
}
