//! What Sluice's speed and memory are measured with: a static MCP backend, a bare reverse proxy as the floor,
//! a closed-loop load generator, and `quick`, which runs them side by side and judges the bars.
//!
//! It never links Sluice: what is measured is the binary an operator runs, from outside.
//!
//! In reading order: [`replies`] and [`backend`] (what is called), [`proxy`] and [`nginx`] (what stands in
//! between for comparison), [`request`], [`answer`], [`lane`] and [`load`] (who calls), [`process`] and
//! [`sluice`] (what is watched), [`quick`] (the whole run), [`idle`] (quiet clients, thousands of them),
//! [`parked`] (calls that wait for an answer of their client).
#![forbid(unsafe_code)]

mod answer;
mod backend;
mod flags;
mod idle;
mod lane;
mod load;
mod nginx;
mod parked;
mod process;
mod proxy;
mod quick;
mod replies;
mod request;
mod sluice;

use std::process::ExitCode;

use anyhow::Result;

use crate::flags::Flags;

/// The same as Sluice's: the floor is to differ from it in what it does, and in nothing else.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "\
usage: sluice-bench COMMAND [--flag value]…   (COMMAND --help lists its flags)

  backend   a static MCP server that answers both eras
  proxy     a bare hyper reverse proxy: the floor
  nginx     print the nginx configuration that `quick` uses
  load      call one tool of one endpoint over keep-alive connections, check every reply
  quick     measure direct, bare, nginx and Sluice in one interleaved run, and judge the bars
  plugins   measure what filters cost: hooks in three languages, fresh instances, principals, loading, swaps
  idle      hold thousands of quiet streams open, and measure memory and other traffic's latency
  parked    leave a thousand calls waiting for their clients, and measure memory
  train     load the bare proxy and Sluice alike, for builds that note a profile

exit codes: 0 all good, 1 a bar was missed or a call failed, 64 a bad command line";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let known = match command.as_str() {
        "backend" => backend::FLAGS,
        "proxy" => proxy::FLAGS,
        "nginx" => nginx::FLAGS,
        "load" => load::FLAGS,
        "quick" => quick::FLAGS,
        "plugins" => quick::plugins::FLAGS,
        "train" => quick::TRAIN_FLAGS,
        "idle" => idle::FLAGS,
        "parked" => parked::FLAGS,
        "--help" | "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(64);
        }
    };
    let flags = match Flags::parse(args, known) {
        Ok(Some(flags)) => flags,
        Ok(None) => {
            println!("usage: sluice-bench {command}\n{}", flags::describe(known));
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("sluice-bench {command}: {problem:#}");
            return ExitCode::from(64);
        }
    };
    match run(&command, &flags) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("sluice-bench {command}: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one command; `false` means that it ran, and that what it measured was not good enough.
fn run(command: &str, flags: &Flags) -> Result<bool> {
    match command {
        "backend" => single_thread()?.block_on(backend::serve(flags)).map(|()| true),
        "proxy" => proxy::serve(flags).map(|()| true),
        "nginx" => nginx::print(flags).map(|()| true),
        "load" => single_thread()?.block_on(load::command(flags)),
        "idle" => single_thread()?.block_on(idle::command(flags)),
        "parked" => single_thread()?.block_on(parked::command(flags)),
        "plugins" => single_thread()?.block_on(quick::plugins::command(flags)),
        "train" => single_thread()?.block_on(quick::train(flags)).map(|()| true),
        _ => single_thread()?.block_on(quick::command(flags)),
    }
}

/// The load generator and the backend each stay on one thread, so that the machine's other core is the proxy's.
fn single_thread() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
