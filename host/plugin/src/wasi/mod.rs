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

use crate::guest::Guest;
use wasmtime::{
    Engine,
    component::{Component, Linker, LinkerInstance, ResourceType, types::ComponentItem},
};

/// Adds what answers to an interface that was filled with traps.
type Define = fn(&mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()>;

fn nothing(_: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    Ok(())
}

/// The interfaces a component may import, without their version.
const INTERFACES: [(&str, Define); 26] = [
    ("wasi:cli/environment", cli::environment),
    ("wasi:cli/exit", cli::exit),
    ("wasi:cli/stdin", cli::stdin),
    ("wasi:cli/stdout", cli::stdout),
    ("wasi:cli/stderr", cli::stderr),
    ("wasi:cli/terminal-input", nothing),
    ("wasi:cli/terminal-output", nothing),
    ("wasi:cli/terminal-stdin", cli::terminal_stdin),
    ("wasi:cli/terminal-stdout", cli::terminal_stdout),
    ("wasi:cli/terminal-stderr", cli::terminal_stderr),
    ("wasi:clocks/monotonic-clock", clocks::monotonic),
    ("wasi:clocks/wall-clock", clocks::wall),
    ("wasi:filesystem/preopens", closed::preopens),
    ("wasi:filesystem/types", nothing),
    ("wasi:io/error", nothing),
    ("wasi:io/poll", io::poll),
    ("wasi:io/streams", io::streams),
    ("wasi:random/random", random::random),
    ("wasi:random/insecure", random::insecure),
    ("wasi:random/insecure-seed", random::insecure_seed),
    ("wasi:sockets/instance-network", closed::instance_network),
    ("wasi:sockets/ip-name-lookup", closed::name_lookup),
    ("wasi:sockets/network", nothing),
    ("wasi:sockets/tcp", nothing),
    ("wasi:sockets/tcp-create-socket", closed::tcp_create),
    ("wasi:sockets/udp-create-socket", closed::udp_create),
];
/// Has no function that can be reached.
const UDP: &str = "wasi:sockets/udp";

fn find(import: &str) -> Option<Define> {
    let (interface, version) = import.split_once('@')?;
    let is_known_version = version.starts_with("0.2.") && !version.contains('-');
    let define = INTERFACES.iter().find(|(name, _)| *name == interface).map(|(_, define)| *define);
    define.or((interface == UDP).then_some(nothing as Define)).filter(|_| is_known_version)
}

/// Is this an import this module answers?
pub(crate) fn knows(import: &str) -> bool {
    find(import).is_some()
}

/// Define the WASI interfaces that `component` imports, in the versions it names.
pub(crate) fn link(linker: &mut Linker<Guest>, engine: &Engine, component: &Component) -> wasmtime::Result<()> {
    // First everything traps, then what answers goes over it.
    linker.allow_shadowing(true);
    for (name, import) in component.component_type().imports(engine) {
        let (Some(define), ComponentItem::ComponentInstance(interface)) = (find(name), import.ty) else { continue };
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
    }
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
